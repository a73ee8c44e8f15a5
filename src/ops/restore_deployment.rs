//! Bringing collections back to a MongoDB server.

use std::cell::RefCell;

use super::documents::{DocumentFilter, only};
use super::rollback;
use crate::clock::Nanos;
use crate::error::{Error, Kind, Result};
pub use crate::format::deployment::Moment;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::restore::deployment::names::Names;
pub use crate::restore::deployment::report::{CollectionReport, Documents, FailedDocument};
use crate::restore::deployment::safety::{Approved, Safety};
pub use crate::restore::deployment::{Conflict, Wanted};
use crate::restore::deployment::{Step, restore_deployment};
pub use crate::source::mongo::Selection;
use crate::source::mongo::Server;

/// What to bring back, and where to.
#[derive(Clone, Debug, Default)]
pub struct DeploymentRestoreOptions {
    /// The server's address, `mongodb://` or `mongodb+srv://`; a database in it is the only one that is brought back.
    pub address: String,
    /// Which collections.
    pub collections: Selection,
    /// Which documents of them.
    pub documents: DocumentFilter,
    /// Names to change; patterns.
    pub names_from: Vec<String>,
    /// What to change them to, as many.
    pub names_to: Vec<String>,
    /// What happens to documents that are there.
    pub conflict: Conflict,
    /// Do everything but write.
    pub dry_run: bool,
    /// Make no indexes.
    pub no_indexes: bool,
    /// Read nothing back.
    pub no_verify: bool,
    /// Make no index that lets documents expire, and say how it is made.
    pub defer_ttl: bool,
    /// Keep nothing of what is overwritten.
    pub no_safety: bool,
    /// The moment that the snapshot was worked out for, where it was.
    pub at: Option<Nanos>,
    /// The dump among its files that it was made of, where it was.
    pub dump: Option<Vec<u8>>,
}

/// What it came to.
#[derive(Clone, Debug)]
pub struct DeploymentRestoreSummary {
    /// The server's address, without what is secret in it.
    pub address: String,
    /// Which time the snapshot shows.
    pub moment: Moment,
    /// The snapshot that holds what was there before, where anything was to be changed.
    pub undo: Option<SnapshotId>,
    /// Collection by collection.
    pub collections: Vec<CollectionReport>,
    /// How long it took.
    pub seconds: f64,
}

impl DeploymentRestoreSummary {
    /// Whether all went well.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.collections.iter().all(CollectionReport::is_well)
    }
}

/// Brings collections of the snapshot back as `options` say.
///
/// # Errors
/// [`crate::error::Kind::NotFound`] where the snapshot holds no deployment or nothing that fits; whatever makes the whole impossible.
/// What concerns a collection or a document stands in the summary.
pub fn run(
    repository: &Repository,
    snapshot: &Snapshot,
    options: &DeploymentRestoreOptions,
    progress: &dyn Progress,
) -> Result<DeploymentRestoreSummary> {
    let clock = &repository.environment().clock;
    let begun = clock.elapsed();
    let deployment = only(snapshot)?;
    let mut wanted = wanted(options)?;
    progress.phase("restore");
    let server = Server::connect(&options.address)?;
    if let Some(database) = server.database() {
        // Names as they are stored; what becomes of them is another matter.
        wanted.selection.database = Some(database.to_owned());
    }
    let restore = |wanted: &Wanted, step: Step<'_>| {
        restore_deployment(repository, deployment, &server, wanted, step, progress)
    };
    let mut undo = None;
    let collections = if options.dry_run || options.no_safety {
        restore(&wanted, Step::Do)?
    } else {
        let folder = repository.index().cache().filter(|folder| folder.is_dir());
        let safety = RefCell::new(Safety::new(folder));
        let look = Wanted {
            dry_run: true,
            ..wanted.clone()
        };
        progress.phase("safety");
        let seen = restore(&look, Step::Record(&safety))?;
        // Users are not looked at beforehand.
        if !seen
            .iter()
            .any(|own| own.namespace.starts_with("admin.system."))
        {
            refuse_nothing(&wanted, &seen)?;
        }
        let safety = safety.into_inner();
        let approved = if safety.is_empty() {
            Approved::default()
        } else {
            let merged = wanted.conflict == Conflict::Merge;
            let source = rollback::Restored {
                snapshot: snapshot.id,
                at: options.at,
                dump: options.dump.as_deref(),
            };
            let (id, approved) = rollback::store(repository, source, &server, merged, safety)
                .map_err(|error| match error.hint_text() {
                    None => error.hint("--no-safety restores without keeping what is overwritten"),
                    Some(_) => error,
                })?;
            // Should what follows fail, this is how it is taken back.
            let short = id.short();
            progress.note(&format!(
                "what is there is kept as {short}: duramen rollback {short} puts it back"
            ));
            undo = Some(id);
            approved
        };
        progress.phase("restore");
        restore(&wanted, Step::DoRecorded(&approved))?
    };
    refuse_nothing(&wanted, &collections)?;
    Ok(DeploymentRestoreSummary {
        address: server.address().to_owned(),
        moment: deployment.moment,
        undo,
        collections,
        seconds: (clock.elapsed() - begun).as_secs_f64(),
    })
}

/// Whoever asks for certain documents and gets none has not been given back what is missing.
fn refuse_nothing(wanted: &Wanted, collections: &[CollectionReport]) -> Result<()> {
    let meant = collections
        .iter()
        .any(|own| own.meant() > 0 || !own.problems.is_empty());
    if wanted.choice.is_all() || meant {
        return Ok(());
    }
    Err(Error::new(Kind::NotFound, "no document of these collections fits").hint(
        "an _id is written as JSON where it is no plain text or number, such as {\"$oid\": \"...\"}; `duramen cat` shows documents",
    ))
}

fn wanted(options: &DeploymentRestoreOptions) -> Result<Wanted> {
    Ok(Wanted {
        selection: options.collections.clone(),
        choice: options.documents.choice()?,
        names: Names::new(&options.names_from, &options.names_to)?,
        conflict: options.conflict.clone(),
        dry_run: options.dry_run,
        no_indexes: options.no_indexes,
        no_verify: options.no_verify,
        defer_ttl: options.defer_ttl,
    })
}
