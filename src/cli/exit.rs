//! Exit codes: the one table of them, as `docs/json.md` prints it.
//!
//! Scripts decide by these numbers whether a night's work can be trusted, so they never change their meaning. An
//! error's number hangs on its kind alone ([`Kind::exit_code`]); the functions here say which number belongs to work
//! that was finished, but not without trouble.

use std::process::ExitCode;

use duramen::error::Kind;
use duramen::format::snapshot::State;
use duramen::ops::prune::PruneReport;
use duramen::ops::repair::RepairSummary;
use duramen::ops::restore::RestoreSummary;

/// Every exit code and what it says, in the words of the manual.
pub const TABLE: [(u8, &str); 8] = [
    (0, "done"),
    (1, "failed, wholly or in part"),
    (2, "the command line or a setting makes no sense"),
    (
        3,
        "snapshot stored, but some of the source could not be read",
    ),
    (4, "damage found in the repository"),
    (10, "there is no repository at that place"),
    (12, "no given passphrase or key opens the repository"),
    (130, "interrupted"),
];

/// Some of the source could not be read.
const PARTIAL: u8 = 3;

/// The end of a command that did all it was asked for.
pub const DONE: ExitCode = ExitCode::SUCCESS;

/// The code of a command that ends with an error of this kind.
pub fn of_error(kind: Kind) -> ExitCode {
    ExitCode::from(kind.exit_code())
}

/// The code of a snapshot that was taken.
pub fn of_snapshot(state: State) -> ExitCode {
    match state {
        State::Complete => DONE,
        State::Partial => ExitCode::from(PARTIAL),
    }
}

/// The code of a restore that went to its end.
pub fn of_restore(summary: &RestoreSummary) -> ExitCode {
    if summary.damage {
        of_error(Kind::Damage)
    } else if summary.problem_count > 0 {
        of_error(Kind::Failed)
    } else {
        DONE
    }
}

/// The code of a check or a scrub that went to its end and found so much damage.
pub fn of_check(damage_count: u64) -> ExitCode {
    if damage_count > 0 {
        of_error(Kind::Damage)
    } else {
        DONE
    }
}

/// The code of a repair that went to its end.
pub fn of_repair(summary: &RepairSummary) -> ExitCode {
    if summary.admits_loss() {
        of_error(Kind::Damage)
    } else {
        DONE
    }
}

/// The code of a prune that went to its end.
pub fn of_prune(report: &PruneReport) -> ExitCode {
    if report.unreadable > 0 {
        of_error(Kind::Damage)
    } else {
        DONE
    }
}

/// The table as it stands behind `duramen --help`.
pub fn help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, what) in TABLE {
        text.push_str(&format!("  {code:>3}  {what}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_error_kind_has_its_code_in_the_table() {
        for kind in [
            Kind::Failed,
            Kind::Usage,
            Kind::NoRepository,
            Kind::WrongKey,
            Kind::Damage,
            Kind::Unsupported,
            Kind::Exists,
            Kind::NotFound,
            Kind::Permission,
            Kind::NoSpace,
            Kind::ReadOnly,
            Kind::Limit,
            Kind::Conflict,
            Kind::Interrupted,
        ] {
            assert!(
                TABLE.iter().any(|(code, _)| *code == kind.exit_code()),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn the_scripting_page_prints_the_table() {
        let page = include_str!("../../docs/json.md");
        for (code, what) in TABLE {
            let row = format!("| {code} | {what} |");
            assert!(page.contains(&row), "docs/json.md lacks: {row}");
        }
    }

    #[test]
    fn damage_outranks_other_trouble() {
        let mut summary = RestoreSummary {
            problem_count: 3,
            damage: true,
            ..RestoreSummary::default()
        };
        assert_eq!(of_restore(&summary), ExitCode::from(4));
        summary.damage = false;
        assert_eq!(of_restore(&summary), ExitCode::from(1));
        summary.problem_count = 0;
        assert_eq!(of_restore(&summary), DONE);
        assert_eq!(of_snapshot(State::Partial), ExitCode::from(3));
    }
}
