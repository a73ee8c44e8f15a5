//! Lines in the user's crontab: a block of our own between two marks, and not a byte changed outside it.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::config::When;
use crate::error::{Error, Kind, Result};

/// No crontab is longer, in bytes.
const CRONTAB_BYTES_MAX: u64 = 4 << 20;

/// Longest line that cron takes whole (Debian's takes 998).
const LINE_BYTES_MAX: usize = 990;

/// What the block is made of.
#[derive(Debug, Clone)]
pub struct Block<'a> {
    /// Short name of the configuration.
    pub name: &'a str,
    /// The configuration file, for people.
    pub config: &'a Path,
    /// Remarks, a line each.
    pub remarks: &'a [String],
    /// When to call.
    pub lines: &'a [When],
    /// Variables for the program, which has nothing of the shell's environment there.
    pub variables: &'a [(String, String)],
    /// Program and arguments.
    pub command: &'a [String],
}

fn begin(name: &str) -> String {
    format!("# duramen begin {name}")
}

fn end(name: &str) -> String {
    format!("# duramen end {name}")
}

impl Block<'_> {
    /// Its text, with both marks.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a path that no line of a crontab can hold.
    pub fn text(&self) -> Result<String> {
        let mut command = String::new();
        for (name, value) in self.variables {
            command.push_str(&format!("{name}={} ", word(value)?));
        }
        let words: Vec<String> = self
            .command
            .iter()
            .map(|text| word(text))
            .collect::<Result<_>>()?;
        command.push_str(&words.join(" "));
        let mut text = format!(
            "{}: {}; `duramen schedule remove` takes this away\n",
            begin(self.name),
            word(&self.config.to_string_lossy())?
        );
        for remark in self.remarks {
            text.push_str(&format!("# {remark}\n"));
        }
        for when in self.lines {
            let line = format!("{} {command}\n", when.cron_line());
            if line.len() > LINE_BYTES_MAX {
                return Err(Error::new(Kind::Usage, "too long for a line of a crontab")
                    .subject(line.trim_end())
                    .hint("use shorter paths, or timers of systemd"));
            }
            text.push_str(&line);
        }
        text.push_str(&end(self.name));
        text.push('\n');
        Ok(text)
    }
}

/// A word as the shell reads it after cron has read it: cron makes line ends of `%` unless a backslash stands before,
/// and takes that backslash away.
fn word(text: &str) -> Result<String> {
    if text.chars().any(char::is_control) {
        return Err(Error::new(
            Kind::Usage,
            "a name with a line end or another control character cannot stand in a crontab",
        )
        .subject(text.escape_debug().to_string())
        .hint("use another path, a symbolic link for example"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,=".contains(c);
    let quoted = if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    };
    Ok(quoted.replace('%', "\\%"))
}

/// Where the block of that name lies in `crontab`: from the begin of its first line to behind its last.
fn find(crontab: &[u8], name: &str) -> Result<Option<std::ops::Range<usize>>> {
    let (begin, end) = (begin(name), end(name));
    let mut place = 0;
    let mut from = None;
    for line in crontab.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let begins = text
            .strip_prefix(begin.as_bytes())
            .is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b':'));
        match from {
            None if begins => from = Some(place),
            Some(from) if text == end.as_bytes() => return Ok(Some(from..place + line.len())),
            Some(_) if begins => break,
            _ => {}
        }
        place += line.len();
    }
    match from {
        None => Ok(None),
        Some(_) => Err(Error::new(
            Kind::Failed,
            "the crontab holds the first mark of a block of duramen, but not its last",
        )
        .subject(begin)
        .hint("look at it with crontab -e and take out what is left of the block, marks included")),
    }
}

/// The block of that name, as it stands in `crontab`.
///
/// # Errors
/// Where only one of its marks is there.
pub fn block_in(crontab: &[u8], name: &str) -> Result<Option<String>> {
    Ok(find(crontab, name)?.map(|range| String::from_utf8_lossy(&crontab[range]).into_owned()))
}

/// `crontab` with the block in it: in the place of the one of that name, or at the end.
///
/// # Errors
/// As [`block_in`].
pub fn with_block(crontab: &[u8], name: &str, block: &str) -> Result<Vec<u8>> {
    let mut out = crontab.to_vec();
    match find(crontab, name)? {
        Some(range) => {
            out.splice(range, block.bytes());
        }
        None => {
            if !out.is_empty() && !out.ends_with(b"\n") {
                out.push(b'\n');
            }
            out.extend_from_slice(block.as_bytes());
        }
    }
    Ok(out)
}

/// `crontab` without the block; none where it has none.
///
/// # Errors
/// As [`block_in`].
pub fn without_block(crontab: &[u8], name: &str) -> Result<Option<Vec<u8>>> {
    Ok(find(crontab, name)?.map(|range| {
        let mut out = crontab.to_vec();
        out.drain(range);
        out
    }))
}

fn no_program(error: std::io::Error) -> Error {
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    let error = Error::io_named("start", "crontab", error);
    if missing {
        error.hint("install cron, or use --with systemd")
    } else {
        error
    }
}

fn refused(what: &str, said: &[u8]) -> Error {
    Error::new(
        Kind::Failed,
        format!("{what}: {}", String::from_utf8_lossy(said).trim()),
    )
    .subject("crontab")
}

/// The user's crontab; empty where there is none.
///
/// # Errors
/// Where the program `crontab` is missing or refuses.
pub fn read() -> Result<Vec<u8>> {
    let mut child = Command::new("crontab")
        .arg("-l")
        // "no crontab for" is looked for below.
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(no_program)?;
    let mut crontab = Vec::new();
    let mut said = Vec::new();
    let io = |error| Error::io_named("read from", "crontab", error);
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(CRONTAB_BYTES_MAX + 1)
            .read_to_end(&mut crontab)
            .map_err(io)?;
    }
    if let Some(stderr) = child.stderr.take() {
        stderr.take(4096).read_to_end(&mut said).map_err(io)?;
    }
    let status = child.wait().map_err(io)?;
    if crontab.len() as u64 > CRONTAB_BYTES_MAX {
        return Err(Error::new(Kind::Limit, "too long for a crontab").subject("crontab -l"));
    }
    if status.success() {
        return Ok(crontab);
    }
    let none = String::from_utf8_lossy(&said).contains("no crontab for");
    if none && crontab.is_empty() {
        return Ok(Vec::new());
    }
    Err(refused("the crontab cannot be read", &said))
}

/// Replaces the user's crontab; an empty one is taken away.
///
/// # Errors
/// As [`read`]; then the old one stays.
pub fn write(crontab: &[u8]) -> Result<()> {
    let argument = if crontab.is_empty() { "-r" } else { "-" };
    let mut child = Command::new("crontab")
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(no_program)?;
    if let Some(mut stdin) = child.stdin.take()
        && !crontab.is_empty()
    {
        stdin
            .write_all(crontab)
            .map_err(|error| Error::io_named("write to", "crontab", error))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| Error::io_named("wait for", "crontab", error))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(refused("the crontab was not taken", &output.stderr))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn block(command: &[&str]) -> Result<String> {
        let lines = [When::parse("daily at 02:30")?, When::parse("hourly at 7")?];
        let lines: Vec<When> = lines.into_iter().flatten().collect();
        let command: Vec<String> = command.iter().map(ToString::to_string).collect();
        Block {
            name: "abc",
            config: Path::new("/etc/duramen.toml"),
            remarks: &["snapshot home: daily".into()],
            lines: &lines,
            variables: &[("XDG_STATE_HOME".into(), "/a b".into())],
            command: &command,
        }
        .text()
    }

    #[test]
    fn a_block_has_its_marks_and_words_survive_cron_and_shell() {
        let text = block(&["/usr/bin/duramen", "--config", "/it's 100%/d.toml", "run"]).unwrap();
        assert_eq!(
            text,
            "# duramen begin abc: /etc/duramen.toml; `duramen schedule remove` takes this away\n\
             # snapshot home: daily\n\
             30 2 * * * XDG_STATE_HOME='/a b' /usr/bin/duramen --config '/it'\\''s 100\\%/d.toml' run\n\
             7 * * * * XDG_STATE_HOME='/a b' /usr/bin/duramen --config '/it'\\''s 100\\%/d.toml' run\n\
             # duramen end abc\n"
        );
        assert!(block(&["/a\nb"]).is_err());
        assert!(block(&[&"x".repeat(1000)]).is_err());
    }

    #[test]
    fn other_lines_stay_byte_for_byte() {
        let block = block(&["duramen"]).unwrap();
        let other = block.replace("abc", "abcd");
        for before in [
            String::new(),
            "MAILTO=\"\"\n\n5 * * * * x\t y  \n".into(),
            "# no line end".into(),
            format!("a\r\n{other}\n\n"),
            "# duramen begin abcdef\n".into(),
        ] {
            let before = before.as_bytes();
            let with = with_block(before, "abc", &block).unwrap();
            assert_eq!(block_in(&with, "abc").unwrap().as_deref(), Some(&*block));
            assert_eq!(
                with_block(&with, "abc", &block).unwrap(),
                with,
                "twice is once"
            );
            let without = without_block(&with, "abc").unwrap().unwrap();
            let mut ended = before.to_vec();
            if !before.is_empty() && !before.ends_with(b"\n") {
                ended.push(b'\n');
            }
            assert_eq!(without, ended);
            assert_eq!(without_block(before, "abc").unwrap(), None);
            // Lines behind it stay too, and a changed block stands in its place.
            let longer = [&with[..], b"6 * * * * \xff\n"].concat();
            let changed = with_block(&longer, "abc", &block.replace("02", "03")).unwrap();
            assert!(changed.ends_with(b"6 * * * * \xff\n"));
            assert_eq!(
                without_block(&changed, "abc").unwrap(),
                without_block(&longer, "abc").unwrap()
            );
        }
    }

    #[test]
    fn half_a_block_is_not_guessed_at() {
        let block = block(&["duramen"]).unwrap();
        let torn = block.replace("# duramen end abc\n", "");
        for crontab in [torn.clone(), format!("{torn}{block}")] {
            assert!(with_block(crontab.as_bytes(), "abc", &block).is_err());
            assert!(without_block(crontab.as_bytes(), "abc").is_err());
        }
    }
}
