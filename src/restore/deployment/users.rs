//! Users and roles. Nobody may write where the server keeps them; it takes them over from a collection that holds the like, which
//! is made for it and dropped again.
//!
//! Those that are there it leaves as they are, unless it is told that the collection holds all that there should be of a
//! database: then these become what it says, and all others go. So where some are overwritten, all others of their database
//! are laid beside them, as they are.

use std::collections::{BTreeMap, HashSet};

use super::documents::{BATCH, Item};
use super::report::CollectionReport;
use super::{Conflict, Restore};
use crate::error::{Error, Kind, Result};
use crate::format::bson::Document;
use crate::format::deployment::Collection;
use crate::repository::key_of;
use crate::source::mongo::answer::text;
use crate::source::mongo::command::Builder;
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
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for item in wanted {
            match there.get(&item.key) {
                Some(theirs) if *theirs == item.bytes => report.unchanged += 1,
                Some(_) if self.wanted.conflict != Conflict::Overwrite => {
                    report.skipped.add(&item.id)?;
                }
                Some(_) => {
                    report.replaced.add(&item.id)?;
                    changed.push(item);
                }
                None => {
                    report.restored.add(&item.id)?;
                    new.push(item);
                }
            }
        }
        if self.wanted.dry_run {
            return Ok(());
        }
        let bytes = |items: &[Item]| -> Vec<Vec<u8>> {
            items.iter().map(|item| item.bytes.clone()).collect()
        };
        if !new.is_empty() {
            self.take_over(&bytes(&new), roles, None)?;
        }
        let mut by_database: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for item in changed {
            match database_of(&item.bytes)? {
                Some(database) => by_database.entry(database).or_default().push(item),
                None => report.fail(&item.id, "it says of no database that it belongs to it")?,
            }
        }
        self.verify(place, &new, report)?;
        for (database, changed) in by_database {
            let mut all = self.beside(place, &database, &changed)?;
            all.extend(bytes(&changed));
            self.take_over(&all, roles, Some(&database))?;
            self.verify(place, &changed, report)?;
        }
        Ok(())
    }

    /// All others of that database, as they are there.
    fn beside(&self, place: Place<'_>, database: &str, changed: &[Item]) -> Result<Vec<Vec<u8>>> {
        let changed: HashSet<&[u8]> = changed.iter().map(|item| &item.key[..]).collect();
        let of_it = Builder::new().string("db", database);
        let command = Builder::new()
            .string("find", place.name)
            .document("filter", of_it);
        let mut beside = Vec::new();
        for there in self.server.all(place.database, command)? {
            if !changed.contains(&key_of(Document::whole(&there)?)?[..]) {
                beside.push(there);
            }
        }
        Ok(beside)
    }

    /// Lays these down where the server takes them over; of a database they are all that there shall be.
    fn take_over(&self, all: &[Vec<u8>], roles: bool, of: Option<&str>) -> Result<()> {
        let between = Place {
            database: "admin",
            name: BETWEEN[usize::from(roles)],
        };
        target::drop_collection(self.server, between)?;
        let taken = self.lay_down(between, all, roles, of);
        let dropped = target::drop_collection(self.server, between);
        taken?;
        Ok(dropped?)
    }

    fn lay_down(
        &self,
        between: Place<'_>,
        all: &[Vec<u8>],
        roles: bool,
        of: Option<&str>,
    ) -> Result<()> {
        for some in all.chunks(BATCH) {
            let documents: Vec<Document<'_>> = some
                .iter()
                .map(|bytes| Document::whole(bytes))
                .collect::<Result<_>>()?;
            let refused = target::insert(self.server, between, &documents, true)?;
            if let Some(refused) = refused.into_iter().next() {
                return Err(Error::new(Kind::Failed, refused.why));
            }
        }
        match target::merge_users(self.server, between.name, roles, of) {
            Err(refusal) if refusal.code == Some(code::UNAUTHORIZED) => Err(refusal
                .error
                .hint("users come back with the role `restore`")),
            done => Ok(done?),
        }
    }
}

/// The database that a user or a role is of; without a name all of them would be meant.
fn database_of(bytes: &[u8]) -> Result<Option<String>> {
    let database = Document::whole(bytes)?.get(b"db")?;
    let database = database.as_ref().and_then(text);
    Ok(database.filter(|name| !name.is_empty()))
}
