//! What is installed for a configuration, in the writing of cron and of systemd.

use std::path::{Path, PathBuf};

use duramen::config::When;
use duramen::error::{Error, Result};
use duramen::schedule::crontab::Block;
use duramen::schedule::run::RunOptions;
use duramen::schedule::systemd::Units;
use duramen::schedule::{Task, hourly_catch_up, identity, lines};

use crate::cli::args::With;
use crate::cli::configuration::{Configuration, OF_THE_MACHINE, of_the_user};
use crate::cli::context::{Context, usage};
use crate::cli::places::Place;

/// Where units of the system lie that an administrator wrote.
const SYSTEM_UNITS: &str = "/etc/systemd/system";

/// A configuration, and what is to be called when.
pub struct Plan<'a> {
    pub context: &'a Context,
    pub found: &'a Configuration,
    pub options: RunOptions<'a>,
    pub tasks: Vec<Task>,
}

impl Plan<'_> {
    /// The schedules that call, the hourly one too.
    fn lines(&self) -> Vec<When> {
        let mut lines = lines(&self.tasks);
        lines.extend(hourly_catch_up(&lines, self.options.host, &self.found.path));
        lines
    }

    /// Short name of the configuration.
    pub fn name(&self) -> String {
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

    pub fn block(&self) -> Result<String> {
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
    pub fn unit_name(&self, user: bool) -> String {
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

    pub fn units(&self, user: bool) -> Result<[(PathBuf, String); 2]> {
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

    pub fn unit_paths(&self, user: bool) -> Result<[PathBuf; 2]> {
        let (folder, name) = (self.unit_folder(user)?, self.unit_name(user));
        Ok(["service", "timer"].map(|end| folder.join(format!("{name}.{end}"))))
    }

    /// Nobody can be asked at night, and nothing of this shell is there: all must stand in the file.
    pub fn can_run_alone(&self) -> Result<()> {
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

    pub fn note_about_sources(&self) -> Option<String> {
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
