//! A small tree as a plain map, edited on the disk and in the map alike.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use crate::common::random::Random;
use crate::common::seen::{Name, Words, at, file_words, folder_words, link_words};

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    Folder {
        mode: u32,
    },
    Link {
        target: Vec<u8>,
    },
    /// Bytes and mode belong to the inode, which several names may share.
    File {
        inode: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    pub bytes: Vec<u8>,
    pub mode: u32,
}

/// The whole tree in memory.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub things: BTreeMap<Name, Thing>,
    pub inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
}

impl Model {
    /// What must be on the disk.
    pub fn seen(&self) -> Words {
        let mut first: BTreeMap<u64, &Name> = BTreeMap::new();
        self.things
            .iter()
            .map(|(name, thing)| {
                let words = match thing {
                    Thing::Folder { mode } => folder_words(*mode),
                    Thing::Link { target } => link_words(target),
                    Thing::File { inode } => {
                        let same = *first.entry(*inode).or_insert(name);
                        let inode = &self.inodes[inode];
                        file_words(&inode.bytes, inode.mode, same)
                    }
                };
                (name.clone(), words)
            })
            .collect()
    }

    fn folders(&self) -> Vec<Name> {
        let below = self
            .things
            .iter()
            .filter(|(_, thing)| matches!(thing, Thing::Folder { .. }));
        std::iter::once(Vec::new())
            .chain(below.map(|(name, _)| name.clone()))
            .collect()
    }

    fn files(&self) -> Vec<Name> {
        let files = self
            .things
            .iter()
            .filter(|(_, thing)| matches!(thing, Thing::File { .. }));
        files.map(|(name, _)| name.clone()).collect()
    }

    fn is_empty_folder(&self, name: &[u8]) -> bool {
        matches!(self.things.get(name), Some(Thing::Folder { .. }))
            && !self.things.keys().any(|other| is_below(other, name))
    }

    /// A name in some folder; few names, so that they come back again and again.
    fn some_name(&self, random: &mut Random) -> Name {
        const NAMES: &[&[u8]] = &[
            b"a",
            b"b",
            b"c",
            b"d",
            b"A",
            b"a.b",
            b"name with space",
            b"\xff\xfe",
            b"-x",
            b"new\nline",
        ];
        let mut name = random.pick(&self.folders()).clone();
        if name.iter().filter(|byte| **byte == b'/').count() >= 3 {
            name.clear();
        }
        if !name.is_empty() {
            name.push(b'/');
        }
        let own: &&[u8] = random.pick(NAMES);
        name.extend_from_slice(own);
        name
    }

    fn free_name(&self, random: &mut Random) -> Option<Name> {
        let name = self.some_name(random);
        (!self.things.contains_key(&name)).then_some(name)
    }

    /// One random edit, on the disk and here. What is not possible just now is left.
    pub fn edit(&mut self, root: &Path, random: &mut Random) {
        let done = match random.below(14) {
            0..=2 => self.create(root, random),
            3 | 4 => self.write_at(root, random),
            5 => self.resize(root, random),
            6 => self.append(root, random),
            7 => self.rename(root, random),
            8 => self.delete(root, random),
            9 => self.chmod(root, random),
            10 => self.make_folder(root, random),
            11 => self.remove_folder(root, random),
            12 => self.link(root, random),
            _ => self.hard_link(root, random),
        };
        // What was not possible is no edit.
        let _ = done;
    }

    fn create(&mut self, root: &Path, random: &mut Random) -> Option<()> {
        let name = self.free_name(random)?;
        let bytes = content(random);
        std::fs::write(at(root, &name), &bytes).unwrap();
        let mode = 0o600 | (random.below(64) as u32);
        set_mode(&at(root, &name), mode);
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, Inode { bytes, mode });
        self.things.insert(name, Thing::File { inode });
        Some(())
    }

    fn some_file(&mut self, random: &mut Random) -> Option<(Name, &mut Inode)> {
        let files = self.files();
        if files.is_empty() {
            return None;
        }
        let name = random.pick(&files).clone();
        let Some(Thing::File { inode }) = self.things.get(&name) else {
            return None;
        };
        Some((name, self.inodes.get_mut(inode)?))
    }

    fn write_at(&mut self, root: &Path, random: &mut Random) -> Option<()> {
        let (name, inode) = self.some_file(random)?;
        let offset = random.index(inode.bytes.len() + 1);
        let len = random.below(5_000) as usize;
        let new = random.bytes(len);
        let end = offset + new.len();
        if inode.bytes.len() < end {
            inode.bytes.resize(end, 0);
        }
        inode.bytes[offset..end].copy_from_slice(&new);
        open(root, &name).write_all_at(&new, offset as u64).unwrap();
        Some(())
    }

    /// Shorter, or longer with a hole at its end.
    fn resize(&mut self, root: &Path, random: &mut Random) -> Option<()> {
        let (name, inode) = self.some_file(random)?;
        let len = random.index(inode.bytes.len() * 2 + 20_000).min(3_000_000);
        inode.bytes.resize(len, 0);
        open(root, &name).set_len(len as u64).unwrap();
        Some(())
    }

    fn append(&mut self, root: &Path, random: &mut Random) -> Option<()> {
        let (name, inode) = self.some_file(random)?;
        let new = content(random);
        if inode.bytes.len() + new.len() > 4_000_000 {
            return None;
        }
        open(root, &name)
            .write_all_at(&new, inode.bytes.len() as u64)
            .unwrap();
        inode.bytes.extend_from_slice(&new);
        Some(())
    }

    fn some_thing(&self, random: &mut Random) -> Option<Name> {
        let names: Vec<&Name> = self.things.keys().collect();
        (!names.is_empty()).then(|| (*random.pick(&names)).clone())
    }

    fn rename(&mut self, root: &Path, random: &mut Random) -> Option<()> {
        let old = self.some_thing(random)?;
        let new = self.free_name(random)?;
        if is_below(&new, &old) {
            return None;
        }
        std::fs::rename(at(root, &old), at(root, &new)).unwrap();
        let moved: Vec<Name> = self
            .things
            .keys()
            .filter(|name| **name == old || is_below(name, &old))
            .cloned()
            .collect();
        for name in moved {
            let thing = self.things.remove(&name).unwrap();
            let mut renamed = new.clone();
            renamed.extend_from_slice(&name[old.len()..]);
            self.things.insert(renamed, thing);
        }
        Some(())
    }

    fn delete(&mut self, root: &Path, random: &mut Random) -> Option<()> {
        let name = self.some_thing(random)?;
        if matches!(self.things[&name], Thing::Folder { .. }) {
            return None;
        }
        std::fs::remove_file(at(root, &name)).unwrap();
        self.things.remove(&name);
        Some(())
    }

    fn chmod(&mut self, root: &Path, random: &mut Random) -> Option<()> {
        let name = self.some_thing(random)?;
        let bits = random.below(0o10000) as u32;
        match self.things.get_mut(&name)? {
            Thing::Link { .. } => return None,
            Thing::Folder { mode } => {
                *mode = bits;
                set_mode(&at(root, &name), bits);
            }
            Thing::File { inode } => {
                self.inodes.get_mut(inode)?.mode = bits;
                set_mode(&at(root, &name), bits);
            }
        }
        Some(())
    }

    fn make_folder(&mut self, root: &Path, random: &mut Random) -> Option<()> {
        let name = self.free_name(random)?;
        std::fs::create_dir(at(root, &name)).unwrap();
        set_mode(&at(root, &name), 0o755);
        self.things.insert(name, Thing::Folder { mode: 0o755 });
        Some(())
    }

    fn remove_folder(&mut self, root: &Path, random: &mut Random) -> Option<()> {
        let empty: Vec<Name> = self
            .folders()
            .into_iter()
            .filter(|name| self.is_empty_folder(name))
            .collect();
        if empty.is_empty() {
            return None;
        }
        let name = random.pick(&empty);
        std::fs::remove_dir(at(root, name)).unwrap();
        self.things.remove(name);
        Some(())
    }

    fn link(&mut self, root: &Path, random: &mut Random) -> Option<()> {
        let name = self.free_name(random)?;
        let target = self.some_name(random);
        std::os::unix::fs::symlink(OsStr::from_bytes(&target), at(root, &name)).unwrap();
        self.things.insert(name, Thing::Link { target });
        Some(())
    }

    fn hard_link(&mut self, root: &Path, random: &mut Random) -> Option<()> {
        let new = self.free_name(random)?;
        let (old, _) = self.some_file(random)?;
        std::fs::hard_link(at(root, &old), at(root, &new)).unwrap();
        let thing = self.things[&old].clone();
        self.things.insert(new, thing);
        Some(())
    }
}

fn open(root: &Path, name: &[u8]) -> std::fs::File {
    std::fs::OpenOptions::new()
        .write(true)
        .open(at(root, name))
        .unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn is_below(name: &[u8], folder: &[u8]) -> bool {
    name.strip_prefix(folder)
        .is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// Sizes around the limits that the engine knows, and content that others have too.
fn content(random: &mut Random) -> Vec<u8> {
    let len = match random.below(12) {
        0 => 0,
        1 => 1,
        2 => 256,
        3 => 257,
        4 | 5 => random.below(300_000) as usize,
        6 => 1_500_000,
        _ => random.below(4_000) as usize,
    };
    match random.below(4) {
        0 => vec![0; len],
        1 => Random::new(random.below(4)).bytes(len),
        2 => random.text(len),
        _ => random.bytes(len),
    }
}
