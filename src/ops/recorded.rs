//! What is known of one replica set: moments that snapshots show, and stretches of its oplog.

use std::collections::BTreeMap;

use super::select::{self, Filter};
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
use crate::format::deployment::{Deployment, Moment, Position};
use crate::format::slice::Slice;
use crate::format::snapshot::{Counters, Features, Snapshot, SnapshotKind, SourceRecord, State};
use crate::id::SnapshotId;
use crate::progress::Progress;
use crate::replay::{last_moment, path, reach, replay};
use crate::repository::Repository;
use crate::source::mongo::Selection;

/// What stands before the address in the path of a snapshot that holds nothing but a stretch of the oplog.
const OPLOG: &str = "oplog:";

/// What is known of the replica set at one address.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Moments that snapshots show, oldest first.
    pub moments: Vec<(Position, SnapshotId)>,
    /// Stretches of the oplog, and the snapshots that hold them.
    pub slices: Vec<(Slice, SnapshotId)>,
}

/// A replica set: the host that takes snapshots of it, its name, and its address. Another machine's `localhost` is another set.
pub type SetName = (String, String, String);

/// The path by which a snapshot of a stretch is told from those of the data.
#[must_use]
pub fn slice_path(address: &str) -> Vec<u8> {
    format!("{OPLOG}{address}").into_bytes()
}

/// The address that the deployment of a snapshot was taken from.
fn address(snapshot: &Snapshot) -> Option<String> {
    let paths = snapshot.paths.iter().map(|path| path.0.as_slice());
    let mut texts = paths.filter_map(|path| std::str::from_utf8(path).ok());
    let is_address =
        |text: &&str| text.starts_with("mongodb://") || text.starts_with("mongodb+srv://");
    texts.find(is_address).map(str::to_owned)
}

/// What names a replica set in a snapshot.
#[must_use]
pub fn name_of(snapshot: &Snapshot, set: &str, address: &str) -> SetName {
    named(&snapshot.host, set, address)
}

/// The same, of a host.
#[must_use]
pub fn named(host: &str, set: &str, address: &str) -> SetName {
    let address = address.trim_end_matches('/');
    (host.to_owned(), set.to_owned(), address.to_owned())
}

/// The name of the replica set that a snapshot shows at one moment, and that moment.
pub(super) fn shown(snapshot: &Snapshot) -> Option<(SetName, Position)> {
    let mut deployments = snapshot.deployments();
    let (own, None) = (deployments.next()?, deployments.next()) else {
        return None;
    };
    match own.moment {
        Moment::At(at) => Some((name_of(snapshot, &own.set, &address(snapshot)?), at)),
        Moment::Between { .. } => None,
    }
}

/// All that these snapshots know, by set and address.
#[must_use]
pub fn recorded(snapshots: &[Snapshot]) -> BTreeMap<SetName, Recorded> {
    let mut all: BTreeMap<SetName, Recorded> = BTreeMap::new();
    for snapshot in snapshots {
        let damaged = snapshot.deployments().any(Deployment::is_damaged);
        if let (false, Some((name, at))) = (damaged, shown(snapshot)) {
            all.entry(name).or_default().moments.push((at, snapshot.id));
        }
        for slice in snapshot.slices() {
            let name = name_of(snapshot, &slice.set, &slice.address);
            let own = all.entry(name).or_default();
            own.slices.push((slice.clone(), snapshot.id));
        }
    }
    for own in all.values_mut() {
        own.moments.sort_by_key(|(at, _)| at.time);
        own.slices.sort_by_key(|(slice, _)| slice.to.time);
    }
    all
}

impl Recorded {
    /// The slices alone.
    #[must_use]
    pub fn stretches(&self) -> Vec<&Slice> {
        self.slices.iter().map(|(slice, _)| slice).collect()
    }

    /// The newest entry of which it is known which one it is: at another nothing can be gone on.
    #[must_use]
    pub fn newest(&self) -> Option<Position> {
        let slices = self.slices.iter().map(|(slice, _)| slice.to);
        let moments = self.moments.iter().map(|(at, _)| *at);
        let proven = slices.chain(moments).filter(Position::is_proven);
        proven.max_by_key(|at| at.time)
    }

    /// Where stretches of the same collections end.
    #[must_use]
    pub fn recorded_like(&self, selection: &Selection) -> Option<Position> {
        let scope = crate::snapshot::scope(selection);
        let own = self.slices.iter().map(|(slice, _)| slice);
        own.filter(|slice| slice.scope == scope)
            .map(|slice| slice.to)
            .max_by_key(|to| to.time)
    }

    /// From when to when any moment can be had, without gaps, in seconds; touching ones are one.
    #[must_use]
    pub fn ranges(&self) -> Vec<(u64, u64)> {
        let slices = self.stretches();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (at, _) in &self.moments {
            let (from, to) = (at.time >> 32, reach(&slices, *at).time >> 32);
            match ranges.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => ranges.push((from, to)),
            }
        }
        ranges
    }
}

/// Whether two snapshots are of the same, as it was asked for.
#[must_use]
pub fn alike(left: &Snapshot, right: &Snapshot) -> bool {
    let of = |own: &'_ Snapshot| (own.host.clone(), own.paths.clone(), own.excludes.clone());
    of(left) == of(right)
}

/// The replica set that `snapshot` shows, as it was at the end of the second of `at`: the newest snapshot of it before, with
/// what was recorded since done to it. It can be read like any other, by this process alone.
///
/// # Errors
/// [`Kind::NotFound`] where nothing leads to that moment; whatever [`replay`] says.
pub fn at_moment(
    repository: &Repository,
    snapshot: &Snapshot,
    at: Nanos,
    progress: &dyn Progress,
) -> Result<Snapshot> {
    let Some((name, _)) = shown(snapshot) else {
        return Err(Error::new(
            Kind::Unsupported,
            "only of a replica set can any moment be had, and this snapshot shows none",
        )
        .subject(snapshot.id.short()));
    };
    let (snapshots, broken) = select::list_readable(repository, &Filter::default())?;
    for error in &broken {
        progress.note(&format!("left aside, it cannot be read: {error}"));
    }
    let all = recorded(&snapshots);
    let own = all.get(&name).cloned().unwrap_or_default();
    // Of what the named one holds: another may have been asked for less.
    let fits = |id: &SnapshotId| {
        let found = snapshots.iter().find(|own| own.id == *id);
        found.is_some_and(|own| alike(own, snapshot))
    };
    let until = last_moment(at);
    let slices = own.stretches();
    let before = own
        .moments
        .iter()
        .rev()
        .filter(|(own, id)| own.time <= until && fits(id));
    let mut any = false;
    for (from, id) in before {
        any = true;
        let Some(path) = path(&slices, *from, until) else {
            continue;
        };
        let base = snapshots.iter().find(|snapshot| snapshot.id == *id);
        let Some(mut base) = base.cloned() else {
            continue;
        };
        progress.phase("replay");
        let deployment = super::documents::only(&base)?;
        let replayed = replay(repository, deployment, &path, until, progress)?;
        for note in &replayed.notes {
            progress.note(note);
        }
        base.sources = vec![SourceRecord::Mongo(Box::new(replayed.deployment))];
        return Ok(base);
    }
    let what = match any {
        false => "there is no snapshot as old as that moment",
        true => "nothing that was recorded leads to that moment, or past it",
    };
    Err(Error::new(Kind::NotFound, what).hint("`duramen timeline` shows which moments can be had"))
}

/// A snapshot record of this machine that holds nothing yet.
pub(super) fn plain(
    repository: &Repository,
    id: &SnapshotId,
    started: Nanos,
    seen: [u8; 32],
) -> Snapshot {
    let environment = repository.environment();
    Snapshot {
        id: *id,
        repository: repository.id(),
        features: Features::default(),
        time: started,
        started,
        finished: environment.clock.now(),
        kind: SnapshotKind::Full,
        parent: None,
        host: environment.host.clone(),
        user: environment.user.clone(),
        tags: Vec::new(),
        paths: Vec::new(),
        excludes: Vec::new(),
        sources: Vec::new(),
        state: State::Complete,
        problems: Vec::new(),
        problem_count: 0,
        counters: Counters::default(),
        program: env!("CARGO_PKG_VERSION").into(),
        git: None,
        seen,
        extensions: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::slice::Scope;
    use crate::id::SessionId;

    fn at(seconds: u64) -> Position {
        let proof = [7; 32];
        let time = seconds << 32;
        Position { time, proof }
    }

    #[test]
    fn ranges_join_where_nothing_is_lacking_between_them() {
        let id = SessionId([0; 16]);
        let slice = |from: u64, to: u64| {
            let slice = Slice {
                set: String::new(),
                address: String::new(),
                server: String::new(),
                from: at(from),
                to: at(to),
                scope: Scope::default(),
                entries: None,
                extensions: Vec::new(),
            };
            (slice, id)
        };
        let own = Recorded {
            moments: [10, 20, 50, 90].map(|time| (at(time), id)).to_vec(),
            slices: vec![slice(10, 20), slice(20, 40), slice(45, 60), slice(70, 80)],
        };
        assert_eq!(own.ranges(), [(10, 40), (50, 60), (90, 90)]);
        assert_eq!(own.newest(), Some(at(90)));
    }
}
