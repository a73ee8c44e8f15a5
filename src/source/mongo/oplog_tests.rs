#![allow(clippy::unwrap_used)]
use super::super::command::Builder;
use super::*;

const ACCOUNTS: Uuid = [1; 16];

/// What an entry did, in words.
fn told(entry: Builder) -> Result<Vec<String>> {
    let bytes = entry.finish();
    let mut all = Vec::new();
    effects(Document::whole(&bytes)?, &mut |effect| {
        all.push(match effect {
            Effect::Touched { uuid, id, how } => {
                let how = match how {
                    How::Came(_) => "came",
                    How::Changed => "changed",
                    How::Went => "went",
                };
                format!("{how} {:?} in {}", id.value, uuid[0])
            }
            Effect::Catalogue { namespace } => {
                format!("catalogue {}", String::from_utf8(namespace).unwrap())
            }
            Effect::Emptied { uuid } => format!("emptied {}", uuid[0]),
            Effect::Earlier { time } => format!("earlier {time}"),
        });
        Ok(())
    })?;
    Ok(all)
}

fn id(number: i32) -> Builder {
    Builder::new().int32("_id", number)
}

fn crud(op: &str, body: Builder) -> Builder {
    Builder::new()
        .string("op", op)
        .string("ns", "bank.accounts")
        .uuid("ui", &ACCOUNTS)
        .document("o", body)
}

fn command(body: Builder) -> Builder {
    Builder::new()
        .string("op", "c")
        .string("ns", "bank.$cmd")
        .uuid("ui", &ACCOUNTS)
        .document("o", body)
}

fn transaction(operations: &[Builder]) -> Builder {
    let documents: Vec<Vec<u8>> = operations
        .iter()
        .map(|each| each.clone().finish())
        .collect();
    let values = documents.iter().map(|each| (kind::DOCUMENT, &each[..]));
    Builder::new().array("applyOps", values)
}

fn after(entry: Builder, time: u64) -> Builder {
    entry.document("prevOpTime", Builder::new().timestamp("ts", time))
}

#[test]
fn documents_that_come_change_and_go_are_named() {
    let update = crud("u", Builder::new().int32("$v", 2)).document("o2", id(2));
    assert_eq!(told(crud("i", id(1))).unwrap(), ["came [1, 0, 0, 0] in 1"]);
    assert_eq!(told(update).unwrap(), ["changed [2, 0, 0, 0] in 1"]);
    assert_eq!(told(crud("d", id(3))).unwrap(), ["went [3, 0, 0, 0] in 1"]);
    assert!(told(Builder::new().string("op", "n")).unwrap().is_empty());
}

#[test]
fn transactions_are_unwrapped_and_lead_to_their_earlier_parts() {
    let operations = transaction(&[crud("i", id(1)), crud("d", id(2))]);
    let both = ["came [1, 0, 0, 0] in 1", "went [2, 0, 0, 0] in 1"];
    assert_eq!(told(command(operations.clone())).unwrap(), both);
    // Of one entry: there is nothing before it, which the server writes as zero.
    let single = after(command(operations.clone()), 0);
    assert_eq!(told(single).unwrap(), both);
    let last = after(command(operations.clone()), 77);
    assert_eq!(told(last).unwrap(), [both[0], both[1], "earlier 77"]);
    for part in ["partialTxn", "prepare"] {
        let part = after(command(operations.clone().boolean(part, true)), 77);
        let bytes = part.clone().finish();
        assert!(is_part(Document::whole(&bytes).unwrap()).unwrap());
        assert_eq!(
            previous(Document::whole(&bytes).unwrap()).unwrap(),
            Some(77)
        );
        assert_eq!(told(part).unwrap(), [both[0], both[1], "earlier 77"]);
    }
    let commit = after(command(Builder::new().int32("commitTransaction", 1)), 78);
    assert_eq!(told(commit).unwrap(), ["earlier 78"]);
    let nested = transaction(&[command(operations)]);
    assert_eq!(told(command(nested)).unwrap(), both);
}

#[test]
fn what_changes_the_catalogue_says_so() {
    for name in CATALOGUE {
        let name = std::str::from_utf8(name).unwrap();
        let entry = command(Builder::new().string(name, "accounts"));
        let mut expected = vec!["catalogue bank.accounts"];
        if name == "drop" {
            expected.insert(0, "emptied 1");
        }
        assert_eq!(told(entry).unwrap(), expected, "{name}");
    }
    let all = command(Builder::new().int32("dropDatabase", 1));
    assert_eq!(told(all).unwrap(), ["catalogue bank."]);
    let rename = Builder::new()
        .string("renameCollection", "bank.accounts")
        .string("to", "shop.accounts");
    let both = ["catalogue bank.accounts", "catalogue shop.accounts"];
    assert_eq!(told(command(rename.clone())).unwrap(), both);
    let over = rename.uuid("dropTarget", &[7; 16]);
    assert_eq!(
        told(command(over)).unwrap(),
        ["emptied 7", both[0], both[1]]
    );
    let own = Builder::new()
        .string("op", "i")
        .string("ns", "bank.my.system.views")
        .uuid("ui", &ACCOUNTS)
        .document("o", id(4));
    assert_eq!(told(own).unwrap(), ["came [4, 0, 0, 0] in 1"]);
    let view = Builder::new()
        .string("op", "i")
        .string("ns", "bank.system.views")
        .uuid("ui", &ACCOUNTS)
        .document("o", Builder::new().string("_id", "bank.view"));
    assert_eq!(told(view).unwrap(), ["catalogue bank."]);
    let emptied = command(Builder::new().string("emptycapped", "accounts"));
    assert_eq!(told(emptied).unwrap(), ["emptied 1"]);
}

#[test]
fn what_is_not_understood_is_an_error() {
    let without_collection = Builder::new()
        .string("op", "i")
        .string("ns", "bank.accounts")
        .document("o", id(1));
    let unknown = [
        Builder::new(),
        Builder::new().string("op", "x"),
        command(Builder::new().int32("shuffleDocuments", 1)),
        command(Builder::new()),
        crud("i", Builder::new().int32("a", 1)),
        crud("u", Builder::new().int32("$v", 2)),
        without_collection,
        command(Builder::new().string("applyOps", "none")),
        command(transaction(&[Builder::new().string("op", "x")])),
    ];
    for entry in unknown {
        let error = told(entry.clone()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{entry:?}");
    }
    let mut deep = command(transaction(&[crud("i", id(1))]));
    for _ in 0..20 {
        deep = command(transaction(&[deep]));
    }
    assert!(told(deep).is_err());
}
