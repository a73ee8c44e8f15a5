//! `duramen annotate` and `tag`.

use clap::Args;

use super::FilterArgs;

/// Say something of snapshots: tags, notes, holds
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    long_about = "Snapshots never change; what is said of them later is stored beside them. A held snapshot is kept, \
        whatever any rule says, until it is released; holding one that was forgotten takes that back. --accept says \
        that a partial or abnormally small snapshot is right as it is (it is the tag 'accepted'): it counts as good \
        from now on, and shows what is normal for those that follow.",
    after_help = "Examples:\n  \
        duramen annotate latest --add-tag before-upgrade --note 'the last one with version 4'\n  \
        duramen annotate 3f2a9c1b --hold 'claim 2026-118'\n  \
        duramen annotate 3f2a9c1b --release\n  \
        duramen annotate latest --accept"
)]
pub struct AnnotateArgs {
    /// Which snapshots
    #[arg(value_name = "SNAPSHOT", required = true)]
    pub names: Vec<String>,

    /// Add a tag (repeatable, comma separated)
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub add_tag: Vec<String>,

    /// Remove a tag (repeatable, comma separated)
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub remove_tag: Vec<String>,

    /// Keep a few words with it
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,

    /// Keep it, whatever any rule says
    #[arg(
        long,
        value_name = "WHY",
        num_args = 0..=1,
        default_missing_value = "no reason given",
        conflicts_with = "release"
    )]
    pub hold: Option<String>,

    /// Release every hold
    #[arg(long)]
    pub release: bool,

    /// Say that it is right as it is, partial or small as it may be
    #[arg(long)]
    pub accept: bool,

    /// Among which.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Change the tags of snapshots
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    long_about = "Changes the tags of the named snapshots, or of all that --host, --path and --tag choose. The same \
        can be said with annotate.",
    after_help = "Examples:\n  \
        duramen tag latest --add release,v4\n  \
        duramen tag --tag nightly --host web1 --remove nightly\n  \
        duramen tag 3f2a9c1b --set ''                           no tags at all"
)]
pub struct TagArgs {
    /// Which snapshots
    #[arg(value_name = "SNAPSHOT", required_unless_present_any = ["hosts", "tags", "paths"])]
    pub names: Vec<String>,

    /// Add a tag (repeatable, comma separated)
    #[arg(
        long,
        value_name = "TAGS",
        value_delimiter = ',',
        conflicts_with = "set"
    )]
    pub add: Vec<String>,

    /// Remove a tag (repeatable, comma separated)
    #[arg(
        long,
        value_name = "TAGS",
        value_delimiter = ',',
        conflicts_with = "set"
    )]
    pub remove: Vec<String>,

    /// Have these tags and no others (repeatable, comma separated)
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub set: Option<Vec<String>>,

    /// Among which.
    #[command(flatten)]
    pub filter: FilterArgs,
}
