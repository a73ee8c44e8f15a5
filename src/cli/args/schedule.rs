//! `duramen schedule`.

use clap::{Args, Subcommand, ValueEnum};

/// Have `duramen run` called by cron or systemd
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct ScheduleArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ScheduleCommand,
}

/// What can be done with a schedule.
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Show what is due when, what came of it last, and who calls it
    #[command(
        long_about = "Shows every job of the configuration: when it was last done, what came of it, and when it is due \
            next; and whether cron or systemd call it.",
        after_help = "Examples:\n  duramen schedule show\n  duramen schedule show --json"
    )]
    Show,
    Install(InstallArgs),
    Remove(UninstallArgs),
}

/// Have it called at its times
#[derive(Debug, Args)]
#[command(
    long_about = "Writes what calls `duramen run` at the times that the configuration says, and once an hour for what \
        was missed or failed: lines in your crontab, between two marks and with all other lines left as they are, or a \
        service and a timer of systemd. It calls this program with this configuration, both by their whole paths; \
        everything else, the key too, is read from the configuration. Doing it again replaces what was written.",
    after_help = "Examples:\n  \
        duramen schedule install --with cron --dry-run\n  \
        duramen schedule install --with systemd          (as root)\n  \
        duramen schedule install --with systemd-user"
)]
pub struct InstallArgs {
    /// What calls it
    #[arg(long, value_name = "WHAT", value_enum)]
    pub with: With,

    /// Print what would be written, and where
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

/// Take away what `install` wrote, and nothing else
#[derive(Debug, Args)]
#[command(
    long_about = "Takes away the lines or units that `install` wrote for this configuration, wherever they are, or only \
        those of one kind. Everything else stays as it is, snapshots and logs too.",
    after_help = "Examples:\n  duramen schedule remove\n  duramen schedule remove --with cron --dry-run"
)]
pub struct UninstallArgs {
    /// Only from there
    #[arg(long, value_name = "WHAT", value_enum)]
    pub with: Option<With>,

    /// Print what would be taken away
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

/// What calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum With {
    /// Lines in your crontab
    Cron,
    /// A timer of the system, in /etc/systemd/system
    Systemd,
    /// A timer of your own, in your configuration folder
    SystemdUser,
}

impl With {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cron, Self::Systemd, Self::SystemdUser];

    /// As it is typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::Systemd => "systemd",
            Self::SystemdUser => "systemd-user",
        }
    }
}
