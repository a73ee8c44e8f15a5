//! A service and a timer for systemd, of the system or of a user.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::config::When;
use crate::error::{Error, Kind, Result};

/// No unit of ours is longer, in bytes.
const UNIT_BYTES_MAX: u64 = 1 << 20;

/// What the units are made of.
#[derive(Debug, Clone)]
pub struct Units<'a> {
    /// Name without `.service` and `.timer`.
    pub name: &'a str,
    /// The configuration file, for people.
    pub config: &'a Path,
    /// Remarks, a line each.
    pub remarks: &'a [String],
    /// When to call.
    pub lines: &'a [When],
    /// Longest random delay, in seconds.
    pub jitter: u32,
    /// Variables for the program.
    pub variables: &'a [(String, String)],
    /// Program and arguments.
    pub command: &'a [String],
    /// For a user's own manager.
    pub user: bool,
}

/// The first line of what we write, and so of what we may take away again.
const MARK: &str =
    "# Written by `duramen schedule install`; `duramen schedule remove` takes it away.";

impl Units<'_> {
    /// Names and texts of both files.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a path that no unit can hold.
    pub fn texts(&self) -> Result<[(String, String); 2]> {
        let config = quoted(&self.config.to_string_lossy())?;
        let words: Vec<String> = self
            .command
            .iter()
            .map(|text| quoted(text))
            .collect::<Result<_>>()?;
        let mut variables = String::new();
        for (name, value) in self.variables {
            // Here a dollar is a dollar.
            let pair = quoted(&format!("{name}={value}"))?.replace("$$", "$");
            variables.push_str(&format!("Environment={pair}\n"));
        }
        // Nothing that keeps a hook from its work or a file from being read: no private /tmp or /home, no read-only
        // system. Seccomp filters of a user's manager would forbid sudo in hooks, so a user's service has none.
        let hardening = if self.user {
            ""
        } else {
            "LockPersonality=yes\nRestrictRealtime=yes\n"
        };
        let service = format!(
            "{MARK}\n\n[Unit]\nDescription=Duramen snapshots as {config} says\n\n\
             [Service]\nType=oneshot\nExecStart={}\n{variables}UMask=0077\nNice=10\nIOSchedulingPriority=7\n{hardening}",
            words.join(" "),
        );
        let mut timer = format!("{MARK}\n");
        for remark in self.remarks {
            timer.push_str(&format!("# {remark}\n"));
        }
        timer.push_str(&format!(
            "\n[Unit]\nDescription=Calls Duramen as {config} says\n\n[Timer]\n"
        ));
        for when in self.lines {
            timer.push_str(&format!("OnCalendar={}\n", when.calendar()));
        }
        timer.push_str("Persistent=true\n");
        if self.jitter > 0 {
            timer.push_str(&format!("RandomizedDelaySec={}\n", self.jitter));
        }
        timer.push_str("\n[Install]\nWantedBy=timers.target\n");
        Ok([
            (format!("{}.service", self.name), service),
            (format!("{}.timer", self.name), timer),
        ])
    }
}

/// A word of a unit: quoted, with what systemd would expand taken literally.
fn quoted(text: &str) -> Result<String> {
    if text.chars().any(char::is_control) {
        return Err(Error::new(
            Kind::Usage,
            "a name with a line end or another control character cannot stand in a unit",
        )
        .subject(text.escape_debug().to_string())
        .hint("use another path, a symbolic link for example"));
    }
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        Ok(escaped)
    } else {
        Ok(format!("\"{escaped}\""))
    }
}

/// A unit as it lies there; none where it does not.
///
/// # Errors
/// As the system says.
pub fn read(path: &Path) -> Result<Option<String>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path, error)),
    };
    file.take(UNIT_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read", path, error))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Writes a unit, whole or not at all, for everybody to read as units are.
///
/// # Errors
/// [`Kind::Exists`] where a unit of that name was written by somebody else; otherwise as the system says.
pub fn write(path: &Path, text: &str) -> Result<()> {
    refuse_foreign(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))?;
    let mut temporary: PathBuf = path.to_owned();
    temporary.set_extension("new");
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|error| Error::io("write", path, error))
}

/// Takes a unit away; says whether it was there.
///
/// # Errors
/// As [`write`].
pub fn remove(path: &Path) -> Result<bool> {
    refuse_foreign(path)?;
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("remove", path, error)),
    }
}

fn refuse_foreign(path: &Path) -> Result<()> {
    match read(path)? {
        Some(text) if !text.starts_with(MARK) => Err(Error::new(
            Kind::Exists,
            "a unit of this name is there, and not written by duramen schedule install",
        )
        .subject(path.display().to_string())
        .hint("move it away, or change it by hand")),
        _ => Ok(()),
    }
}

/// Whether systemd runs this machine.
#[must_use]
pub fn is_running() -> bool {
    // As sd_booted(3) says.
    Path::new("/run/systemd/system").is_dir()
}

/// Runs `systemctl` of the system or of the user.
///
/// # Errors
/// Where it is missing or refuses.
pub fn systemctl(user: bool, arguments: &[&str]) -> Result<()> {
    let output = Command::new("systemctl")
        .args(user.then_some("--user"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::io_named("start", "systemctl", error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::new(Kind::Failed, format!("failed: {said}"))
        .subject(format!("systemctl {}", arguments.join(" "))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn units(user: bool, command: &[String]) -> Result<[(String, String); 2]> {
        let lines: Vec<When> = [
            When::parse("weekly on sunday at 02:30")?,
            When::parse("hourly at 7")?,
        ]
        .into_iter()
        .flatten()
        .collect();
        Units {
            name: "duramen",
            config: Path::new("/etc/duramen/duramen.toml"),
            remarks: &["snapshot home: weekly".into()],
            lines: &lines,
            jitter: 600,
            variables: &[("XDG_STATE_HOME".into(), "/a $b".into())],
            command,
            user,
        }
        .texts()
    }

    #[test]
    fn units_call_at_their_times_and_expand_nothing() {
        let command =
            ["/opt/a b/duramen", "--config", "/100%/$x\"\\.toml", "run"].map(String::from);
        let [(service, text), (timer, times)] = units(false, &command).unwrap();
        assert_eq!(
            (service.as_str(), timer.as_str()),
            ("duramen.service", "duramen.timer")
        );
        assert!(
            text.contains(
                "ExecStart=\"/opt/a b/duramen\" --config \"/100%%/$$x\\\"\\\\.toml\" run\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("Environment=\"XDG_STATE_HOME=/a $b\"\n"),
            "{text}"
        );
        assert!(times.contains("OnCalendar=Sun *-*-* 02:30:00\nOnCalendar=*-*-* *:07:00\nPersistent=true\nRandomizedDelaySec=600\n"), "{times}");
        assert!(units(false, &["/a\nb".into()]).is_err());
        let [(_, own), _] = units(true, &command).unwrap();
        assert!(!own.contains("Restrict"), "{own}");
    }

    #[test]
    fn units_of_others_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/duramen.service");
        let [(_, text), _] = units(false, &["/x".into()]).unwrap();
        assert!(!remove(&path).unwrap());
        write(&path, &text).unwrap();
        write(&path, &text).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(&*text));
        assert!(remove(&path).unwrap());
        fs::write(&path, "[Unit]\n").unwrap();
        assert_eq!(write(&path, &text).unwrap_err().kind(), Kind::Exists);
        assert_eq!(remove(&path).unwrap_err().kind(), Kind::Exists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "[Unit]\n");
    }
}
