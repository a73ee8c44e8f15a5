//! Comparing the collections of two snapshots, or of a snapshot and of a server as it is just now, by document and field.

use std::collections::BTreeMap;

use super::documents::{collections, pattern};
use super::held::{Gathered, Held};
use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, Element};
use crate::format::deployment::{Collection, CollectionKind};
use crate::format::extended_json::{self, Style};
use crate::format::snapshot::{Snapshot, SourceRecord};
use crate::look::{DocumentChange, document_changes, field_changes};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::source::mongo::reading::{State, operation_time};
use crate::source::mongo::scan::{Order, Segment, scan};
use crate::source::mongo::server::{Server, Topology};
use crate::source::mongo::{Selection, catalogue};

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A collection that only one of them has, or whose kind, options or indexes differ.
    Collection {
        /// Database and name with a dot between.
        namespace: String,
        /// `+`, `-` or `U`.
        modifier: &'static str,
        /// `type`, `options`, `indexes`.
        differences: Vec<&'static str>,
    },
    /// A document that only one of them has, or that differs.
    Document {
        /// Its collection.
        namespace: String,
        /// `+`, `-` or `M`.
        modifier: &'static str,
        /// Its `_id` as Extended JSON.
        id: String,
        /// What differs, where both have it.
        fields: Vec<Field>,
    },
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Names with dots between, and numbers of members of arrays; nothing where only the order of fields differs.
    pub path: String,
    /// Its value as Extended JSON; none where it is only in the second.
    pub before: Option<String>,
    /// None where it is only in the first.
    pub after: Option<String>,
}

/// What differs, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DocumentDiffSummary {
    /// Documents only in the second.
    pub added: u64,
    /// Documents only in the first.
    pub removed: u64,
    /// Documents that differ.
    pub changed: u64,
    /// Collections only in the second.
    pub collections_added: u64,
    /// Collections only in the first.
    pub collections_removed: u64,
    /// Collections whose kind, options or indexes differ.
    pub collections_changed: u64,
}

impl DocumentDiffSummary {
    /// Whether anything differs at all.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// A server as it is just now, in the place of what `like` holds: its documents are held for this process alone, each as
/// it was when it was met. With it comes the part that is meant: that of `path`, or the database that the address names.
///
/// # Errors
/// Whatever the server says.
pub fn live(
    repository: &Repository,
    address: &str,
    path: Option<&[u8]>,
    like: &Snapshot,
    progress: &dyn Progress,
) -> Result<(Snapshot, Option<Vec<u8>>)> {
    super::documents::only(like)?;
    progress.phase("read server");
    let server = Server::connect(address)?;
    let state = match server.topology() {
        Topology::Set(_) => State::Majority {
            after: operation_time(&server)?,
        },
        Topology::Alone => State::Local,
        Topology::Sharded => {
            let what = "this is a router of a sharded cluster, which this version does not read";
            return Err(Error::new(Kind::Unsupported, what).subject(server.address()));
        }
    };
    let path = match server.database() {
        Some(database) if path.is_none() => Some(database.as_bytes().to_vec()),
        _ => path.map(<[u8]>::to_vec),
    };
    let path = path.as_deref();
    // What was taken, or left out, of the users is what is compared.
    let mut users = false;
    collections(repository, like, None, &mut |own| {
        users |= own.namespace.starts_with("admin.system.");
        Ok(())
    })?;
    let selection = Selection {
        database: server.database().map(str::to_owned),
        within: path.map(pattern).transpose()?,
        users,
        ..Selection::default()
    };
    let mut held = Held::new(repository, progress);
    for own in catalogue::list(&server, &selection)? {
        progress.current(own.namespace.as_bytes());
        let capped = own.kind == CollectionKind::Capped;
        let holds = capped || own.kind == CollectionKind::Plain;
        held.list(own.clone());
        if !holds {
            continue;
        }
        let mut gathered = Gathered::new(repository, capped);
        let (whole, inserted) = (Segment::default(), Order::Inserted);
        let order = if capped {
            inserted
        } else {
            Order::ById(&whole)
        };
        scan(&server, &own, order, state, progress, &mut |batch| {
            progress.go_on()?;
            batch
                .documents()?
                .try_for_each(|document| gathered.push(document?.bytes()))
        })?;
        held.put(&own.namespace, gathered)?;
    }
    let deployment = held.deployment(repository.environment().clock.now())?;
    let sources = deployment.map(|own| SourceRecord::Mongo(Box::new(own)));
    let live = Snapshot {
        sources: sources.into_iter().collect(),
        ..like.clone()
    };
    Ok((live, path.map(<[u8]>::to_vec)))
}

fn held_in(
    repository: &Repository,
    snapshot: &Snapshot,
    path: Option<&[u8]>,
) -> Result<BTreeMap<String, Collection>> {
    let mut found = BTreeMap::new();
    let listed = collections(repository, snapshot, path, &mut |own| {
        found.insert(own.namespace.clone(), own.clone());
        Ok(())
    });
    match listed {
        // It may be in the other alone.
        Err(error) if error.kind() == Kind::NotFound => {}
        listed => listed?,
    }
    Ok(found)
}

/// Tells `each` what differs, collection by collection, documents in the order of their `_id`s.
///
/// # Errors
/// [`Kind::NotFound`] where neither has what is asked for; `Damage`, `Interrupted`, and whatever `each` returns.
pub fn run(
    repository: &Repository,
    (before, old_path): (&Snapshot, Option<&[u8]>),
    (after, new_path): (&Snapshot, Option<&[u8]>),
    progress: &dyn Progress,
    each: &mut dyn FnMut(&Difference) -> Result<()>,
) -> Result<DocumentDiffSummary> {
    progress.phase("diff");
    let old = held_in(repository, before, old_path)?;
    let new = held_in(repository, after, new_path)?;
    if old.is_empty() && new.is_empty() && old_path.or(new_path).is_some() {
        let path = old_path.or(new_path).unwrap_or_default();
        return Err(
            Error::new(Kind::NotFound, "no such collection in either of them")
                .subject(path.escape_ascii().to_string())
                .hint("`duramen ls` shows what is in a snapshot"),
        );
    }
    let mut pairs: Vec<(String, Option<Collection>, Option<Collection>)> = Vec::new();
    if old_path != new_path && old.len() == 1 && new.len() == 1 {
        // One collection against one of another name.
        let (old, new) = (old.into_values().next(), new.into_values().next());
        let namespace = new
            .as_ref()
            .map(|own| own.namespace.clone())
            .unwrap_or_default();
        pairs.push((namespace, old, new));
    } else {
        let mut both: BTreeMap<String, (Option<Collection>, Option<Collection>)> = BTreeMap::new();
        for (namespace, own) in old {
            both.entry(namespace).or_default().0 = Some(own);
        }
        for (namespace, own) in new {
            both.entry(namespace).or_default().1 = Some(own);
        }
        pairs.extend(
            both.into_iter()
                .map(|(namespace, (old, new))| (namespace, old, new)),
        );
    }
    let mut summary = DocumentDiffSummary::default();
    for (namespace, old, new) in &pairs {
        progress.go_on()?;
        progress.current(namespace.as_bytes());
        if let Some(difference) = of_collection(namespace, old.as_ref(), new.as_ref()) {
            match &difference {
                Difference::Collection { modifier: "+", .. } => summary.collections_added += 1,
                Difference::Collection { modifier: "-", .. } => summary.collections_removed += 1,
                _ => summary.collections_changed += 1,
            }
            each(&difference)?;
        }
        let mut take = |change: DocumentChange| {
            let (modifier, count) = match (&change.before, &change.after) {
                (None, _) => ("+", &mut summary.added),
                (_, None) => ("-", &mut summary.removed),
                _ => ("M", &mut summary.changed),
            };
            *count += 1;
            each(&of_document(namespace, modifier, &change)?)
        };
        document_changes(repository, old.as_ref(), new.as_ref(), progress, &mut take)?;
    }
    Ok(summary)
}

fn of_collection(
    namespace: &str,
    old: Option<&Collection>,
    new: Option<&Collection>,
) -> Option<Difference> {
    let mut differences = Vec::new();
    let modifier = match (old, new) {
        (None, _) => "+",
        (_, None) => "-",
        (Some(old), Some(new)) => {
            let sorted = |own: &Collection| {
                let mut indexes: Vec<Vec<u8>> =
                    own.indexes.iter().map(|index| index.0.clone()).collect();
                indexes.sort_unstable();
                indexes
            };
            let words = [
                (old.kind != new.kind, "type"),
                (old.options != new.options, "options"),
                (sorted(old) != sorted(new), "indexes"),
            ];
            differences.extend(
                words
                    .iter()
                    .filter(|(differs, _)| *differs)
                    .map(|(_, word)| *word),
            );
            "U"
        }
    };
    (modifier != "U" || !differences.is_empty()).then(|| Difference::Collection {
        namespace: namespace.to_owned(),
        modifier,
        differences,
    })
}

fn of_document(
    namespace: &str,
    modifier: &'static str,
    change: &DocumentChange,
) -> Result<Difference> {
    let document = |bytes: &'_ Option<Vec<u8>>| bytes.clone().unwrap_or_default();
    let (before, after) = (document(&change.before), document(&change.after));
    let known = Document::whole(if before.is_empty() { &after } else { &before })?;
    let id = match known.get(b"_id")? {
        Some(id) => extended_json::value(&id, Style::Relaxed)?,
        None => String::new(),
    };
    let mut fields = Vec::new();
    if modifier == "M" {
        let value = |own: &Option<(u8, Vec<u8>)>| {
            let own = own.as_ref().map(|(kind, value)| {
                let (kind, name) = (*kind, &b""[..]);
                extended_json::value(&Element { kind, name, value }, Style::Relaxed)
            });
            own.transpose()
        };
        for field in field_changes(Document::whole(&before)?, Document::whole(&after)?)? {
            fields.push(Field {
                before: value(&field.before)?,
                after: value(&field.after)?,
                path: field.path,
            });
        }
    }
    Ok(Difference::Document {
        namespace: namespace.to_owned(),
        modifier,
        id,
        fields,
    })
}
