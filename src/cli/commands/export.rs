//! `duramen export`.
//!
//! An archive that was cut short looks like a whole one to whoever finds it later. So a file appears under its name
//! only once it is complete and on the disk.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use duramen::error::{Error, Result};
use duramen::format::snapshot::Snapshot;
use duramen::ops::documents::{self, CatOptions, DocumentFilter, Style};
use duramen::ops::dump;
use duramen::ops::export::{self, ExportFormat, ExportSummary};
use duramen::progress::Progress;
use duramen::repository::Repository;
use serde::Serialize;

use super::{split, viewed};
use crate::cli::args::{ExportArgs, Format};
use crate::cli::context::{Context, usage};
use crate::cli::json::{self, ProblemObject};
use crate::cli::{exit, opening, output, size, text};

#[derive(Serialize)]
struct SummaryObject {
    message_type: &'static str,
    snapshot_id: String,
    format: &'static str,
    files: u64,
    bytes: u64,
    left_out: Vec<ProblemObject>,
}

/// `duramen export SNAP[:PATH] --format tar|zip [-o FILE]`.
pub fn run(context: &Context, args: &ExportArgs) -> Result<ExitCode> {
    let archive = matches!(args.format, Format::Tar | Format::Zip);
    if archive && args.output.is_none() && context.environment.stdout_terminal {
        return Err(usage("an archive is nothing to show on a terminal")
            .subject("standard output")
            .hint("name a file with -o, or send it on: duramen export ... | tar -t"));
    }
    let documents = match args.format {
        Format::Tar => Some(ExportFormat::Tar),
        Format::Zip => Some(ExportFormat::Zip),
        Format::Mongodump | Format::Jsonl => None,
    };
    let (name, path) = split(&args.snapshot);
    let reporter = match args.output {
        Some(_) => context.reporter("export"),
        None => context.reporter_beside_results("export"),
    };
    let repository = opening::open(context, &reporter)?;
    let snapshot = context.snapshot(&repository, &name, &args.filter)?;
    let Some(format) = documents else {
        let snapshot = viewed(&repository, snapshot, &args.at, &reporter)?;
        let summary = of_documents(&repository, &snapshot, path, args, &reporter)?;
        reporter.finish();
        tell(context, args, snapshot.id.hex(), &summary)?;
        return Ok(exit::DONE);
    };
    if !args.at.is_empty() {
        let what = "--at and --dump are about documents, and an archive holds files";
        return Err(usage(what));
    }
    let mut write = |out: &mut dyn Write| {
        let path = path.as_deref();
        export::archive(&repository, &snapshot, path, format, out, &reporter)
    };
    let summary = match &args.output {
        Some(file) => into_file(file, &mut write)?,
        None => output::results(|out| write(out))?,
    };
    reporter.finish();
    tell(context, args, snapshot.id.hex(), &summary)?;
    Ok(exit::DONE)
}

/// Collections: as a folder, or one of them as lines.
fn of_documents(
    repository: &Repository,
    snapshot: &Snapshot,
    path: Option<Vec<u8>>,
    args: &ExportArgs,
    progress: &dyn Progress,
) -> Result<ExportSummary> {
    if args.format == Format::Mongodump {
        let Some(folder) = &args.output else {
            return Err(usage("a dump is a folder").hint("name it with -o"));
        };
        if fs::symlink_metadata(folder).is_ok() {
            return Err(usage("the folder is there already").subject(folder.display().to_string()));
        }
        // A dump that was cut short looks like a whole one.
        let temporary = beside(folder);
        let done = dump::mongodump(repository, snapshot, path.as_deref(), &temporary, progress)
            .and_then(|summary| {
                fs::rename(&temporary, folder)
                    .map_err(|error| Error::io("create", folder, error))?;
                Ok(summary)
            });
        if done.is_err() {
            // The error that is about to be told says more than this one could.
            let _ = fs::remove_dir_all(&temporary);
        }
        return done;
    }
    let Some(path) = path else {
        return Err(
            usage("one collection is written as lines, and none was named")
                .hint("name it: duramen export SNAP:shop.quotes --format jsonl"),
        );
    };
    let options = CatOptions {
        path,
        filter: DocumentFilter::default(),
        style: Style::Canonical,
        limit: None,
    };
    let mut write = |out: &mut dyn Write| {
        let mut counted = Counted { out, bytes: 0 };
        documents::cat(repository, snapshot, &options, progress, &mut counted)?;
        Ok(ExportSummary {
            files: 1,
            bytes: counted.bytes,
            ..ExportSummary::default()
        })
    };
    match &args.output {
        Some(file) => into_file(file, &mut write),
        None => output::results(|out| write(out)),
    }
}

/// Counts what passes.
struct Counted<'o> {
    out: &'o mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// On standard output only where that is not the archive.
fn tell(context: &Context, args: &ExportArgs, id: String, summary: &ExportSummary) -> Result<()> {
    let object = SummaryObject {
        message_type: "summary",
        snapshot_id: id,
        format: match args.format {
            Format::Tar => "tar",
            Format::Zip => "zip",
            Format::Mongodump => "mongodump",
            Format::Jsonl => "jsonl",
        },
        files: summary.files,
        bytes: summary.bytes,
        left_out: json::problems(&summary.left_out),
    };
    if context.global.json {
        let line = output::json_line(&object)?;
        if args.output.is_some() {
            return output::about_work(&line);
        }
        // Nowhere is left to tell that standard error is gone.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
        return Ok(());
    }
    for problem in &summary.left_out {
        context.remark(&format!(
            "left out: {}: {}\n",
            text::safe_bytes(&problem.path.0),
            text::safe(&problem.what)
        ));
    }
    context.remark(&format!(
        "exported   {}, {}\n",
        text::plural(summary.files, "file", "files"),
        size::show(summary.bytes)
    ));
    Ok(())
}

fn into_file(
    path: &Path,
    write: &mut dyn FnMut(&mut dyn Write) -> Result<ExportSummary>,
) -> Result<ExportSummary> {
    // A pipe or a device is written as it is: it cannot be replaced.
    let special = fs::metadata(path).is_ok_and(|there| !there.is_file());
    if special {
        let file = OpenOptions::new()
            .write(true)
            .open(path)
            .map_err(|error| Error::io("open", path, error))?;
        return whole(file, path, write, false);
    }
    let temporary = beside(path);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(|error| Error::io("create", &temporary, error))?;
    let result = whole(file, path, write, true).and_then(|summary| {
        fs::rename(&temporary, path).map_err(|error| Error::io("create", path, error))?;
        Ok(summary)
    });
    if result.is_err() {
        // The error that is about to be told says more than this one could.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn whole(
    file: File,
    path: &Path,
    write: &mut dyn FnMut(&mut dyn Write) -> Result<ExportSummary>,
    sync: bool,
) -> Result<ExportSummary> {
    let mut out = BufWriter::with_capacity(1 << 18, file);
    let summary = write(&mut out)?;
    out.flush()
        .and_then(|()| {
            if sync {
                out.get_ref().sync_all()
            } else {
                Ok(())
            }
        })
        .map_err(|error| Error::io("write", path, error))?;
    Ok(summary)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".part-{}", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use duramen::error::Kind;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        fs::write(&path, "old").unwrap();
        let error = into_file(&path, &mut |out| {
            out.write_all(b"half").unwrap();
            Err(Error::new(Kind::Damage, "x"))
        });
        assert_eq!(error.unwrap_err().kind(), Kind::Damage);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        into_file(&path, &mut |out| {
            out.write_all(b"whole").unwrap();
            Ok(ExportSummary::default())
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
