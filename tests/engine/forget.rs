//! Forgetting and annotating a real repository.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use duramen::error::Kind;
use duramen::id::SnapshotId;
use duramen::ops::annotate::{self, AnnotateOptions};
use duramen::ops::forget::{self, ForgetOptions, ForgetSummary, Grouping, Policy};
use duramen::ops::select::{self, Filter};
use duramen::ops::snapshot::SnapshotSummary;
use duramen::ops::snapshots::{self, Which};
use duramen::progress::Silent;
use duramen::repository::{Credential, Repository, Standing, create, new_key_file};
use duramen::storage::LocalStorage;
use jiff::tz::TimeZone;

use super::lab::{Lab, environment, options, restored};

const DAY: i64 = 86_400 * 1_000_000_000;
/// 2026-01-01T12:00:00Z.
const NOON: i64 = 20_454 * DAY + DAY / 2;

/// A snapshot of the lab's tree on that day of January.
fn snapshot(lab: &Lab, repository: &Repository, day: i64) -> SnapshotSummary {
    let mut options = options(&lab.tree());
    options.time = Some(NOON + (day - 1) * DAY);
    duramen::ops::snapshot::run(repository, &options, &Silent).unwrap()
}

fn rules(policy: Policy) -> ForgetOptions {
    ForgetOptions {
        policy,
        keep_names: Vec::new(),
        grouping: Grouping::default(),
        filter: Filter::default(),
        zone: TimeZone::UTC,
        ignore_stored_times: false,
        dry_run: false,
    }
}

fn daily(count: u32) -> Policy {
    Policy {
        daily: count,
        ..Policy::default()
    }
}

fn by_rules(repository: &Repository, options: &ForgetOptions) -> ForgetSummary {
    forget::by_rules(repository, options, &Silent).unwrap()
}

fn living(repository: &Repository) -> Vec<SnapshotId> {
    let (known, broken) = snapshots::run(repository, &Filter::default(), Which::Living).unwrap();
    assert!(broken.is_empty());
    known.iter().map(|known| known.snapshot.id).collect()
}

fn hex(ids: &[SnapshotId]) -> Vec<String> {
    ids.iter().map(SnapshotId::hex).collect()
}

#[test]
fn rules_forget_and_undo_brings_back() {
    let lab = Lab::new();
    lab.write_tree(1);
    let repository = lab.open();
    let ids: Vec<SnapshotId> = (1..=5)
        .map(|day| snapshot(&lab, &repository, day).id.unwrap())
        .collect();
    let mut options = rules(daily(2));
    options.dry_run = true;
    assert_eq!(by_rules(&repository, &options).count(), (2, 3));
    assert_eq!(living(&repository), ids);
    options.dry_run = false;
    assert_eq!(by_rules(&repository, &options).count(), (2, 3));
    assert_eq!(living(&repository), ids[3..]);
    // What was forgotten is not decided about again.
    assert_eq!(by_rules(&repository, &options).count(), (2, 0));
    let (forgotten, _) = snapshots::run(&repository, &Filter::default(), Which::Forgotten).unwrap();
    let listed: Vec<SnapshotId> = forgotten.iter().map(|known| known.snapshot.id).collect();
    assert_eq!(listed, ids[..3]);
    assert!(
        forgotten
            .iter()
            .all(|known| known.facts.forgotten_at.is_some())
    );
    let undone = forget::undo(&repository, &hex(&ids[1..3]), &Filter::default()).unwrap();
    assert!(undone.iter().all(|named| named.changed));
    assert_eq!(living(&repository), ids[1..]);
    // Undoing what was not forgotten changes nothing.
    let undone = forget::undo(&repository, &hex(&ids[1..2]), &Filter::default()).unwrap();
    assert!(!undone[0].changed);
    assert_eq!(
        restored(&lab, &repository, &ids[1].hex()).unwrap(),
        (lab.on_disk(), false)
    );
}

#[test]
fn no_rule_is_no_wish_to_forget_everything() {
    let lab = Lab::new();
    lab.write_tree(1);
    let repository = lab.open();
    snapshot(&lab, &repository, 1);
    let error = forget::by_rules(&repository, &rules(Policy::default()), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let mut options = rules(daily(1));
    options.keep_names = vec!["abcdef".into()];
    let error = forget::by_rules(&repository, &options, &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn an_unmounted_disk_is_noticed_and_pushes_nothing_out() {
    let lab = Lab::new();
    lab.write_tree(1);
    let repository = lab.open();
    let good: Vec<SnapshotId> = (1..=2)
        .map(|day| snapshot(&lab, &repository, day).id.unwrap())
        .collect();
    std::fs::remove_dir_all(lab.tree()).unwrap();
    std::fs::create_dir(lab.tree()).unwrap();
    for day in 3..=8 {
        let taken = snapshot(&lab, &repository, day);
        let shrunken = taken.shrunken.unwrap();
        assert_eq!(shrunken.now.files, 0);
        assert_eq!(
            shrunken.before.unwrap().0,
            good[1],
            "the measure is the last good one"
        );
    }
    by_rules(&repository, &rules(daily(2)));
    let left = living(&repository);
    assert_eq!(left.len(), 4);
    assert!(good.iter().all(|id| left.contains(id)), "{left:?}");
    // Accepted, it is what is normal from then on.
    let say = AnnotateOptions {
        names: vec!["latest".into()],
        add_tags: vec![annotate::ACCEPTED.into()],
        ..AnnotateOptions::default()
    };
    assert!(annotate::run(&repository, &say).unwrap()[0].changed);
    assert!(snapshot(&lab, &repository, 9).shrunken.is_none());
    by_rules(&repository, &rules(daily(1)));
    let left = living(&repository);
    assert_eq!(left.len(), 1);
    assert!(!good.contains(&left[0]));
}

#[test]
fn holds_keep_and_release_lets_go() {
    let lab = Lab::new();
    lab.write_tree(1);
    let repository = lab.open();
    let ids: Vec<SnapshotId> = (1..=3)
        .map(|day| snapshot(&lab, &repository, day).id.unwrap())
        .collect();
    let hold = |why: Option<&str>, release: bool| {
        let say = AnnotateOptions {
            names: vec![ids[0].hex()],
            hold: why.map(String::from),
            release,
            ..AnnotateOptions::default()
        };
        annotate::run(&repository, &say).unwrap()
    };
    hold(Some("court"), false);
    let summary = by_rules(&repository, &rules(daily(1)));
    let first = &summary.groups[0].snapshots[0];
    assert!(first.keep && first.reasons[0] == "held: court", "{first:?}");
    assert_eq!(living(&repository), [ids[0], ids[2]]);
    // By name it is refused, and nothing else of the same wish is done.
    let error = forget::named(
        &repository,
        &hex(&[ids[2], ids[0]]),
        &Filter::default(),
        false,
    )
    .unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(living(&repository), [ids[0], ids[2]]);
    assert!(hold(None, true)[0].changed);
    assert!(!hold(None, true)[0].changed);
    let done = forget::named(&repository, &hex(&[ids[0]]), &Filter::default(), false).unwrap();
    assert!(done[0].changed && !done[0].last);
    // Holding it takes the forgetting back.
    hold(Some("after all"), false);
    assert_eq!(living(&repository), [ids[0], ids[2]]);
}

#[test]
fn the_last_good_one_goes_by_name_alone_and_that_is_said() {
    let lab = Lab::new();
    lab.write_tree(1);
    let repository = lab.open();
    let id = snapshot(&lab, &repository, 1).id.unwrap();
    let none = Policy {
        tags: vec!["absent".into()],
        ..Policy::default()
    };
    assert_eq!(by_rules(&repository, &rules(none)).count(), (1, 0));
    let dry = forget::named(&repository, &[id.hex()], &Filter::default(), true).unwrap();
    assert!(dry[0].last && dry[0].changed);
    assert_eq!(living(&repository), [id]);
    // An empty one beside it is not what anybody would miss.
    std::fs::remove_dir_all(lab.tree()).unwrap();
    std::fs::create_dir(lab.tree()).unwrap();
    let empty = snapshot(&lab, &repository, 2).id.unwrap();
    let named = |ids: &[SnapshotId]| {
        let named = forget::named(&repository, &hex(ids), &Filter::default(), true).unwrap();
        named.iter().map(|one| one.last).collect::<Vec<_>>()
    };
    assert_eq!(named(&[empty]), [false]);
    assert_eq!(named(&[id]), [true]);
    assert_eq!(named(&[empty, id]), [false, true]);
    forget::named(&repository, &[id.hex()], &Filter::default(), false).unwrap();
    assert_eq!(repository.facts(&id).unwrap().standing, Standing::Forgotten);
}

#[test]
fn tags_of_today_choose() {
    let lab = Lab::new();
    lab.write_tree(1);
    let repository = lab.open();
    let mut options = options(&lab.tree());
    options.tags = vec!["born".into()];
    let id = duramen::ops::snapshot::run(&repository, &options, &Silent)
        .unwrap()
        .id
        .unwrap();
    let with = |tag: &str| {
        let filter = Filter {
            tags: vec![tag.into()],
            ..Filter::default()
        };
        let listed = select::list(&repository, &filter).unwrap().len();
        assert_eq!(
            select::one(&repository, &id.hex(), &filter).is_ok(),
            listed == 1
        );
        listed
    };
    assert_eq!((with("born"), with("later")), (1, 0));
    let say = |add: &[&str], remove: &[&str], set: Option<&[&str]>| {
        let texts = |tags: &[&str]| tags.iter().map(ToString::to_string).collect::<Vec<_>>();
        let options = AnnotateOptions {
            names: vec![id.hex()],
            add_tags: texts(add),
            remove_tags: texts(remove),
            set_tags: set.map(texts),
            ..AnnotateOptions::default()
        };
        annotate::run(&repository, &options)
    };
    assert!(say(&["later"], &["born"], None).unwrap()[0].changed);
    assert_eq!((with("born"), with("later"), with("born,later")), (0, 1, 0));
    assert!(!say(&["later"], &["born"], None).unwrap()[0].changed);
    assert!(say(&[], &[], Some(&["born", "x"])).unwrap()[0].changed);
    assert_eq!((with("born,x"), with("later")), (1, 0));
    say(&[], &[], Some(&[])).unwrap();
    assert_eq!((with("born"), with("x")), (0, 0));
    for (add, remove) in [
        (vec![""], vec![]),
        (vec!["a,b"], vec![]),
        (vec![" a"], vec![]),
        (vec!["a"], vec!["a"]),
        (vec![], vec![]),
    ] {
        assert_eq!(
            say(&add, &remove, None).unwrap_err().kind(),
            Kind::Usage,
            "{add:?}"
        );
    }
    let long = "x".repeat(256);
    assert_eq!(say(&[&long], &[], None).unwrap_err().kind(), Kind::Usage);
}

#[test]
fn times_are_held_against_those_of_the_storage() {
    let lab = Lab::new();
    lab.write_tree(1);
    let folder = tempfile::tempdir().unwrap();
    let storage = LocalStorage::new(folder.path());
    let key = Credential::KeyFile(new_key_file().unwrap());
    create(&storage, &key, &environment(None), Default::default()).unwrap();
    let repository = Repository::open(Arc::new(storage), &[key], environment(None)).unwrap();
    let stored = |id: &SnapshotId, at: i64| {
        let file = File::options()
            .write(true)
            .open(folder.path().join("snapshots").join(id.hex()))
            .unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_nanos(at as u64))
            .unwrap();
    };
    let ids: Vec<SnapshotId> = (1..=6)
        .map(|day| {
            let id = snapshot(&lab, &repository, day).id.unwrap();
            stored(&id, NOON + (day - 1) * DAY + DAY / 100);
            id
        })
        .collect();
    // The last of them says that it is of tomorrow's tomorrow.
    stored(&ids[5], NOON + 3 * DAY);
    let mut options = rules(daily(2));
    options.dry_run = true;
    let keeps = |options: &ForgetOptions| {
        let summary = by_rules(&repository, options);
        let all = summary.groups[0].snapshots.iter();
        all.filter(|decided| decided.keep)
            .map(|decided| decided.known.snapshot.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(keeps(&options), [ids[3], ids[4], ids[5]]);
    options.ignore_stored_times = true;
    assert_eq!(keeps(&options), [ids[4], ids[5]]);
    // Moved: every file is new, and the rules go on as they did.
    options.ignore_stored_times = false;
    for id in &ids {
        stored(id, NOON + 200 * DAY);
    }
    assert_eq!(keeps(&options), [ids[4], ids[5]]);
}
