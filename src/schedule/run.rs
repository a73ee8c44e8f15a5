//! A run: everything that is due, one after the other, with what is told about it.
//!
//! | | what then |
//! |---|---|
//! | another run is alive | nothing, and no failure: cron calls again; one that lives for more than a day is a failure |
//! | `before` of the run fails, or the repository cannot be opened | nothing is done, and all that was due failed |
//! | `before` of a source fails | its snapshot failed, the others are taken |
//! | a job fails | it is told of, tried again later, and the next job is done |
//! | somebody stops the run | what was not done stays due, `after` is run |
//! | `after`, the log or the state fails | said, and the exit code is not 0 |
//! | telling of a failure fails | said, no more |

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::log::{Log, local};
use super::report::PARTIAL;
use super::work::{Bench, work};
use super::{Due, Job, Outcome, Reason, State, due, lock, tasks};
use crate::alert::{self, Notice};
use crate::clock::{Clock, Nanos};
use crate::config::{Config, Hook, Hooks, Mongo, nearest};
use crate::crypto::random;
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;
use crate::repository::Repository;

pub use super::lock::Holder;
pub use super::report::{JobReport, RunSummary};

/// A run that is alive for longer hangs, and that is a failure of all that come after it.
const HANGING_AFTER: Nanos = 24 * 3600 * 1_000_000_000;

/// What to run and where.
pub struct RunOptions<'a> {
    /// What the configuration says.
    pub config: &'a Config,
    /// Where it stands.
    pub config_path: &'a Path,
    /// Where the repository is, for people.
    pub location: &'a str,
    /// Folder for the lock, the state, and the log where the configuration names none; made where it is missing.
    pub folder: PathBuf,
    /// This machine's name.
    pub host: &'a str,
    /// The user's name.
    pub user: &'a str,
    /// Sources and kinds of work to do; all where empty.
    pub names: &'a [String],
    /// Do it whether it is due or not.
    pub force: bool,
    /// Wait at random first, as the configuration's jitter says.
    pub jitter: bool,
    /// Local time.
    pub zone: TimeZone,
    /// The address of a deployment with its password.
    pub address: Addressing<'a>,
}

impl RunOptions<'_> {
    /// The log's path.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        match &self.config.log {
            Some(log) => log.clone(),
            None => self.folder.join("log"),
        }
    }
}

/// Puts the password into a deployment's address.
pub type Addressing<'a> = Box<dyn Fn(&Mongo) -> Result<String> + 'a>;

/// What a run calls back.
pub struct Calls<'a> {
    /// Opens the repository; asked once, when something is due and `before` went well.
    pub open: &'a mut dyn FnMut() -> Result<Repository>,
    /// A job begins.
    pub begins: &'a mut dyn FnMut(&Job, Reason),
    /// A job has ended.
    pub ended: &'a mut dyn FnMut(&JobReport),
}

/// Runs what is due.
///
/// # Errors
/// [`Kind::Usage`] for a name that the configuration does not know, [`Kind::Interrupted`] where somebody stopped it,
/// [`Kind::Failed`] where another run hangs, and whatever keeps the state folder from being used. What failed within
/// the run is in the summary.
pub fn run(
    options: &RunOptions<'_>,
    clock: &dyn Clock,
    progress: &dyn Progress,
    calls: &mut Calls<'_>,
) -> Result<RunSummary> {
    known_names(options)?;
    make_folder(&options.folder)?;
    let lock = match lock::take(&options.folder, clock.now())? {
        Ok(lock) => lock,
        Err(holder) => return held(holder, clock.now(), &options.zone),
    };
    let mut trouble = Vec::new();
    let state = State::load(&options.folder).unwrap_or_else(|error| {
        trouble.push(error.hint("it is begun anew, so everything is due"));
        State::default()
    });
    let mut run = Run {
        options,
        clock,
        progress,
        log: None,
        state,
        summary: RunSummary {
            trouble,
            ..RunSummary::default()
        },
        done: Vec::new(),
    };
    if run.next_due().is_some() {
        if options.jitter {
            wait(options.config.schedule.jitter, progress)?;
        }
        run.open_log()?;
        let result = run.everything(calls);
        run.log(&match &result {
            Ok(()) => format!("run ends with {}", run.summary.exit_code()),
            Err(error) => format!("run ends: {error}"),
        });
        result?;
    }
    run.summary.next = run.next_time();
    drop(lock);
    Ok(run.summary)
}

/// For its owner alone.
fn make_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::io("create the folder", folder, error))
}

fn known_names(options: &RunOptions<'_>) -> Result<()> {
    let sources = options
        .config
        .sources
        .iter()
        .map(|source| source.name.as_str());
    let known: Vec<&str> = sources
        .chain(["snapshot", "forget", "prune", "check"])
        .collect();
    match options
        .names
        .iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        None => Ok(()),
        Some(name) => Err(
            Error::new(Kind::Usage, "the configuration has no source of this name")
                .subject(name)
                .hint(match nearest(name, &known) {
                    Some(word) => format!("did you mean {word}?"),
                    None => format!("known are {}", known.join(", ")),
                }),
        ),
    }
}

fn held(holder: Holder, now: Nanos, zone: &TimeZone) -> Result<RunSummary> {
    match holder.since {
        Some(since) if now.saturating_sub(since) > HANGING_AFTER => {
            let pid = holder
                .pid
                .map_or("unknown".to_owned(), |pid| pid.to_string());
            Err(Error::new(
                Kind::Failed,
                format!("a run that began at {} has not ended", local(since, zone)),
            )
            .subject(format!("process {pid}"))
            .hint("look what it waits for, a hook or a disk that does not answer; end it, and the next run goes on"))
        }
        _ => Ok(RunSummary {
            held_by: Some(holder),
            ..RunSummary::default()
        }),
    }
}

/// Sleeps for a random part of so many seconds, but not through a signal.
fn wait(longest: u32, progress: &dyn Progress) -> Result<()> {
    const STEP: Duration = Duration::from_millis(200);
    if longest == 0 {
        return Ok(());
    }
    let [a, b, c, d] = random::array::<4>()?;
    let part = f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX);
    let mut left = Duration::from_secs_f64(f64::from(longest) * part);
    while !left.is_zero() {
        progress.go_on()?;
        let step = left.min(STEP);
        std::thread::sleep(step);
        left -= step;
    }
    Ok(())
}

struct Run<'a> {
    options: &'a RunOptions<'a>,
    clock: &'a dyn Clock,
    progress: &'a dyn Progress,
    log: Option<Log>,
    state: State,
    summary: RunSummary,
    /// Jobs that this run has seen to: each once, however long it takes.
    done: Vec<Job>,
}

impl Run<'_> {
    /// The first job that is due and was not seen to yet.
    fn next_due(&self) -> Option<(Job, Reason)> {
        let now = self.clock.now();
        tasks(self.options.config)
            .into_iter()
            .filter(|task| !self.done.contains(&task.job) && self.is_wanted(&task.job))
            .find_map(|task| {
                if self.options.force {
                    // What is never done is done where it is named.
                    let wanted = task.when.is_some() || !self.options.names.is_empty();
                    return wanted.then_some((task.job, Reason::Forced));
                }
                let record = self.state.of(&task.job);
                match due(task.when.as_ref(), record, now, &self.options.zone) {
                    Due::Now(reason) => Some((task.job, reason)),
                    Due::Later(_) => None,
                }
            })
    }

    fn is_wanted(&self, job: &Job) -> bool {
        let names = self.options.names;
        names.is_empty() || names.iter().any(|name| job.is_meant_by(name))
    }

    fn next_time(&self) -> Option<Nanos> {
        let now = self.clock.now();
        let times = tasks(self.options.config).into_iter().filter_map(|task| {
            let record = self.state.of(&task.job);
            match due(task.when.as_ref(), record, now, &self.options.zone) {
                Due::Now(_) => Some(now),
                Due::Later(time) => time,
            }
        });
        times.min()
    }

    fn open_log(&mut self) -> Result<()> {
        let path = self.options.log();
        self.log = Some(match Log::open(&path, self.options.zone.clone()) {
            Ok(log) => log,
            Err(error) => {
                self.trouble(error.hint("nothing of this run is logged"));
                Log::nowhere(self.options.zone.clone())?
            }
        });
        self.log("run begins");
        Ok(())
    }

    fn log(&mut self, text: &str) {
        let now = self.clock.now();
        let result = self.log.as_mut().map_or(Ok(()), |log| log.line(now, text));
        if let Err(error) = result {
            self.log = None;
            self.trouble(error);
        }
    }

    /// Something that does not keep the work from being done but makes the run a failed one.
    fn trouble(&mut self, error: Error) {
        self.progress.problem(&error);
        self.summary.trouble.push(error);
        self.summary.trouble_counts = true;
    }

    fn everything(&mut self, calls: &mut Calls<'_>) -> Result<()> {
        let hooks = &self.options.config.hooks;
        let before = self.hooks(&hooks.before, &self.notice("before", "run"));
        let result = match before {
            Err(error) => {
                self.prevented(&error, calls);
                Ok(())
            }
            Ok(()) => match (calls.open)() {
                Err(error) if error.kind() == Kind::Interrupted => Err(error),
                Err(error) => {
                    self.prevented(&error, calls);
                    Ok(())
                }
                Ok(repository) => self.jobs(&repository, calls),
            },
        };
        let mut notice = self.notice("after", "run");
        let code = match &result {
            Ok(()) => self.summary.exit_code(),
            Err(error) => error.kind().exit_code(),
        };
        notice.exit_code = Some(code);
        notice.result = Some(match code {
            0 => Outcome::Ok.word(),
            PARTIAL => Outcome::Partial.word(),
            code if code == Kind::Damage.exit_code() => Outcome::Damage.word(),
            _ => Outcome::Failed.word(),
        });
        notice.text = format!("duramen on {}: the run ended with {code}", notice.host);
        self.after(&hooks.after, &notice);
        result
    }

    /// Nothing can be done at all: every job that is due has failed, and it is told of once.
    fn prevented(&mut self, error: &Error, calls: &mut Calls<'_>) {
        let now = self.clock.now();
        let mut reason = Reason::Scheduled;
        while let Some((job, why)) = self.next_due() {
            reason = why;
            self.remember(&job, now, Outcome::Failed, &error.to_string());
            self.done.push(job);
        }
        let report = JobReport {
            job: None,
            reason,
            outcome: Outcome::Failed,
            message: error.to_string(),
            hint: error.hint_text().map(ToOwned::to_owned),
            exit_code: error.kind().exit_code(),
            snapshot: None,
            started: now,
            finished: now,
            seconds: 0.0,
        };
        self.tell(report, &[], calls);
    }

    fn jobs(&mut self, repository: &Repository, calls: &mut Calls<'_>) -> Result<()> {
        while let Some((job, reason)) = self.next_due() {
            self.progress.go_on()?;
            (calls.begins)(&job, reason);
            if reason == Reason::ClockSetBack {
                self.progress.note(&format!("{job}: {}", reason.words()));
            }
            self.log(&format!("{job} begins: {}", reason.words()));
            let report = self.job(&job, reason, repository)?;
            self.remember(&job, report.started, report.outcome, &report.message);
            self.done.push(job.clone());
            let sources = &self.options.config.sources;
            let own = sources
                .iter()
                .find(|source| job.source() == Some(&source.name));
            let own = own.map_or(&[][..], |source| &source.hooks.on_failure);
            self.tell(report, own, calls);
        }
        Ok(())
    }

    /// Does one job, with the hooks of its source around it.
    fn job(&mut self, job: &Job, reason: Reason, repository: &Repository) -> Result<JobReport> {
        let (started, clock) = (self.clock.now(), self.clock.elapsed());
        let none = Hooks::default();
        let sources = &self.options.config.sources;
        let source = sources
            .iter()
            .find(|source| job.source() == Some(&source.name));
        let hooks = source.map_or(&none, |source| &source.hooks);
        let mut notice = self.notice("before", job.word());
        notice.source = job.source().map(ToOwned::to_owned);
        notice.started = Some(local(started, &self.options.zone));
        let bench = Bench {
            config: self.options.config,
            host: self.options.host,
            user: self.options.user,
            zone: &self.options.zone,
            address: &*self.options.address,
        };
        let worked = self
            .hooks(&hooks.before, &notice)
            .and_then(|()| work(job, &bench, repository, self.progress));
        let interrupted = match worked {
            Err(error) if error.kind() == Kind::Interrupted => Err(error),
            other => Ok(other),
        };
        let mut report = JobReport {
            job: Some(job.clone()),
            reason,
            outcome: Outcome::Failed,
            message: String::from("interrupted"),
            hint: None,
            exit_code: Kind::Interrupted.exit_code(),
            snapshot: None,
            started,
            finished: self.clock.now(),
            seconds: (self.clock.elapsed() - clock).as_secs_f64(),
        };
        match &interrupted {
            Ok(Ok(worked)) => report.worked(worked),
            Ok(Err(error)) => {
                report.message = error.to_string();
                report.hint = error.hint_text().map(ToOwned::to_owned);
                report.exit_code = error.kind().exit_code();
            }
            Err(_) => {}
        }
        self.fill(&mut notice, "after", &report);
        self.after(&hooks.after, &notice);
        interrupted.map(|_| report)
    }

    fn remember(&mut self, job: &Job, began: Nanos, outcome: Outcome, message: &str) {
        self.state.note(job, began, outcome, message);
        if let Err(error) = self.state.save(&self.options.folder) {
            self.trouble(error.hint("what is due next cannot be remembered"));
        }
    }

    /// Writes it into the log, tells whoever wants to hear of failures, and hands it to the caller.
    fn tell(&mut self, report: JobReport, own: &[Hook], calls: &mut Calls<'_>) {
        let name = report.name();
        self.log(&format!(
            "{name}: {}: {}",
            report.outcome.word(),
            report.message
        ));
        if report.outcome != Outcome::Ok {
            let hooks = if own.is_empty() {
                &self.options.config.hooks.on_failure
            } else {
                own
            };
            let mut notice = self.notice("failure", report.word());
            self.fill(&mut notice, "failure", &report);
            for hook in hooks {
                if let Err(error) = self.hook(hook, &notice) {
                    self.progress.problem(&error);
                    self.log(&format!("{name}: could not be told: {error}"));
                    self.summary.trouble.push(error);
                }
            }
        }
        (calls.ended)(&report);
        self.summary.jobs.push(report);
    }

    fn notice(&self, event: &'static str, job: &'static str) -> Notice {
        Notice {
            event,
            job,
            host: self.options.host.to_owned(),
            repository: self.options.location.to_owned(),
            config: self.options.config_path.display().to_string(),
            log: self.options.log().display().to_string(),
            text: format!("duramen on {}: {event} {job}", self.options.host),
            ..Notice::default()
        }
    }

    fn fill(&self, notice: &mut Notice, event: &'static str, report: &JobReport) {
        notice.event = event;
        notice.source = report.job.as_ref().and_then(Job::source).map(Into::into);
        notice.result = Some(report.outcome.word());
        notice.exit_code = Some(report.exit_code);
        notice.message = Some(report.message.clone());
        notice.hint.clone_from(&report.hint);
        notice.snapshot_id.clone_from(&report.snapshot);
        notice.started = Some(local(report.started, &self.options.zone));
        notice.finished = Some(local(report.finished, &self.options.zone));
        notice.text = format!(
            "duramen on {}: {}: {}: {}",
            self.options.host,
            report.name(),
            report.outcome.word(),
            report.message
        );
    }

    /// Hooks of which the first that fails ends it.
    fn hooks(&mut self, hooks: &[Hook], notice: &Notice) -> Result<()> {
        hooks.iter().try_for_each(|hook| self.hook(hook, notice))
    }

    /// Hooks that are all run, whatever comes of them.
    fn after(&mut self, hooks: &[Hook], notice: &Notice) {
        for hook in hooks {
            if let Err(error) = self.hook(hook, notice) {
                self.log(&error.to_string());
                self.trouble(error);
            }
        }
    }

    /// One hook; what it prints goes to the log, and is repeated where it fails.
    fn hook(&mut self, hook: &Hook, notice: &Notice) -> Result<()> {
        self.log(&format!(
            "{} {}: {}",
            notice.event,
            notice.job,
            hook.shown()
        ));
        let Some(log) = &mut self.log else {
            let nowhere = Log::nowhere(self.options.zone.clone())?;
            return alert::tell(hook, notice, nowhere.file());
        };
        let before = log.length();
        alert::tell(hook, notice, log.file()).map_err(|error| match log.printed_since(before) {
            printed if printed.is_empty() => error,
            printed => error.hint(format!("it printed: {printed}")),
        })
    }
}
