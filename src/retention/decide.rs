//! The decision itself, with its reasons.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use jiff::tz::TimeZone;

use super::group::{Group, GroupKey, Grouping};
use super::judge::{Candidate, Judged, UNBELIEVED, judge};
use super::policy::{Policy, Rule, UNLIMITED, wears};
use crate::clock::Nanos;
use crate::id::SnapshotId;

/// What becomes of one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The snapshot.
    pub id: SnapshotId,
    /// Whether it stays.
    pub keep: bool,
    /// Why, every reason; at least one.
    pub reasons: Vec<String>,
    /// What to think of it.
    pub judged: Judged,
}

/// Decides about every candidate in scope, group by group. `now` is our clock; days and hours are those of `zone`.
#[must_use]
pub fn decide(
    policy: &Policy,
    grouping: Grouping,
    candidates: &[Candidate],
    zone: &TimeZone,
    now: Nanos,
) -> Vec<Group> {
    let judged = judge(candidates, now);
    let last = last_of_sources(candidates, &judged);
    let mut groups: BTreeMap<GroupKey, Vec<usize>> = BTreeMap::new();
    for (at, candidate) in candidates.iter().enumerate() {
        if candidate.in_scope {
            let key = GroupKey::of(candidate, grouping);
            groups.entry(key).or_default().push(at);
        }
    }
    groups
        .into_iter()
        .map(|(key, mut members)| {
            members.sort_by_key(|at| candidates[*at].order());
            let bench = Bench {
                candidates,
                judged: &judged,
                zone,
            };
            let mut reasons = bench.reasons(policy, &members);
            for at in &members {
                if last.contains(at) {
                    let reason = if judged[*at].is_good() {
                        "last good one of its source"
                    } else {
                        "best one left of its source"
                    };
                    reasons.keep(*at, reason.into());
                }
            }
            let verdicts = members.iter().map(|at| bench.verdict(*at, &mut reasons));
            Group {
                key,
                verdicts: verdicts.collect(),
            }
        })
        .collect()
}

/// Of every source the one that must not go: the newest good one, or the newest of the best rank that there is.
fn last_of_sources(candidates: &[Candidate], judged: &[Judged]) -> HashSet<usize> {
    let rank = |at: usize| {
        let rank = Reverse(judged[at].rank());
        (rank, candidates[at].order())
    };
    let mut last: BTreeMap<GroupKey, usize> = BTreeMap::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let best = last.entry(candidate.source()).or_insert(at);
        if rank(at) > rank(*best) {
            *best = at;
        }
    }
    last.into_values().collect()
}

/// Reasons by place among the candidates.
#[derive(Default)]
struct Reasons {
    keep: BTreeMap<usize, Vec<String>>,
    go: BTreeMap<usize, String>,
}

impl Reasons {
    fn keep(&mut self, at: usize, reason: String) {
        self.keep.entry(at).or_default().push(reason);
    }
}

/// One that a rule picks, and those that it stands for.
struct Pick {
    at: usize,
    /// The period, or the number among the last ones.
    what: What,
    instead: Vec<usize>,
}

enum What {
    /// The newest of this period.
    Of(String),
    /// The so-manieth newest, counted from 1.
    Number(usize),
    /// None of the two: the rule has places left, so it reaches back as far as it can.
    Oldest,
}

/// Everything that the rules look at.
struct Bench<'a> {
    candidates: &'a [Candidate],
    judged: &'a [Judged],
    zone: &'a TimeZone,
}

impl Bench<'_> {
    /// Why members of a group, oldest first, stay or go.
    fn reasons(&self, policy: &Policy, members: &[usize]) -> Reasons {
        let mut reasons = Reasons::default();
        for at in members {
            let candidate = &self.candidates[*at];
            for reason in &candidate.pinned {
                reasons.keep(*at, reason.clone());
            }
            if let Some(why) = self.judged[*at].ahead {
                reasons.keep(*at, format!("kept, and counted nowhere: {why}"));
            }
            if policy.ids.contains(&candidate.id) {
                reasons.keep(*at, "named by its id".into());
            }
            for tags in policy
                .tags
                .iter()
                .filter(|tags| wears(&candidate.tags, tags))
            {
                reasons.keep(*at, format!("tagged {tags}"));
            }
        }
        // Good ones fill the rules as if no other were there. Then those of each further rank are looked at together
        // with all that are better: they stay where a rule reaches them and no better one of their period is there.
        for rank in 0..UNBELIEVED {
            let list: Vec<usize> = members
                .iter()
                .rev()
                .copied()
                .filter(|at| self.judged[*at].rank() <= rank)
                .collect();
            for rule in policy.rules() {
                for pick in self.picks(&rule, &list) {
                    self.note(&rule, &pick, &mut reasons);
                    if self.judged[pick.at].rank() == rank {
                        reasons.keep(pick.at, self.reason(&rule, &pick));
                    }
                }
            }
        }
        reasons
    }

    /// Why those that the pick stands for may go.
    fn note(&self, rule: &Rule, pick: &Pick, reasons: &mut Reasons) {
        let What::Of(period) = &pick.what else {
            return;
        };
        for at in &pick.instead {
            reasons.go.entry(*at).or_insert_with(|| {
                let id = self.candidates[pick.at].id.short();
                format!("{}: {id} stands for {period}", rule.name())
            });
        }
    }

    fn reason(&self, rule: &Rule, pick: &Pick) -> String {
        let name = rule.name();
        match &pick.what {
            What::Of(period) => format!("{name}: last of {period}"),
            What::Oldest => format!("{name}: oldest, for fewer than {} are there", rule.count),
            What::Number(_) if rule.within.is_some() => format!("{name} of the newest"),
            What::Number(number) if rule.count == UNLIMITED => format!("{name}: number {number}"),
            What::Number(number) => format!("{name}: number {number} of {}", rule.count),
        }
    }

    /// What a rule picks of `list`, newest first.
    fn picks(&self, rule: &Rule, list: &[usize]) -> Vec<Pick> {
        let time = |at: usize| self.candidates[at].time;
        let Some(end) = self.end_of_span(rule, list) else {
            return Vec::new();
        };
        let after = rule.within.map(|span| span.before(time(end), self.zone));
        let in_span = |at: &usize| after.is_none_or(|after| time(*at) > after);
        let list: Vec<usize> = list.iter().copied().filter(in_span).collect();
        // Periods, newest first. A period can come up again: where clocks are set back at midnight, so does the day.
        let mut periods: Vec<(Option<String>, Vec<usize>)> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for at in &list {
            match rule.period.name(time(*at), self.zone) {
                None => periods.push((None, vec![*at])),
                Some(name) => match places.get(&name) {
                    Some(place) => periods[*place].1.push(*at),
                    None => {
                        places.insert(name.clone(), periods.len());
                        periods.push((Some(name), vec![*at]));
                    }
                },
            }
        }
        let count = usize::try_from(rule.count).unwrap_or(usize::MAX);
        let room = periods.len() < count && rule.within.is_none();
        let mut picks: Vec<Pick> = Vec::new();
        for (number, (name, members)) in periods.into_iter().take(count).enumerate() {
            let best = members.iter().min_by_key(|at| self.judged[**at].rank());
            let Some(at) = best.copied() else {
                continue;
            };
            let instead = members.into_iter().filter(|other| *other != at).collect();
            let what = match name {
                Some(name) => What::Of(name),
                None => What::Number(number + 1),
            };
            picks.push(Pick { at, what, instead });
        }
        // While places are left, the oldest stays: so history reaches back as far as there is any.
        if let Some(oldest) = list.last()
            && room
            && picks.iter().all(|pick| pick.at != *oldest)
        {
            picks.push(Pick {
                at: *oldest,
                what: What::Oldest,
                instead: Vec::new(),
            });
        }
        picks
    }

    /// Where a rule's span ends: at the one that stands for the newest period of `list`, newest first. The newest of all
    /// can give way to a better one of its period; a span that ended at it would begin elsewhere once it is gone, and
    /// what was kept today would go tomorrow though nothing came.
    fn end_of_span(&self, rule: &Rule, list: &[usize]) -> Option<usize> {
        let newest = *list.first()?;
        let period = |at: usize| rule.period.name(self.candidates[at].time, self.zone);
        let Some(name) = period(newest).filter(|_| rule.within.is_some()) else {
            return Some(newest);
        };
        let members = list.iter().copied();
        members
            .filter(|at| period(*at).as_ref() == Some(&name))
            .min_by_key(|at| self.judged[*at].rank())
    }

    fn verdict(&self, at: usize, reasons: &mut Reasons) -> Verdict {
        let judged = self.judged[at].clone();
        let (keep, mut reasons) = match reasons.keep.remove(&at) {
            Some(why) => (true, why),
            None => {
                let why = reasons.go.remove(&at);
                (
                    false,
                    vec![why.unwrap_or_else(|| "no rule reaches it".into())],
                )
            }
        };
        if !judged.flaws.is_empty() {
            reasons.push(format!("did not count: {}", judged.words()));
        }
        Verdict {
            id: self.candidates[at].id,
            keep,
            reasons,
            judged,
        }
    }
}
