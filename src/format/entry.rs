//! Entries: what a directory says of each of its members.
//!
//! Nothing here depends on the host that was read (no inode, device or ctime: those are hints, in pages of their
//! own), so that the same tree gives the same pages everywhere, and again after a restore.

use serde::{Deserialize, Serialize};

use super::extension::{self, Extension};
use crate::clock::Nanos;
use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::limits;

/// One member of a directory. Entries of a directory are sorted by `name`, bytewise and without duplicates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Raw name; never empty, `.`, `..`, and without `/` and NUL.
    #[serde(with = "serde_bytes")]
    pub name: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky: `st_mode & 0o7777`.
    pub mode: u32,
    /// Owner's number; its name, where it has one, stands in the page's table.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
    /// Last change of content, nanoseconds UTC, may be negative.
    pub mtime: Nanos,
    /// What it is.
    pub node: Node,
    /// Extended attributes, POSIX ACLs among them, sorted by name.
    pub xattrs: Vec<Xattr>,
    /// Where other names share the same inode.
    pub link: Option<LinkGroup>,
    /// Room for later.
    pub extensions: Vec<Extension>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// A regular file.
    File {
        /// Bytes, holes included.
        size: u64,
        /// The bytes.
        content: Content,
    },
    /// A directory.
    Directory(Directory),
    /// A symbolic link.
    Symlink {
        /// Raw target.
        #[serde(with = "serde_bytes")]
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// A directory's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Directory {
    /// The topmost page; none for an empty directory.
    pub root: Option<PageRef>,
    /// Members of this directory itself.
    pub entries: u64,
    /// Non-directories below it, at any depth.
    pub files: u64,
    /// Sum of the sizes of the regular files below it, every name counted.
    pub bytes: u64,
}

/// The top of a tree of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRef {
    /// The page's chunk.
    pub id: ChunkId,
    /// Levels of branch pages above the leaves: 0 where the page is itself a leaf.
    pub depth: u8,
}

/// A regular file's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// All of them, at most [`limits::INLINE_FILE_BYTES`] when written.
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Pieces in order; their lengths add up to the size.
    List(Vec<Piece>),
    /// As `List`, too long for the entry: pages of pieces.
    Paged(PageRef),
    /// As `Paged`, put together from parts of what an earlier version of the file holds and of what was new, so that it is
    /// not the list that these bytes have by themselves.
    Recipe {
        /// The topmost page.
        root: PageRef,
        /// What [`Content::key`] is of the list that they have by themselves.
        key: [u8; 32],
    },
}

impl Content {
    /// The same for two files of one repository exactly where the same content is stored: equal bytes with holes in the
    /// same places.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        match self {
            Content::Inline(bytes) => {
                hasher.update(b"i").update(bytes);
            }
            Content::List(pieces) => {
                hasher.update(b"l");
                for piece in pieces {
                    match piece {
                        Piece::Data { id, .. } => hasher.update(b"d").update(&id.0),
                        Piece::Hole { len } => hasher.update(b"h").update(&len.to_le_bytes()),
                        Piece::Part {
                            id, offset, len, ..
                        } => {
                            let place = [offset.to_le_bytes(), len.to_le_bytes()].concat();
                            hasher.update(b"r").update(&id.0).update(&place)
                        }
                    };
                }
            }
            Content::Paged(page) => {
                hasher.update(b"p").update(&page.id.0);
            }
            Content::Recipe { key, .. } => return *key,
        }
        *hasher.finalize().as_bytes()
    }
}

/// A run of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// The bytes of one chunk.
    Data {
        /// The chunk.
        id: ChunkId,
        /// Its raw length, 1 to [`limits::CHUNK_BYTES_MAX`].
        len: u32,
    },
    /// Zeros that take no space on disk; never empty, never two in a row.
    Hole {
        /// How many.
        len: u64,
    },
    /// A part of the bytes of one chunk, never all of them.
    Part {
        /// The chunk.
        id: ChunkId,
        /// Raw length of the chunk, 1 to [`limits::CHUNK_BYTES_MAX`].
        of: u32,
        /// Bytes of it before the part.
        offset: u32,
        /// Bytes of the part.
        len: u32,
    },
}

impl Piece {
    /// Bytes that the piece stands for.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Piece::Data { len, .. } | Piece::Part { len, .. } => u64::from(*len),
            Piece::Hole { len } => *len,
        }
    }

    /// The chunk that it needs, and how long that is; none for a hole.
    #[must_use]
    pub fn chunk(&self) -> Option<(ChunkId, u32)> {
        match self {
            Piece::Data { id, len } => Some((*id, *len)),
            Piece::Part { id, of, .. } => Some((*id, *of)),
            Piece::Hole { .. } => None,
        }
    }

    /// Never true in a valid piece.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xattr {
    /// Full name with its namespace: `user.comment`, `system.posix_acl_access`.
    #[serde(with = "serde_bytes")]
    pub name: Vec<u8>,
    /// Its value.
    pub value: XattrValue,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum XattrValue {
    /// In place, at most [`limits::INLINE_XATTR_BYTES`] when written.
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
    /// In one chunk of kind xattr.
    Chunk {
        /// The chunk.
        id: ChunkId,
        /// Its raw length.
        len: u32,
    },
}

/// Names that share one inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkGroup {
    /// The same for all names of the inode, and for no other inode of the tree: taken from the path of the first name.
    pub group: u64,
    /// Names that the inode had when it was read, within the snapshot or not; at least 2.
    pub count: u32,
}

/// Whether `name` may stand in a directory: a hostile repository must not be able to name anything else.
#[must_use]
pub fn name_is_safe(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= limits::NAME_BYTES_MAX
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

impl Entry {
    /// Holds the entry against the rules of its chapter; every reader calls it before using the entry.
    ///
    /// # Errors
    /// [`crate::error::Kind::Damage`] or `Unsupported`, naming the rule.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str| {
            Err(Error::damage(format!(
                "entry {}: {what}",
                self.name.escape_ascii()
            )))
        };
        if !name_is_safe(&self.name) {
            return wrong("a name that no directory can hold");
        }
        if self.mode & !0o7777 != 0 {
            return wrong("mode bits beyond 07777");
        }
        match &self.node {
            Node::File { size, content } => match content {
                Content::Inline(bytes) if bytes.len() as u64 != *size => {
                    return wrong("inline content is not its size");
                }
                Content::List(pieces) => {
                    check_pieces(pieces)?;
                    if pieces
                        .iter()
                        .any(|piece| matches!(piece, Piece::Part { .. }))
                    {
                        return wrong("a part of a chunk outside of a recipe");
                    }
                    let sum = pieces
                        .iter()
                        .try_fold(0u64, |sum, piece| sum.checked_add(piece.len()));
                    if sum != Some(*size) {
                        return wrong("pieces do not add up to its size");
                    }
                }
                Content::Paged(page) | Content::Recipe { root: page, .. }
                    if page.depth > limits::PAGE_DEPTH_MAX =>
                {
                    return wrong("pages too deep");
                }
                _ => {}
            },
            Node::Directory(directory) => {
                if directory.root.is_none() != (directory.entries == 0) {
                    return wrong("an empty directory with pages, or the reverse");
                }
                if directory
                    .root
                    .is_some_and(|root| root.depth > limits::PAGE_DEPTH_MAX)
                {
                    return wrong("pages too deep");
                }
            }
            Node::Symlink { target }
                if target.is_empty()
                    || target.len() > limits::LINK_TARGET_MAX
                    || target.contains(&0) =>
            {
                return wrong("a link target that no link can hold");
            }
            _ => {}
        }
        if self.xattrs.len() > limits::XATTRS_MAX
            || !self
                .xattrs
                .windows(2)
                .all(|pair| pair[0].name < pair[1].name)
        {
            return wrong("attributes out of order or too many");
        }
        for xattr in &self.xattrs {
            if xattr.name.is_empty()
                || xattr.name.len() > limits::NAME_BYTES_MAX
                || xattr.name.contains(&0)
            {
                return wrong("an attribute name that no file can hold");
            }
            if matches!(xattr.value, XattrValue::Chunk { len, .. } if !(1..=limits::XATTR_BYTES_MAX).contains(&(len as usize)))
            {
                return wrong("an attribute value of impossible length");
            }
        }
        if self.link.is_some_and(|link| link.count < 2)
            || (self.link.is_some() && matches!(self.node, Node::Directory(_)))
        {
            return wrong("a link group that no file can have");
        }
        extension::check(&self.extensions)
    }
}

/// Holds a run of pieces against the rules of its chapter.
///
/// # Errors
/// [`crate::error::Kind::Damage`].
pub fn check_pieces(pieces: &[Piece]) -> Result<()> {
    let whole = pieces.iter().all(|piece| match piece {
        Piece::Data { len, .. } => (1..=limits::CHUNK_BYTES_MAX).contains(&(*len as usize)),
        Piece::Hole { len } => *len > 0,
        Piece::Part {
            of, offset, len, ..
        } => {
            let ends = u64::from(*offset) + u64::from(*len);
            (1..=limits::CHUNK_BYTES_MAX).contains(&(*of as usize))
                && *len > 0
                && len < of
                && ends <= u64::from(*of)
        }
    });
    let apart = pieces
        .windows(2)
        .all(|pair| !matches!(pair, [Piece::Hole { .. }, Piece::Hole { .. }]));
    if whole && apart {
        Ok(())
    } else {
        Err(Error::damage("a content list with an impossible piece"))
    }
}
