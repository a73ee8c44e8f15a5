//! Findings, as `check` and `scrub` tell them.

use duramen::ops::check::Finding;
use serde::Serialize;

use crate::cli::text;

/// One thing found.
#[derive(Serialize)]
pub struct FindingObject {
    subject: String,
    what: String,
    damage: bool,
}

/// All that were kept, for scripts.
pub fn objects(findings: &[Finding]) -> Vec<FindingObject> {
    findings
        .iter()
        .map(|finding| FindingObject {
            subject: finding.subject.clone(),
            what: finding.what.clone(),
            damage: finding.damage,
        })
        .collect()
}

/// All that were kept, for people, a line each, and how many more there are.
pub fn lines(findings: &[Finding], count: u64) -> String {
    let mut words = String::new();
    for finding in findings {
        words.push_str(&format!(
            "{}  {}: {}\n",
            if finding.damage { "damage" } else { "note  " },
            text::safe(&finding.subject),
            text::safe(&finding.what)
        ));
    }
    let hidden = count.saturating_sub(findings.len() as u64);
    if hidden > 0 {
        words.push_str(&format!("and {} more\n", text::count(hidden)));
    }
    words
}

/// The last line.
pub fn verdict(damage_count: u64) -> String {
    match damage_count {
        0 => "no damage found\n".into(),
        found => format!("{} found\n", text::plural(found, "damage", "damages")),
    }
}
