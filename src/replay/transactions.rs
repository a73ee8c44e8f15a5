//! Transactions that take several entries of the oplog happen where they end: until then their parts wait.

use std::collections::HashMap;

use crate::error::Result;
use crate::format::bson::Document;
use crate::source::mongo::operation::Operation;
use crate::source::mongo::oplog;

/// Session and number of a transaction.
type Name = (Vec<u8>, Vec<u8>);

/// Parts that wait for their end.
#[derive(Default)]
pub(super) struct Transactions(HashMap<Name, Vec<Vec<u8>>>);

fn name(entry: Document<'_>) -> Result<Option<Name>> {
    let (session, number) = (entry.get(b"lsid")?, entry.get(b"txnNumber")?);
    Ok(session
        .zip(number)
        .map(|(session, number)| (session.value.to_vec(), number.value.to_vec())))
}

impl Transactions {
    /// The entries that happen with this one, in order; none where it waits itself.
    pub(super) fn hear(&mut self, entry: Document<'_>) -> Result<Vec<Vec<u8>>> {
        let own = entry.bytes().to_vec();
        let Some(name) = name(entry)? else {
            return Ok(vec![own]);
        };
        if oplog::is_part(entry)? {
            let parts = self.0.entry(name).or_default();
            // One that is in two slices waits once.
            if !parts.contains(&own) {
                parts.push(own);
            }
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        if let Some(command) = command(entry)? {
            let parts = self.0.remove(&name).unwrap_or_default();
            match command {
                b"applyOps" => all.extend(parts),
                b"commitTransaction" => return Ok(parts),
                b"abortTransaction" => return Ok(Vec::new()),
                _ => {}
            }
        }
        all.push(own);
        Ok(all)
    }
}

/// The command that an entry is.
fn command<'a>(entry: Document<'a>) -> Result<Option<&'a [u8]>> {
    let is = entry
        .get(b"op")?
        .is_some_and(|op| op.value == b"\x02\0\0\0c\0");
    let body = entry.get(b"o")?.filter(|_| is);
    let Some(body) = body else {
        return Ok(None);
    };
    let first = Document::whole(body.value)?.elements().next();
    Ok(first.transpose()?.map(|first| first.name))
}

/// What replaying has no use for: what the server notes for itself.
pub(super) fn is_noise(operation: &Operation<'_>) -> bool {
    matches!(operation.op, b"n" | b"ci" | b"cd" | b"cu" | b"km")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::mongo::command::Builder;

    fn entry(number: i32, body: Builder) -> Vec<u8> {
        Builder::new()
            .string("op", "c")
            .document("lsid", Builder::new().int32("id", 1))
            .int32("txnNumber", number)
            .document("o", body)
            .finish()
    }

    #[test]
    fn parts_wait_for_their_end() {
        let operations = |n: i32| Builder::new().array("applyOps", []).int32("n", n);
        let part = |n| entry(1, operations(n).boolean("partialTxn", true));
        let (first, second, end) = (part(1), part(2), entry(1, operations(3)));
        let mut transactions = Transactions::default();
        let mut hear = |entry: &[u8]| transactions.hear(Document::whole(entry).unwrap()).unwrap();
        assert!(hear(&first).is_empty() && hear(&first).is_empty() && hear(&second).is_empty());
        let other = entry(2, operations(9));
        assert_eq!(hear(&other), std::slice::from_ref(&other));
        assert_eq!(hear(&end), [first, second, end.clone()]);
        assert_eq!(hear(&end), std::slice::from_ref(&end));
        let prepared = entry(3, operations(1).boolean("prepare", true));
        assert!(hear(&prepared).is_empty());
        assert!(hear(&entry(3, Builder::new().int32("abortTransaction", 1))).is_empty());
        assert!(hear(&entry(3, Builder::new().int32("commitTransaction", 1))).is_empty());
        assert!(hear(&prepared).is_empty());
        let commit = entry(3, Builder::new().int32("commitTransaction", 1));
        assert_eq!(hear(&commit), [prepared]);
    }
}
