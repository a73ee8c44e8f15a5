//! Transactions too large for one entry of the oplog: of one that ends behind the entry that we began at, the parts before it
//! are looked for.

use std::collections::HashMap;

use crate::error::Result;
use crate::format::bson::Document;
use crate::progress::Progress;
use crate::source::mongo::Server;
use crate::source::mongo::oplog;
use crate::source::mongo::reading::{self, Patience, Stretch};

/// Parts that were met, and those that must still be.
#[derive(Default)]
pub(in crate::snapshot) struct Parts {
    /// Of each part that was met: the last one before it that was not, for it lies before the beginning.
    met: HashMap<u64, Option<u64>>,
    earlier: Vec<u64>,
}

impl Parts {
    /// The entry of that time, a part or an end, follows the one of `before` in its transaction.
    pub(in crate::snapshot) fn follows(&mut self, time: u64, part: bool, before: u64) {
        let unmet = self.met.get(&before).copied().unwrap_or(Some(before));
        if part {
            self.met.insert(time, unmet);
        } else {
            self.earlier.extend(unmet);
        }
    }

    /// The entry of that time is a part; where nothing said what it follows, it is the first.
    pub(in crate::snapshot) fn is_part(&mut self, time: u64) {
        self.met.entry(time).or_insert(None);
    }

    /// Tells `visit` the parts that were not met, each transaction's backwards.
    pub(in crate::snapshot) fn rest(
        self,
        server: &Server,
        progress: &dyn Progress,
        visit: &mut dyn FnMut(Document<'_>) -> Result<()>,
    ) -> Result<Stretch> {
        for mut time in self.earlier {
            loop {
                progress.go_on()?;
                let mut patience = Patience::new(progress);
                let entry = patience.until(|| reading::entry(server, time))?;
                // What it did nobody knows any more.
                let Some(entry) = entry else {
                    return Ok(Stretch::Gap);
                };
                let entry = Document::whole(&entry)?;
                // A retryable write before the transaction, in the same session.
                if !oplog::is_part(entry)? {
                    break;
                }
                visit(entry)?;
                match oplog::previous(entry)? {
                    Some(before) => time = before,
                    None => break,
                }
            }
        }
        Ok(Stretch::Whole)
    }
}
