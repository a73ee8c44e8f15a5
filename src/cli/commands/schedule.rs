//! `duramen schedule`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use duramen::clock::{Clock, SystemClock};
use duramen::config::When;
use duramen::error::{Error, Result};
use duramen::schedule::crontab::{self, Block};
use duramen::schedule::run::RunOptions;
use duramen::schedule::systemd::{self, Units};
use duramen::schedule::{Due, Outcome, State, Task, due, hourly_catch_up, identity, lines, tasks};
use serde::Serialize;

use super::run::{configuration, options, when};
use crate::cli::args::{InstallArgs, ScheduleCommand, UninstallArgs, With};
use crate::cli::configuration::{Configuration, OF_THE_MACHINE, of_the_user};
use crate::cli::context::{Context, usage};
use crate::cli::output::{self, put};
use crate::cli::places::Place;
use crate::cli::time::rfc3339;
use crate::cli::{exit, text, time};

/// Where units of the system lie that an administrator wrote.
const SYSTEM_UNITS: &str = "/etc/systemd/system";

#[derive(Serialize)]
struct ChangeObject {
    message_type: &'static str,
    with: Vec<&'static str>,
    dry_run: bool,
    changed: bool,
    files: Vec<FileObject>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct FileObject {
    path: String,
    text: Option<String>,
}

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

/// `duramen schedule COMMAND`.
pub fn run(context: &Context, command: &ScheduleCommand) -> Result<ExitCode> {
    let location = Place::choose(&context.global, &context.environment)?.location()?;
    let found = configuration(context)?;
    let plan = Plan {
        context,
        found,
        options: options(context, found, &location)?,
        tasks: tasks(&found.config),
    };
    match command {
        ScheduleCommand::Show => show(&plan),
        ScheduleCommand::Install(args) => install(&plan, args),
        ScheduleCommand::Remove(args) => remove(&plan, args),
    }
}

struct Plan<'a> {
    context: &'a Context,
    found: &'a Configuration,
    options: RunOptions<'a>,
    tasks: Vec<Task>,
}

impl Plan<'_> {
    /// The schedules that call, the hourly one too.
    fn lines(&self) -> Vec<When> {
        let mut lines = lines(&self.tasks);
        lines.extend(hourly_catch_up(&lines, self.options.host, &self.found.path));
        lines
    }

    /// Short name of the configuration.
    fn name(&self) -> String {
        identity(&self.found.path, "").chars().take(8).collect()
    }

    fn remarks(&self) -> Vec<String> {
        self.tasks
            .iter()
            .filter_map(|task| Some(format!("{}: {}", task.job, task.when.as_ref()?.words())))
            .collect()
    }

    /// What a shell may have set and cron and systemd have not: where the folders of the user are.
    fn variables(&self) -> Vec<(String, String)> {
        let environment = &self.context.environment;
        [
            ("XDG_DATA_HOME", &environment.xdg_data),
            ("XDG_CACHE_HOME", &environment.xdg_cache),
            ("XDG_STATE_HOME", &environment.xdg_state),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.into(), value.as_ref()?.to_str()?.into())))
        .collect()
    }

    fn command(&self, with: With) -> Result<Vec<String>> {
        let program = std::env::current_exe()
            .map_err(|error| Error::io_named("find", "the path of this program", error))?;
        let mut command = vec![
            utf8(&program)?,
            "--config".into(),
            utf8(&self.found.path)?,
            "run".into(),
            "--quiet".into(),
        ];
        // A timer of systemd waits by itself.
        if with == With::Cron && self.found.config.schedule.jitter > 0 {
            command.push("--jitter".into());
        }
        Ok(command)
    }

    fn block(&self) -> Result<String> {
        Block {
            name: &self.name(),
            config: &self.found.path,
            remarks: &self.remarks(),
            lines: &self.lines(),
            variables: &self.variables(),
            command: &self.command(With::Cron)?,
        }
        .text()
    }

    /// Name of the units: plain for the configuration that everybody expects there.
    fn unit_name(&self, user: bool) -> String {
        let usual = if user {
            of_the_user(&self.context.environment).ok()
        } else {
            Some(PathBuf::from(OF_THE_MACHINE))
        };
        if usual.as_ref() == Some(&self.found.path) {
            "duramen".into()
        } else {
            format!("duramen-{}", self.name())
        }
    }

    fn unit_folder(&self, user: bool) -> Result<PathBuf> {
        if !user {
            return Ok(SYSTEM_UNITS.into());
        }
        let own = of_the_user(&self.context.environment)?;
        // Beside our own folder in the user's configuration folder.
        let folder = own.parent().and_then(Path::parent).unwrap_or(&own);
        Ok(folder.join("systemd/user"))
    }

    fn units(&self, user: bool) -> Result<[(PathBuf, String); 2]> {
        let folder = self.unit_folder(user)?;
        let texts = Units {
            name: &self.unit_name(user),
            config: &self.found.path,
            remarks: &self.remarks(),
            lines: &self.lines(),
            jitter: self.found.config.schedule.jitter,
            variables: &self.variables(),
            command: &self.command(if user {
                With::SystemdUser
            } else {
                With::Systemd
            })?,
            user,
        }
        .texts()?;
        Ok(texts.map(|(name, text)| (folder.join(name), text)))
    }

    fn unit_paths(&self, user: bool) -> Result<[PathBuf; 2]> {
        let (folder, name) = (self.unit_folder(user)?, self.unit_name(user));
        Ok(["service", "timer"].map(|end| folder.join(format!("{name}.{end}"))))
    }

    /// Nobody can be asked at night, and nothing of this shell is there: all must stand in the file.
    fn can_run_alone(&self) -> Result<()> {
        let (global, environment) = (&self.context.global, &self.context.environment);
        let in_file = |key: &str| {
            format!(
                "write {key} into {} instead; what is installed reads everything from there",
                self.found.path.display()
            )
        };
        if global.repository.is_some() {
            return Err(
                usage("a repository that a flag names is not known at night")
                    .subject("--repository")
                    .hint(in_file("repository = \"...\"")),
            );
        }
        if environment.repository.is_some() && environment.file.repository.is_none() {
            return Err(
                usage("a repository that the environment names is not known at night")
                    .subject("DURAMEN_REPOSITORY")
                    .hint(in_file("repository = \"...\"")),
            );
        }
        let file = &environment.file;
        let has_key = file.key_file.is_some()
            || file.password_file.is_some()
            || file.password_command.is_some();
        let default = matches!(Place::choose(global, environment)?, Place::Default { .. });
        if !has_key && !default {
            return Err(usage(
                "the configuration names nothing that opens the repository, and at night nobody can be asked",
            )
            .subject(self.found.path.display().to_string())
            .hint("write key-file, password-file or password-command into it"));
        }
        if self.lines().is_empty() {
            return Err(usage("nothing is ever due")
                .subject(self.found.path.display().to_string())
                .hint("give it a source, or something to do in [schedule]"));
        }
        Ok(())
    }

    fn note_about_sources(&self) -> Option<String> {
        self.found
            .config
            .sources
            .is_empty()
            .then(|| "the configuration has no source, so no snapshot is ever taken".into())
    }
}

fn utf8(path: &Path) -> Result<String> {
    path.to_str().map(ToOwned::to_owned).ok_or_else(|| {
        usage("a path that is not UTF-8 cannot be installed")
            .subject(path.display().to_string())
            .hint("use a path that is, a symbolic link for example")
    })
}

fn install(plan: &Plan<'_>, args: &InstallArgs) -> Result<ExitCode> {
    plan.can_run_alone()?;
    let mut change = Change {
        dry_run: args.dry_run,
        notes: plan.note_about_sources().into_iter().collect(),
        ..Change::default()
    };
    change.with.push(args.with.word());
    match args.with {
        With::Cron => {
            let block = plan.block()?;
            let before = crontab::read()?;
            let after = crontab::with_block(&before, &plan.name(), &block)?;
            if !args.dry_run && after != before {
                crontab::write(&after)?;
            }
            change.changed = after != before;
            change.files.push(("crontab".into(), Some(block)));
        }
        With::Systemd | With::SystemdUser => {
            let user = args.with == With::SystemdUser;
            for (path, text) in plan.units(user)? {
                let same = systemd::read(&path)?.as_ref() == Some(&text);
                change.changed |= !same;
                if !same && !args.dry_run {
                    systemd::write(&path, &text)?;
                }
                change.files.push((path.display().to_string(), Some(text)));
            }
            if !args.dry_run {
                let timer = format!("{}.timer", plan.unit_name(user));
                enable(user, &timer, &mut change)?;
            }
        }
    }
    change.tell(plan.context, "schedule_installed", "written")
}

/// Has systemd take up the timer, where it runs.
fn enable(user: bool, timer: &str, change: &mut Change) -> Result<()> {
    let manager = if user {
        "systemctl --user"
    } else {
        "systemctl"
    };
    let by_hand = format!("{manager} daemon-reload && {manager} enable --now {timer}");
    if !systemd::is_running() {
        change.notes.push(format!(
            "systemd does not run here; where it does: {by_hand}"
        ));
        return Ok(());
    }
    let done = systemd::systemctl(user, &["daemon-reload"])
        // A timer that changed must be begun anew.
        .and_then(|()| systemd::systemctl(user, &["enable", timer]))
        .and_then(|()| systemd::systemctl(user, &["restart", timer]));
    if let Err(error) = done {
        return Err(error.hint(format!(
            "the units are written; switch them on with: {by_hand}"
        )));
    }
    if user {
        change.notes.push(
            "timers of a user run while the user is logged in, unless: loginctl enable-linger"
                .into(),
        );
    }
    Ok(())
}

fn remove(plan: &Plan<'_>, args: &UninstallArgs) -> Result<ExitCode> {
    let mut change = Change {
        dry_run: args.dry_run,
        ..Change::default()
    };
    for with in With::ALL {
        if args.with.is_some_and(|wanted| wanted != with) {
            continue;
        }
        let before = change.files.len();
        match with {
            With::Cron => match crontab::read() {
                Ok(crontab) => {
                    if let Some(block) = crontab::block_in(&crontab, &plan.name())? {
                        change.files.push(("crontab".into(), Some(block)));
                    }
                    let without = crontab::without_block(&crontab, &plan.name())?;
                    if let (Some(without), false) = (without, args.dry_run) {
                        crontab::write(&without)?;
                    }
                }
                // Where there is no cron there is no line of ours, unless somebody says that there is.
                Err(error) if args.with.is_none() => change.notes.push(error.to_string()),
                Err(error) => return Err(error),
            },
            With::Systemd | With::SystemdUser => {
                remove_units(plan, with == With::SystemdUser, &mut change)?;
            }
        }
        if change.files.len() > before {
            change.with.push(with.word());
        }
    }
    change.changed = !change.files.is_empty();
    change.tell(plan.context, "schedule_removed", "taken away")
}

fn remove_units(plan: &Plan<'_>, user: bool, change: &mut Change) -> Result<()> {
    let paths = plan.unit_paths(user)?;
    let there: Vec<&PathBuf> = paths
        .iter()
        .filter(|path| path.symlink_metadata().is_ok())
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    if !change.dry_run && systemd::is_running() {
        let timer = format!("{}.timer", plan.unit_name(user));
        // One that was never switched on need not be switched off; the files go all the same.
        if let Err(error) = systemd::systemctl(user, &["disable", "--now", &timer]) {
            change.notes.push(error.to_string());
        }
    }
    for path in there {
        if !change.dry_run {
            systemd::remove(path)?;
        }
        change.files.push((path.display().to_string(), None));
    }
    if !change.dry_run && systemd::is_running() {
        systemd::systemctl(user, &["daemon-reload"])?;
    }
    Ok(())
}

/// What was written or taken away, or would be.
#[derive(Default)]
struct Change {
    with: Vec<&'static str>,
    dry_run: bool,
    changed: bool,
    files: Vec<(String, Option<String>)>,
    notes: Vec<String>,
}

impl Change {
    fn object(self, message_type: &'static str) -> ChangeObject {
        ChangeObject {
            message_type,
            with: self.with,
            dry_run: self.dry_run,
            changed: self.changed,
            files: self
                .files
                .into_iter()
                .map(|(path, text)| FileObject { path, text })
                .collect(),
            notes: self.notes,
        }
    }

    fn words(&self, done: &str) -> String {
        let mut words = String::new();
        for (path, content) in &self.files {
            let path = text::safe(path);
            words.push_str(&match (self.dry_run, self.changed) {
                (true, _) => format!("would be {done}: {path}\n"),
                (false, true) => format!("{done}: {path}\n"),
                (false, false) => format!("there already: {path}\n"),
            });
            if let (true, Some(content)) = (self.dry_run, content) {
                for line in content.lines() {
                    words.push_str(&format!("    {}\n", text::safe(line)));
                }
            }
        }
        if self.files.is_empty() {
            words.push_str("nothing of this configuration is installed\n");
        }
        words
    }

    fn tell(self, context: &Context, message_type: &'static str, done: &str) -> Result<ExitCode> {
        let (words, notes) = (self.words(done), self.notes.clone());
        context.tell(&self.object(message_type), || words)?;
        if !context.global.json {
            for note in notes {
                context.remark(&format!("{}\n", text::safe(&note)));
            }
        }
        Ok(exit::DONE)
    }
}

fn show(plan: &Plan<'_>) -> Result<ExitCode> {
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
        let change = Change {
            with: vec!["cron"],
            dry_run: true,
            changed: true,
            files: vec![("crontab".into(), Some("5 * * * * x\n".into()))],
            notes: vec!["a note".into()],
        };
        assert_eq!(
            change.words("written"),
            "would be written: crontab\n    5 * * * * x\n"
        );
        documented("schedule", &change.object("schedule_installed"));
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
