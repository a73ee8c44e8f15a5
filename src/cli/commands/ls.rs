//! `duramen ls`.

use std::io::Write;
use std::process::ExitCode;

use duramen::error::Result;
use duramen::format::entry::Node;
use duramen::ops::look;
use duramen::progress::Progress as _;
use duramen::repository::Listed;
use serde::Serialize;

use super::split;
use crate::cli::args::LsArgs;
use crate::cli::context::Context;
use crate::cli::json::{SnapshotObject, hex_unless_utf8, lossy};
use crate::cli::output::{self, json_line, put};
use crate::cli::{exit, opening, text, time};

/// `duramen ls SNAP[:PATH]`.
pub fn run(context: &Context, args: &LsArgs) -> Result<ExitCode> {
    let (name, path) = split(&args.snapshot);
    let reporter = context.reporter_beside_results("ls");
    let repository = opening::open(context, &reporter)?;
    let snapshot = context.snapshot(&repository, &name, &args.filter)?;
    let facts = repository.facts(&snapshot.id)?;
    reporter.finish();
    let terminal = context.environment.stdout_terminal;
    output::results(|out| {
        if context.global.json {
            let line = json_line(&SnapshotObject::of(&snapshot, &facts).into_line())?;
            put(out, line.as_bytes())?;
        }
        let mut each = |path: &[u8], listed: &Listed| {
            reporter.go_on()?;
            if context.global.json {
                put(out, json_line(&NodeObject::of(path, listed))?.as_bytes())
            } else if args.long {
                put(out, &long(path, listed, terminal))
            } else {
                put(out, &shown(path, terminal))?;
                put(out, b"\n")
            }
        };
        look::ls(
            &repository,
            &snapshot,
            path.as_deref(),
            args.recursive,
            &mut each,
        )
    })?;
    Ok(exit::DONE)
}

/// One entry, as restic's `ls --json` has it, `mode` apart: permission bits as the system has them.
#[derive(Serialize)]
struct NodeObject {
    message_type: &'static str,
    struct_type: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_bytes_hex: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes_hex: Option<String>,
    uid: u32,
    gid: u32,
    user: Option<String>,
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    mode: u32,
    permissions: String,
    mtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    linktarget: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linktarget_bytes_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_major: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_minor: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<String>,
}

impl NodeObject {
    fn of(path: &[u8], listed: &Listed) -> Self {
        let entry = &listed.entry;
        let target = match &entry.node {
            Node::Symlink { target } => Some(target.as_slice()),
            _ => None,
        };
        let device = match entry.node {
            Node::CharDevice { major, minor } | Node::BlockDevice { major, minor } => {
                Some((major, minor))
            }
            _ => None,
        };
        Self {
            message_type: "node",
            struct_type: "node",
            name: lossy(&entry.name),
            name_bytes_hex: hex_unless_utf8(&entry.name),
            kind: kind(&entry.node),
            path: lossy(path),
            path_bytes_hex: hex_unless_utf8(path),
            uid: entry.uid,
            gid: entry.gid,
            user: listed.user.as_deref().map(lossy),
            group: listed.group.as_deref().map(lossy),
            size: size(&entry.node),
            mode: entry.mode,
            permissions: permissions(&entry.node, entry.mode),
            mtime: time::rfc3339(entry.mtime),
            linktarget: target.map(lossy),
            linktarget_bytes_hex: target.and_then(hex_unless_utf8),
            device_major: device.map(|device| device.0),
            device_minor: device.map(|device| device.1),
            links: entry.link.map(|link| link.count),
            xattrs: entry
                .xattrs
                .iter()
                .map(|xattr| lossy(&xattr.name))
                .collect(),
        }
    }
}

/// restic's words.
fn kind(node: &Node) -> &'static str {
    match node {
        Node::File { .. } => "file",
        Node::Directory(_) => "dir",
        Node::Symlink { .. } => "symlink",
        Node::Fifo => "fifo",
        Node::Socket => "socket",
        Node::CharDevice { .. } => "chardev",
        Node::BlockDevice { .. } => "dev",
    }
}

fn size(node: &Node) -> Option<u64> {
    match node {
        Node::File { size, .. } => Some(*size),
        _ => None,
    }
}

/// Ten letters, as `ls -l` writes them.
fn permissions(node: &Node, mode: u32) -> String {
    let mut letters = String::with_capacity(10);
    letters.push(match node {
        Node::File { .. } => '-',
        Node::Directory(_) => 'd',
        Node::Symlink { .. } => 'l',
        Node::Fifo => 'p',
        Node::Socket => 's',
        Node::CharDevice { .. } => 'c',
        Node::BlockDevice { .. } => 'b',
    });
    for (shift, special, set, unset) in [
        (6, 0o4000, 's', 'S'),
        (3, 0o2000, 's', 'S'),
        (0, 0o1000, 't', 'T'),
    ] {
        let bits = mode >> shift;
        letters.push(if bits & 4 != 0 { 'r' } else { '-' });
        letters.push(if bits & 2 != 0 { 'w' } else { '-' });
        letters.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => unset,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    letters
}

/// Safe on a terminal, raw everywhere else.
fn shown(bytes: &[u8], terminal: bool) -> Vec<u8> {
    if terminal {
        text::safe_bytes(bytes).into_bytes()
    } else {
        bytes.to_vec()
    }
}

fn long(path: &[u8], listed: &Listed, terminal: bool) -> Vec<u8> {
    let entry = &listed.entry;
    let owner = |name: Option<&[u8]>, number: u32| match name {
        Some(name) if !name.is_empty() => text::safe_bytes(name),
        _ => number.to_string(),
    };
    let size = match entry.node {
        Node::File { size, .. } => size.to_string(),
        Node::CharDevice { major, minor } | Node::BlockDevice { major, minor } => {
            format!("{major},{minor}")
        }
        _ => "-".into(),
    };
    let mut line = Vec::new();
    // Writing to a vector cannot fail.
    let _ = write!(
        line,
        "{} {:<8} {:<8} {size:>12} {} ",
        permissions(&entry.node, entry.mode),
        owner(listed.user.as_deref(), entry.uid),
        owner(listed.group.as_deref(), entry.gid),
        time::local(entry.mtime),
    );
    line.extend(shown(path, terminal));
    if let Node::Symlink { target } = &entry.node {
        line.extend_from_slice(b" -> ");
        line.extend(shown(target, terminal));
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::format::entry::{Content, Directory, Entry};

    fn listed(name: &[u8], mode: u32, node: Node) -> Listed {
        Listed {
            entry: Entry {
                name: name.to_vec(),
                mode,
                uid: 0,
                gid: 1000,
                mtime: 7,
                node,
                xattrs: Vec::new(),
                link: None,
                extensions: Vec::new(),
            },
            user: Some(b"root"[..].into()),
            group: None,
        }
    }

    #[test]
    fn permissions_as_ls_writes_them() {
        let file = Node::File {
            size: 0,
            content: Content::Inline(Vec::new()),
        };
        for (node, mode, letters) in [
            (&file, 0o644, "-rw-r--r--"),
            (&file, 0o4755, "-rwsr-xr-x"),
            (&file, 0o4644, "-rwSr--r--"),
            (&file, 0o2755, "-rwxr-sr-x"),
            (&Node::Directory(Directory::default()), 0o1777, "drwxrwxrwt"),
            (&Node::Directory(Directory::default()), 0o1776, "drwxrwxrwT"),
            (&Node::Fifo, 0, "p---------"),
        ] {
            assert_eq!(permissions(node, mode), letters);
        }
    }

    #[test]
    fn a_node_has_the_documented_names() {
        let link = listed(
            b"l\xff",
            0o777,
            Node::Symlink {
                target: b"t\n".to_vec(),
            },
        );
        let object = documented("ls", &NodeObject::of(b"/d/l\xff", &link));
        assert_eq!(
            object,
            serde_json::json!({
                "message_type": "node", "struct_type": "node",
                "name": "l\u{fffd}", "name_bytes_hex": "6cff", "type": "symlink",
                "path": "/d/l\u{fffd}", "path_bytes_hex": "2f642f6cff",
                "uid": 0, "gid": 1000, "user": "root", "group": null,
                "mode": 511, "permissions": "lrwxrwxrwx",
                "mtime": "1970-01-01T00:00:00.000000007Z", "linktarget": "t\n",
            })
        );
    }

    #[test]
    fn long_lines_are_raw_only_off_the_terminal() {
        let file = listed(
            b"\xff",
            0o600,
            Node::File {
                size: 12,
                content: Content::Inline(vec![0; 12]),
            },
        );
        let raw = long(b"/\xff", &file, false);
        assert!(raw.starts_with(b"-rw------- root     1000               12 "));
        assert!(raw.ends_with(b" /\xff\n"));
        assert!(long(b"/\xff", &file, true).ends_with(b" /\\xff\n"));
    }
}
