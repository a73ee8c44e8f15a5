//! Key slots: several open, a removed one does not, the last one stays, and two changes at once both hold.

use std::sync::Arc;

use duramen::error::Kind;
use duramen::ops::key;
use duramen::repository::{Credential, Repository, new_key_file};
use duramen::storage::Storage;
use zeroize::Zeroizing;

use super::lab::{Lab, environment, restored};

fn open(lab: &Lab, credential: &Credential) -> duramen::error::Result<Repository> {
    Repository::open(
        Arc::new(lab.storage.clone()),
        std::slice::from_ref(credential),
        environment(None),
    )
}

#[test]
fn slots_come_and_go() {
    let lab = Lab::new();
    lab.write_tree(1);
    lab.snapshot(&lab.open()).unwrap();
    let repository = lab.open();
    let passphrase = Credential::Passphrase(Zeroizing::new(b"a long one".to_vec()));
    let second = Credential::KeyFile(new_key_file().unwrap());
    let added = key::add(&repository, &passphrase, "mine").unwrap();
    key::add(&repository, &second, "spare").unwrap();
    assert_eq!(key::list(&repository, false).unwrap().len(), 3);
    assert!(
        added
            .kdf
            .is_some_and(|(memory, passes, _)| memory >= 64 << 10 && passes >= 3)
    );

    let by_passphrase = open(&lab, &passphrase).unwrap();
    assert_eq!(
        restored(&lab, &by_passphrase, "latest").unwrap(),
        (lab.on_disk(), false)
    );
    let wrong = Credential::Passphrase(Zeroizing::new(b"a long on".to_vec()));
    assert_eq!(open(&lab, &wrong).err().unwrap().kind(), Kind::WrongKey);

    let copy_of_slot = lab
        .storage
        .read(&format!("keys/{}", added.id.hex()), 4096)
        .unwrap();
    key::remove(&repository, &added.id.hex()[..8], false).unwrap();
    assert_eq!(
        open(&lab, &passphrase).err().unwrap().kind(),
        Kind::WrongKey
    );
    // Bringing the slot file back does not bring the slot back: the ring is not wrapped to it any more.
    lab.storage
        .put_new(&format!("keys/{}", added.id.hex()), &copy_of_slot)
        .unwrap();
    assert_eq!(
        open(&lab, &passphrase).err().unwrap().kind(),
        Kind::WrongKey
    );

    // What is written after a removal is sealed under a root that the removed never had; what was before still opens.
    lab.write_tree(2);
    let rest = open(&lab, &second).unwrap();
    lab.snapshot(&rest).unwrap();
    assert_eq!(
        restored(&lab, &lab.open(), "latest").unwrap(),
        (lab.on_disk(), false)
    );

    let own = key::list(&rest, false)
        .unwrap()
        .into_iter()
        .find(|slot| slot.current)
        .unwrap();
    assert_eq!(
        key::remove(&rest, &own.id.hex(), false)
            .err()
            .unwrap()
            .kind(),
        Kind::Usage
    );
    key::remove(&rest, &own.id.hex(), true).unwrap();
    let last = key::list(&lab.open(), false).unwrap();
    assert_eq!(last.len(), 1);
    assert_eq!(
        key::remove(&lab.open(), &last[0].id.hex(), true)
            .err()
            .unwrap()
            .kind(),
        Kind::Usage
    );
}

#[test]
fn changes_at_once_all_hold() {
    let lab = Lab::new();
    let keys: Vec<Credential> = (0..6)
        .map(|_| Credential::KeyFile(new_key_file().unwrap()))
        .collect();
    std::thread::scope(|scope| {
        for key in &keys {
            let repository = lab.open();
            scope.spawn(move || key::add(&repository, key, "").unwrap());
        }
    });
    for key in &keys {
        open(&lab, key).unwrap();
    }
}

#[test]
fn a_ring_made_up_by_the_store_is_refused() {
    let lab = Lab::new();
    let ring = lab.storage.read("keyring/0000000001", 1 << 20).unwrap();
    // The store can copy, but not make: an old ring under a new number does not open.
    lab.storage.put_new("keyring/0000000002", &ring).unwrap();
    let refused = lab.open_on(Arc::new(lab.storage.clone())).err().unwrap();
    assert_eq!(refused.kind(), Kind::Damage);
}
