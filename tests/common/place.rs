//! A repository of its own for one test, and the real program run on it as a user would.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use duramen::format::records::SessionPurpose;
use duramen::ops::open::{Credential, OpenOptions};
use duramen::progress::Silent;
use duramen::repository::{ChunkKind, ChunkWriter, WriterOptions};
use duramen::seal::Compression;
use serde_json::Value;

use super::scratch::Scratch;

/// A few less than the engine keeps in memory: the tree that is snapshotted next brings it over that, so that its own
/// chunks stand in the cache, too.
const CHUNKS_OF_A_CACHE: u32 = 199_950;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_duramen");

/// A folder with `repository`, `key` and `cache` in it; the rest of it is the test's.
pub struct Place {
    pub scratch: Scratch,
    pub repository: PathBuf,
    pub key: PathBuf,
    pub cache: PathBuf,
    program: PathBuf,
}

impl Place {
    /// With a fresh key file and no repository yet.
    pub fn without_repository(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let place = Self {
            repository: scratch.at("repository"),
            key: scratch.at("key"),
            cache: scratch.at("cache"),
            program: PROGRAM.into(),
            scratch,
        };
        new_key(&place.key);
        place
    }

    /// With an empty repository.
    pub fn new(name: &str) -> Self {
        let place = Self::without_repository(name);
        place.run(["init"]).ok();
        place
    }

    /// A path below the test's folder.
    pub fn at(&self, name: &str) -> PathBuf {
        self.scratch.at(name)
    }

    /// The program with everything named: no setting of this machine's user can get in.
    pub fn command(&self) -> Command {
        let mut command = self.clean(Command::new(&self.program));
        self.name_everything(&mut command);
        command
    }

    /// The same, as the user `nobody`.
    pub fn command_as_nobody(&self) -> Command {
        let mut command = self.clean(super::facility::as_nobody(&self.program));
        self.name_everything(&mut command);
        command
    }

    /// The program, and nothing named yet.
    pub fn bare(&self) -> Command {
        self.clean(Command::new(&self.program))
    }

    fn clean(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars_os() {
            if name.as_bytes().starts_with(b"DURAMEN_") || name.as_bytes().starts_with(b"XDG_") {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.at("home"))
            .current_dir(self.scratch.path())
            .stdin(Stdio::null());
        command
    }

    fn name_everything(&self, command: &mut Command) {
        command
            .arg("-r")
            .arg(&self.repository)
            .arg("--key-file")
            .arg(&self.key);
        command.arg("--cache-dir").arg(&self.cache).arg("--json");
    }

    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        let mut command = self.command();
        command.args(args);
        Run::of(command)
    }

    /// Snapshots one folder; the summary.
    pub fn snapshot(&self, path: &Path) -> Value {
        self.run([OsStr::new("snapshot"), path.as_os_str()])
            .ok()
            .summary()
    }

    /// Restores the inside of `path` of a snapshot into the new folder `target`.
    pub fn restore_inside(&self, snapshot: &str, path: &Path, target: &Path) -> Run {
        let name = inside(snapshot, path);
        self.run([
            OsStr::new("restore"),
            &name,
            OsStr::new("--target"),
            target.as_os_str(),
        ])
    }

    /// Restores the inside of `path` and fails where anything differs from what stands there.
    #[track_caller]
    pub fn assert_restores(&self, snapshot: &str, path: &Path) {
        let target = self.at(&format!("restored-{}", unique()));
        self.restore_inside(snapshot, path, &target).ok();
        let options = super::compare::Options {
            root: false,
            ..Default::default()
        };
        super::compare::assert_same(path, &target, &options);
        remove(&target);
    }

    /// Full check, data included; nothing may be found.
    #[track_caller]
    pub fn assert_clean(&self) {
        self.run(["check", "--read-data"]).ok();
    }

    /// All snapshots, oldest first.
    pub fn snapshots(&self) -> Vec<Value> {
        let run = self.run(["snapshots"]).ok();
        serde_json::from_slice(&run.stdout)
            .unwrap_or_else(|error| panic!("snapshots --json: {error}\n{run}"))
    }

    /// Bytes in all files of the repository.
    pub fn stored(&self) -> u64 {
        files_below(&self.repository)
            .iter()
            .map(|path| path.metadata().unwrap().len())
            .sum()
    }

    /// Fills the repository with so many small chunks that its index no longer stands in memory alone: only from there
    /// on is there a cache at all. They belong to no snapshot, as if that had been killed before its end.
    pub fn fill_index(&self) {
        let options = OpenOptions {
            location: self.repository.to_str().unwrap().into(),
            credentials: vec![Credential::KeyFile(zeroize::Zeroizing::new(
                std::fs::read(&self.key).unwrap(),
            ))],
            cache: None,
            state: None,
            threads: 2,
            rates: Default::default(),
        };
        let repository = duramen::ops::open::open(&options, &Silent).unwrap();
        let session = repository.begin(SessionPurpose::Write).unwrap();
        let options = WriterOptions {
            compression: Compression::Level(1),
            dry_run: false,
        };
        let mut writer = ChunkWriter::new(&repository, &session, options).unwrap();
        for at in 0..CHUNKS_OF_A_CACHE {
            let bytes = format!("{at}");
            let id = repository.chunk_id(ChunkKind::Data, bytes.as_bytes());
            writer.put(ChunkKind::Data, id, bytes.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        session.end(&repository);
    }

    /// Lets every user read the repository, the key and the program, which is copied to where all can reach it.
    pub fn open_to_all(&mut self) {
        chmod(self.scratch.path(), 0o755);
        let program = self.at("duramen");
        std::fs::copy(PROGRAM, &program).unwrap();
        chmod(&program, 0o755);
        self.program = program;
        for path in [&self.repository, &self.key] {
            let status = Command::new("chmod")
                .args(["-R", "go+rX"])
                .arg(path)
                .status()
                .unwrap();
            assert!(status.success());
        }
        let home = self.scratch.folder("home-of-nobody");
        chmod(&home, 0o777);
        self.cache = home.join("cache");
    }
}

/// `SNAPSHOT:PATH`.
pub fn inside(snapshot: &str, path: &Path) -> std::ffi::OsString {
    let mut name = snapshot.as_bytes().to_vec();
    name.push(b':');
    name.extend_from_slice(path.as_os_str().as_bytes());
    std::ffi::OsString::from_vec(name)
}

/// Where `path` comes back when everything is restored to `target`.
pub fn below(target: &Path, path: &Path) -> PathBuf {
    target.join(path.strip_prefix("/").expect("an absolute path"))
}

pub fn new_key(path: &Path) {
    let key = duramen::ops::init::new_key_file().expect("a new key");
    std::fs::write(path, key.as_slice()).unwrap();
    chmod(path, 0o600);
}

pub fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Removes whatever stands there, however deep.
pub fn remove(path: &Path) {
    assert!(
        Command::new("rm")
            .arg("-rf")
            .arg("--")
            .arg(path)
            .status()
            .unwrap()
            .success()
    );
}

/// Copies a folder with everything.
pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .arg("-a")
        .arg("-T")
        .arg("--")
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(
        status.success(),
        "cp -a {} {}",
        from.display(),
        to.display()
    );
}

/// All regular files below a folder of ordinary depth.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

pub fn unique() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Lets the clock move past the two seconds in which a change of a file could hide behind its own time stamp: what was
/// made before is then trusted as unchanged, by the rule and not by luck.
pub fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(2_300));
}

/// What one run of the program said.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    said: String,
}

impl Run {
    pub fn of(mut command: Command) -> Self {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("run {command:?}: {error}"));
        Self::from_output(output, format!("{command:?}"))
    }

    pub fn from_output(output: Output, said: String) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: output.stderr,
            said,
        }
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "the exit code is not {code}\n{self}");
        self
    }

    /// The objects on stdout, one a line.
    #[track_caller]
    pub fn objects(&self) -> Vec<Value> {
        self.stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                serde_json::from_slice(line).unwrap_or_else(|error| {
                    panic!("not JSON: {error}: {}\n{self}", line.escape_ascii())
                })
            })
            .collect()
    }

    /// The last object on stdout.
    #[track_caller]
    pub fn summary(&self) -> Value {
        let last = self
            .objects()
            .pop()
            .unwrap_or_else(|| panic!("nothing on stdout\n{self}"));
        assert_eq!(
            last["message_type"], "summary",
            "the last object is no summary\n{self}"
        );
        last
    }

    /// The error object on stderr that ended the command.
    #[track_caller]
    pub fn error(&self) -> Value {
        let text = String::from_utf8_lossy(&self.stderr);
        let last = text.lines().rev().find(|line| line.starts_with('{'));
        let last = last.unwrap_or_else(|| panic!("no object on stderr\n{self}"));
        let error: Value =
            serde_json::from_str(last).unwrap_or_else(|error| panic!("not JSON: {error}\n{self}"));
        assert_eq!(error["message_type"], "error", "{self}");
        for field in ["code", "message", "subject", "hint"] {
            assert!(
                error.get(field).is_some(),
                "the error object has no {field}\n{self}"
            );
        }
        error
    }

    /// Ends with `code`, and its error object has this word in `code`.
    #[track_caller]
    pub fn fails(self, code: i32, word: &str) -> Value {
        let run = self.exits(code);
        let error = run.error();
        assert_eq!(error["code"], word, "{run}");
        error
    }

    /// Everything it said, as text.
    pub fn all_text(&self) -> String {
        format!(
            "{}{}",
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr)
        )
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (stdout, stderr) = (
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr),
        );
        let tail = |text: &str| -> String {
            let from = text.char_indices().rev().nth(6_000).map_or(0, |(at, _)| at);
            text[from..].to_string()
        };
        write!(
            f,
            "{}\nexit: {:?}\nstdout: {}\nstderr: {}",
            self.said,
            self.code,
            tail(&stdout),
            tail(&stderr)
        )
    }
}

/// A number in a JSON object.
#[track_caller]
pub fn number(object: &Value, field: &str) -> u64 {
    object[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no number {field} in {object}"))
}

/// A text in a JSON object.
#[track_caller]
pub fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text {field} in {object}"))
}
