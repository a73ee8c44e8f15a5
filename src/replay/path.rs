//! Which slices lead from a snapshot to a moment.

use crate::clock::Nanos;
use crate::format::deployment::Position;
use crate::format::slice::Slice;

/// The last cluster time of a second: all that happened within it is before.
#[must_use]
pub fn last_moment(at: Nanos) -> u64 {
    let seconds = at.div_euclid(1_000_000_000);
    let seconds = u32::try_from(seconds.max(0)).unwrap_or(u32::MAX);
    u64::from(seconds) << 32 | u64::from(u32::MAX)
}

/// The slice that leads furthest on from there; one of everything before one of a part, which would lose the rest.
fn next<'s>(slices: &[&'s Slice], here: Position) -> Option<&'s Slice> {
    // Of which history it is nobody knows.
    if !here.is_proven() {
        return None;
    }
    let leads = |slice: &&&'s Slice| {
        let begins = slice.from == here || slice.from.time < here.time;
        begins && slice.to.time > here.time
    };
    let own = slices.iter().filter(leads);
    own.max_by_key(|slice| {
        let scope = &slice.scope;
        let whole =
            scope.database.is_none() && scope.include.is_empty() && scope.exclude.is_empty();
        (whole, slice.to.time)
    })
    .copied()
}

/// Slices, in order, from an entry of the oplog to behind a cluster time; none where there is a gap, or it is not reached.
#[must_use]
pub fn path<'s>(slices: &[&'s Slice], from: Position, until: u64) -> Option<Vec<&'s Slice>> {
    let (mut all, mut here) = (Vec::new(), from);
    // A moment is over when something is known of what came after.
    while here.time <= until {
        let slice = next(slices, here)?;
        all.push(slice);
        here = slice.to;
    }
    Some(all)
}

/// How far they lead from there without a gap.
#[must_use]
pub fn reach(slices: &[&Slice], from: Position) -> Position {
    let mut here = from;
    while let Some(slice) = next(slices, here) {
        here = slice.to;
    }
    here
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::format::slice::Scope;

    fn at(time: u64) -> Position {
        let proof = [time as u8; 32];
        Position { time, proof }
    }

    fn slice(from: u64, to: u64) -> Slice {
        Slice {
            set: String::new(),
            address: String::new(),
            server: String::new(),
            from: at(from),
            to: at(to),
            scope: Scope::default(),
            entries: None,
            extensions: Vec::new(),
        }
    }

    #[test]
    fn slices_lead_on_without_gaps_or_not_at_all() {
        let all = [slice(10, 20), slice(20, 30), slice(25, 40), slice(50, 60)];
        let all: Vec<&Slice> = all.iter().collect();
        let ends = |from, until| {
            path(&all, at(from), until)
                .map(|path| path.iter().map(|slice| slice.to.time).collect::<Vec<_>>())
        };
        assert_eq!(ends(10, 9), Some(vec![]));
        assert_eq!(ends(10, 10), Some(vec![20]));
        assert_eq!(ends(10, 20), Some(vec![20, 30]));
        assert_eq!(ends(15, 39), Some(vec![20, 30, 40]));
        assert_eq!(ends(10, 40), None);
        assert_eq!(ends(45, 45), None);
        assert_eq!(ends(50, 55), Some(vec![60]));
        assert_eq!(reach(&all, at(10)).time, 40);
        assert_eq!(reach(&all, at(45)).time, 45);
        let other = Position {
            proof: [9; 32],
            ..at(50)
        };
        assert_eq!(path(&all, other, 55), None);
    }

    #[test]
    fn a_second_is_over_with_its_last_moment() {
        assert_eq!(last_moment(1_999_999_999), 1 << 32 | u64::from(u32::MAX));
        assert_eq!(last_moment(-1), u64::from(u32::MAX));
    }
}
