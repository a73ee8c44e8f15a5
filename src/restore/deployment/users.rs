//! Users and roles. Nobody may write where the server keeps them; it takes them over from a collection that holds the like, which
//! is made for it and dropped again.

use super::documents::{BATCH, Item};
use super::report::CollectionReport;
use super::{Conflict, Restore};
use crate::error::{Error, Kind, Result};
use crate::format::bson::Document;
use crate::format::deployment::Collection;
use crate::source::mongo::server::code;
use crate::target::mongo::{self as target, Place};

/// Where users and roles are put down to be taken over.
const BETWEEN: [&str; 2] = ["duramen_users", "duramen_roles"];

/// Whether a collection holds users or roles.
pub(super) fn holds(own: &Collection) -> bool {
    ["admin.system.users", "admin.system.roles"].contains(&own.namespace.as_str())
}

impl Restore<'_> {
    pub(super) fn users(&self, own: &Collection, report: &mut CollectionReport) -> Result<()> {
        let roles = own.name() == "system.roles";
        let place = Place {
            database: "admin",
            name: own.name(),
        };
        let mut wanted = Vec::new();
        for stored in self.repository.chosen(own, &self.wanted.choice)? {
            wanted.push(Item::of(stored?)?);
        }
        // Users are few: all at once.
        let there = match self.there(place, &wanted, usize::MAX) {
            Ok(there) => there.unwrap_or_default(),
            Err(error) => {
                report.problems.push(format!(
                    "what is there cannot be seen, so nothing is changed: {}",
                    error.detail()
                ));
                return Ok(());
            }
        };
        let mut chosen = Vec::new();
        for item in wanted {
            match there.get(&item.key) {
                Some(theirs) if *theirs == item.bytes => report.unchanged += 1,
                Some(_) if self.wanted.conflict != Conflict::Overwrite => {
                    report.skipped.add(&item.id)?;
                }
                Some(_) => {
                    report.replaced.add(&item.id)?;
                    chosen.push(item);
                }
                None => {
                    report.restored.add(&item.id)?;
                    chosen.push(item);
                }
            }
        }
        if chosen.is_empty() || self.wanted.dry_run {
            return Ok(());
        }
        let between = Place {
            database: "admin",
            name: BETWEEN[usize::from(roles)],
        };
        target::drop_collection(self.server, between)?;
        let taken = self.take_over(between, &chosen, roles);
        let dropped = target::drop_collection(self.server, between);
        taken?;
        dropped?;
        self.verify(place, &chosen, report)
    }

    fn take_over(&self, between: Place<'_>, items: &[Item], roles: bool) -> Result<()> {
        for some in items.chunks(BATCH) {
            let documents: Vec<Document<'_>> = some
                .iter()
                .map(|item| Document::whole(&item.bytes))
                .collect::<Result<_>>()?;
            let refused = target::insert(self.server, between, &documents, true)?;
            if let Some(refused) = refused.into_iter().next() {
                return Err(Error::new(Kind::Failed, refused.why));
            }
        }
        match target::merge_users(self.server, between.name, roles) {
            Err(refusal) if refusal.code == Some(code::UNAUTHORIZED) => Err(refusal
                .error
                .hint("users come back with the role `restore`")),
            done => Ok(done?),
        }
    }
}
