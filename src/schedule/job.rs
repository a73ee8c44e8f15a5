//! What can be due.

use std::fmt;

use super::identity;
use crate::config::{Config, When};
use std::path::Path;

/// A kind of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// A snapshot of the source of that name.
    Snapshot(String),
    /// Forgetting what retention does not keep, of every source.
    Forget,
    /// Freeing the space of what was forgotten.
    Prune,
    /// Checking the repository.
    Check,
}

impl Job {
    /// Its word in JSON and in the environment of hooks.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Snapshot(_) => "snapshot",
            Self::Forget => "forget",
            Self::Prune => "prune",
            Self::Check => "check",
        }
    }

    /// The source that it is about.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Snapshot(source) => Some(source),
            _ => None,
        }
    }

    /// Whether somebody who says `name` means it.
    pub(super) fn is_meant_by(&self, name: &str) -> bool {
        self.word() == name || self.source() == Some(name)
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self.source() {
            Some(source) => write!(f, " {source}"),
            None => Ok(()),
        }
    }
}

/// A job and when it is to be done; none for never.
#[derive(Debug, Clone)]
pub struct Task {
    /// What.
    pub job: Job,
    /// When.
    pub when: Option<When>,
}

/// All jobs of a configuration in the order in which they are done: what is taken comes before what is let go.
#[must_use]
pub fn tasks(config: &Config) -> Vec<Task> {
    let schedule = &config.schedule;
    let snapshots = config.sources.iter().map(|source| Task {
        job: Job::Snapshot(source.name.clone()),
        when: match &source.schedule {
            Some(own) => own.clone(),
            None => schedule.snapshot.clone(),
        },
    });
    let upkeep = [
        (Job::Forget, &schedule.forget),
        (Job::Prune, &schedule.prune),
        (Job::Check, &schedule.check),
    ];
    let upkeep = upkeep.map(|(job, when)| Task {
        job,
        when: when.clone(),
    });
    // Without sources there is nothing that this file forgets.
    snapshots
        .chain(
            upkeep
                .into_iter()
                .filter(|task| task.job != Job::Forget || !config.sources.is_empty()),
        )
        .collect()
}

/// The schedules that cron or a timer must know: one that another covers, or that is there already, is left out, for
/// every call takes all that is due.
#[must_use]
pub fn lines(tasks: &[Task]) -> Vec<When> {
    let mut lines: Vec<When> = Vec::new();
    for when in tasks.iter().filter_map(|task| task.when.as_ref()) {
        if lines.iter().any(|line| line.includes(when)) {
            continue;
        }
        lines.retain(|line| !when.includes(line));
        lines.push(when.clone());
    }
    lines
}

/// A call every hour that makes up for what was missed or failed; none where another line comes as often. The minute
/// is another one for every machine, so that a network of them does not knock at once.
#[must_use]
pub fn hourly_catch_up(lines: &[When], host: &str, config: &Path) -> Option<When> {
    if lines.is_empty() || lines.iter().any(When::is_hourly) {
        return None;
    }
    let name = identity(config, host);
    let minute = u64::from_str_radix(&name, 16).unwrap_or_default() % 60;
    When::parse(&format!("hourly at {minute}")).ok().flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Base;

    fn config(text: &str) -> Config {
        let base = Base {
            folder: Path::new("/etc"),
            home: None,
        };
        Config::parse(text, base).unwrap()
    }

    #[test]
    fn lines_are_as_few_as_do() {
        let said = |text: &str| -> Vec<String> {
            let all = lines(&tasks(&config(text)));
            all.iter().map(When::cron_line).collect()
        };
        let source = "[sources.a]\npaths = \"/a\"\n";
        assert_eq!(said(source), ["30 3 * * *"]);
        assert_eq!(
            said(&format!(
                "{source}[sources.b]\npaths = \"/b\"\nschedule = \"hourly\"\n[schedule]\nprune = \"monthly on 3 at 04:10\""
            )),
            ["30 3 * * *", "0 * * * *", "10 4 3 * *"]
        );
        let never = "[schedule]\nsnapshot = \"never\"\nforget = \"never\"\nprune = \"never\"\ncheck = \"never\"";
        assert!(said(&format!("{source}{never}")).is_empty());
    }

    #[test]
    fn the_catch_up_comes_every_hour_at_a_minute_of_its_own() {
        let lines = lines(&tasks(&config("[sources.a]\npaths = \"/a\"\n")));
        let of = |host: &str| hourly_catch_up(&lines, host, Path::new("/c")).unwrap();
        assert!(of("a").is_hourly());
        assert_eq!(of("a").cron_line(), of("a").cron_line());
        let minutes: std::collections::HashSet<String> = (0..50)
            .map(|n| of(&format!("host{n}")).cron_line())
            .collect();
        assert!(minutes.len() > 20, "{minutes:?}");
        let often = [When::parse("every 10 minutes").unwrap().unwrap()];
        assert_eq!(hourly_catch_up(&often, "a", Path::new("/c")), None);
    }
}
