//! A random tree as a plain map, on the disk and in memory alike.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::common::random::Random;
use crate::lab::noise;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    Folder {
        mode: u32,
    },
    File {
        label: u64,
        len: usize,
        mode: u32,
        time: u64,
    },
    Link {
        target: String,
    },
}

/// A tree as a plain map of paths below its root.
pub type Model = BTreeMap<String, Thing>;

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

pub fn new_file(random: &mut Random) -> Thing {
    Thing::File {
        label: random.below(6),
        len: *random.pick(&[0, 10, 300, 3000, 40_000]),
        mode: 0o644,
        time: random.below(1000),
    }
}

/// A tree with a folder of several pages in it.
pub fn first_model(random: &mut Random) -> Model {
    let mut model = Model::new();
    model.insert("many".into(), Thing::Folder { mode: 0o755 });
    for number in 0..2500 {
        let file = Thing::File {
            label: number,
            len: 20,
            mode: 0o644,
            time: 7,
        };
        model.insert(format!("many/{number:05}"), file);
    }
    for _ in 0..40 {
        edit(&mut model, random);
    }
    model
}

pub fn edit(model: &mut Model, random: &mut Random) {
    let folders: Vec<String> = std::iter::once(String::new())
        .chain(
            model
                .iter()
                .filter(|(path, thing)| {
                    matches!(thing, Thing::Folder { .. }) && path.matches('/').count() < 4
                })
                .map(|(path, _)| path.clone()),
        )
        .collect();
    let folder = random.pick(&folders);
    let name = *random.pick(&["a", "b", "c.txt", "d.TXT", "e", "00700x", "zz"]);
    let fresh = match folder.as_str() {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    };
    // The folder of many pages must not draw all edits to itself.
    let many = random.one_in(4);
    let paths: Vec<String> = model
        .keys()
        .filter(|path| is_below(path, "many") == many)
        .cloned()
        .collect();
    let some = random.pick(&paths).clone();
    match random.below(14) {
        // A run of names that goes over the ends of pages.
        12 | 13 => {
            let first = random.below(2500);
            for number in first..first + random.below(300) {
                let path = format!("many/{number:05}");
                if model.remove(&path).is_none() {
                    model.insert(path, new_file(random));
                } else {
                    model.retain(|other, _| !is_below(other, &path));
                }
            }
        }
        0..=3 if !model.contains_key(&fresh) => drop(model.insert(fresh, new_file(random))),
        4 | 5 if !model.contains_key(&fresh) => {
            model.insert(fresh, Thing::Folder { mode: 0o755 });
        }
        6 if !model.contains_key(&fresh) => {
            let target = format!("t{}", random.below(3));
            model.insert(fresh, Thing::Link { target });
        }
        7 if some != "many" => {
            model.retain(|path, _| *path != some && !is_below(path, &some));
        }
        8 => {
            if let Some(Thing::File { label, len, .. }) = model.get_mut(&some) {
                (*label, *len) = (random.below(1000), *random.pick(&[10, 300, 3000]));
            }
        }
        9 => {
            if let Some(Thing::File { mode, .. } | Thing::Folder { mode }) = model.get_mut(&some) {
                *mode = *random.pick(&[0o700, 0o750, 0o755]);
            }
        }
        10 => {
            if let Some(Thing::File { time, .. }) = model.get_mut(&some) {
                *time = random.below(1000);
            }
        }
        // Of another type.
        11 if some != "many" => {
            model.retain(|path, _| !is_below(path, &some));
            let thing = match model[&some] {
                Thing::File { .. } => Thing::Folder { mode: 0o755 },
                _ => new_file(random),
            };
            model.insert(some, thing);
        }
        _ => {}
    }
}

fn moment(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

/// Makes the disk what the new model says, touching only what differs from the old one.
pub fn apply(root: &Path, old: &Model, new: &Model) {
    let same_sort = |path: &String, thing: &Thing| {
        new.get(path)
            .is_some_and(|now| std::mem::discriminant(now) == std::mem::discriminant(thing))
    };
    for (path, thing) in old.iter().rev() {
        if !same_sort(path, thing) {
            let at = root.join(path);
            match thing {
                Thing::Folder { .. } => fs::remove_dir(at).unwrap(),
                _ => fs::remove_file(at).unwrap(),
            }
        }
    }
    for (path, thing) in new
        .iter()
        .filter(|(path, thing)| old.get(*path) != Some(*thing))
    {
        let at = root.join(path);
        match thing {
            Thing::Folder { mode } => {
                let _ = fs::create_dir(&at);
                fs::set_permissions(&at, PermissionsExt::from_mode(*mode)).unwrap();
            }
            Thing::File {
                label,
                len,
                mode,
                time,
            } => {
                fs::write(&at, noise(&label.to_string(), *len)).unwrap();
                fs::set_permissions(&at, PermissionsExt::from_mode(*mode)).unwrap();
                let file = File::options().write(true).open(&at).unwrap();
                file.set_modified(moment(*time)).unwrap();
            }
            Thing::Link { target } => {
                let _ = fs::remove_file(&at);
                symlink(target, &at).unwrap();
            }
        }
    }
    // A folder's own time would change with every member.
    let folders = new
        .iter()
        .filter(|(_, thing)| matches!(thing, Thing::Folder { .. }));
    for folder in folders
        .map(|(path, _)| root.join(path))
        .chain([root.to_owned()])
    {
        File::open(folder).unwrap().set_modified(moment(0)).unwrap();
    }
}

/// The letter that `diff` has for what became of a path.
fn letter(old: Option<&Thing>, new: Option<&Thing>) -> Option<char> {
    match (old, new) {
        (None, None) => None,
        (None, _) => Some('+'),
        (_, None) => Some('-'),
        (Some(old), Some(new)) if old == new => None,
        (Some(Thing::Folder { .. }), Some(Thing::Folder { .. })) => Some('U'),
        (Some(Thing::Link { .. }), Some(Thing::Link { .. })) => Some('M'),
        (
            Some(Thing::File { label, len, .. }),
            Some(Thing::File {
                label: new_label,
                len: new_len,
                ..
            }),
        ) => {
            let same = len == new_len && (label == new_label || *len == 0);
            Some(if same { 'U' } else { 'M' })
        }
        _ => Some('T'),
    }
}

pub fn expected(old: &Model, new: &Model) -> BTreeMap<String, char> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    paths
        .into_iter()
        .filter_map(|path| Some((path.clone(), letter(old.get(path), new.get(path))?)))
        .collect()
}
