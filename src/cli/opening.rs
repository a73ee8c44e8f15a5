//! How a command comes by its repository: the place, the cache, and whatever opens it.

use std::path::Path;

use duramen::error::{Error, Kind, Result};
use duramen::ops::open::{self, Credential, OpenOptions, Rates};
use duramen::progress::Progress as _;
use duramen::repository::Repository;

use super::commands::init;
use super::context::Context;
use super::credentials::{self, Given, Origin};
use super::places::{self, Place};
use super::progress::Reporter;

/// How often somebody may mistype a passphrase.
const TRIES: usize = 3;

/// The options that say all but what opens it.
///
/// # Errors
/// [`Kind::Usage`] where the place or the cache cannot be told.
pub fn options(context: &Context, place: &Place) -> Result<OpenOptions> {
    Ok(OpenOptions {
        location: place.location()?,
        credentials: Vec::new(),
        cache: places::cache_folder(&context.global, &context.environment)?,
        state: places::state_folder(&context.environment),
        threads: match context.global.threads {
            Some(threads) => threads,
            None => context.environment.threads()?.unwrap_or(0),
        },
        rates: Rates {
            upload: context
                .global
                .limit_upload
                .unwrap_or(context.environment.file.limit_upload),
            download: context
                .global
                .limit_download
                .unwrap_or(context.environment.file.limit_download),
        },
    })
}

/// Opens the repository that flags and environment mean.
///
/// # Errors
/// As [`open::open`], and [`Kind::Usage`] where nothing was given that could open it.
pub fn open(context: &Context, reporter: &Reporter) -> Result<Repository> {
    let place = Place::choose(&context.global, &context.environment)?;
    open_place(context, &place, reporter)
}

/// As [`open()`], but makes the default repository where that is meant and is not there: the first use.
///
/// # Errors
/// As [`open()`], and those of making it.
pub fn open_or_make(context: &Context, reporter: &Reporter) -> Result<Repository> {
    let place = Place::choose(&context.global, &context.environment)?;
    match open_place(context, &place, reporter) {
        Err(error)
            if error.kind() == Kind::NoRepository
                && matches!(place, Place::Default { named: false, .. }) =>
        {
            match init::make(context, &place, reporter) {
                Ok(made) => made.tell_first_use(context)?,
                // Another first use was quicker.
                Err(error) if error.kind() == Kind::Exists => {}
                Err(error) => return Err(error),
            }
            open_place(context, &place, reporter)
        }
        other => other,
    }
}

fn open_place(context: &Context, place: &Place, reporter: &Reporter) -> Result<Repository> {
    let mut options = options(context, place)?;
    let given = Given::collect(&context.global, &context.environment);
    if let Place::Default {
        repository, key, ..
    } = place
    {
        if repository.symlink_metadata().is_err() {
            return Err(no_default(&options.location));
        }
        // What the environment holds may be meant for another repository, so the key beside this one is tried too.
        options.credentials = given.read()?;
        options.credentials.extend(default_key(key)?);
        // Without a key the engine still says whether there is a repository at all.
        let missing = options.credentials.is_empty();
        return open::open(&options, reporter).map_err(|error| match error.kind() {
            Kind::NoRepository => no_default(&options.location),
            Kind::WrongKey if missing => no_default_key(key),
            _ => name_key_files(error, &given),
        });
    }
    options.credentials = given.read()?;
    if options.credentials.is_empty() {
        return open_asking(context, options, reporter);
    }
    open::open(&options, reporter).map_err(|error| name_key_files(error, &given))
}

/// The engine knows the texts of key files, not where they came from.
fn name_key_files(error: Error, given: &Given<'_>) -> Error {
    let files = given.key_files();
    if error.kind() == Kind::WrongKey && !files.is_empty() {
        error.or_subject(|| files.join(", "))
    } else {
        error
    }
}

/// Nobody gave anything: says first whether there is a repository at all, then asks whoever can be asked.
fn open_asking(
    context: &Context,
    mut options: OpenOptions,
    reporter: &Reporter,
) -> Result<Repository> {
    match open::open(&options, reporter) {
        Err(error) if error.kind() == Kind::WrongKey => {}
        other => return other,
    }
    if !context.environment.can_ask {
        return Err(credentials::missing(&options.location));
    }
    let mut tries = 0;
    loop {
        tries += 1;
        options.credentials = vec![reporter.aside(|| credentials::ask(&options.location))?];
        match open::open(&options, reporter) {
            Err(error) if error.kind() == Kind::WrongKey && tries < TRIES => {
                reporter.note("that passphrase does not open it; try again");
            }
            other => return other,
        }
    }
}

/// The key beside the default repository, where it is there.
fn default_key(key: &Path) -> Result<Option<Credential>> {
    match Origin::KeyFile(key).read() {
        Ok(credential) => Ok(Some(credential)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn no_default_key(key: &Path) -> Error {
    Error::new(
        Kind::WrongKey,
        "the key file of the default repository is not there",
    )
    .subject(key.display().to_string())
    .hint("put a copy of it back, or name a key or a passphrase with --key-file or --password-file")
}

fn no_default(location: &str) -> Error {
    Error::new(
        Kind::NoRepository,
        "there is no repository yet: none was named, and the default one does not exist",
    )
    .subject(location)
    .hint(
        "name one with -r or DURAMEN_REPOSITORY, or make the default one: duramen snapshot PATH, or duramen init",
    )
}
