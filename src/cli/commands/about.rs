//! Commands about the program itself: `completions`, `man`, `unlock`, `version`.

use std::process::ExitCode;

use duramen::error::{Error, Result};
use serde::Serialize;

use crate::cli::args::{CompletionsArgs, ManArgs};
use crate::cli::context::Context;
use crate::cli::output::{self, put};
use crate::cli::{command, exit};

/// `duramen completions SHELL`.
pub fn completions(args: &CompletionsArgs) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "duramen", &mut script);
    output::results(|out| put(out, &script))?;
    Ok(exit::DONE)
}

/// `duramen man [FOLDER]`.
pub fn man(context: &Context, args: &ManArgs) -> Result<ExitCode> {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command())
            .render(&mut page)
            .map_err(|error| Error::io_named("write", "the manual page", error))?;
        output::results(|out| put(out, &page))?;
        return Ok(exit::DONE);
    };
    // Pages are for everybody: the caller's own mask, not the one for secrets.
    rustix::process::umask(context.caller_umask);
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::io("create the folder", folder, error))?;
    clap_mangen::generate_to(command(), folder)
        .map_err(|error| Error::io("write manual pages into", folder, error))?;
    Ok(exit::DONE)
}

#[derive(Serialize)]
struct Words {
    message_type: &'static str,
    message: &'static str,
}

const NO_LOCKS: &str = "Nothing to unlock: duramen takes no locks. Any number of commands may use a repository at \
once, and one that was killed leaves nothing behind that could stop another.";

/// `duramen unlock`.
pub fn unlock(context: &Context) -> Result<ExitCode> {
    let object = Words {
        message_type: "unlock",
        message: NO_LOCKS,
    };
    context.tell(&object, || format!("{NO_LOCKS}\n"))?;
    Ok(exit::DONE)
}

#[derive(Serialize)]
struct Version {
    message_type: &'static str,
    version: &'static str,
    os: &'static str,
    arch: &'static str,
}

/// `duramen version`.
pub fn version(context: &Context) -> Result<ExitCode> {
    let object = Version {
        message_type: "version",
        version: env!("CARGO_PKG_VERSION"),
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
    };
    let text = if context.global.json {
        output::json_line(&object)?
    } else {
        format!("duramen {}\n", object.version)
    };
    output::results(|out| put(out, text.as_bytes()))?;
    Ok(exit::DONE)
}
