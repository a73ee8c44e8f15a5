//! The only place that asks what time it is.
//!
//! Safety never hangs on a clock (format-spec chapter on sharing): times are shown to people, choose retention
//! buckets and pace checkpoints, no more.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970-01-01T00:00:00Z; negative before.
pub type Nanos = i64;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Wall time in nanoseconds UTC; may jump either way.
    fn now(&self) -> Nanos;

    /// Time since an arbitrary start; never goes back.
    fn elapsed(&self) -> Duration;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Nanos {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
        }
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
