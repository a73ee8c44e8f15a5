//! `duramen tail`.

use std::io::Write;
use std::process::ExitCode;

use duramen::error::{Error, Kind, Result};
use duramen::ops::snapshot::Selection;
use duramen::ops::tail::{self, TailOptions, TailStep};
use serde::Serialize;

use crate::cli::args::TailArgs;
use crate::cli::context::{Context, usage};
use crate::cli::output::json_line;
use crate::cli::{deployment, exit, opening, size, text, time};

/// A stretch that was recorded.
#[derive(Serialize)]
struct StretchLine {
    message_type: &'static str,
    snapshot_id: String,
    from: String,
    to: String,
    entries: u64,
    data_added_packed: u64,
    lag_seconds: u64,
    window_seconds: u64,
}

/// `duramen tail ADDRESS`.
pub fn run(context: &Context, args: TailArgs) -> Result<ExitCode> {
    if !deployment::is_address(&args.address) {
        return Err(usage("only a MongoDB replica set can be followed")
            .subject(&args.address)
            .hint("name its address: mongodb://HOST"));
    }
    let options = TailOptions {
        address: deployment::with_password(context, &args.address)?,
        collections: Selection {
            database: None,
            within: None,
            include: args.ns_include,
            exclude: args.ns_exclude,
            users: args.users,
        },
        every: args.every,
        once: args.once,
        host: args
            .host
            .unwrap_or_else(|| context.environment.host.clone()),
        user: context.environment.user.clone(),
        tags: args.tags,
        compression: args.compression,
    };
    let reporter = context.reporter("tail");
    let repository = opening::open_or_make(context, &reporter)?;
    let json = context.global.json;
    let quiet = context.global.quiet;
    let gaps = tail::run(&repository, &options, &reporter, &mut |step| {
        if quiet && !json {
            return Ok(());
        }
        let line = match json {
            true => json_line(&line(step))?,
            false => words(step),
        };
        // Whoever watches sees each stretch when it is there.
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| Error::io_named("write", "standard output", error))
    })?;
    reporter.finish();
    Ok(match gaps {
        0 => exit::DONE,
        _ => exit::of_error(Kind::Failed),
    })
}

fn line(step: &TailStep) -> StretchLine {
    StretchLine {
        message_type: "stretch",
        snapshot_id: step.id.hex(),
        from: time::rfc3339(time::of_cluster(step.from.time)),
        to: time::rfc3339(time::of_cluster(step.to.time)),
        entries: step.entries,
        data_added_packed: step.stored,
        lag_seconds: step.lag,
        window_seconds: step.window,
    }
}

fn words(step: &TailStep) -> String {
    format!(
        "{} to {}: {}, stored as {}, {} behind\n",
        time::local(time::of_cluster(step.from.time)),
        time::local(time::of_cluster(step.to.time)),
        text::plural(step.entries, "entry", "entries"),
        size::show(step.stored),
        time::span(step.lag as f64),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::id::SessionId;
    use duramen::ops::snapshot::Position;

    #[test]
    fn a_stretch_for_people_and_for_scripts() {
        let at = |seconds: u64| Position {
            time: seconds << 32,
            proof: [0; 32],
        };
        let step = TailStep {
            id: SessionId([0xab; 16]),
            from: at(60),
            to: at(120),
            entries: 1,
            stored: 2048,
            lag: 3,
            window: 9,
        };
        assert!(
            words(&step).ends_with(": 1 entry, stored as 2.00 KiB, 3.0 s behind\n"),
            "{}",
            words(&step)
        );
        let line = documented("tail", &line(&step));
        assert_eq!(line["to"], "1970-01-01T00:02:00.000000000Z");
        assert_eq!(line["window_seconds"], 9);
    }
}
