//! `duramen forget`.

use clap::Args;
use duramen::ops::forget::{ForgetOptions, Grouping, Policy, Span, UNLIMITED};

use super::{FilterArgs, PruneHow};

/// Let old snapshots go
#[derive(Debug, Args)]
#[command(
    long_about = "Marks snapshots as forgotten: those that no --keep rule keeps, or those that are named. Forgotten \
        snapshots can be taken back with --undo until a prune ends what they alone need; nothing is deleted here.\n\n\
        A rule that counts keeps the last good snapshot of each of the newest so many hours, days, ... that have \
        one, by local time; rules add up. Snapshots of one host and set of paths compete with each other \
        (--group-by). Partial or abnormally small ones never take a good one's place, those that are held stay, and \
        so does the last good one of every source. Use --dry-run to see what would happen to each, and why.",
    after_help = "Examples:\n  \
        duramen forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run\n  \
        duramen forget --keep-default --prune\n  \
        duramen forget --keep-within 14d --keep-within-monthly 2y --host web1\n  \
        duramen forget --keep-default --keep-hourly 0 --keep-tag release --group-by host\n  \
        duramen forget 3f2a9c1b\n  \
        duramen forget --undo 3f2a9c1b\n  \
        duramen forget --undo --host web1\n\n\
        DURATION is written like 1y5m7d2h: years, months, w for weeks, days, hours."
)]
pub struct ForgetArgs {
    /// Forget these, whatever any rule says
    #[arg(value_name = "SNAPSHOT", conflicts_with_all = KEEP)]
    pub names: Vec<String>,

    /// Take back that these were forgotten; without names all that can still be taken back
    #[arg(long, conflicts_with = "dry_run", conflicts_with_all = KEEP)]
    pub undo: bool,

    /// Decide and show, but forget nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// Prune afterwards
    #[arg(long, conflicts_with = "undo")]
    pub prune: bool,

    /// How.
    #[command(flatten, next_help_heading = "With --prune")]
    pub how: PruneHow,

    /// What to keep.
    #[command(flatten)]
    pub keep: KeepArgs,

    /// Let compete with each other what has these in common: host, paths, tags, or '' for all of them
    #[arg(long, short = 'g', value_name = "WHAT", default_value = "host,paths", value_parser = grouping)]
    pub group_by: Grouping,

    /// Do not hold the times of snapshots against those at which the storage says they were put
    #[arg(long)]
    pub ignore_stored_times: bool,

    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Flags of `prune` that make no sense here without --prune.
pub const PRUNE_HOW: [&str; 5] = [
    "grace",
    "session_expiry",
    "max_unused",
    "max_repack_size",
    "purge",
];

/// Flags that make no sense beside names.
const KEEP: [&str; 15] = [
    "keep_default",
    "keep_last",
    "keep_hourly",
    "keep_daily",
    "keep_weekly",
    "keep_monthly",
    "keep_yearly",
    "keep_within",
    "keep_within_hourly",
    "keep_within_daily",
    "keep_within_weekly",
    "keep_within_monthly",
    "keep_within_yearly",
    "keep_tags",
    "keep_ids",
];

/// The rules.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What to keep")]
pub struct KeepArgs {
    /// 24 hourly, 30 daily, 12 weekly, 12 monthly, 5 yearly, but for what the other flags say
    #[arg(long)]
    pub keep_default: bool,

    /// The newest so many, or 'unlimited'
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    pub keep_last: Option<u32>,

    /// The last of each of so many hours
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    pub keep_hourly: Option<u32>,

    /// The last of each of so many days
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    pub keep_daily: Option<u32>,

    /// The last of each of so many ISO weeks
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    pub keep_weekly: Option<u32>,

    /// The last of each of so many months
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    pub keep_monthly: Option<u32>,

    /// The last of each of so many years
    #[arg(long, value_name = "NUMBER", value_parser = count, allow_negative_numbers = true)]
    pub keep_yearly: Option<u32>,

    /// All that are not older than the newest by so much
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within: Option<Span>,

    /// The last of each hour within so much of the newest
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within_hourly: Option<Span>,

    /// The same by days
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within_daily: Option<Span>,

    /// The same by ISO weeks
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within_weekly: Option<Span>,

    /// The same by months
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within_monthly: Option<Span>,

    /// The same by years
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within_yearly: Option<Span>,

    /// Those with these tags: TAG[,TAG...] all of them; repeated: any
    #[arg(long = "keep-tag", value_name = "TAGS")]
    pub keep_tags: Vec<String>,

    /// This snapshot (repeatable)
    #[arg(long = "keep-id", value_name = "SNAPSHOT")]
    pub keep_ids: Vec<String>,
}

impl KeepArgs {
    fn policy(&self) -> Policy {
        let base = match self.keep_default {
            true => Policy::standard(),
            false => Policy::default(),
        };
        Policy {
            last: self.keep_last.unwrap_or(base.last),
            hourly: self.keep_hourly.unwrap_or(base.hourly),
            daily: self.keep_daily.unwrap_or(base.daily),
            weekly: self.keep_weekly.unwrap_or(base.weekly),
            monthly: self.keep_monthly.unwrap_or(base.monthly),
            yearly: self.keep_yearly.unwrap_or(base.yearly),
            within: self.keep_within,
            within_hourly: self.keep_within_hourly,
            within_daily: self.keep_within_daily,
            within_weekly: self.keep_within_weekly,
            within_monthly: self.keep_within_monthly,
            within_yearly: self.keep_within_yearly,
            tags: self.keep_tags.clone(),
            ids: Vec::new(),
        }
    }
}

impl ForgetArgs {
    /// As the engine wants it.
    ///
    /// # Errors
    /// Where the current folder cannot be told.
    pub fn options(&self) -> duramen::error::Result<ForgetOptions> {
        Ok(ForgetOptions {
            policy: self.keep.policy(),
            keep_names: self.keep.keep_ids.clone(),
            grouping: self.group_by,
            filter: crate::cli::context::filter_of(&self.filter)?,
            zone: jiff::tz::TimeZone::system(),
            ignore_stored_times: self.ignore_stored_times,
            dry_run: self.dry_run,
        })
    }
}

fn count(text: &str) -> Result<u32, String> {
    match text {
        "unlimited" | "-1" => Ok(UNLIMITED),
        number => number
            .parse()
            .map_err(|_| "give a number from 0 on, or unlimited".into()),
    }
}

fn span(text: &str) -> Result<Span, String> {
    text.parse().map_err(|error| super::plain(&error))
}

fn grouping(text: &str) -> Result<Grouping, String> {
    text.parse().map_err(|error| super::plain(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counts() {
        for (text, expected) in [
            ("0", Some(0)),
            ("30", Some(30)),
            ("unlimited", Some(UNLIMITED)),
            ("-1", Some(UNLIMITED)),
            ("-2", None),
            ("1.5", None),
            ("many", None),
        ] {
            assert_eq!(count(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn the_default_is_what_the_other_flags_leave_of_it() {
        let args = KeepArgs {
            keep_default: true,
            keep_hourly: Some(0),
            keep_daily: Some(7),
            ..KeepArgs::default()
        };
        let expected = Policy {
            hourly: 0,
            daily: 7,
            ..Policy::standard()
        };
        assert_eq!(args.policy(), expected);
        assert!(KeepArgs::default().policy().is_empty());
    }
}
