//! Exports, read back by programs that know nothing of us: GNU tar, and Python's tarfile and zipfile.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::compare::{Options, compare};
use crate::common::place::{Place, Run, inside, remove};
use crate::common::tree_parts::{Scale, oddities};

/// The small oddity tree without its 50 GB file, which an archive without holes would hold in full.
fn stored(name: &str) -> (Place, PathBuf) {
    let place = Place::new(name);
    let source = place.at("source");
    oddities(&source, Scale::Small);
    remove(&source.join("holes/huge"));
    place.snapshot(&source);
    (place, source)
}

fn export(place: &Place, source: &Path, format: &str, to: &Path) -> Run {
    let mut command = place.command();
    command
        .arg("export")
        .arg(inside("latest", source))
        .args(["--format", format]);
    command.stdout(std::fs::File::create(to).unwrap());
    Run::of(command)
}

fn python(script: &str, args: &[&Path]) -> String {
    let run = Command::new("python3")
        .arg("-c")
        .arg(script)
        .args(args)
        .output()
        .expect("run python3: install it");
    assert!(
        run.status.success(),
        "python3: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn tar_is_read_by_gnu_tar() {
    let (place, source) = stored("tar");
    let archive = place.at("archive.tar");
    let run = export(&place, &source, "tar", &archive).ok();
    assert!(
        run.all_text().contains("special/socket"),
        "a socket cannot stand in a tar, and is named: {run}"
    );
    let target = place.scratch.folder("target");
    let tar = Command::new("tar")
        .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
        .arg(&archive)
        .arg("-C")
        .arg(&target)
        .output()
        .unwrap();
    assert!(
        tar.status.success(),
        "tar: {}",
        String::from_utf8_lossy(&tar.stderr)
    );
    let options = Options {
        root: false,
        holes: false,
        without: vec![b"special/socket".to_vec()],
        ..Options::default()
    };
    let differences: Vec<_> = compare(&source, &target, &options)
        .into_iter()
        .filter(|difference| !tars_own_limits(&difference.path, &difference.attribute))
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// What GNU tar 1.34 does not bring back, whoever wrote the archive.
fn tars_own_limits(path: &[u8], attribute: &str) -> bool {
    match attribute {
        // A record with an empty value means "no such record" in pax.
        "xattr user.empty" => true,
        // It sets attributes of regular files and folders only.
        "xattr trusted.link" | "xattr trusted.fifo" => true,
        _ => path == b"special" && attribute == "mtime",
    }
}

#[test]
fn tar_is_read_by_python() {
    let (place, source) = stored("tar-python");
    let archive = place.at("archive.tar");
    export(&place, &source, "tar", &archive).ok();
    let script = r"
import os, stat, sys, tarfile
archive, source = sys.argv[1], os.fsencode(sys.argv[2])
seen = set()
with tarfile.open(archive, errors='surrogateescape') as tar:
    for member in tar:
        name = os.fsencode(member.name).rstrip(b'/')
        if name in (b'', b'.'):
            continue
        if name.startswith(b'./'):
            name = name[2:]
        seen.add(name)
        path = os.path.join(source, name)
        there = os.lstat(path)
        assert member.uid == there.st_uid and member.gid == there.st_gid, name
        assert abs(member.mtime - there.st_mtime_ns / 1e9) < 1e-3, name
        if member.isreg():
            assert tar.extractfile(member).read() == open(path, 'rb').read(), name
        elif member.issym():
            assert os.fsencode(member.linkname) == os.readlink(path), name
        elif member.isdir():
            assert stat.S_ISDIR(there.st_mode), name
        elif member.islnk():
            assert there.st_nlink > 1, name
        if not member.issym():
            assert member.mode & 0o7777 == there.st_mode & 0o7777, name
want = set()
for folder, dirs, files in os.walk(source):
    for name in dirs + files:
        path = os.path.join(folder, name)
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            want.add(os.path.relpath(path, source))
assert seen == want, (sorted(want - seen)[:9], sorted(seen - want)[:9])
print(len(seen))
";
    let count: usize = python(script, &[&archive, &source]).trim().parse().unwrap();
    assert!(count > 200, "only {count} members");
}

#[test]
fn zip_is_read_by_python() {
    let (place, source) = stored("zip");
    let archive = place.at("archive.zip");
    let run = export(&place, &source, "zip", &archive).ok();
    assert!(
        run.all_text().contains("special/fifo"),
        "what a zip cannot hold is named: {run}"
    );
    let script = r"
import os, stat, sys, zipfile
archive, source, said = sys.argv[1], sys.argv[2], open(sys.argv[3]).read()
seen = set()
with zipfile.ZipFile(archive) as whole:
    assert whole.testzip() is None
    for member in whole.infolist():
        name = member.filename.rstrip('/')
        if not name:
            continue
        seen.add(name)
        path = os.path.join(source, name)
        if not os.path.lexists(path):
            continue
        there = os.lstat(path)
        if member.is_dir():
            assert stat.S_ISDIR(there.st_mode), name
        elif stat.S_ISLNK(member.external_attr >> 16):
            assert whole.read(member) == os.fsencode(os.readlink(path)), name
        else:
            assert whole.read(member) == open(path, 'rb').read(), name
want = set()
for folder, dirs, files in os.walk(source):
    for name in dirs + files:
        path = os.path.join(folder, name)
        mode = os.lstat(path).st_mode
        plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
        try:
            name = os.path.relpath(path, source)
            name.encode()
        except UnicodeEncodeError:
            continue
        if stat.S_ISLNK(mode):
            try:
                os.readlink(path).encode()
            except UnicodeEncodeError:
                assert name in said, name
                continue
        if plain and '\\' not in name:
            want.add(name)
assert want <= seen, sorted(want - seen)[:9]
print(len(seen))
";
    // A link whose target is no text cannot stand in a zip either, and is named.
    let said = place.at("said");
    std::fs::write(&said, run.all_text()).unwrap();
    let count: usize = python(script, &[&archive, &source, &said])
        .trim()
        .parse()
        .unwrap();
    assert!(count > 150, "only {count} members");
}

#[test]
fn an_archive_in_a_file_is_whole_or_not_there() {
    let (place, source) = stored("export-file");
    let archive = place.at("out.tar");
    let mut command = place.command();
    command
        .arg("export")
        .arg(inside("latest", &source.join("sizes")))
        .args(["--format", "tar", "-o"])
        .arg(&archive);
    Run::of(command).ok();
    let script = "import sys, tarfile; print(len(tarfile.open(sys.argv[1]).getmembers()))";
    let count: usize = python(script, &[&archive]).trim().parse().unwrap();
    assert!(count >= 20, "{count}");
    let mut command = place.command();
    let missing = place.at("missing.tar");
    command
        .arg("export")
        .arg(inside("latest", &source.join("no")))
        .args(["--format", "tar", "-o"])
        .arg(&missing);
    Run::of(command).fails(1, "not_found");
    assert!(!missing.exists());
}
