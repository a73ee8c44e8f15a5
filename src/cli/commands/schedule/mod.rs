//! `duramen schedule`.

mod plan;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use duramen::error::Result;
use duramen::schedule::{crontab, systemd, tasks};
use serde::Serialize;

use super::run::{configuration, options};
use crate::cli::args::{InstallArgs, ScheduleCommand, UninstallArgs, With};
use crate::cli::context::Context;
use crate::cli::places::Place;
use crate::cli::{exit, text};
use plan::Plan;

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
        ScheduleCommand::Show => show::show(&plan),
        ScheduleCommand::Install(args) => install(&plan, args),
        ScheduleCommand::Remove(args) => remove(&plan, args),
    }
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
    }
}
