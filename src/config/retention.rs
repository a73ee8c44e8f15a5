//! How long snapshots are kept, as a table of a configuration says it: the flags of `forget`, without their dashes.

use super::read::Table;
use crate::retention::{Policy, Span};

/// Highest count of a rule.
const COUNT_MAX: u32 = 1_000_000;

/// A policy read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention(pub Policy);

impl Default for Retention {
    fn default() -> Self {
        Self(Policy::standard())
    }
}

impl Retention {
    /// A table replaces the standard as a whole: whoever writes `keep-daily = 7` means seven, not seven and all else.
    pub(super) fn read(table: Table<'_, '_>) -> Self {
        let before = table.found();
        let count = |key| table.number(key, COUNT_MAX).unwrap_or(0);
        let span = |key| table.parsed(table.text(key), |text| text.parse::<Span>());
        let policy = Policy {
            last: count("keep-last"),
            hourly: count("keep-hourly"),
            daily: count("keep-daily"),
            weekly: count("keep-weekly"),
            monthly: count("keep-monthly"),
            yearly: count("keep-yearly"),
            within: span("keep-within"),
            within_hourly: span("keep-within-hourly"),
            within_daily: span("keep-within-daily"),
            within_weekly: span("keep-within-weekly"),
            within_monthly: span("keep-within-monthly"),
            within_yearly: span("keep-within-yearly"),
            tags: table
                .texts("keep-tag")
                .into_iter()
                .map(|text| text.value)
                .collect(),
            ids: Vec::new(),
        };
        table.finish();
        // A rule that could not be read has its own complaint.
        if policy.is_empty() && table.found() == before {
            table.find(
                table.place(),
                "this retention keeps nothing",
                "say at least one of keep-last, keep-daily and so on; forget = \"never\" in [schedule] keeps all",
            );
        }
        Self(policy)
    }
}

impl Retention {
    /// For people: `24 hourly, 30 daily`.
    #[must_use]
    pub fn words(&self) -> String {
        let policy = &self.0;
        let counts = [
            (policy.last, "last"),
            (policy.hourly, "hourly"),
            (policy.daily, "daily"),
            (policy.weekly, "weekly"),
            (policy.monthly, "monthly"),
            (policy.yearly, "yearly"),
        ];
        let spans = [
            (policy.within, "all"),
            (policy.within_hourly, "hourly"),
            (policy.within_daily, "daily"),
            (policy.within_weekly, "weekly"),
            (policy.within_monthly, "monthly"),
            (policy.within_yearly, "yearly"),
        ];
        let counts = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"));
        let spans = spans
            .iter()
            .filter_map(|(span, name)| span.map(|span| format!("{name} within {span}")));
        let tags = policy.tags.iter().map(|tags| format!("tag {tags}"));
        counts
            .chain(spans)
            .chain(tags)
            .collect::<Vec<_>>()
            .join(", ")
    }
}
