//! Laying runs together, so that a collection never needs many: what a hundred nights changed would be looked for in a
//! hundred places.
//!
//! Runs of about one size become one when there are eight; so what changed is written again once for each size, which is
//! eight times the one below. Where all deltas come to half of the base, everything becomes a new base. Only runs of the
//! parent are laid together, which are in the repository already; were it to fail, they would be used as they are.

use super::Capture;
use crate::error::{Kind, Result};
use crate::format::bson::Document;
use crate::format::run::Run;
use crate::snapshot::documents::RunBuilder;

/// So many runs of about one size become one.
const TOGETHER: usize = 8;

impl Capture<'_> {
    /// What to use instead of a parent's runs, newest first.
    pub(super) fn merged(&mut self, namespace: &str, runs: Vec<Run>) -> Result<Vec<Run>> {
        let (count, whole) = chosen(&runs);
        if count < 2 {
            return Ok(runs);
        }
        match self.one(&runs[..count], whole) {
            Ok(one) => Ok([one.as_slice(), &runs[count..]].concat()),
            Err(error) if error.kind() == Kind::Damage => {
                self.progress.note(&format!(
                    "{namespace}: its runs are left as they are: {error}"
                ));
                Ok(runs)
            }
            Err(error) => Err(error),
        }
    }

    /// What runs come to together; none where nothing is left. Deletions are forgotten where there is nothing below.
    fn one(&mut self, runs: &[Run], whole: bool) -> Result<Option<Run>> {
        let mut documents = RunBuilder::new(self.cutter);
        let mut deleted = RunBuilder::new(self.cutter);
        for stored in self.repository.newest(runs) {
            self.go_on()?;
            let (stored, there) = stored?;
            let document = Document::whole(&stored.bytes)?;
            if there {
                documents.push(&mut self.putter, stored.key, document)?;
            } else if !whole {
                deleted.push(&mut self.putter, stored.key, document)?;
            }
        }
        let run = Run {
            documents: documents.finish(&mut self.putter)?,
            deleted: deleted.finish(&mut self.putter)?,
            extensions: Vec::new(),
        };
        Ok((run.documents.is_some() || run.deleted.is_some()).then_some(run))
    }
}

fn weight(run: &Run) -> u64 {
    let both = run.documents.iter().chain(&run.deleted);
    both.map(|sorted| sorted.documents).sum()
}

/// How many of the newest runs become one, and whether these are all.
fn chosen(runs: &[Run]) -> (usize, bool) {
    let Some((base, deltas)) = runs.split_last() else {
        return (0, true);
    };
    let changed: u64 = deltas.iter().map(weight).sum();
    if deltas.len() > 1 && changed.saturating_mul(2) >= weight(base) {
        return (runs.len(), true);
    }
    let size = |run: &Run| weight(run).max(1).ilog2() / 3;
    for largest in 0..=u64::BITS / 3 {
        // With them what is smaller and lies above, for it is newer.
        let alike = deltas.iter().take_while(|run| size(run) <= largest);
        let alike: Vec<u32> = alike.map(size).collect();
        if alike.iter().filter(|size| **size == largest).count() >= TOGETHER {
            return (alike.len(), false);
        }
    }
    (0, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::entry::PageRef;
    use crate::format::run::Sorted;
    use crate::id::ChunkId;

    fn runs(weights: &[u64]) -> Vec<Run> {
        let run = |documents: &u64| Run {
            documents: Some(Sorted {
                root: PageRef {
                    id: ChunkId([1; 32]),
                    depth: 0,
                },
                documents: *documents,
                bytes: documents * 5,
            }),
            ..Run::default()
        };
        weights.iter().map(run).collect()
    }

    #[test]
    fn eight_of_a_size_become_one_and_half_of_the_base_a_new_one() {
        let base = 1_000_000;
        for (weights, expected) in [
            (&[][..], (0, true)),
            (&[base], (0, false)),
            (&[9, base], (0, false)),
            (&[600_000, base], (0, false)),
            (&[1, 500_000, base], (3, true)),
            (&[9, 9, 9, 9, 9, 9, 9, base], (0, false)),
            (&[9, 9, 9, 9, 9, 9, 9, 9, base], (8, false)),
            (&[9, 9, 9, 9, 9, 9, 9, 9, 90, base], (8, false)),
            (&[9, 9, 9, 9, 9, 9, 9, 90, base], (0, false)),
            (&[90, 90, 90, 9, 90, 90, 90, 90, base], (0, false)),
            (&[9, 9, 90, 90, 90, 90, 90, 90, 90, 90, base], (10, false)),
            (&[90, 9, 9, 9, 9, 9, 9, 9, 9, base], (0, false)),
        ] {
            assert_eq!(chosen(&runs(weights)), expected, "{weights:?}");
        }
    }

    /// A thousand nights: never many runs, and what is written again stays in proportion.
    #[test]
    fn runs_stay_few_and_what_is_written_again_in_proportion() {
        let (base, night) = (1_000_000, 1_000);
        let mut held = vec![base];
        let mut written = 0;
        for _ in 0..1000 {
            let (count, whole) = chosen(&runs(&held));
            if count >= 2 {
                let sum: u64 = held.drain(..count).sum();
                // What changed twice is written once; here nothing does, but in a new base.
                held.insert(0, if whole { base } else { sum });
                written += held[0];
            }
            held.insert(0, night);
            assert!(held.len() <= 24, "{held:?}");
        }
        assert!(written < 8 * 1000 * night, "{written}");
    }
}
