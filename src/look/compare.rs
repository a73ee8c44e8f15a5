//! One entry against another.

use crate::format::entry::{Entry, Node};
use crate::repository::Listed;

/// In which ways two entries of the same place differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// What it is: a file here, a link there.
    pub kind: bool,
    /// The bytes of a file, the target of a link, the numbers of a device; for a directory anything at all below it.
    /// A hole and written zeros count as different.
    pub content: bool,
    /// Permission bits.
    pub mode: bool,
    /// Numbers or names of user or group.
    pub owner: bool,
    /// Time of the last change.
    pub mtime: bool,
    /// Extended attributes, access lists among them.
    pub xattrs: bool,
    /// Number of names that share the inode.
    pub links: bool,
}

impl Differences {
    /// Holds `after` against `before`.
    #[must_use]
    pub fn between(before: &Listed, after: &Listed) -> Self {
        let (old, new) = (&before.entry, &after.entry);
        let kind = std::mem::discriminant(&old.node) != std::mem::discriminant(&new.node);
        Self {
            kind,
            content: kind || !same_content(&old.node, &new.node),
            mode: old.mode != new.mode,
            owner: (old.uid, old.gid, &before.user, &before.group)
                != (new.uid, new.gid, &after.user, &after.group),
            mtime: old.mtime != new.mtime,
            xattrs: old.xattrs != new.xattrs,
            links: links(old) != links(new),
        }
    }

    /// Whether there is any.
    #[must_use]
    pub fn any(&self) -> bool {
        self.kind || self.content || self.metadata()
    }

    /// Whether anything but kind and content differs.
    #[must_use]
    pub fn metadata(&self) -> bool {
        self.mode || self.owner || self.mtime || self.xattrs || self.links
    }

    /// A word for each difference: `type`, `content`, `mode`, `owner`, `mtime`, `xattrs`, `links`.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        [
            (self.kind, "type"),
            (self.content && !self.kind, "content"),
            (self.mode, "mode"),
            (self.owner, "owner"),
            (self.mtime, "mtime"),
            (self.xattrs, "xattrs"),
            (self.links, "links"),
        ]
        .into_iter()
        .filter_map(|(differs, word)| differs.then_some(word))
        .collect()
    }
}

fn links(entry: &Entry) -> u32 {
    // The group's number hangs on the path of its first name, which says nothing about this one.
    entry.link.map_or(1, |link| link.count)
}

/// Of directories whether all below is the same, and stored as the same.
fn same_content(old: &Node, new: &Node) -> bool {
    match (old, new) {
        (Node::Directory(old), Node::Directory(new)) => old.root == new.root,
        (Node::File { content: old, .. }, Node::File { content: new, .. }) => {
            old == new || old.key() == new.key()
        }
        (old, new) => old == new,
    }
}

/// The same for two files of this repository exactly where their content is stored as the same: equal bytes with
/// holes in the same places. None for what is no file, and for directories the same where all below is the same.
#[must_use]
pub fn content_key(node: &Node) -> Option<[u8; 32]> {
    match node {
        Node::File { content, .. } => Some(content.key()),
        Node::Directory(directory) => {
            let mut hasher = blake3::Hasher::new();
            hasher.update(b"t").update(&directory.root?.id.0);
            Some(*hasher.finalize().as_bytes())
        }
        _ => None,
    }
}
