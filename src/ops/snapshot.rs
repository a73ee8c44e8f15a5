//! Taking a snapshot: choose a parent, take everything, commit.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::git;
use super::select;
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
pub use crate::format::deployment::{Moment, Position};
use crate::format::records::SessionPurpose;
use crate::format::snapshot::{
    Counters, Features, GitState, PathBytes, Problem, Snapshot, SnapshotKind, SourceRecord, State,
};
use crate::id::{PackId, SnapshotId};
use crate::limits::SNAPSHOT_WORDS_MAX;
use crate::progress::Progress;
use crate::repository::{Facts, Repository, Session, Standing, WriterOptions};
pub use crate::retention::Shrunken;
use crate::retention::{Candidate, judge};
pub use crate::seal::Compression;
use crate::snapshot::{
    DeploymentOptions, TakeOptions, Taken, TakenDeployment, Trust, take, take_deployment,
};
use crate::source::Source;
pub use crate::source::excludes::Excludes;
use crate::source::files::{FilesSource, LeftOut};
pub use crate::source::mongo::Selection;
use crate::source::mongo::Server;
pub use crate::source::mongo::address::with_password as address_with_password;
pub use crate::source::mongo::address::{is_address, lacks_password};
pub use crate::source::mongo::server::without_secrets;
use crate::source::stream::StreamSource;

/// What to read.
#[derive(Debug, Clone)]
pub enum Input {
    /// Files and folders, absolute or relative to the current folder.
    Paths(Vec<PathBuf>),
    /// Standard input, as one file of that name below `/`.
    Stdin {
        /// Raw path of the file in the snapshot.
        filename: Vec<u8>,
    },
    /// What a command prints, as one file; a command that fails makes no snapshot.
    Command {
        /// Program and arguments.
        argv: Vec<std::ffi::OsString>,
        /// Raw path of the file in the snapshot.
        filename: Vec<u8>,
    },
}

/// How MongoDB deployments are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Keep nothing of what happened between two snapshots.
    pub no_oplog: bool,
    /// Compare about so many documents that are taken over unread with the server.
    pub scrub_sample: u64,
    /// Ask no more than so many bytes of documents a second of the server.
    pub max_rate: Option<u64>,
}

/// How to take a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// What to read.
    pub input: Input,
    /// MongoDB deployments to read too, by their addresses: `mongodb://` or `mongodb+srv://`.
    pub databases: Vec<String>,
    /// Which collections of them; the database that an address names is taken alone.
    pub collections: Selection,
    /// How they are read.
    pub reading: Reading,
    /// What to leave out.
    pub excludes: Excludes,
    /// Which parent to compare with.
    pub kind: SnapshotKind,
    /// Host name to record; the machine's where empty.
    pub host: String,
    /// User name to record; the caller's where empty.
    pub user: String,
    /// Tags at birth.
    pub tags: Vec<String>,
    /// The time that the snapshot stands for; now where none.
    pub time: Option<Nanos>,
    /// Name of the snapshot to compare with, instead of the one that `kind` chooses.
    pub parent: Option<String>,
    /// Read everything again, whatever the parent says.
    pub force: bool,
    /// Do all but store.
    pub dry_run: bool,
    /// How hard to compress.
    pub compression: Compression,
    /// Do not compare inode numbers (network file systems make them up).
    pub ignore_inode: bool,
    /// Do not compare inode change times.
    pub ignore_ctime: bool,
    /// Store dumps like any other file.
    pub no_dumps: bool,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct SnapshotSummary {
    /// None after a dry run.
    pub id: Option<SnapshotId>,
    /// Full where there was no parent to compare with, whatever was asked for.
    pub kind: SnapshotKind,
    /// The snapshot that it was compared with.
    pub parent: Option<SnapshotId>,
    /// Whether anything is missing.
    pub state: State,
    /// The first problems.
    pub problems: Vec<Problem>,
    /// All problems.
    pub problem_count: u64,
    /// Where abnormally little was there, as on a disk that is not mounted: how little. It is stored all the same, and
    /// takes no good snapshot's place.
    pub shrunken: Option<Shrunken>,
    /// Work done.
    pub counters: Counters,
    /// The deployments in it, in the order in which they were asked for.
    pub deployments: Vec<DeploymentSummary>,
    /// Where the source tree's git stood.
    pub git: Option<GitState>,
    /// When it started.
    pub started: Nanos,
    /// When it was committed.
    pub finished: Nanos,
    /// Seconds between the two, by a clock that does not jump.
    pub seconds: f64,
}

/// What was done of one MongoDB deployment.
#[derive(Debug, Clone)]
pub struct DeploymentSummary {
    /// Its address, without what is secret in it.
    pub address: String,
    /// Which time it shows.
    pub moment: Moment,
    /// Collections, views and time series in it.
    pub collections: u64,
    /// Documents in it, as far as they were counted.
    pub documents: u64,
    /// Collections of which everything was read.
    pub collections_read: u64,
    /// Documents that were read.
    pub documents_read: u64,
    /// Since when any moment can be had back by what was kept of the oplog.
    pub recorded: Option<Position>,
    /// Documents that were taken over unread and compared with the server; none where that was not asked for.
    pub scrubbed: Option<u64>,
    /// Of them, those that differed though nothing told of it; their collections were read anew.
    pub scrub_differences: u64,
}

/// A source with what is recorded of it.
struct Opened {
    source: Option<Box<dyn Source>>,
    servers: Vec<Server>,
    outcome: Option<crate::source::stream::Outcome>,
    paths: Vec<PathBytes>,
    git: Option<GitState>,
}

/// Takes it.
///
/// # Errors
/// Where nothing could be read, where the storage fails, and [`Kind::Conflict`] where the session was expired
/// meanwhile. Files that could not be read are no error here: the summary's state says so.
pub fn run(
    repository: &Repository,
    options: &SnapshotOptions,
    progress: &dyn Progress,
) -> Result<SnapshotSummary> {
    let environment = repository.environment();
    let started = environment.clock.now();
    let opened = open(repository, options, started)?;
    progress.phase("snapshot");
    super::recall::tell(repository, true, progress)?;
    if options.dry_run {
        let session = repository.rehearse()?;
        return attempt(repository, &session, options, opened, started, progress);
    }
    let session = repository.begin(SessionPurpose::Write)?;
    if let Some(error) = &session.damaged {
        progress.note(&format!(
            "going on without a part of the index, what it names is stored again: {error}"
        ));
    }
    let done = attempt(repository, &session, options, opened, started, progress);
    session.end(repository);
    done
}

fn attempt(
    repository: &Repository,
    session: &Session,
    options: &SnapshotOptions,
    mut opened: Opened,
    started: Nanos,
    progress: &dyn Progress,
) -> Result<SnapshotSummary> {
    let environment = repository.environment();
    let clock = environment.clock.elapsed();
    let or = |given: &str, own: &str| {
        if given.is_empty() {
            own.to_owned()
        } else {
            given.to_owned()
        }
    };
    let (host, user) = (
        or(&options.host, &environment.host),
        or(&options.user, &environment.user),
    );
    let seen = repository.seen()?;
    let known = repository.standing(&mut |_, error| {
        progress.note(&format!("left aside, it cannot be read: {error}"));
        Ok(())
    })?;
    let same_source = |snapshot: &Snapshot| snapshot.host == host && snapshot.paths == opened.paths;
    let mut before: Vec<Candidate> = known
        .iter()
        .filter(|(snapshot, facts)| same_source(snapshot) && facts.standing == Standing::Living)
        .map(|(snapshot, facts)| Candidate::of(snapshot, facts.tags(snapshot)))
        .collect();
    let newest = known.iter().map(|(snapshot, _)| snapshot).rev();
    let last = newest
        .filter(|snapshot| !session.forgotten.contains(&snapshot.id))
        .find(|snapshot| same_source(snapshot))
        .cloned();
    let parent = parent(repository, session, options, known, &same_source)?;
    let kind = if parent.is_some() {
        options.kind
    } else {
        SnapshotKind::Full
    };
    let root = parent.as_ref().and_then(|parent| {
        parent.sources.iter().find_map(|source| match source {
            SourceRecord::Files { root, hints, .. } => Some(((**root).clone(), *hints)),
            _ => None,
        })
    });
    let take_options = TakeOptions {
        writer: WriterOptions {
            compression: options.compression,
            dry_run: options.dry_run,
        },
        trust: Trust {
            ignore_inode: options.ignore_inode,
            ignore_ctime: options.ignore_ctime,
        },
        dumps: !options.no_dumps,
    };
    let mut whole = Whole::default();
    if let Some(source) = &mut opened.source {
        let taken = take(
            repository,
            session,
            &mut **source,
            root,
            take_options,
            progress,
        )?;
        if let Some(outcome) = &opened.outcome {
            outcome.check()?;
        }
        whole.files(taken);
    }
    for (number, server) in opened.servers.iter().enumerate() {
        // What happened is kept from the last one on, though nothing else of it may be of use.
        let of_parent = parent.as_ref().or(last.as_ref());
        let of_parent = of_parent.and_then(|parent| parent.deployments().nth(number));
        let selection = Selection {
            database: server.database().map(str::to_owned),
            ..options.collections.clone()
        };
        let taken = take_deployment(
            repository,
            session,
            server,
            &DeploymentOptions {
                selection: &selection,
                parent: of_parent,
                anew: parent.is_none(),
                recorded: !options.reading.no_oplog,
                scrub_sample: options.reading.scrub_sample,
                writer: take_options.writer,
            },
            progress,
        )?;
        whole.deployment(server, taken, options.reading.scrub_sample > 0);
    }
    let Whole {
        sources,
        counters,
        problems,
        problem_count,
        relied,
        deployments,
        recipes,
    } = whole;
    let state = if problem_count == 0 {
        State::Complete
    } else {
        State::Partial
    };
    let finished = environment.clock.now();
    let mut tags: Vec<String> = options.tags.clone();
    tags.sort_unstable();
    tags.dedup();
    let snapshot = Snapshot {
        id: session.id,
        repository: repository.id(),
        features: Features::of(recipes),
        time: options.time.unwrap_or(started),
        started,
        finished,
        kind,
        parent: parent.as_ref().map(|parent| parent.id),
        host,
        user,
        tags,
        paths: opened.paths,
        excludes: words(options),
        sources,
        state,
        problems,
        problem_count,
        counters,
        program: env!("CARGO_PKG_VERSION").into(),
        git: opened.git,
        seen,
        extensions: Vec::new(),
    };
    if !options.dry_run {
        repository.commit(session, &snapshot, &relied)?;
        repository.remember(session.id);
    }
    before.push(Candidate::of(&snapshot, snapshot.tags.clone()));
    let shrunken = judge(&before, finished)
        .pop()
        .and_then(|judged| judged.shrunken());
    if let Some(shrunken) = &shrunken {
        progress.problem(&abnormal(&snapshot, shrunken, options.dry_run));
    }
    Ok(SnapshotSummary {
        id: (!options.dry_run).then_some(session.id),
        kind,
        parent: snapshot.parent,
        state,
        problems: snapshot.problems,
        problem_count,
        shrunken,
        counters,
        deployments,
        git: snapshot.git,
        started,
        finished,
        seconds: (environment.clock.elapsed() - clock).as_secs_f64(),
    })
}

/// Opens the source and refuses, before anything is read, what the record could not hold.
fn open(repository: &Repository, options: &SnapshotOptions, now: Nanos) -> Result<Opened> {
    let words: usize = options.tags.iter().map(String::len).sum::<usize>()
        + options.host.len()
        + options.user.len()
        + words(options).iter().map(String::len).sum::<usize>();
    if words > SNAPSHOT_WORDS_MAX {
        return Err(Error::new(
            Kind::Limit,
            format!("{words} bytes of tags and excludes are more than a snapshot can record"),
        )
        .hint("put excludes into a file and name it with --exclude-file"));
    }
    let named = |filename: &[u8]| {
        let mut path = Vec::new();
        for name in crate::source::files::names(filename) {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        vec![PathBytes(path)]
    };
    let servers: Vec<Server> = options
        .databases
        .iter()
        .map(|address| Ok(Server::connect(address)?.at_rate(options.reading.max_rate)))
        .collect::<Result<_>>()?;
    let of_servers = servers
        .iter()
        .map(|server| PathBytes(server.address().as_bytes().to_vec()));
    match &options.input {
        Input::Paths(paths) if paths.is_empty() => Ok(Opened {
            source: None,
            outcome: None,
            paths: of_servers.collect(),
            git: None,
            servers,
        }),
        Input::Paths(paths) => {
            let mut left_out = Vec::new();
            if let Some(folder) = repository.storage().local_path() {
                left_out.extend(LeftOut::directory(folder, "the repository itself"));
            }
            if let Some(folder) = &repository.environment().cache {
                left_out.extend(LeftOut::directory(folder, "the cache of this program"));
            }
            let git = paths.first().and_then(|path| git::state(path));
            let source = FilesSource::new(paths, &options.excludes, left_out)?;
            let mut paths = recorded(source.paths());
            paths.extend(of_servers);
            Ok(Opened {
                source: Some(Box::new(source)),
                outcome: None,
                paths,
                git,
                servers,
            })
        }
        Input::Stdin { filename } => {
            let source = StreamSource::stdin(filename, now)?;
            Ok(Opened {
                outcome: Some(source.outcome()),
                source: Some(Box::new(source)),
                paths: named(filename).into_iter().chain(of_servers).collect(),
                git: None,
                servers,
            })
        }
        Input::Command { argv, filename } => {
            let source = StreamSource::command(argv, filename, now)?;
            Ok(Opened {
                outcome: Some(source.outcome()),
                source: Some(Box::new(source)),
                paths: named(filename).into_iter().chain(of_servers).collect(),
                git: None,
                servers,
            })
        }
    }
}

/// What was left out, as typed.
fn words(options: &SnapshotOptions) -> Vec<String> {
    let mut words = options.excludes.words();
    let collections = &options.collections;
    for (flag, patterns) in [
        ("--ns-include", &collections.include),
        ("--ns-exclude", &collections.exclude),
    ] {
        words.extend(patterns.iter().map(|pattern| format!("{flag} {pattern}")));
    }
    words
}

/// What several sources come to together.
#[derive(Default)]
struct Whole {
    sources: Vec<SourceRecord>,
    counters: Counters,
    problems: Vec<Problem>,
    problem_count: u64,
    relied: HashSet<PackId>,
    deployments: Vec<DeploymentSummary>,
    recipes: bool,
}

impl Whole {
    fn files(&mut self, taken: Taken) {
        self.counters = taken.counters;
        self.problems = taken.problems;
        self.problem_count = taken.problem_count;
        self.relied = taken.relied;
        self.recipes = taken.recipes;
        self.sources.push(SourceRecord::Files {
            root: Box::new(taken.tree.root),
            owner: taken.tree.owner,
            hints: taken.tree.hints,
        });
    }

    fn deployment(&mut self, server: &Server, taken: TakenDeployment, scrub: bool) {
        let TakenDeployment {
            deployment,
            counters,
            collections_read,
            documents_read,
            relied,
            slice,
            scrubbed,
            scrub_differences,
        } = taken;
        for (all, own) in [
            (&mut self.counters.bytes_processed, counters.bytes_processed),
            (&mut self.counters.bytes_read, counters.bytes_read),
            (&mut self.counters.data_chunks, counters.data_chunks),
            (&mut self.counters.tree_chunks, counters.tree_chunks),
            (&mut self.counters.data_added, counters.data_added),
            (
                &mut self.counters.data_added_packed,
                counters.data_added_packed,
            ),
        ] {
            *all = all.saturating_add(own);
        }
        self.relied.extend(relied);
        self.deployments.push(DeploymentSummary {
            address: server.address().to_owned(),
            moment: deployment.moment,
            collections: deployment.collections,
            documents: deployment.documents,
            collections_read,
            documents_read,
            recorded: slice.as_ref().map(|slice| slice.from),
            scrubbed: scrub.then_some(scrubbed),
            scrub_differences,
        });
        self.sources.push(SourceRecord::Mongo(Box::new(deployment)));
        self.sources
            .extend(slice.map(|slice| SourceRecord::Oplog(Box::new(slice))));
    }
}

/// The paths to record: all, or the folder that holds them all where there are too many to name.
fn recorded(paths: &[PathBuf]) -> Vec<PathBytes> {
    let bytes = |path: &Path| PathBytes(path.as_os_str().as_encoded_bytes().to_vec());
    let total: usize = paths.iter().map(|path| path.as_os_str().len()).sum();
    if total <= SNAPSHOT_WORDS_MAX {
        return paths.iter().map(|path| bytes(path)).collect();
    }
    let mut common = paths.first().cloned().unwrap_or_default();
    while !paths.iter().all(|path| path.starts_with(&common)) && common.pop() {}
    vec![bytes(&common)]
}

/// The snapshot to compare with: listed after the session was opened, and not about to go.
fn parent(
    repository: &Repository,
    session: &Session,
    options: &SnapshotOptions,
    known: Vec<(Snapshot, Facts)>,
    same_source: &dyn Fn(&Snapshot) -> bool,
) -> Result<Option<Snapshot>> {
    if let Some(name) = &options.parent {
        if options.kind == SnapshotKind::Full {
            return Err(Error::new(
                Kind::Usage,
                "a full snapshot is compared with nothing, so it has no parent",
            )
            .hint("leave out --parent, or take an incremental one"));
        }
        let chosen = select::one(repository, name, &select::Filter::default())?;
        if session.forgotten.contains(&chosen.id) {
            return Err(Error::new(
                Kind::NotFound,
                "this snapshot was forgotten and can be no parent",
            )
            .subject(name));
        }
        return Ok((!options.force).then_some(chosen));
    }
    if options.force || options.kind == SnapshotKind::Full {
        return Ok(None);
    }
    let parents = known.into_iter().map(|(snapshot, _)| snapshot);
    let newest = parents.rev().find(|snapshot| {
        let fits =
            options.kind != SnapshotKind::Differential || snapshot.kind == SnapshotKind::Full;
        same_source(snapshot) && fits && !session.forgotten.contains(&snapshot.id)
    });
    Ok(newest)
}

/// What is said where abnormally little was there.
fn abnormal(snapshot: &Snapshot, shrunken: &Shrunken, dry_run: bool) -> Error {
    let paths: Vec<String> = snapshot
        .paths
        .iter()
        .map(|path| path.0.escape_ascii().to_string())
        .collect();
    let mut message = format!(
        "abnormally little is there ({}); is a disk not mounted?",
        shrunken.words()
    );
    if !dry_run {
        let id = snapshot.id.short();
        message.push_str(&format!(
            " Where it is right as it is, say `duramen annotate {id} --accept`"
        ));
    }
    Error::new(Kind::Failed, message).subject(paths.join(" "))
}
