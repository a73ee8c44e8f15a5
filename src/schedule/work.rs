//! One function for each kind of work: a use case of `ops` with the options that a configuration says.

use jiff::tz::TimeZone;

use super::{Job, Outcome};
use crate::config::{Config, Mongo, Source, What};
use crate::error::{Error, Kind, Result};
use crate::format::snapshot::State;
use crate::ops::check::{self, CheckOptions};
use crate::ops::forget::{self, ForgetOptions, Grouping};
use crate::ops::prune::{self, PruneOptions};
use crate::ops::select::Filter;
use crate::ops::snapshot::{self, Input, Selection, SnapshotOptions};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::size;

/// What came of a job that was not prevented.
#[derive(Debug)]
pub struct Worked {
    pub outcome: Outcome,
    /// A sentence about it.
    pub message: String,
    pub snapshot: Option<String>,
}

/// What jobs are done with.
pub struct Bench<'a> {
    pub config: &'a Config,
    pub host: &'a str,
    pub user: &'a str,
    /// Whose days and hours retention counts in.
    pub zone: &'a TimeZone,
    /// The address of a deployment with its password.
    pub address: &'a dyn Fn(&Mongo) -> Result<String>,
}

/// Does one job.
pub fn work(
    job: &Job,
    bench: &Bench<'_>,
    repository: &Repository,
    progress: &dyn Progress,
) -> Result<Worked> {
    match job {
        Job::Snapshot(name) => {
            let source = bench
                .config
                .sources
                .iter()
                .find(|source| source.name == *name);
            let source = source.ok_or_else(|| {
                Error::new(Kind::NotFound, "there is no such source").subject(name)
            })?;
            take(source, bench, repository, progress)
        }
        Job::Forget => forget_old(bench, repository, progress),
        Job::Prune => free(repository, progress),
        Job::Check => look_over(bench.config, repository, progress),
    }
}

fn take(
    source: &Source,
    bench: &Bench<'_>,
    repository: &Repository,
    progress: &dyn Progress,
) -> Result<Worked> {
    let input = match &source.what {
        What::Paths(paths) => Input::Paths(paths.clone()),
        What::Command { argv, filename } => Input::Command {
            argv: argv.clone(),
            filename: filename.clone().into_bytes(),
        },
    };
    let mut tags = source.tags.clone();
    tags.push(source.tag());
    let mongo = source.mongo.as_ref();
    let options = SnapshotOptions {
        input,
        databases: mongo.map(bench.address).transpose()?.into_iter().collect(),
        reading: mongo.map(|own| own.reading).unwrap_or_default(),
        collections: Selection {
            include: mongo.map(|own| own.include.clone()).unwrap_or_default(),
            exclude: mongo.map(|own| own.exclude.clone()).unwrap_or_default(),
            users: mongo.is_some_and(|own| own.users),
            ..Selection::default()
        },
        excludes: source.excludes.clone(),
        kind: source.kind,
        host: source.host.clone().unwrap_or_else(|| bench.host.to_owned()),
        user: bench.user.to_owned(),
        tags,
        time: None,
        parent: None,
        force: false,
        dry_run: false,
        compression: source.compression,
        ignore_inode: source.ignore_inode,
        ignore_ctime: source.ignore_ctime,
        no_dumps: source.no_dumps,
    };
    let summary = snapshot::run(repository, &options, progress)?;
    let counters = &summary.counters;
    let mut message = format!(
        "snapshot {}: files {} new, {} changed, {} unmodified; {} added, stored as {}",
        summary.id.map(|id| id.short()).unwrap_or_default(),
        counters.files_new,
        counters.files_changed,
        counters.files_unmodified,
        size::show(counters.data_added),
        size::show(counters.data_added_packed),
    );
    if let Some(problem) = summary.problems.first() {
        message.push_str(&format!(
            "; {} problems, the first: {}: {}",
            summary.problem_count,
            String::from_utf8_lossy(&problem.path.0),
            problem.what
        ));
    }
    // Abnormally little may be a disk that is not mounted: nobody looks at night, so it is told like what is missing.
    if let Some(shrunken) = &summary.shrunken {
        message.push_str(&format!("; abnormal: {}", shrunken.words()));
    }
    let differing: u64 = summary
        .deployments
        .iter()
        .map(|own| own.scrub_differences)
        .sum();
    if differing > 0 {
        message.push_str(&format!(
            "; {differing} documents of MongoDB were not as they are stored: earlier snapshots may be wrong"
        ));
    }
    let whole = summary.state == State::Complete && summary.shrunken.is_none() && differing == 0;
    Ok(Worked {
        outcome: if whole { Outcome::Ok } else { Outcome::Partial },
        message,
        snapshot: summary.id.map(|id| id.hex()),
    })
}

fn look_over(config: &Config, repository: &Repository, progress: &dyn Progress) -> Result<Worked> {
    let options = CheckOptions {
        read: config.schedule.check_read,
        ..CheckOptions::default()
    };
    let summary = check::run(repository, &options, progress)?;
    let mut message = format!(
        "checked {} snapshots and {} packs, {} of data read",
        summary.snapshots,
        summary.packs,
        size::show(summary.bytes_read)
    );
    let damaged = summary.findings.iter().find(|finding| finding.damage);
    message.push_str(&match damaged {
        Some(first) => format!(
            "; {} damages, the first: {}: {}",
            summary.damage_count, first.subject, first.what
        ),
        None => "; no damage found".into(),
    });
    Ok(Worked {
        outcome: if summary.damage_count > 0 {
            Outcome::Damage
        } else {
            Outcome::Ok
        },
        message,
        snapshot: None,
    })
}

/// Looks at snapshots alone that a run took of a source of this name on this host: they wear its tag. What somebody
/// took by hand is nobody's to forget here, and a source whose paths were changed keeps its history.
fn forget_old(
    bench: &Bench<'_>,
    repository: &Repository,
    progress: &dyn Progress,
) -> Result<Worked> {
    let (mut kept, mut forgotten, mut broken) = (0, 0, None);
    let mut failed = None;
    for source in &bench.config.sources {
        let retention = source.retention.as_ref().unwrap_or(&bench.config.retention);
        let options = ForgetOptions {
            policy: retention.0.clone(),
            keep_names: Vec::new(),
            grouping: Grouping {
                host: true,
                paths: false,
                tags: false,
            },
            filter: Filter {
                hosts: vec![source.host.clone().unwrap_or_else(|| bench.host.to_owned())],
                tags: vec![source.tag()],
                ..Filter::default()
            },
            zone: bench.zone.clone(),
            ignore_stored_times: false,
            dry_run: false,
        };
        match forget::by_rules(repository, &options, progress) {
            Ok(summary) => {
                let (stay, go) = summary.count();
                kept += stay;
                forgotten += go;
                broken = broken.or(summary.broken.into_iter().next());
            }
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            // The other sources have nothing to do with it.
            Err(error) => failed = failed.or(Some(error.or_subject(|| source.tag()))),
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let mut message = format!("{forgotten} snapshots forgotten, {kept} kept");
    if let Some(error) = &broken {
        message.push_str(&format!("; what cannot be read stays, the first: {error}"));
    }
    Ok(Worked {
        outcome: match broken {
            Some(_) => Outcome::Damage,
            None => Outcome::Ok,
        },
        message,
        snapshot: None,
    })
}

fn free(repository: &Repository, progress: &dyn Progress) -> Result<Worked> {
    let report = prune::run(repository, &PruneOptions::default(), false, progress)?;
    let mut message = format!(
        "{} packs deleted ({}), {} more are to go ({}), {} snapshots gone for good",
        report.deleted_packs,
        size::show(report.deleted),
        report.marked_packs,
        size::show(report.marked),
        report.snapshots_gone,
    );
    if report.wait_count > 0 {
        message.push_str(&format!(
            "; {} things wait for their grace or a session",
            report.wait_count
        ));
    }
    if report.unreadable > 0 {
        message.push_str(&format!(
            "; {} packs stay because something needed in them cannot be read",
            report.unreadable
        ));
    }
    Ok(Worked {
        outcome: if report.unreadable > 0 {
            Outcome::Damage
        } else {
            Outcome::Ok
        },
        message,
        snapshot: None,
    })
}
