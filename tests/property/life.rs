//! What happens to snapshots after they were taken: forgotten, taken back, held, released, pruned away, damaged and
//! mended; and what the plain list of them says that must come of it.

use std::collections::BTreeSet;
use std::time::Duration;

use duramen::error::Kind;
use duramen::id::SnapshotId;
use duramen::ops::annotate::AnnotateOptions;
use duramen::ops::prune::{PruneOptions, Unused};
use duramen::ops::repair::{RepairOptions, Report};
use duramen::ops::select::Filter;
use duramen::ops::snapshots::Which;
use duramen::ops::{annotate, forget, prune, repair, snapshots};
use duramen::progress::Silent;
use duramen::repository::Standing;

use super::sequence::Sequence;
use crate::common::harm::harm;
use crate::common::place::files_below;
use crate::common::seen::Seen;

/// A snapshot that was taken, and what it must give back.
#[derive(Clone)]
pub struct Taken {
    pub id: SnapshotId,
    /// None where repair found that nothing is left of it.
    pub seen: Option<Seen>,
    pub standing: Standing,
    pub held: bool,
    /// Whether repair made it of one that was damaged.
    pub is_heir: bool,
}

impl Taken {
    pub fn new(id: SnapshotId, seen: Option<Seen>) -> Self {
        Self {
            id,
            seen,
            standing: Standing::Living,
            held: false,
            is_heir: false,
        }
    }
}

impl Sequence {
    /// Something happens to snapshots that were taken.
    pub fn live(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        match self.random.below(12) {
            0..=2 => self.forget(),
            3 | 4 => self.undo(),
            5 => self.hold(),
            6 => self.release(),
            7..=9 => self.prune(),
            _ => self.repair(),
        }
        self.lists_what_is_there();
    }

    /// Lists hold what the plain one says, neither more nor less.
    fn lists_what_is_there(&self) {
        let repository = self.open();
        for (which, standing) in [
            (Which::Living, Standing::Living),
            (Which::Forgotten, Standing::Forgotten),
        ] {
            let (known, _) = snapshots::run(&repository, &Filter::default(), which).unwrap();
            let listed: BTreeSet<SnapshotId> = known
                .iter()
                .map(|known| known.snapshot.id)
                .filter(|id| !self.lost.contains(id))
                .collect();
            let wanted: BTreeSet<SnapshotId> = self
                .taken
                .iter()
                .filter(|one| one.standing == standing)
                .map(|one| one.id)
                .collect();
            assert_eq!(listed, wanted, "{which:?}: {}", self.about());
        }
    }

    fn forget(&mut self) {
        let at = self.random.index(self.taken.len());
        let id = self.taken[at].id;
        self.note(format!("forget {}", id.short()));
        let done = forget::named(&self.open(), &[id.hex()], &Filter::default(), false);
        let about = self.about();
        let one = &mut self.taken[at];
        match (one.standing, one.held) {
            (Standing::Gone, _) => {
                assert_eq!(done.unwrap_err().kind(), Kind::NotFound, "{about}");
            }
            (_, true) => assert_eq!(done.unwrap_err().kind(), Kind::Conflict, "{about}"),
            (standing, false) => {
                let changed = done.unwrap()[0].changed;
                assert_eq!(changed, standing == Standing::Living, "{about}");
                one.standing = Standing::Forgotten;
            }
        }
    }

    fn undo(&mut self) {
        let at = self.random.index(self.taken.len());
        let id = self.taken[at].id;
        self.note(format!("undo {}", id.short()));
        let done = forget::undo(&self.open(), &[id.hex()], &Filter::default());
        let about = self.about();
        let one = &mut self.taken[at];
        if one.standing == Standing::Gone {
            assert_eq!(done.unwrap_err().kind(), Kind::NotFound, "{about}");
        } else {
            let changed = done.unwrap()[0].changed;
            assert_eq!(changed, one.standing == Standing::Forgotten, "{about}");
            one.standing = Standing::Living;
        }
    }

    fn hold(&mut self) {
        let at = self.random.index(self.taken.len());
        let options = AnnotateOptions {
            hold: Some("a test".into()),
            ..self.naming(at)
        };
        if self.annotated(at, "hold", &options) {
            self.taken[at].held = true;
            // Holding takes a forgetting back.
            self.taken[at].standing = Standing::Living;
        }
    }

    fn release(&mut self) {
        let at = self.random.index(self.taken.len());
        let options = AnnotateOptions {
            release: true,
            ..self.naming(at)
        };
        if self.annotated(at, "release", &options) {
            self.taken[at].held = false;
        }
    }

    fn naming(&self, at: usize) -> AnnotateOptions {
        AnnotateOptions {
            names: vec![self.taken[at].id.hex()],
            ..AnnotateOptions::default()
        }
    }

    /// Whether it was still there to be annotated.
    fn annotated(&mut self, at: usize, what: &str, options: &AnnotateOptions) -> bool {
        self.note(format!("{what} {}", self.taken[at].id.short()));
        let done = annotate::run(&self.open(), options);
        if self.taken[at].standing == Standing::Gone {
            assert_eq!(done.unwrap_err().kind(), Kind::NotFound, "{}", self.about());
            return false;
        }
        done.unwrap();
        true
    }

    fn prune(&mut self) {
        let grace = *self
            .random
            .pick(&[Duration::ZERO, Duration::ZERO, Duration::from_secs(3600)]);
        let options = PruneOptions {
            grace,
            session_expiry: *self
                .random
                .pick(&[Duration::ZERO, Duration::from_secs(3600)]),
            max_unused: *self.random.pick(&[
                Unused::Bytes(0),
                Unused::Bytes(0),
                Unused::Share(0.05),
                Unused::Any,
            ]),
            max_repack: *self.random.pick(&[None, None, Some(0), Some(100_000)]),
            purge: self.random.one_in(3),
        };
        let dry_run = self.random.one_in(5);
        self.note(format!("prune {options:?} dry run {dry_run}"));
        let done = prune::run(&self.open(), &options, dry_run, &Silent);
        let about = self.about();
        let report = match done {
            Ok(report) => report,
            // What a damaged snapshot needs is not known for certain until it has gone: nothing more is deleted.
            Err(error)
                if error.kind() == Kind::Damage
                    && !self.lost.is_empty()
                    && (dry_run || !grace.is_zero()) =>
            {
                return;
            }
            Err(error) => panic!("{error:?}: {about}"),
        };
        if dry_run {
            assert_eq!((report.snapshots_gone, report.deleted_packs), (0, 0));
            return;
        }
        let mut gone = 0;
        if grace.is_zero() {
            for one in &mut self.taken {
                if one.standing == Standing::Forgotten {
                    one.standing = Standing::Gone;
                    gone += 1;
                }
            }
        }
        if self.lost.is_empty() {
            assert_eq!(report.snapshots_gone, gone, "{about}");
            assert!(
                !grace.is_zero() || report.waits.is_empty(),
                "nobody is at work, and yet {:?}: {about}",
                report.waits
            );
        }
    }

    /// Harms one stored file, and mends.
    fn repair(&mut self) {
        let folder = *self.random.pick(&["packs", "packs", "index", "snapshots"]);
        let repository = std::path::PathBuf::from(&self.options.location);
        let held = |name: &str| {
            let mut held = self.taken.iter().filter(|one| one.held);
            held.any(|one| name == one.id.hex())
        };
        let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        // A held snapshot whose record is damaged is never given up, and would be in the way of all that follows.
        let files: Vec<_> = files_below(&repository.join(folder))
            .into_iter()
            .filter(|path| !held(&name(path)))
            .collect();
        if files.is_empty() {
            return;
        }
        let file = self.random.pick(&files).clone();
        let how = harm(&file, &mut self.random);
        self.note(format!("{how} {}", file.display()));
        let options = RepairOptions {
            read_data: true,
            forget_unreadable: true,
            // One pack may be most of all there are.
            force: true,
            ..RepairOptions::default()
        };
        let report = repair::run(&self.open(), &options, &Silent).unwrap().report;
        self.note(format!("repair replaced {:?}", report.replaced));
        assert_eq!(report.left.count, 0, "{:?}: {}", report.left, self.about());
        match folder {
            "index" => assert!(report.replaced.is_empty(), "{}", self.about()),
            "snapshots" => self.give_up(&name(&file)),
            _ => self.replaced(&report),
        }
    }

    /// A snapshot whose record was harmed is lost, and nothing else is.
    fn give_up(&mut self, name: &str) {
        let Some(at) = self.taken.iter().position(|one| one.id.hex() == name) else {
            return;
        };
        self.lost.push(self.taken.remove(at).id);
    }

    /// Snapshots that needed what was lost were taken again with all that was not, and all others are as they were.
    fn replaced(&mut self, report: &Report) {
        for replaced in &report.replaced {
            let Some(at) = self
                .taken
                .iter()
                .position(|one| one.id == replaced.original)
            else {
                panic!("{:?} was not there: {}", replaced.original, self.about());
            };
            let original = self.taken.remove(at);
            assert_eq!(original.standing, Standing::Living, "{}", self.about());
            self.lost.push(original.id);
            let id = replaced.replacement.unwrap();
            let seen = self.restored(&id, true);
            match (&original.seen, &seen) {
                (Some(original), Some(seen)) => original.assert_has(seen, &|| self.about()),
                (_, None) => {}
                (None, _) => panic!("a lost tree is back: {}", self.about()),
            }
            self.taken.push(Taken {
                held: original.held,
                is_heir: true,
                ..Taken::new(id, seen)
            });
        }
        // Nobody looks at what is forgotten: it may need what is lost.
        let (forgotten, rest) = std::mem::take(&mut self.taken)
            .into_iter()
            .partition(|one| one.standing == Standing::Forgotten);
        self.taken = rest;
        let forgotten: Vec<Taken> = forgotten;
        self.lost.extend(forgotten.iter().map(|one| one.id));
    }
}
