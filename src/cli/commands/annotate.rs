//! `duramen annotate` and `tag`.

use std::process::ExitCode;

use duramen::error::Result;
use duramen::ops::annotate::{self, ACCEPTED, AnnotateOptions, Annotated};
use duramen::ops::recall;
use serde::Serialize;

use crate::cli::args::{AnnotateArgs, TagArgs};
use crate::cli::context::{Context, filter_of};
use crate::cli::json::{NoteObject, notes};
use crate::cli::{exit, opening, text};

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    changed_snapshots: u64,
    snapshots: Vec<AnnotatedObject>,
}

#[derive(Serialize)]
struct AnnotatedObject {
    id: String,
    short_id: String,
    changed: bool,
    tags: Vec<String>,
    holds: Vec<String>,
    notes: Vec<NoteObject>,
}

/// `duramen annotate SNAPSHOT...`.
pub fn run(context: &Context, args: &AnnotateArgs) -> Result<ExitCode> {
    let mut add_tags = args.add_tag.clone();
    if args.accept {
        add_tags.push(ACCEPTED.into());
    }
    say(
        context,
        &AnnotateOptions {
            names: args.names.clone(),
            filter: filter_of(&args.filter)?,
            add_tags,
            remove_tags: args.remove_tag.clone(),
            set_tags: None,
            note: args.note.clone(),
            hold: args.hold.clone(),
            release: args.release,
        },
    )
}

/// `duramen tag`.
pub fn tag(context: &Context, args: &TagArgs) -> Result<ExitCode> {
    let set_tags = args.set.as_ref().map(|tags| {
        let given = tags.iter().filter(|tag| !tag.is_empty());
        given.cloned().collect()
    });
    say(
        context,
        &AnnotateOptions {
            names: args.names.clone(),
            filter: filter_of(&args.filter)?,
            add_tags: args.add.clone(),
            remove_tags: args.remove.clone(),
            set_tags,
            ..AnnotateOptions::default()
        },
    )
}

fn say(context: &Context, options: &AnnotateOptions) -> Result<ExitCode> {
    let reporter = context.reporter_beside_results("annotate");
    let repository = opening::open(context, &reporter)?;
    recall::tell(&repository, true, &reporter)?;
    let done = annotate::run(&repository, options)?;
    reporter.finish();
    context.tell(&object(&done), || words(&done))?;
    Ok(exit::DONE)
}

fn object(done: &[Annotated]) -> SummaryObject {
    let one = |annotated: &Annotated| AnnotatedObject {
        id: annotated.snapshot.id.hex(),
        short_id: annotated.snapshot.id.short(),
        changed: annotated.changed,
        tags: annotated.facts.tags(&annotated.snapshot),
        holds: holds(annotated),
        notes: notes(&annotated.facts),
    };
    SummaryObject {
        message_type: "summary",
        changed_snapshots: done.iter().filter(|annotated| annotated.changed).count() as u64,
        snapshots: done.iter().map(one).collect(),
    }
}

fn holds(annotated: &Annotated) -> Vec<String> {
    let holds = annotated.facts.holds.iter();
    holds.map(|(_, why)| why.clone()).collect()
}

fn words(done: &[Annotated]) -> String {
    let mut words = String::new();
    for annotated in done {
        let mut said = Vec::new();
        let tags = annotated.facts.tags(&annotated.snapshot);
        if !tags.is_empty() {
            said.push(format!("tags {}", text::safe(&tags.join(","))));
        }
        for why in holds(annotated) {
            said.push(format!("held: {}", text::safe(&why)));
        }
        for (_, note) in &annotated.facts.notes {
            said.push(format!("note: {}", text::safe(note)));
        }
        if said.is_empty() {
            said.push("no tags".into());
        }
        words.push_str(&format!(
            "snapshot {} {}: {}\n",
            annotated.snapshot.id.short(),
            if annotated.changed {
                "annotated"
            } else {
                "unchanged"
            },
            said.join("; ")
        ));
    }
    if done.is_empty() {
        words.push_str("no snapshots\n");
    }
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::commands::snapshots::tests::sample;
    use crate::cli::json::tests::documented;
    use duramen::repository::Facts;

    #[test]
    fn what_is_said_is_shown_and_documented() {
        let mut facts = Facts::default();
        facts.notes.push((1_000_000_000, "odd\x1b".into()));
        let done = [Annotated {
            snapshot: sample(0xab, "h", b"/x"),
            facts,
            changed: true,
        }];
        assert_eq!(
            words(&done),
            "snapshot abababab annotated: tags a,b; note: odd\\x1b\n"
        );
        let object = documented("annotate, tag", &object(&done));
        assert_eq!(object["changed_snapshots"], 1);
        assert_eq!(object["snapshots"][0]["notes"][0]["note"], "odd\u{1b}");
    }
}
