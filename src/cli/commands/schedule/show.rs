//! `duramen schedule show`: what is due when, what came of it last, and who calls it.

use std::process::ExitCode;

use duramen::clock::{Clock, SystemClock};
use duramen::error::Result;
use duramen::schedule::{Due, Outcome, State, crontab, due, systemd};
use serde::Serialize;

use super::plan::Plan;
use crate::cli::args::With;
use crate::cli::commands::run::when;
use crate::cli::output::{self, put};
use crate::cli::time::rfc3339;
use crate::cli::{exit, text, time};

#[derive(Serialize)]
struct ShowObject {
    message_type: &'static str,
    config: String,
    log: String,
    installed: Vec<InstalledObject>,
    jobs: Vec<JobObject>,
}

#[derive(Serialize)]
struct InstalledObject {
    with: &'static str,
    path: String,
    up_to_date: bool,
}

#[derive(Serialize)]
struct JobObject {
    job: &'static str,
    source: Option<String>,
    schedule: Option<String>,
    due: bool,
    next: Option<String>,
    last_begun: Option<String>,
    last_done: Option<String>,
    last_result: Option<&'static str>,
    last_message: Option<String>,
    failures: u32,
}

/// `duramen schedule show`.
///
/// # Errors
/// Where what runs have left cannot be read.
pub fn show(plan: &Plan<'_>) -> Result<ExitCode> {
    let state = State::load(&plan.options.folder)?;
    let now = SystemClock::default().now();
    let jobs = plan.tasks.iter().map(|task| {
        let record = state.of(&task.job);
        let due = due(task.when.as_ref(), record, now, &plan.options.zone);
        (task, record, due)
    });
    let jobs: Vec<_> = jobs.collect();
    let installed = installed(plan)?;
    output::results(|out| {
        let words = if plan.context.global.json {
            output::json_line(&ShowObject {
                message_type: "schedule",
                config: plan.found.path.display().to_string(),
                log: plan.options.log().display().to_string(),
                installed,
                jobs: jobs
                    .iter()
                    .map(|(task, record, due)| JobObject {
                        job: task.job.word(),
                        source: task.job.source().map(Into::into),
                        schedule: task.when.as_ref().map(|when| when.words().to_owned()),
                        due: matches!(due, Due::Now(_)),
                        next: match due {
                            Due::Now(_) => Some(rfc3339(now)),
                            Due::Later(next) => next.map(rfc3339),
                        },
                        last_begun: record.map(|record| rfc3339(record.attempt)),
                        last_done: record.and_then(|record| record.finished).map(rfc3339),
                        last_result: record.map(|record| record.outcome.word()),
                        last_message: record.map(|record| record.message.clone()),
                        failures: record.map_or(0, |record| record.failures),
                    })
                    .collect(),
            })?
        } else {
            let mut rows = vec![
                ["job", "when", "last", "result", "next"]
                    .map(String::from)
                    .to_vec(),
            ];
            let mut messages = String::new();
            for (task, record, due) in &jobs {
                rows.push(vec![
                    task.job.to_string(),
                    task.when
                        .as_ref()
                        .map_or("never", |when| when.words())
                        .into(),
                    record.map_or("never".into(), |record| time::local(record.attempt)),
                    record.map_or("", |record| record.outcome.word()).into(),
                    match due {
                        Due::Now(_) => "now".into(),
                        Due::Later(next) => when(*next),
                    },
                ]);
                if let Some(record) = record.filter(|record| record.outcome != Outcome::Ok) {
                    let message = text::safe(&record.message);
                    messages.push_str(&format!("{}: {message}\n", task.job));
                }
            }
            let mut words = text::table(&rows, &[]);
            words.push_str(&messages);
            words.push_str(&format!(
                "\nconfiguration  {}\nlog            {}\n",
                text::safe(&plan.found.path.display().to_string()),
                text::safe(&plan.options.log().display().to_string())
            ));
            words.push_str(&installed_words(&installed));
            words
        };
        put(out, words.as_bytes())
    })?;
    Ok(exit::DONE)
}

fn installed(plan: &Plan<'_>) -> Result<Vec<InstalledObject>> {
    let mut all = Vec::new();
    // Where there is no cron there is no line of ours.
    let crontab = crontab::read().unwrap_or_default();
    if let Some(block) = crontab::block_in(&crontab, &plan.name())? {
        all.push(InstalledObject {
            with: With::Cron.word(),
            path: "crontab".into(),
            up_to_date: plan.block().is_ok_and(|wanted| wanted == block),
        });
    }
    for (with, user) in [(With::Systemd, false), (With::SystemdUser, true)] {
        let Ok([_, timer]) = plan.unit_paths(user) else {
            continue;
        };
        if systemd::read(&timer)?.is_some() {
            let wanted = plan.units(user).ok();
            let up_to_date = wanted.is_some_and(|wanted| {
                wanted
                    .iter()
                    .all(|(path, text)| systemd::read(path).ok().flatten().as_ref() == Some(text))
            });
            all.push(InstalledObject {
                with: with.word(),
                path: timer.display().to_string(),
                up_to_date,
            });
        }
    }
    Ok(all)
}

fn installed_words(installed: &[InstalledObject]) -> String {
    if installed.is_empty() {
        return "called by      nobody: duramen schedule install --with cron, or systemd, or systemd-user\n".into();
    }
    let mut words = String::new();
    for one in installed {
        let state = if one.up_to_date {
            ""
        } else {
            " (not as the configuration says now: install it again)"
        };
        words.push_str(&format!(
            "called by      {}: {}{state}\n",
            one.with,
            text::safe(&one.path)
        ));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::json::tests::documented;

    #[test]
    fn scripts_are_told_what_is_documented() {
        let object = ShowObject {
            message_type: "schedule",
            config: "/c".into(),
            log: "/l".into(),
            installed: vec![InstalledObject {
                with: "cron",
                path: "crontab".into(),
                up_to_date: false,
            }],
            jobs: vec![JobObject {
                job: "check",
                source: None,
                schedule: None,
                due: false,
                next: None,
                last_begun: None,
                last_done: None,
                last_result: None,
                last_message: None,
                failures: 0,
            }],
        };
        assert!(installed_words(&object.installed).contains("install it again"));
        documented("schedule", &object);
    }
}
