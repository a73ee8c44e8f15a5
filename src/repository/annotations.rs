//! Annotations: what was learnt about snapshots after they were committed (`format-spec/annotation.md`).
//!
//! Nothing here is ever changed, so two people who annotate at once lose nothing of each other. The one thing that must
//! not come out both ways, whether a forgotten snapshot was saved or has gone, is one conditional put at the
//! forgetting's *end*. A fact that cannot be read any more never counts against a snapshot: it stays.

use std::collections::{BTreeMap, HashSet};

use super::{Repository, Rule};
use crate::clock::Nanos;
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::format::file::FileType;
use crate::format::records::{Annotation, Fact};
use crate::format::snapshot::Snapshot;
use crate::id::{RecordId, SnapshotId};

/// Whether a snapshot is to stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It stays.
    #[default]
    Living,
    /// It is to go, and can still be taken back.
    Forgotten,
    /// It has gone for good: what it alone needs may be deleted at any time.
    Gone,
}

/// All that annotations say of one snapshot.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Whether it is to stay.
    pub standing: Standing,
    /// When it was forgotten first, by the clock of whoever did it; none while it lives.
    pub forgotten_at: Option<Nanos>,
    /// Why it must be kept, oldest first; several people may hold it.
    pub holds: Vec<(RecordId, String)>,
    /// Notes, oldest first.
    pub notes: Vec<(Nanos, String)>,
    /// The last verification: when, and whether it was found whole.
    pub verified: Option<(Nanos, bool)>,
    /// An annotation of it cannot be read: nobody may build on it, and nobody may end it.
    pub unclear: bool,
    /// Ends of its forgettings that nobody has put yet.
    open_ends: Vec<RecordId>,
    tags: BTreeMap<String, bool>,
    newest: Option<Nanos>,
}

impl Facts {
    /// Tags by now: those at birth, with what was added and removed since; sorted.
    #[must_use]
    pub fn tags(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut tags: Vec<String> = snapshot
            .tags
            .iter()
            .filter(|tag| self.tags.get(*tag) != Some(&false))
            .cloned()
            .collect();
        let added = self.tags.iter().filter(|(_, there)| **there);
        tags.extend(added.map(|(tag, _)| tag.clone()));
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// Whether somebody holds it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.holds.is_empty()
    }

    /// Ends of its forgettings that nobody has put yet.
    pub(crate) fn open_ends(&self) -> &[RecordId] {
        &self.open_ends
    }

    fn of(mut annotations: Vec<Annotation>, unclear: bool) -> Self {
        annotations.sort_by_key(|annotation| (annotation.at, annotation.id));
        let ends: BTreeMap<RecordId, bool> = annotations
            .iter()
            .filter_map(|annotation| match annotation.fact {
                Fact::Undone => Some((annotation.id, false)),
                Fact::Final => Some((annotation.id, true)),
                _ => None,
            })
            .collect();
        let released: HashSet<RecordId> = annotations
            .iter()
            .filter(|annotation| annotation.fact == Fact::Released)
            .map(|annotation| annotation.id)
            .collect();
        let mut facts = Self {
            unclear,
            newest: annotations.last().map(|annotation| annotation.at),
            ..Self::default()
        };
        for Annotation { id, at, fact, .. } in annotations {
            match fact {
                Fact::TagAdded(tag) => drop(facts.tags.insert(tag, true)),
                Fact::TagRemoved(tag) => drop(facts.tags.insert(tag, false)),
                Fact::Held(why) => {
                    if !released.contains(&release_of(&id)) {
                        facts.holds.push((id, why));
                    }
                }
                Fact::Note(words) => facts.notes.push((at, words)),
                Fact::Verified { whole } => facts.verified = Some((at, whole)),
                Fact::Forgotten { end } => {
                    match ends.get(&end) {
                        Some(false) => continue,
                        Some(true) => {}
                        None => {
                            facts.open_ends.push(end);
                            if facts.standing == Standing::Living {
                                facts.standing = Standing::Forgotten;
                            }
                        }
                    }
                    facts.forgotten_at.get_or_insert(at);
                }
                // Also where nothing else is left of it: the word that it has gone is the last to stay.
                Fact::Final => facts.standing = Standing::Gone,
                Fact::Released | Fact::Undone => {}
            }
        }
        // What cannot be read may be the end of a forgetting: then it was taken back.
        if unclear && facts.standing == Standing::Forgotten {
            facts.standing = Standing::Living;
        }
        facts
    }
}

/// The one name at which a hold is released: its own, every bit turned.
fn release_of(hold: &RecordId) -> RecordId {
    RecordId(hold.0.map(|byte| !byte))
}

/// What annotations say of every snapshot.
#[derive(Default)]
pub struct Annotations {
    facts: BTreeMap<SnapshotId, Facts>,
    /// Annotations that cannot be read, by name.
    pub broken: Vec<(String, Error)>,
}

impl Annotations {
    /// What is known of one snapshot; nothing, where nobody said anything.
    #[must_use]
    pub fn of(&self, snapshot: &SnapshotId) -> Facts {
        self.facts.get(snapshot).cloned().unwrap_or_default()
    }

    /// Snapshots that somebody said something of.
    pub fn iter(&self) -> impl Iterator<Item = (&SnapshotId, &Facts)> {
        self.facts.iter()
    }

    /// Snapshots that can be no parent: forgotten, gone or unclear.
    pub(crate) fn no_parents(&self) -> HashSet<SnapshotId> {
        let bad = |facts: &Facts| facts.standing != Standing::Living || facts.unclear;
        let bad = self.facts.iter().filter(|(_, facts)| bad(facts));
        bad.map(|(id, _)| *id).collect()
    }

    /// Ends of forgettings that nobody has put yet.
    pub(crate) fn open_ends(&self) -> Vec<RecordId> {
        let ends = self.facts.values().flat_map(|facts| &facts.open_ends);
        ends.copied().collect()
    }
}

/// The snapshot and the annotation that a stored name stands for; none for a foreign file.
pub(crate) fn annotation_of(name: &str) -> Option<(SnapshotId, RecordId)> {
    let (snapshot, id) = name.strip_prefix("annotations/")?.split_once('/')?;
    Some((SnapshotId::from_hex(snapshot)?, RecordId::from_hex(id)?))
}

pub(crate) fn annotation_name(snapshot: &SnapshotId, id: &RecordId) -> String {
    format!("annotations/{}/{}", snapshot.hex(), id.hex())
}

impl Repository {
    /// What annotations say of all snapshots.
    ///
    /// # Errors
    /// Whatever the storage says; what cannot be read because of damage is in the answer.
    pub fn annotations(&self) -> Result<Annotations> {
        let mut names: BTreeMap<SnapshotId, Vec<RecordId>> = BTreeMap::new();
        for item in self.storage.list("annotations")? {
            if let Some((snapshot, id)) = annotation_of(&item.name) {
                names.entry(snapshot).or_default().push(id);
            }
        }
        let listed: HashSet<SnapshotId> = self.snapshot_ids()?.into_iter().collect();
        let mut all = Annotations::default();
        for (snapshot, ids) in names {
            let facts = if listed.contains(&snapshot) || ids.len() > 1 {
                self.read_facts(&snapshot, &ids, &mut all.broken)?
            } else {
                // Of one that was deleted, the word that it has gone is left, and there may be many of these.
                Facts {
                    standing: Standing::Gone,
                    ..Facts::default()
                }
            };
            all.facts.insert(snapshot, facts);
        }
        Ok(all)
    }

    /// What annotations say of one snapshot.
    ///
    /// # Errors
    /// As [`Repository::annotations`].
    pub fn facts(&self, snapshot: &SnapshotId) -> Result<Facts> {
        let items = self
            .storage
            .list(&format!("annotations/{}", snapshot.hex()))?;
        let ids: Vec<RecordId> = items
            .iter()
            .filter_map(|item| Some(annotation_of(&item.name)?.1))
            .collect();
        self.read_facts(snapshot, &ids, &mut Vec::new())
    }

    fn read_facts(
        &self,
        snapshot: &SnapshotId,
        ids: &[RecordId],
        broken: &mut Vec<(String, Error)>,
    ) -> Result<Facts> {
        let mut annotations = Vec::new();
        let mut unclear = false;
        for id in ids {
            let name = annotation_name(snapshot, id);
            match self.read_annotation(&name, *snapshot, *id) {
                Ok(annotation) => annotations.push(annotation),
                // Its snapshot has gone since the listing.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) if matches!(error.kind(), Kind::Damage | Kind::Unsupported) => {
                    unclear = true;
                    broken.push((name, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Facts::of(annotations, unclear))
    }

    fn read_annotation(
        &self,
        name: &str,
        snapshot: SnapshotId,
        id: RecordId,
    ) -> Result<Annotation> {
        let annotation: Annotation = self.get_record(FileType::Annotation, name)?;
        if annotation.id != id || annotation.snapshot != snapshot {
            return Err(Error::damage("speaks of another snapshot").subject(name));
        }
        annotation.check().map_err(|error| error.subject(name))?;
        Ok(annotation)
    }

    /// Puts a fact under `id`; false where one stood there. It sorts behind all that `known` says, whatever the clock
    /// says.
    fn put_fact(
        &self,
        snapshot: &SnapshotId,
        id: RecordId,
        fact: Fact,
        known: &Facts,
    ) -> Result<bool> {
        let now = self.environment.clock.now();
        let annotation = Annotation {
            id,
            snapshot: *snapshot,
            at: known
                .newest
                .map_or(now, |newest| now.max(newest.saturating_add(1))),
            host: self.environment.host.clone(),
            user: self.environment.user.clone(),
            fact,
            extensions: Vec::new(),
        };
        let name = annotation_name(snapshot, &id);
        if !self.keeps(Rule::Fate) {
            self.storage.delete(&name)?;
        }
        Ok(self.put_record(FileType::Annotation, &name, &annotation)?.0)
    }

    /// Adds a tag, removes one, notes something, or records a verification.
    ///
    /// # Errors
    /// Whatever the storage says, [`Kind::Unsupported`] for a repository that this program must not write to.
    pub fn annotate(&self, snapshot: &SnapshotId, fact: Fact) -> Result<()> {
        self.config.check_write()?;
        let known = self.facts(snapshot)?;
        self.put_fact(snapshot, RecordId(random::array()?), fact, &known)?;
        Ok(())
    }

    /// Holds a snapshot: it stays, whatever retention says, until [`Repository::release`]. One that was forgotten is
    /// taken back.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where it has gone already, and whatever the storage says.
    pub fn hold(&self, snapshot: &SnapshotId, why: &str) -> Result<()> {
        self.annotate(snapshot, Fact::Held(why.to_owned()))?;
        // Listed after the hold was put: whoever forgets from now on sees the hold, and so does whoever ends an older
        // forgetting that this listing does not show.
        self.take_back(snapshot)
    }

    /// Releases every hold that stands; false where there was none.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn release(&self, snapshot: &SnapshotId) -> Result<bool> {
        self.config.check_write()?;
        let known = self.facts(snapshot)?;
        for (hold, _) in &known.holds {
            self.put_fact(snapshot, release_of(hold), Fact::Released, &known)?;
        }
        Ok(known.is_held())
    }

    /// Forgets a snapshot: it is to go, once every session that may build on it has ended, and can be taken back
    /// until then.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where it is held, and whatever the storage says.
    pub fn forget(&self, snapshot: &SnapshotId) -> Result<()> {
        self.config.check_write()?;
        let known = self.facts(snapshot)?;
        if let Some((_, why)) = known.holds.first() {
            return Err(Error::new(
                Kind::Conflict,
                format!("this snapshot is held ({why}) and cannot be forgotten"),
            )
            .subject(snapshot.short())
            .hint("`duramen annotate --release` releases it"));
        }
        if known.standing != Standing::Living {
            return Ok(());
        }
        let end = RecordId(random::array()?);
        self.put_fact(
            snapshot,
            RecordId(random::array()?),
            Fact::Forgotten { end },
            &known,
        )?;
        Ok(())
    }

    /// Takes every forgetting of a snapshot back; false where there was none.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where it has gone already, and whatever the storage says.
    pub fn undo_forget(&self, snapshot: &SnapshotId) -> Result<bool> {
        self.config.check_write()?;
        let forgotten = self.facts(snapshot)?.standing == Standing::Forgotten;
        self.take_back(snapshot)?;
        Ok(forgotten)
    }

    fn take_back(&self, snapshot: &SnapshotId) -> Result<()> {
        let known = self.facts(snapshot)?;
        for end in &known.open_ends {
            self.put_fact(snapshot, *end, Fact::Undone, &known)?;
        }
        // Whatever stands at the ends now decided.
        if self.facts(snapshot)?.standing == Standing::Gone {
            return Err(
                Error::new(Kind::NotFound, "this snapshot has gone for good")
                    .subject(snapshot.short())
                    .hint("`duramen snapshots` lists those that are left"),
            );
        }
        Ok(())
    }

    /// Puts the end of one forgetting: gone, or taken back where somebody holds it. Whoever calls this has seen that
    /// every session that has not ended names the end.
    pub(crate) fn end_forgetting(&self, snapshot: &SnapshotId, end: &RecordId) -> Result<bool> {
        // Listed again: a hold that was put before the forgetting stands in this listing for certain.
        let known = self.facts(snapshot)?;
        if known.unclear || !known.open_ends.contains(end) {
            return Ok(false);
        }
        let fact = if known.is_held() && self.keeps(Rule::Held) {
            Fact::Undone
        } else {
            Fact::Final
        };
        let gone = fact == Fact::Final;
        Ok(self.put_fact(snapshot, *end, fact, &known)? && gone)
    }

    /// Removes what was said of a snapshot that has gone, but for the word that it has: without that, whoever remembers
    /// the snapshot could not tell a prune from a store that hides it. Its record *must* be gone already.
    pub(crate) fn remove_annotations(&self, snapshot: &SnapshotId) -> Result<()> {
        for item in self
            .storage
            .list(&format!("annotations/{}", snapshot.hex()))?
        {
            let Some((_, id)) = annotation_of(&item.name) else {
                continue;
            };
            let is_final = match self.read_annotation(&item.name, *snapshot, id) {
                Ok(annotation) => annotation.fact == Fact::Final,
                Err(error) => error.kind() != Kind::Damage,
            };
            if !is_final {
                self.storage.delete(&item.name)?;
            }
        }
        Ok(())
    }
}
