//! tar: POSIX headers with PAX records for what they cannot hold.
//!
//! Times below a second and before 1970, attributes (`SCHILY.xattr.`, as GNU tar, bsdtar and star write them) and
//! long names stand in PAX records. A long name that is not UTF-8 may not stand there; it gets a GNU long-name
//! record, which every reader knows too. Sockets have no place in a tar; holes are written as the zeros they read as.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use super::archive::{Added, Archive, Member, copy_exactly, text};
use crate::format::entry::Node;

/// Bytes of a name or link target in the header itself.
const FIELD: usize = 100;
/// Numbers above do not fit into seven octal digits.
const NUMBER_MAX: u32 = 0o7_777_777;

/// A tar being written.
pub struct Tar<W: Write> {
    builder: Builder<W>,
    /// First path and names met of every link group that is not complete.
    groups: HashMap<u64, (Vec<u8>, u32)>,
}

impl<W: Write> Tar<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self {
            builder: Builder::new(out),
            groups: HashMap::new(),
        }
    }

    /// The path of an earlier name of the same inode.
    fn earlier(&mut self, member: &Member<'_>) -> Option<Vec<u8>> {
        let link = member.entry.link?;
        let (first, met) = self
            .groups
            .entry(link.group)
            .or_insert_with(|| (member.path.to_vec(), 0));
        *met += 1;
        let first = (*met > 1).then(|| first.clone());
        if *met >= link.count {
            self.groups.remove(&link.group);
        }
        first
    }

    /// A record of GNU's kind that holds a name of any length.
    fn long(&mut self, kind: EntryType, name: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        put_field(&mut header.as_old_mut().name, b"././@LongLink");
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(name.len() as u64 + 1);
        header.set_cksum();
        self.builder.append(&header, name.chain(&b"\0"[..]))
    }
}

impl<W: Write> Archive for Tar<W> {
    fn keeps_attributes(&self) -> bool {
        true
    }

    fn add(&mut self, member: &Member<'_>, content: &mut dyn Read) -> io::Result<Added> {
        let entry = member.entry;
        if entry.node == Node::Socket {
            return Ok(Added::LeftOut("a tar cannot hold sockets".into()));
        }
        let mut header = Header::new_ustar();
        let mut pax: Vec<(String, Vec<u8>)> = Vec::new();
        let mut path = member.path.to_vec();
        let mut target: Option<Vec<u8>> = None;
        let mut size = 0;
        let kind = match (&entry.node, self.earlier(member)) {
            (_, Some(first)) => {
                target = Some(first);
                EntryType::Link
            }
            (Node::File { size: bytes, .. }, None) => {
                size = *bytes;
                EntryType::Regular
            }
            (Node::Directory(_), None) => {
                path.push(b'/');
                EntryType::Directory
            }
            (Node::Symlink { target: to }, None) => {
                target = Some(to.clone());
                EntryType::Symlink
            }
            (Node::Fifo, None) => EntryType::Fifo,
            (Node::CharDevice { major, minor }, None) => {
                device(&mut header, *major, *minor)?;
                EntryType::Char
            }
            (Node::BlockDevice { major, minor }, None) => {
                device(&mut header, *major, *minor)?;
                EntryType::Block
            }
            (Node::Socket, None) => return Ok(Added::LeftOut("a tar cannot hold sockets".into())),
        };
        header.set_entry_type(kind);
        header.set_mode(entry.mode);
        header.set_size(size);
        number(&mut header, &mut pax, "uid", entry.uid);
        number(&mut header, &mut pax, "gid", entry.gid);
        time(&mut header, &mut pax, entry.mtime);
        for (key, name) in [("uname", member.user), ("gname", member.group)] {
            owner(&mut header, &mut pax, key, name);
        }
        let mut unheld = Vec::new();
        for (name, value) in member.xattrs {
            match std::str::from_utf8(name) {
                Ok(name) if !name.contains('=') => {
                    pax.push((format!("SCHILY.xattr.{name}"), value.clone()));
                }
                _ => unheld.push(text(name).into_owned()),
            }
        }
        let mut long_path = None;
        if !put_path(&mut header, &path) {
            put_field(
                &mut header.as_old_mut().name,
                &path[..FIELD.min(path.len())],
            );
            match String::from_utf8(path) {
                Ok(path) => pax.push(("path".into(), path.into_bytes())),
                Err(raw) => long_path = Some(raw.into_bytes()),
            }
        }
        let mut long_target = None;
        if let Some(target) = target {
            let held = FIELD.min(target.len());
            put_field(&mut header.as_old_mut().linkname, &target[..held]);
            if target.len() > FIELD {
                match String::from_utf8(target) {
                    Ok(target) => pax.push(("linkpath".into(), target.into_bytes())),
                    Err(raw) => long_target = Some(raw.into_bytes()),
                }
            }
        }
        let records = pax
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()));
        self.builder.append_pax_extensions(records)?;
        if let Some(target) = long_target {
            self.long(EntryType::GNULongLink, &target)?;
        }
        if let Some(path) = long_path {
            self.long(EntryType::GNULongName, &path)?;
        }
        header.set_cksum();
        let out = self.builder.get_mut();
        out.write_all(header.as_bytes())?;
        copy_exactly(content, size, out)?;
        let padding = [0; 512];
        let rest = usize::try_from(size % 512).unwrap_or(0);
        if rest > 0 {
            out.write_all(&padding[rest..])?;
        }
        Ok(if unheld.is_empty() {
            Added::Whole
        } else {
            Added::Changed(format!("without the attributes {}", unheld.join(", ")))
        })
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.builder.finish()?;
        self.builder.get_mut().flush()
    }
}

fn put_field(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field.fill(0);
    field[..length].copy_from_slice(&bytes[..length]);
}

/// Puts the path into the header's two fields; false where it does not fit.
fn put_path(header: &mut Header, path: &[u8]) -> bool {
    let Some(ustar) = header.as_ustar_mut() else {
        return false;
    };
    if path.len() <= FIELD {
        put_field(&mut ustar.name, path);
        return true;
    }
    let fits = |at: &usize| {
        let rest = path.len() - at - 1;
        path[*at] == b'/' && *at > 0 && *at <= ustar.prefix.len() && (1..=FIELD).contains(&rest)
    };
    let Some(at) = (0..path.len() - 1).find(fits) else {
        return false;
    };
    put_field(&mut ustar.prefix, &path[..at]);
    put_field(&mut ustar.name, &path[at + 1..]);
    true
}

fn device(header: &mut Header, major: u32, minor: u32) -> io::Result<()> {
    header.set_device_major(major)?;
    header.set_device_minor(minor)
}

fn number(header: &mut Header, pax: &mut Vec<(String, Vec<u8>)>, key: &str, value: u32) {
    let held = if value > NUMBER_MAX {
        pax.push((key.into(), value.to_string().into_bytes()));
        0
    } else {
        value
    };
    if key == "uid" {
        header.set_uid(u64::from(held));
    } else {
        header.set_gid(u64::from(held));
    }
}

fn time(header: &mut Header, pax: &mut Vec<(String, Vec<u8>)>, mtime: i64) {
    const SECOND: u64 = 1_000_000_000;
    let (whole, part) = (mtime.unsigned_abs() / SECOND, mtime.unsigned_abs() % SECOND);
    header.set_mtime(if mtime < 0 { 0 } else { whole });
    if mtime < 0 || part > 0 {
        let sign = if mtime < 0 { "-" } else { "" };
        let fraction = format!("{part:09}");
        let value = format!("{sign}{whole}.{}", fraction.trim_end_matches('0'));
        let value = value.trim_end_matches('.').to_owned();
        pax.push(("mtime".into(), value.into_bytes()));
    }
}

fn owner(header: &mut Header, pax: &mut Vec<(String, Vec<u8>)>, key: &str, name: Option<&[u8]>) {
    let (Some(name), Some(ustar)) = (name, header.as_ustar_mut()) else {
        return;
    };
    let field = if key == "uname" {
        &mut ustar.uname
    } else {
        &mut ustar.gname
    };
    // The field ends with a NUL.
    if name.len() < field.len() {
        put_field(field, name);
    } else if std::str::from_utf8(name).is_ok() {
        pax.push((key.into(), name.to_vec()));
    }
}
