//! The command line: arguments, terminal, exit codes. The only room that prints, and the only one that reads the
//! environment.
//!
//! A command turns its arguments into options, calls one use case of `ops`, and tells the summary: to a person as
//! text, to a script as JSON. What is no result goes to standard error.

use std::io::Write as _;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use duramen::error::{Error, Kind, Result};
use duramen::size;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};

mod args;
mod commands;
mod configuration;
mod context;
mod credentials;
mod deployment;
mod environment;
mod exit;
mod json;
mod moment;

mod node;
mod opening;
mod output;
mod places;
mod plot;
mod progress;
mod signals;
mod text;
mod time;

use args::{Cli, Command, ConfigCommand};
use context::Context;

/// Runs the program.
pub fn run() -> ExitCode {
    // What is made before a mode is chosen for it must not be readable by others even for a moment.
    let caller_umask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let mut environment = environment::Environment::read();
    let json = cli.global.json;
    let colour = environment.stderr_terminal && !environment.no_color;
    let result = signals::listen().and_then(|stop| {
        let configuration = if needs_settings(&cli.command) {
            configuration::load(&cli.global, &mut environment)?
        } else {
            None
        };
        let context = Context {
            global: cli.global,
            environment,
            configuration,
            stop,
            caller_umask,
        };
        raise_open_files();
        step_back(&context)?;
        dispatch(&context, cli.command)
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            context::report(&error, json, colour);
            exit::of_error(error.kind())
        }
    }
}

/// The command line with the exit codes in its help.
pub fn command() -> clap::Command {
    let command = Cli::command();
    let after = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    command
        .after_help(format!("{after}\n\n{}", exit::help()))
        .mut_subcommand("forget", |forget| {
            args::PRUNE_HOW.iter().fold(forget, |forget, flag| {
                forget.mut_arg(flag, |flag| flag.requires("prune"))
            })
        })
}

fn parse() -> std::result::Result<Cli, ExitCode> {
    let parsed = command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        let asked_for = matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        );
        if !asked_for && json_wanted() {
            context::report(&as_error(&error), true, false);
        } else {
            // A pager that went away wants no more help.
            let _ = error.print();
            let _ = std::io::stdout().flush();
        }
        if asked_for {
            exit::DONE
        } else {
            exit::of_error(Kind::Usage)
        }
    })
}

/// Whether a command line that makes no sense asks for JSON all the same.
fn json_wanted() -> bool {
    // What stands behind `--` is another program's.
    std::env::args_os()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json")
}

/// What clap says, in one sentence for scripts.
fn as_error(error: &clap::Error) -> Error {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Error::new(Kind::Usage, "no command was given").hint("see duramen --help");
    }
    let rendered = error.render().to_string();
    let first = rendered.split("\n\n").next().unwrap_or_default();
    let message = first.trim_start_matches("error: ");
    let words: Vec<&str> = message.split_whitespace().collect();
    Error::new(Kind::Usage, words.join(" ")).hint("see duramen COMMAND --help")
}

/// Many files are open at once while a large tree is read or written; the soft limit is often a mere 1024.
fn raise_open_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // With the old limit everything works, with fewer files at once.
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
}

/// Lets other programs go before, where that is asked for. Threads begin with the rank of the one that starts them, so
/// this comes before any; hooks and source commands inherit it too.
fn step_back(context: &Context) -> Result<()> {
    let file = context.environment.file.nice;
    match context.global.nice.or(file) {
        None | Some(0) => Ok(()),
        Some(by) => rustix::process::nice(i32::from(by))
            .map(|_| ())
            .map_err(|error| Error::io_named("lower the priority of", "this program", error)),
    }
}

/// Whether a command has use for a configuration: those that have none work beside a broken one too.
fn needs_settings(command: &Command) -> bool {
    match command {
        Command::Config(args) => matches!(args.command, ConfigCommand::Show),
        Command::Completions(_) | Command::Man(_) | Command::Unlock | Command::Version => false,
        _ => true,
    }
}

fn dispatch(context: &Context, command: Command) -> Result<ExitCode> {
    match command {
        Command::Init(_) => commands::init::run(context),
        Command::Snapshot(args) => commands::snapshot::run(context, *args),
        Command::Snapshots(args) => commands::snapshots::run(context, &args),
        Command::Restore(args) => commands::restore::run(context, *args),
        Command::Checkout(args) => commands::checkout::run(context, &args),
        Command::Unmount(args) => commands::checkout::unmount(context, &args),
        Command::Ls(args) => commands::ls::run(context, &args),
        Command::Cat(args) => commands::cat::run(context, args),
        Command::Find(args) => commands::find::run(context, *args),
        Command::Diff(args) => commands::diff::run(context, &args),
        Command::Rollback(args) => commands::rollback::run(context, &args),
        Command::Tail(args) => commands::tail::run(context, args),
        Command::Timeline(args) => commands::timeline::run(context, &args),
        Command::History(args) => commands::history::run(context, &args),
        Command::Stats(args) => commands::stats::run(context, &args),
        Command::Export(args) => commands::export::run(context, &args),
        Command::Import(args) => commands::import::run(context, args),
        Command::Forget(args) => commands::forget::run(context, &args),
        Command::Annotate(args) => commands::annotate::run(context, &args),
        Command::Tag(args) => commands::annotate::tag(context, &args),
        Command::Prune(args) => commands::prune::run(context, &args),
        Command::Check(args) => commands::check::run(context, &args),
        Command::Repair(args) => commands::repair::run(context, &args),
        Command::Scrub(_) => commands::scrub::run(context),
        Command::Key(args) => commands::key::run(context, &args.command),
        Command::Run(args) => commands::run::run(context, &args),
        Command::Schedule(args) => commands::schedule::run(context, &args.command),
        Command::Config(args) => commands::config::run(context, &args.command),
        Command::Completions(args) => commands::about::completions(&args),
        Command::Man(args) => commands::about::man(context, &args),
        Command::Unlock => commands::about::unlock(context),
        Command::Version => commands::about::version(context),
    }
}
