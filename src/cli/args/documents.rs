//! Which documents of MongoDB are meant: what `restore` and `cat` share.

use std::ffi::OsString;

use clap::Args;
use duramen::clock::Nanos;

use duramen::ops::documents::DocumentFilter;

use crate::cli::context::usage;

/// Which documents.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "MongoDB")]
pub struct DocumentArgs {
    /// Only the document of this _id, as JSON or plain text (repeatable)
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub id: Vec<String>,

    /// Only documents whose field is equal (repeatable: all must be)
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    pub conditions: Vec<String>,

    /// Only documents of that time or later
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Nanos>,

    /// Only documents before that time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Nanos>,

    /// The field that says a document's time; without it the _id does, where that is an ObjectId
    #[arg(long, value_name = "FIELD")]
    pub date_field: Option<String>,
}

impl DocumentArgs {
    /// The first of them that was given.
    pub fn first_given(&self) -> Option<&'static str> {
        let given = [
            (!self.id.is_empty(), "--id"),
            (!self.conditions.is_empty(), "--where"),
            (self.since.is_some(), "--since"),
            (self.until.is_some(), "--until"),
            (self.date_field.is_some(), "--date-field"),
        ];
        given
            .iter()
            .find(|(given, _)| *given)
            .map(|(_, flag)| *flag)
    }

    /// As options.
    ///
    /// # Errors
    /// A field that says times, and no time.
    pub fn filter(self) -> duramen::error::Result<DocumentFilter> {
        if self.date_field.is_some() && self.since.is_none() && self.until.is_none() {
            return Err(usage(
                "--date-field is about --since and --until, and neither was given",
            ));
        }
        Ok(DocumentFilter {
            ids: self.id,
            conditions: self.conditions,
            date_field: self.date_field.unwrap_or_default(),
            since: self.since,
            until: self.until,
        })
    }
}

/// As it was when, or as a dump has it.
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "MongoDB")]
pub struct AtArgs {
    /// As it was at the end of that second: worked out from the newest snapshot before and the recorded oplog
    ///
    /// SNAP only says of which replica set, usually latest. duramen timeline shows which moments can be had.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Nanos>,

    /// The collections of a dump among the snapshot's files, instead of a deployment
    ///
    /// A folder of mongodump, an archive of it, one .bson file, or what mongoexport wrote (JSON, one document a line or one array),
    /// gzipped or not. A file is the collection of its name in the database of its folder's name.
    #[arg(long, value_name = "PATH", conflicts_with = "at")]
    pub dump: Option<OsString>,
}

impl AtArgs {
    /// Whether none of it was given.
    pub fn is_empty(&self) -> bool {
        self.at.is_none() && self.dump.is_none()
    }
}

fn time(text: &str) -> Result<Nanos, String> {
    crate::cli::time::parse(text).map_err(|error| super::plain(&error))
}
