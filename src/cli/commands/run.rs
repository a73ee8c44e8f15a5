//! `duramen run`.

use std::io::Write as _;
use std::process::ExitCode;

use duramen::clock::{Nanos, SystemClock};
use duramen::error::{Error, Kind, Result};
use duramen::schedule::run::{self, Calls, Holder, JobReport, RunOptions, RunSummary};
use duramen::schedule::{Outcome, identity};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::args::RunArgs;
use crate::cli::configuration::Configuration;
use crate::cli::context::Context;
use crate::cli::deployment::with_password_of;
use crate::cli::places::{self, Place};
use crate::cli::progress::Reporter;
use crate::cli::time::rfc3339;
use crate::cli::{opening, output, text, time};

#[derive(Serialize)]
struct JobLine<'a> {
    message_type: &'static str,
    job: &'static str,
    source: Option<&'a str>,
    result: &'static str,
    exit_code: u8,
    message: &'a str,
    hint: Option<&'a str>,
    reason: String,
    snapshot_id: Option<&'a str>,
    started: String,
    finished: String,
    total_duration: f64,
}

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    exit_code: u8,
    jobs_ok: u64,
    jobs_partial: u64,
    jobs_damage: u64,
    jobs_failed: u64,
    trouble: Vec<String>,
    held: bool,
    held_by_pid: Option<u32>,
    held_since: Option<String>,
    next: Option<String>,
    log: String,
}

/// The configuration, or what to do where there is none.
///
/// # Errors
/// [`Kind::Usage`] where there is none.
pub fn configuration(context: &Context) -> Result<&Configuration> {
    context.configuration.as_ref().ok_or_else(|| {
        Error::new(Kind::Usage, "there is no configuration file")
            .hint("duramen config init writes one to begin with; or name one with --config")
    })
}

/// What a run of this configuration takes; also where it keeps its state and its log.
///
/// # Errors
/// [`Kind::Usage`] where the repository's place or the state folder cannot be told.
pub fn options<'a>(
    context: &'a Context,
    configuration: &'a Configuration,
    location: &'a str,
) -> Result<RunOptions<'a>> {
    let name = identity(&configuration.path, location);
    let state = places::state_folder(&context.environment).ok_or_else(|| {
        Error::new(
            Kind::Usage,
            "no place for what runs remember: HOME is not set and the system knows no home",
        )
        .hint("set HOME or XDG_STATE_HOME")
    })?;
    Ok(RunOptions {
        config: &configuration.config,
        config_path: &configuration.path,
        location,
        folder: state.join("run").join(name),
        host: &context.environment.host,
        user: &context.environment.user,
        names: &[],
        force: false,
        jitter: false,
        zone: TimeZone::system(),
        address: Box::new(|own| {
            with_password_of(context, &own.address, own.password_file.as_deref())
        }),
    })
}

/// `duramen run [NAME...]`.
pub fn run(context: &Context, args: &RunArgs) -> Result<ExitCode> {
    let configuration = configuration(context)?;
    let location = Place::choose(&context.global, &context.environment)?.location()?;
    let mut options = options(context, configuration, &location)?;
    options.names = &args.names;
    options.force = args.force;
    options.jitter = args.jitter;
    let reporter = context.reporter("run");
    let summary = run::run(
        &options,
        &SystemClock::default(),
        &reporter,
        &mut Calls {
            open: &mut || opening::open_or_make(context, &reporter),
            begins: &mut |job, _| {
                if context.global.verbose > 0 && !context.global.json {
                    reporter.aside(|| context.remark(&format!("{job}\n")));
                }
            },
            ended: &mut |report| told(context, &reporter, report),
        },
    )?;
    reporter.finish();
    let log = options.log().display().to_string();
    context.tell(&object(&summary, &log), || words(&summary, &log))?;
    Ok(ExitCode::from(summary.exit_code()))
}

/// What came of a job, as soon as it is known. What is not as it should be goes to standard error, also for those who
/// want quiet: that is what cron mails.
fn told(context: &Context, reporter: &Reporter, report: &JobReport) {
    let good = report.outcome == Outcome::Ok;
    let tell = || -> Result<()> {
        if context.global.json {
            if context.global.quiet && good {
                return Ok(());
            }
            return output::about_work(&output::json_line(&line(report))?);
        }
        let said = format!(
            "{}: {}: {}",
            report.name(),
            report.outcome.word(),
            text::safe(&report.message)
        );
        if !good {
            let mut said = format!("duramen: {said}\n");
            if let Some(hint) = &report.hint {
                said.push_str(&format!("  hint: {}\n", text::safe(hint)));
            }
            // Nowhere is left to tell that standard error is gone.
            let _ = std::io::stderr().lock().write_all(said.as_bytes());
            return Ok(());
        }
        if context.global.quiet {
            return Ok(());
        }
        output::about_work(&format!("{said}, in {}\n", time::span(report.seconds)))
    };
    // Words that cannot be written must not stop the work: the log has them.
    let _ = reporter.aside(tell);
}

fn line(report: &JobReport) -> JobLine<'_> {
    JobLine {
        message_type: "job",
        job: report.word(),
        source: report.job.as_ref().and_then(|job| job.source()),
        result: report.outcome.word(),
        exit_code: report.exit_code,
        message: &report.message,
        hint: report.hint.as_deref(),
        reason: report.reason.words(),
        snapshot_id: report.snapshot.as_deref(),
        started: rfc3339(report.started),
        finished: rfc3339(report.finished),
        total_duration: report.seconds,
    }
}

fn object(summary: &RunSummary, log: &str) -> SummaryObject {
    let count = |outcome| {
        let jobs = summary.jobs.iter().filter(|job| job.outcome == outcome);
        jobs.count() as u64
    };
    let since = |holder: &Holder| holder.since;
    SummaryObject {
        message_type: "summary",
        exit_code: summary.exit_code(),
        jobs_ok: count(Outcome::Ok),
        jobs_partial: count(Outcome::Partial),
        jobs_damage: count(Outcome::Damage),
        jobs_failed: count(Outcome::Failed),
        trouble: summary.trouble.iter().map(ToString::to_string).collect(),
        held: summary.held_by.is_some(),
        held_by_pid: summary.held_by.and_then(|holder| holder.pid),
        held_since: summary.held_by.as_ref().and_then(since).map(rfc3339),
        next: summary.next.map(rfc3339),
        log: log.to_owned(),
    }
}

/// `2026-11-20 03:30:00`, or that it is never.
pub fn when(next: Option<Nanos>) -> String {
    next.map_or("never".into(), time::local)
}

fn words(summary: &RunSummary, log: &str) -> String {
    if let Some(holder) = summary.held_by {
        let pid = holder
            .pid
            .map_or(String::new(), |pid| format!(" (process {pid})"));
        let since = holder.since.map_or(String::new(), |since| {
            format!(" since {}", time::local(since))
        });
        return format!(
            "another run{pid} is at work{since}: nothing done, and that is no failure\n"
        );
    }
    let mut words = String::new();
    if summary.jobs.is_empty() {
        words.push_str("nothing is due\n");
    } else {
        words.push_str(&format!("log   {}\n", text::safe(log)));
    }
    words.push_str(&format!("next  {}\n", when(summary.next)));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::schedule::{Job, Reason};

    fn report(outcome: Outcome, exit_code: u8) -> JobReport {
        JobReport {
            job: Some(Job::Snapshot("home".into())),
            reason: Reason::Retry(2),
            outcome,
            message: "m".into(),
            hint: None,
            exit_code,
            snapshot: None,
            started: 0,
            finished: 1,
            seconds: 0.5,
        }
    }

    #[test]
    fn scripts_are_told_what_is_documented() {
        let object_of = documented("run", &line(&report(Outcome::Failed, 12)));
        assert_eq!(object_of["job"], "snapshot");
        assert_eq!(object_of["source"], "home");
        assert_eq!(object_of["result"], "failed");
        let summary = RunSummary {
            jobs: vec![report(Outcome::Ok, 0), report(Outcome::Partial, 3)],
            ..RunSummary::default()
        };
        let object = documented("run", &object(&summary, "/log"));
        assert_eq!(object["exit_code"], 3);
        assert_eq!(object["jobs_partial"], 1);
    }

    #[test]
    fn the_worst_decides_the_exit_code() {
        let code = |jobs: &[(Outcome, u8)], trouble_counts| {
            let jobs = jobs.iter().map(|(outcome, code)| report(*outcome, *code));
            RunSummary {
                jobs: jobs.collect(),
                trouble_counts,
                ..RunSummary::default()
            }
            .exit_code()
        };
        use Outcome::{Damage, Failed, Ok, Partial};
        assert_eq!(code(&[], false), 0);
        assert_eq!(code(&[(Ok, 0), (Partial, 3), (Ok, 0)], false), 3);
        assert_eq!(code(&[(Partial, 3)], true), 1);
        assert_eq!(code(&[(Ok, 0), (Failed, 10), (Failed, 10)], false), 10);
        assert_eq!(code(&[(Failed, 10), (Failed, 12), (Partial, 3)], false), 1);
        assert_eq!(code(&[(Failed, 10), (Damage, 4)], false), 4);
    }
}
