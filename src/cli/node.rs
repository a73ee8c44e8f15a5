//! One entry of a tree as `--json` and long listings show it.

use duramen::format::entry::Node;
use duramen::repository::Listed;
use serde::Serialize;

use super::json::{hex_unless_utf8, lossy};
use super::time;

/// One entry, as restic's `ls --json` has it, `mode` apart: permission bits as the system has them.
#[derive(Serialize)]
pub struct NodeObject {
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
    /// What stands at a path.
    pub fn of(path: &[u8], listed: &Listed) -> Self {
        Self::named("node", path, listed)
    }

    /// The same in a line of another name.
    pub fn named(message_type: &'static str, path: &[u8], listed: &Listed) -> Self {
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
            message_type,
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

/// What it is, in restic's words.
pub fn kind(node: &Node) -> &'static str {
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

/// Bytes of a regular file.
pub fn size(node: &Node) -> Option<u64> {
    match node {
        Node::File { size, .. } => Some(*size),
        _ => None,
    }
}

/// Ten letters, as `ls -l` writes them.
pub fn permissions(node: &Node, mode: u32) -> String {
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

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::format::entry::{Content, Directory, Entry};

    /// An entry that belongs to root.
    pub fn listed(name: &[u8], mode: u32, node: Node) -> Listed {
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
}
