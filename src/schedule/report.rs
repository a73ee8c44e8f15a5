//! What came of a run and of its jobs.

use super::lock::Holder;
use super::work::Worked;
use super::{Job, Outcome, Reason};
use crate::clock::Nanos;
use crate::error::{Error, Kind};

/// What came of one job.
#[derive(Debug)]
pub struct JobReport {
    /// The job; none for what prevented all that was due.
    pub job: Option<Job>,
    /// Why it was due.
    pub reason: Reason,
    /// What came of it.
    pub outcome: Outcome,
    /// A sentence about it.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The exit code that it alone would have.
    pub exit_code: u8,
    /// The snapshot that was taken, its whole id.
    pub snapshot: Option<String>,
    /// When it began.
    pub started: Nanos,
    /// When it ended.
    pub finished: Nanos,
    /// Seconds between the two, by a clock that does not jump.
    pub seconds: f64,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct RunSummary {
    /// Another run is alive, and nothing was done.
    pub held_by: Option<Holder>,
    /// What was done, in order.
    pub jobs: Vec<JobReport>,
    /// What went wrong besides: hooks, the log, the state.
    pub trouble: Vec<Error>,
    /// Whether that makes the run a failed one.
    pub trouble_counts: bool,
    /// When something is due next; none for never.
    pub next: Option<Nanos>,
}

impl RunSummary {
    /// The exit code: damage before failure before an incomplete snapshot. Failures that agree give their own code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let codes = |outcome: Outcome| -> Vec<u8> {
            let jobs = self.jobs.iter().filter(|job| job.outcome == outcome);
            jobs.map(|job| job.exit_code).collect()
        };
        let failed = codes(Outcome::Failed);
        if let Some(damage) = codes(Outcome::Damage).first() {
            *damage
        } else if let Some(first) = failed.first() {
            let agree = failed.iter().all(|code| code == first);
            if agree {
                *first
            } else {
                Kind::Failed.exit_code()
            }
        } else if self.trouble_counts {
            Kind::Failed.exit_code()
        } else {
            codes(Outcome::Partial).first().copied().unwrap_or(0)
        }
    }
}

/// Exit code of a snapshot that is incomplete.
pub(super) const PARTIAL: u8 = 3;

impl JobReport {
    /// `snapshot home`; `start` for what prevented everything.
    #[must_use]
    pub fn name(&self) -> String {
        self.job.as_ref().map_or("start".into(), Job::to_string)
    }

    /// Its word in JSON and in the environment of hooks.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.job.as_ref().map_or("start", Job::word)
    }

    pub(super) fn worked(&mut self, worked: &Worked) {
        self.outcome = worked.outcome;
        self.message.clone_from(&worked.message);
        self.snapshot.clone_from(&worked.snapshot);
        self.exit_code = match worked.outcome {
            Outcome::Ok => 0,
            Outcome::Partial => PARTIAL,
            Outcome::Damage => Kind::Damage.exit_code(),
            Outcome::Failed => Kind::Failed.exit_code(),
        };
    }
}
