//! The rules.

use super::period::Period;
use super::span::Span;
use crate::id::SnapshotId;

/// A count without an end.
pub const UNLIMITED: u32 = u32::MAX;

/// What to keep. A count of 0 and a span of none say nothing; a snapshot stays where any rule keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The newest so many.
    pub last: u32,
    /// The last of each of the newest so many hours that have one; so for the following.
    pub hourly: u32,
    /// Days.
    pub daily: u32,
    /// ISO weeks.
    pub weekly: u32,
    /// Months.
    pub monthly: u32,
    /// Years.
    pub yearly: u32,
    /// All that are less than this older than the newest.
    pub within: Option<Span>,
    /// The last of each hour within this span before the newest; so for the following.
    pub within_hourly: Option<Span>,
    /// Days.
    pub within_daily: Option<Span>,
    /// ISO weeks.
    pub within_weekly: Option<Span>,
    /// Months.
    pub within_monthly: Option<Span>,
    /// Years.
    pub within_yearly: Option<Span>,
    /// Those that wear any of these: each a comma-separated list of tags that must all be there.
    pub tags: Vec<String>,
    /// These.
    pub ids: Vec<SnapshotId>,
}

/// One counting rule of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What it keeps one of.
    pub period: Period,
    /// Of how many; [`UNLIMITED`] where a span is given.
    pub count: u32,
    /// How far back from the newest.
    pub within: Option<Span>,
}

impl Rule {
    /// Its name in reasons.
    pub fn name(&self) -> String {
        match (self.period, &self.within) {
            (Period::Each, Some(span)) => format!("within {span}"),
            (period, Some(span)) => format!("{} within {span}", period.rule()),
            (period, None) => period.rule().to_owned(),
        }
    }
}

impl Policy {
    /// What is kept where the user says no more than that old ones may go: 24 hourly, 30 daily, 12 weekly, 12 monthly,
    /// 5 yearly.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            hourly: 24,
            daily: 30,
            weekly: 12,
            monthly: 12,
            yearly: 5,
            ..Self::default()
        }
    }

    /// Whether no rule says anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules().is_empty() && self.tags.is_empty() && self.ids.is_empty()
    }

    /// The rules that count, from the finest to the coarsest.
    pub(super) fn rules(&self) -> Vec<Rule> {
        let counts = [
            (Period::Each, self.last),
            (Period::Hour, self.hourly),
            (Period::Day, self.daily),
            (Period::Week, self.weekly),
            (Period::Month, self.monthly),
            (Period::Year, self.yearly),
        ];
        let spans = [
            (Period::Each, self.within),
            (Period::Hour, self.within_hourly),
            (Period::Day, self.within_daily),
            (Period::Week, self.within_weekly),
            (Period::Month, self.within_monthly),
            (Period::Year, self.within_yearly),
        ];
        let counted = counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(period, count)| Rule {
                period,
                count,
                within: None,
            });
        let spanned = spans.into_iter().filter_map(|(period, within)| {
            within.map(|span| Rule {
                period,
                count: UNLIMITED,
                within: Some(span),
            })
        });
        counted.chain(spanned).collect()
    }
}

/// Whether a snapshot with these tags wears all of a comma-separated list.
#[must_use]
pub fn wears(tags: &[String], list: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .all(|tag| tags.iter().any(|worn| worn == tag))
}
