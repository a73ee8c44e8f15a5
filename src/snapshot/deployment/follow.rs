//! Following the trail: which documents of what is held were touched, and whether the catalogue changed.

use super::Capture;
use super::parts::Parts;
use super::trail::Trail;
use crate::error::Result;
use crate::format::bson::Element;
use crate::format::deployment::{Collection, CollectionKind, Position};
use crate::format::document_key::key;
use crate::snapshot::sorter::Sorter;
use crate::source::mongo::Selection;
use crate::source::mongo::changes::Changes;
use crate::source::mongo::oplog::{self, Effect, How, Uuid};
use crate::source::mongo::reading::{self, Stretch};

impl Capture<'_> {
    /// Follows it from behind `from` to `to`. `changed` becomes true where the catalogue changed after `since`, or something
    /// must be read anew.
    pub(super) fn follow(
        &mut self,
        (from, to): (Position, Position),
        since: u64,
        listed: &[Collection],
        changed: &mut bool,
    ) -> Result<Stretch> {
        let (server, progress, selection) = (self.server, self.progress, self.selection);
        let (session, repository) = (self.session, self.repository);
        let mut emptied = Vec::new();
        let mut parts = Parts::default();
        let (held, capped, touched) = (&mut self.held, &mut self.capped, &mut self.touched);
        let recorder = &mut self.recorder;
        let mut hear = |parts: &mut Parts, time: u64, part: bool, effect: Effect<'_>| {
            match effect {
                Effect::Touched { uuid, id, how } => {
                    if let Some(held) = held.get(&uuid) {
                        // A part counts from its transaction's end, which is still to come.
                        if part || time > held.since {
                            touch(touched, &uuid, &id, how)?;
                        }
                    } else if let Some(capped) = capped.get_mut(&uuid) {
                        capped.touch(time, &id, how)?;
                    }
                }
                Effect::Catalogue { namespace } => {
                    *changed |= time > since && concerns(selection, &namespace);
                }
                Effect::Emptied { uuid } => emptied.push((uuid, time)),
                Effect::Earlier { time: before } => parts.follows(time, part, before),
            }
            Ok(())
        };
        let stretch = match self.trail {
            Trail::Oplog => reading::stretch(server, from, to, progress, &mut |entry| {
                session.renew_when_due(repository)?;
                let (time, part) = (oplog::time(entry)?, oplog::is_part(entry)?);
                if let Some(recorder) = recorder {
                    recorder.hear(selection, entry)?;
                }
                oplog::effects(entry, &mut |effect| hear(&mut parts, time, part, effect))?;
                if part {
                    parts.is_part(time);
                }
                Ok(())
            })?,
            Trail::Changes => {
                let capped = listed
                    .iter()
                    .filter(|own| own.kind == CollectionKind::Capped);
                let changes = Changes {
                    server,
                    database: selection.database.as_deref(),
                    whole: capped.map(|own| (own.database(), own.name())).collect(),
                    progress,
                    go_on: &|| {
                        progress.go_on()?;
                        session.renew_when_due(repository)
                    },
                };
                changes.stretch((from.time, to.time), &mut |time, effect| {
                    hear(&mut parts, time, false, effect)
                })?
            }
        };
        if stretch == Stretch::Gap {
            return Ok(stretch);
        }
        let (held, touched) = (&mut self.held, &mut self.touched);
        let recorder = &mut self.recorder;
        let rest = parts.rest(server, progress, &mut |entry| {
            session.renew_when_due(repository)?;
            if let Some(recorder) = recorder {
                recorder.hear(selection, entry)?;
            }
            oplog::effects(entry, &mut |effect| {
                // No transaction writes to capped collections.
                if let Effect::Touched { uuid, id, how } = effect
                    && let Some(held) = held.get_mut(&uuid)
                {
                    // It comes behind what was done later, so what was first is not known.
                    held.documents = None;
                    touch(touched, &uuid, &id, how)?;
                }
                Ok(())
            })
        })?;
        if rest == Stretch::Gap {
            return Ok(rest);
        }
        for (uuid, time) in emptied {
            // Read anew in the next round, unless it was read after that.
            if self.held.get(&uuid).is_some_and(|held| time > held.since) {
                self.held.remove(&uuid);
                *changed = true;
            }
            *changed |= self.capped.remove(&uuid).is_some();
        }
        let before = self.capped.len();
        self.capped.retain(|_, capped| !capped.is_lost());
        *changed |= self.capped.len() < before;
        Ok(stretch)
    }
}

/// Whether a change of the catalogue is one to what is taken; a namespace that ends with its dot is a whole database.
fn concerns(selection: &Selection, namespace: &[u8]) -> bool {
    let Ok(namespace) = std::str::from_utf8(namespace) else {
        return true;
    };
    match namespace.split_once('.') {
        None | Some((_, "")) => selection.takes_database(namespace.trim_end_matches('.')),
        Some((database, name)) => selection.takes(database, name),
    }
}

/// Notes a touched document.
fn touch(touched: &mut Sorter, uuid: &Uuid, id: &Element<'_>, how: How<'_>) -> Result<()> {
    let mut sorted = uuid.to_vec();
    sorted.extend_from_slice(&key(id));
    let mut value = vec![u8::from(matches!(how, How::Came(_))), id.kind];
    value.extend_from_slice(id.value);
    touched.push(sorted, value)
}
