//! `duramen key export|import`: keys on paper, and back.

use std::process::ExitCode;

use duramen::error::{Error, Kind, Result};
use duramen::ops::key::{self, SlotInfo};
use duramen::repository::Repository;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::cli::args::ImportKeyArgs;
use crate::cli::context::{Context, usage};
use crate::cli::output::{self, put};
use crate::cli::places::{self, Place};
use crate::cli::{credentials, exit, opening, text};

/// Words in a line on paper.
const COLUMNS: usize = 4;

#[derive(Serialize)]
struct ExportObject<'w> {
    message_type: &'static str,
    repository_id: String,
    repository: String,
    id: String,
    short_id: String,
    words: Vec<&'w str>,
}

#[derive(Serialize)]
struct ImportObject {
    message_type: &'static str,
    key_file: String,
    repository_id: Option<String>,
}

/// `duramen key export`.
pub fn export(context: &Context) -> Result<ExitCode> {
    let reporter = context.reporter_beside_results("key export");
    let repository = opening::open(context, &reporter)?;
    let (slot, words) = key::export(&repository)?;
    reporter.finish();
    let page = if context.global.json {
        let object = ExportObject {
            message_type: "recovery_words",
            repository_id: repository.id().hex(),
            repository: repository.describe(),
            id: slot.id.hex(),
            short_id: slot.id.short(),
            words: words.split(' ').collect(),
        };
        output::json_line(&object)?
    } else {
        paper(&repository, &slot, &words)
    };
    let page = Zeroizing::new(page);
    output::results(|out| put(out, page.as_bytes()))?;
    Ok(exit::DONE)
}

/// What is written down: the words in the order of their numbers, line by line.
fn paper(repository: &Repository, slot: &SlotInfo, words: &str) -> String {
    let mut page = String::with_capacity(4096);
    page.push_str(&format!(
        "Recovery words of the duramen repository {}\nkey slot {}\n\n",
        repository.id().hex(),
        slot.id.short()
    ));
    for (at, word) in words.split(' ').enumerate() {
        page.push_str(&format!("{:>4}. {word:<10}", at + 1));
        if (at + 1).is_multiple_of(COLUMNS) {
            page.truncate(page.trim_end().len());
            page.push('\n');
        }
    }
    page.push_str(
        "\nWhoever has these words reads everything. Keep the paper where neither the machine\n\
         nor the repository is. To use them, on any machine:\n  \
         duramen -r REPOSITORY key import KEYFILE\n",
    );
    page
}

/// `duramen key import`.
pub fn import(context: &Context, args: &ImportKeyArgs) -> Result<ExitCode> {
    // Before anybody types 24 words in vain.
    if args.file.symlink_metadata().is_ok() {
        return Err(Error::new(Kind::Exists, "a file is there already")
            .subject(args.file.display().to_string())
            .hint("name another file; a key file is never overwritten"));
    }
    let named = context.global.repository.is_some() || context.environment.repository.is_some();
    let reporter = context.reporter_beside_results("key import");
    let words = match &args.words_file {
        Some(file) => credentials::read_file(file)?,
        None if context.environment.can_ask => {
            reporter.aside(|| credentials::ask_words(key::RECOVERY_WORDS, key::recovery_word))?
        }
        None => {
            return Err(usage("nobody is here to type the words")
                .hint("name a file that holds them with --words-file"));
        }
    };
    let recovered = key::from_recovery_words(&words)?;
    let repository = if named {
        let place = Place::choose(&context.global, &context.environment)?;
        let options = opening::options(context, &place)?;
        Some(key::try_recovered(&options, &recovered)?)
    } else {
        None
    };
    places::write_secret(&args.file, &recovered)?;
    reporter.finish();
    let file = args.file.display().to_string();
    let object = ImportObject {
        message_type: "key_imported",
        key_file: file.clone(),
        repository_id: repository.map(|id| id.hex()),
    };
    context.tell(&object, || match repository {
        Some(id) => format!(
            "key file {} written; it opens the repository {}\n",
            text::safe(&file),
            id.short()
        ),
        None => format!(
            "key file {} written; no repository was named with -r, so it was not tried\n",
            text::safe(&file)
        ),
    })?;
    Ok(exit::DONE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;

    #[test]
    fn both_ways_are_documented() {
        let export = ExportObject {
            message_type: "recovery_words",
            repository_id: "ab".into(),
            repository: "/r".into(),
            id: "cd".into(),
            short_id: "cd".into(),
            words: vec!["abandon", "art"],
        };
        assert_eq!(documented("key", &export)["words"][1], "art");
        let import = ImportObject {
            message_type: "key_imported",
            key_file: "/k".into(),
            repository_id: None,
        };
        documented("key", &import);
    }
}
