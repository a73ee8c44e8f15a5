//! No more than so many bytes a second, so that a backup at noon leaves the network, the disk and the server to those who
//! work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, SystemClock};

/// Bytes that go at once.
pub const SLICE: usize = 64 << 10;
/// After a rest, so much time's worth of bytes goes without waiting.
const CREDIT: Duration = Duration::from_millis(100);

/// One direction's bytes a second. Before each slice the caller waits until what went before has had its time; whoever waits
/// holds no lock that others need.
pub struct Pace {
    rate: u64,
    clock: SystemClock,
    /// When what was let through so far has had its time.
    paid: Mutex<Duration>,
}

impl Pace {
    /// So many bytes a second, at least 1.
    #[must_use]
    pub fn new(rate: u64) -> Arc<Self> {
        Arc::new(Self {
            rate: rate.max(1),
            clock: SystemClock::default(),
            paid: Mutex::default(),
        })
    }

    /// How long to wait before `bytes` more may go, at `now`.
    fn wait(&self, bytes: usize, now: Duration) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = (*paid).max(now.saturating_sub(CREDIT));
        *paid = begin + cost;
        begin.saturating_sub(now)
    }

    /// Waits until `bytes` more may go.
    pub fn pass(&self, mut bytes: usize) {
        while bytes > 0 {
            let slice = bytes.min(SLICE);
            std::thread::sleep(self.wait(slice, self.clock.elapsed()));
            bytes -= slice;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_for_those_before_them() {
        let pace = Pace::new(1000);
        let second = Duration::from_secs(1);
        let at = |seconds: u32| second * seconds;
        // The credit of a tenth of a second lets the first go at once.
        assert_eq!(pace.wait(1000, at(10)), Duration::ZERO);
        assert_eq!(pace.wait(500, at(10)), second - CREDIT);
        assert_eq!(pace.wait(1, at(10)), second * 3 / 2 - CREDIT);
        // What was not used is not saved up.
        assert_eq!(pace.wait(1000, at(100)), Duration::ZERO);
        assert_eq!(pace.wait(1000, at(100)), second - CREDIT);
    }
}
