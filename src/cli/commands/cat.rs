//! `duramen cat`.

use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use duramen::error::Result;
use duramen::ops::documents::{self, CatOptions, Style};
use duramen::ops::export;

use super::{split, viewed};
use crate::cli::args::CatArgs;
use crate::cli::context::{Context, usage};
use crate::cli::{exit, opening, output};

/// `duramen cat SNAP:PATH`.
pub fn run(context: &Context, args: CatArgs) -> Result<ExitCode> {
    let (name, path) = split(&args.snapshot);
    let Some(path) = path else {
        return Err(usage("no path in the snapshot was given")
            .subject(args.snapshot.to_string_lossy())
            .hint("name it behind a colon: duramen cat latest:/etc/hosts"));
    };
    let reporter = context.reporter_beside_results("cat");
    let repository = opening::open(context, &reporter)?;
    let snapshot = context.snapshot(&repository, &name, &args.filter)?;
    let snapshot = viewed(&repository, snapshot, &args.at, &reporter)?;
    reporter.finish();
    if documents::are_meant(&snapshot, args.snapshot.as_bytes()) {
        let style = if args.canonical {
            Style::Canonical
        } else {
            Style::Relaxed
        };
        let options = CatOptions {
            path,
            filter: args.documents.filter()?,
            style,
            limit: args.limit,
        };
        output::results(|out| documents::cat(&repository, &snapshot, &options, &reporter, out))?;
        return Ok(exit::DONE);
    }
    let of_documents = [
        (args.limit.is_some(), "--limit"),
        (args.canonical, "--canonical"),
    ];
    let given = of_documents.iter().find(|(given, _)| *given);
    let given = given.map(|(_, flag)| *flag);
    if let Some(flag) = given.or_else(|| args.documents.first_given()) {
        return Err(usage(format!(
            "{flag} is about documents of MongoDB, and this is a file"
        ))
        .hint("name a collection: duramen cat SNAP:shop.quotes"));
    }
    output::results(|out| export::cat(&repository, &snapshot, &path, out))?;
    Ok(exit::DONE)
}
