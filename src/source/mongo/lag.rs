//! Giving way: while a majority of a replica set's members is far behind its primary, reading waits, for it may be what
//! keeps them from coming after. Where they do not come at all, it ends: no snapshot could be exact.

use std::time::Duration;

use super::command::Builder;
use super::server::{Asked, Server, Topology};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// So far behind is too far.
const TOO_FAR: Duration = Duration::from_secs(10);
/// No longer than so between two batches: they come, if slowly.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// A majority that got nothing new for so long will not be waited for.
const STILL_MAX: Duration = Duration::from_secs(120);

/// How far a majority is behind.
#[derive(Default)]
pub struct Lag {
    clock: SystemClock,
    looked: Duration,
    /// An entry of the primary's that the majority did not have yet, and since when.
    awaited: Option<(u64, Duration)>,
    /// The newest entry of the majority, and since when it is that.
    held: (u64, Duration),
    told: bool,
}

impl Lag {
    /// Hears of the newest entry of the primary, and of the newest that a majority has; how long it has been behind.
    fn hear(&mut self, newest: u64, majority: u64, now: Duration) -> Duration {
        if majority != self.held.0 {
            self.held = (majority, now);
        }
        if self.awaited.is_some_and(|(entry, _)| majority >= entry) {
            self.awaited = None;
        }
        if newest <= majority {
            return Duration::ZERO;
        }
        let (_, since) = *self.awaited.get_or_insert((newest, now));
        now.saturating_sub(since)
    }

    fn look(&mut self, server: &Server) -> Asked<Duration> {
        let hello = server.command("admin", Builder::new().int32("hello", 1))?;
        let mut times = [0; 2];
        if let Some(last) = hello.inner("lastWrite")? {
            for (time, name) in times.iter_mut().zip(["opTime", "majorityOpTime"]) {
                let entry = last.inner(name)?;
                let own = entry.map(|entry| entry.time("ts")).transpose()?;
                *time = own.flatten().unwrap_or_default();
            }
        }
        let [newest, majority] = times;
        self.looked = self.clock.elapsed();
        Ok(self.hear(newest, majority, self.looked))
    }

    /// Waits while it is too far behind.
    ///
    /// # Errors
    /// Where `progress` says not to go on, and where the majority stands still. What the server says is no error here: whoever
    /// reads on will hear of it.
    pub fn give_way(&mut self, server: &Server, progress: &dyn Progress) -> Result<()> {
        let begun = self.clock.elapsed();
        if *server.topology() == Topology::Alone || begun < self.looked + EVERY {
            return Ok(());
        }
        while let Ok(behind) = self.look(server)
            && behind >= TOO_FAR
            && self.looked.saturating_sub(begun) < WAIT_MAX
        {
            progress.go_on()?;
            if self.looked.saturating_sub(self.held.1) >= STILL_MAX {
                return Err(Error::new(
                    Kind::Failed,
                    "a majority of the members does not follow the primary",
                )
                .subject(server.address()));
            }
            if !std::mem::replace(&mut self.told, true) {
                progress.note(&format!(
                    "a majority of the members is {} s behind the primary: reading waits for them",
                    behind.as_secs()
                ));
            }
            std::thread::sleep(EVERY);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_behind_is_behind() {
        let mut lag = Lag::default();
        let at = Duration::from_secs;
        assert_eq!(lag.hear(5, 5, at(1)), at(0));
        // Written a moment ago, after a long silence.
        assert_eq!(lag.hear(1000, 5, at(2)), at(0));
        assert_eq!(lag.hear(1001, 1000, at(3)), at(0));
        assert_eq!(lag.hear(1002, 1000, at(4)), at(1));
        assert_eq!(lag.hear(1009, 1000, at(14)), at(11));
        // What was awaited came; what came since is awaited anew.
        assert_eq!(lag.hear(1010, 1001, at(15)), at(0));
        assert_eq!(lag.hear(1011, 1009, at(17)), at(2));
        assert_eq!(lag.hear(1011, 1011, at(18)), at(0));
        assert_eq!(lag.awaited, None);
    }
}
