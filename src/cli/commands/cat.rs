//! `duramen cat`.

use std::process::ExitCode;

use duramen::error::Result;
use duramen::ops::export;

use super::split;
use crate::cli::args::CatArgs;
use crate::cli::context::{Context, usage};
use crate::cli::{exit, opening, output};

/// `duramen cat SNAP:PATH`.
pub fn run(context: &Context, args: &CatArgs) -> Result<ExitCode> {
    let (name, path) = split(&args.snapshot);
    let Some(path) = path else {
        return Err(usage("no path in the snapshot was given")
            .subject(args.snapshot.to_string_lossy())
            .hint("name it behind a colon: duramen cat latest:/etc/hosts"));
    };
    let reporter = context.reporter_beside_results("cat");
    let repository = opening::open(context, &reporter)?;
    let snapshot = context.snapshot(&repository, &name, &args.filter)?;
    reporter.finish();
    output::results(|out| export::cat(&repository, &snapshot, &path, out))?;
    Ok(exit::DONE)
}
