//! `duramen config`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use duramen::config::{Config, EXAMPLE, Finding, Hook, Source, What, When};
use duramen::error::{Error, Kind, Result};
use duramen::ops::snapshot::without_secrets;
use duramen::schedule::tasks;
use serde::Serialize;

use crate::cli::args::ConfigCommand;
use crate::cli::commands::run;
use crate::cli::context::Context;
use crate::cli::credentials::{Given, Origin};
use crate::cli::output::{self, put};
use crate::cli::places::{self, Place};
use crate::cli::{configuration, exit, opening, text};

#[derive(Serialize)]
struct CheckObject {
    message_type: &'static str,
    config: String,
    findings: Vec<FindingObject>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct FindingObject {
    line: usize,
    column: usize,
    message: String,
    hint: Option<String>,
}

#[derive(Serialize)]
struct InitObject {
    message_type: &'static str,
    config: String,
}

#[derive(Serialize)]
struct ShowObject {
    message_type: &'static str,
    config: Option<String>,
    repository: Setting,
    opened_by: Vec<Setting>,
    cache: Option<String>,
    log: Option<String>,
    jobs: Vec<JobObject>,
    sources: Vec<SourceObject>,
    retention: String,
    hooks: Vec<String>,
}

/// A value and where it comes from.
#[derive(Serialize)]
struct Setting {
    value: String,
    from: &'static str,
}

#[derive(Serialize)]
struct JobObject {
    job: &'static str,
    source: Option<String>,
    schedule: Option<String>,
}

#[derive(Serialize)]
struct SourceObject {
    name: String,
    paths: Vec<String>,
    command: Vec<String>,
    filename: Option<String>,
    excludes: Vec<String>,
    tags: Vec<String>,
    retention: Option<String>,
    hooks: Vec<String>,
}

/// `duramen config COMMAND`.
pub fn run(context: &Context, command: &ConfigCommand) -> Result<ExitCode> {
    match command {
        ConfigCommand::Check { file } => check(context, file.as_deref()),
        ConfigCommand::Show => show(context),
        ConfigCommand::Init { file } => init(context, file.as_deref()),
        ConfigCommand::Example => {
            output::results(|out| put(out, EXAMPLE.as_bytes()))?;
            Ok(exit::DONE)
        }
    }
}

fn check(context: &Context, file: Option<&Path>) -> Result<ExitCode> {
    let path = match file {
        Some(file) => Some(
            std::path::absolute(file)
                .map_err(|error| Error::io("find the whole path of", file, error))?,
        ),
        None => configuration::find(&context.global, &context.environment)?,
    };
    let path = path.ok_or_else(|| {
        Error::new(Kind::Usage, "there is no configuration file")
            .hint("duramen config init writes one to begin with; or name one")
    })?;
    let text = configuration::read(&path)?;
    let (findings, notes) = match configuration::parse(&path, &text, &context.environment) {
        Ok(config) => (Vec::new(), notes(&config)),
        Err(findings) => (findings, Vec::new()),
    };
    let shown = path.display().to_string();
    let object = CheckObject {
        message_type: "config_check",
        config: shown.clone(),
        findings: findings.iter().map(finding_object).collect(),
        notes: notes.clone(),
    };
    output::results(|out| {
        let words = if context.global.json {
            output::json_line(&object)?
        } else {
            check_words(&shown, &findings, &notes, context.global.quiet)
        };
        put(out, words.as_bytes())
    })?;
    Ok(if findings.is_empty() {
        exit::DONE
    } else {
        exit::of_error(Kind::Usage)
    })
}

fn finding_object(finding: &Finding) -> FindingObject {
    FindingObject {
        line: finding.line,
        column: finding.column,
        message: finding.what.clone(),
        hint: finding.hint.clone(),
    }
}

fn check_words(path: &str, findings: &[Finding], notes: &[String], quiet: bool) -> String {
    let path = text::safe(path);
    let mut words = String::new();
    for finding in findings {
        words.push_str(&format!(
            "{path}:{}:{}: {}\n",
            finding.line,
            finding.column,
            text::safe(&finding.what)
        ));
        if let Some(hint) = &finding.hint {
            words.push_str(&format!("  hint: {}\n", text::safe(hint)));
        }
    }
    if quiet {
        return words;
    }
    for note in notes {
        words.push_str(&format!("note: {}\n", text::safe(note)));
    }
    if findings.is_empty() {
        words.push_str(&format!("{path} makes sense\n"));
    }
    words
}

/// What is named and not there just now.
fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    let mut look = |what: &str, path: &Path| {
        if path.symlink_metadata().is_err() {
            notes.push(format!("{what} is not there just now: {}", path.display()));
        }
    };
    if let Some(repository) = &config.repository
        && !repository.contains("://")
    {
        look("the repository", Path::new(repository));
    }
    if let Some(key) = &config.key_file {
        look("the key file", key);
    }
    if let Some(file) = &config.password_file {
        look("the file of the passphrase", file);
    }
    for source in &config.sources {
        if let What::Paths(paths) = &source.what {
            for path in paths {
                look(&format!("a path of source {}", source.name), path);
            }
        }
        if let Some(file) = source
            .mongo
            .as_ref()
            .and_then(|own| own.password_file.as_ref())
        {
            look(
                &format!("the password file of source {}", source.name),
                file,
            );
        }
        for file in &source.excludes.pattern_files {
            look(
                &format!("a file of patterns of source {}", source.name),
                file,
            );
        }
    }
    if config.sources.is_empty() {
        notes.push("there is no source, so a run takes no snapshot".into());
    }
    notes
}

fn init(context: &Context, file: Option<&Path>) -> Result<ExitCode> {
    let path: PathBuf = match file {
        Some(file) => std::path::absolute(file)
            .map_err(|error| Error::io("find the whole path of", file, error))?,
        None => configuration::of_the_user(&context.environment)?,
    };
    if let Some(folder) = path.parent() {
        places::make_private_folder(folder)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        // It may come to hold the URLs of webhooks.
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(EXAMPLE.as_bytes()))
        .map_err(|error| {
            let error = Error::io("write", &path, error);
            match error.kind() {
                Kind::Exists => error.hint("change that one, or name another place"),
                _ => error,
            }
        })?;
    let shown = path.display().to_string();
    let object = InitObject {
        message_type: "config_init",
        config: shown.clone(),
    };
    context.tell(&object, || {
        format!(
            "{} written: say there what to take and where to, then duramen config check\n",
            text::safe(&shown)
        )
    })?;
    Ok(exit::DONE)
}

fn show(context: &Context) -> Result<ExitCode> {
    let object = show_object(context)?;
    output::results(|out| {
        let words = if context.global.json {
            output::json_line(&object)?
        } else {
            show_words(&object)
        };
        put(out, words.as_bytes())
    })?;
    Ok(exit::DONE)
}

fn show_object(context: &Context) -> Result<ShowObject> {
    let (global, environment) = (&context.global, &context.environment);
    let place = Place::choose(global, environment)?;
    let from = if global.repository.is_some() {
        "flag"
    } else if environment.repository.is_some() {
        "environment"
    } else if environment.file.repository.is_some() {
        "file"
    } else {
        "default"
    };
    let location = place.location()?;
    let given = Given::collect(global, environment);
    let ranks = [
        (&given.flags, "flag"),
        (&given.environment, "environment"),
        (&given.file, "file"),
    ];
    let mut opened_by: Vec<Setting> = ranks
        .into_iter()
        .flat_map(|(origins, from)| {
            let named = origins.iter().map(move |origin| Setting {
                value: origin_words(origin),
                from,
            });
            named.collect::<Vec<_>>()
        })
        .collect();
    if let Place::Default { key, .. } = &place {
        opened_by.push(Setting {
            value: format!("key file {}", key.display()),
            from: "default",
        });
    }
    let empty = Config::default();
    let configuration = context.configuration.as_ref();
    let config = configuration.map_or(&empty, |found| &found.config);
    let log = configuration
        .map(|found| run::options(context, found, &location).map(|options| options.log()))
        .transpose()?;
    let retention = config.retention.words();
    Ok(ShowObject {
        message_type: "config",
        config: configuration.map(|found| found.path.display().to_string()),
        repository: Setting {
            value: location.clone(),
            from,
        },
        opened_by,
        cache: opening::options(context, &place)?
            .cache
            .map(|cache| cache.display().to_string()),
        log: log.map(|log| log.display().to_string()),
        jobs: configuration.map_or(Vec::new(), |found| {
            let tasks = tasks(&found.config).into_iter();
            tasks
                .map(|task| JobObject {
                    job: task.job.word(),
                    source: task.job.source().map(Into::into),
                    schedule: task.when.as_ref().map(|when| When::words(when).to_owned()),
                })
                .collect()
        }),
        sources: config.sources.iter().map(source_object).collect(),
        retention,
        hooks: hook_words(&config.hooks),
    })
}

/// Never the secret itself, and not the command either: some have the secret in it.
fn origin_words(origin: &Origin<'_>) -> String {
    match origin {
        Origin::PasswordFile(path) => format!("passphrase in {}", path.display()),
        Origin::PasswordCommand(_) => "passphrase printed by a command".into(),
        Origin::Password(_) => "passphrase in DURAMEN_PASSWORD".into(),
        Origin::KeyFile(path) => format!("key file {}", path.display()),
    }
}

fn hook_words(hooks: &duramen::config::Hooks) -> Vec<String> {
    let named = |what: &'static str, hooks: &[Hook]| -> Vec<String> {
        hooks
            .iter()
            .map(|hook| format!("{what}: {}", hook.shown()))
            .collect()
    };
    [
        named("before", &hooks.before),
        named("after", &hooks.after),
        named("on-failure", &hooks.on_failure),
    ]
    .concat()
}

fn source_object(source: &Source) -> SourceObject {
    let (paths, command, filename) = match &source.what {
        What::Paths(paths) => {
            let paths = paths.iter().map(|path| path.display().to_string());
            (paths.collect(), Vec::new(), None)
        }
        What::Command { argv, filename } => {
            // Arguments may hold passwords.
            let program = argv
                .iter()
                .take(1)
                .map(|word| word.to_string_lossy().into_owned());
            (Vec::new(), program.collect(), Some(filename.clone()))
        }
    };
    let mongo = source.mongo.iter().map(|own| without_secrets(&own.address));
    let paths: Vec<String> = paths;
    SourceObject {
        name: source.name.clone(),
        paths: paths.into_iter().chain(mongo).collect(),
        command,
        filename,
        excludes: source.excludes.words(),
        tags: source.tags.clone(),
        retention: source.retention.as_ref().map(|retention| retention.words()),
        hooks: hook_words(&source.hooks),
    }
}

fn show_words(object: &ShowObject) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |what: &str, value: String| rows.push(vec![what.into(), text::safe(&value)]);
    row(
        "configuration",
        object.config.clone().unwrap_or_else(|| "none".into()),
    );
    let with_origin = |setting: &Setting| format!("{} ({})", setting.value, setting.from);
    row("repository", with_origin(&object.repository));
    for setting in &object.opened_by {
        row("opened by", with_origin(setting));
    }
    row(
        "cache",
        object.cache.clone().unwrap_or_else(|| "none".into()),
    );
    if let Some(log) = &object.log {
        row("log", log.clone());
    }
    for source in &object.sources {
        let what = match &source.filename {
            Some(filename) => format!("{filename} from {} ...", source.command.join(" ")),
            None => source.paths.join(", "),
        };
        row("source", format!("{}: {what}", source.name));
        for exclude in &source.excludes {
            row("", exclude.clone());
        }
        if let Some(retention) = &source.retention {
            row("", format!("keeps {retention}"));
        }
        for hook in &source.hooks {
            row("", hook.clone());
        }
    }
    if object.config.is_some() {
        row("retention", object.retention.clone());
    }
    for job in &object.jobs {
        let name = match &job.source {
            Some(source) => format!("{} {source}", job.job),
            None => job.job.to_owned(),
        };
        let when = job.schedule.as_deref().unwrap_or("never");
        row("schedule", format!("{name}: {when}"));
    }
    for hook in &object.hooks {
        row("hook", hook.clone());
    }
    text::table(&rows, &[])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::config::Base;

    #[test]
    fn scripts_are_told_what_is_documented() {
        let findings = [Finding {
            line: 2,
            column: 3,
            what: "unknown key".into(),
            hint: Some("did you mean x?".into()),
        }];
        documented(
            "config",
            &CheckObject {
                message_type: "config_check",
                config: "/c".into(),
                findings: findings.iter().map(finding_object).collect(),
                notes: Vec::new(),
            },
        );
        let base = Base {
            folder: Path::new("/"),
            home: Some(Path::new("/h")),
        };
        let config = Config::parse(EXAMPLE, base).unwrap();
        documented("config", &source_object(&config.sources[0]));
        let object = ShowObject {
            message_type: "config",
            config: Some("/c".into()),
            repository: Setting {
                value: "/r".into(),
                from: "file",
            },
            opened_by: Vec::new(),
            cache: None,
            log: None,
            jobs: vec![JobObject {
                job: "check",
                source: None,
                schedule: None,
            }],
            sources: Vec::new(),
            retention: config.retention.words(),
            hooks: Vec::new(),
        };
        documented("config", &object);
        assert!(show_words(&object).contains("check: never"));
        assert!(object.retention.contains("24 hourly, 30 daily, 12 weekly"));
        assert_eq!(
            check_words("/c", &findings, &[], false),
            "/c:2:3: unknown key\n  hint: did you mean x?\n"
        );
        assert_eq!(check_words("/c", &[], &[], false), "/c makes sense\n");
    }

    #[test]
    fn what_is_not_there_is_noted() {
        let base = Base {
            folder: Path::new("/nowhere"),
            home: None,
        };
        let config = Config::parse("repository = \"r\"\nkey-file = \"k\"", base).unwrap();
        let notes = notes(&config);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].ends_with("/nowhere/r"));
    }
}
