//! Looking: differences, finds and histories of random trees against what a plain map and a plain walk say.

mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use duramen::format::entry::Node;
use duramen::format::snapshot::Snapshot;
use duramen::ops;
use duramen::ops::diff::{Change, DiffOptions, DiffSummary, Place};
use duramen::ops::find::FindOptions;
use duramen::ops::select::Filter;
use duramen::progress::Silent;
use duramen::repository::{Listed, Page, Repository};

use self::model::{Model, Thing, apply, edit, expected, first_model, new_file};
use super::common::random::Random;
use super::common::seed;
use super::lab::{Lab, options};

struct Taken {
    lab: Lab,
    repository: Repository,
    snapshots: Vec<Snapshot>,
    models: Vec<Model>,
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

impl Taken {
    /// Snapshots of one tree that changes by so many edits each time.
    fn new(random: &mut Random, edits: &[usize]) -> Self {
        let lab = Lab::new();
        fs::create_dir(lab.tree()).unwrap();
        let repository = lab.open();
        let mut taken = Self {
            lab,
            repository,
            snapshots: Vec::new(),
            models: vec![Model::new()],
        };
        let mut model = first_model(random);
        for count in edits {
            for _ in 0..*count {
                edit(&mut model, random);
            }
            taken.take(model.clone());
        }
        taken.models.remove(0);
        taken
    }

    fn take(&mut self, model: Model) {
        let root = self.lab.tree();
        apply(&root, self.models.last().unwrap(), &model);
        let done = ops::snapshot::run(&self.repository, &options(&root), &Silent).unwrap();
        let id = done.id.unwrap();
        self.snapshots.push(self.repository.snapshot(&id).unwrap());
        self.models.push(model);
    }

    fn root(&self) -> PathBuf {
        self.lab.tree()
    }

    fn diff(&self, old: usize, new: usize) -> (BTreeMap<String, char>, DiffSummary) {
        let path = bytes(&self.root());
        let [before, after] = [old, new].map(|at| Place {
            snapshot: &self.snapshots[at],
            path: &path,
        });
        let mut seen = BTreeMap::new();
        let mut last: Vec<u8> = Vec::new();
        let options = DiffOptions {
            metadata: true,
            content: true,
        };
        let mut each = |change: &Change<'_>, _: Option<&[u8]>| {
            assert!(last < change.path.to_vec() || last.is_empty());
            last = change.path.to_vec();
            let letter = match (&change.before, &change.after) {
                (None, _) => '+',
                (_, None) => '-',
                _ if change.what.kind => 'T',
                _ if change.what.content => 'M',
                _ => 'U',
            };
            let below = change.path.strip_prefix(path.as_slice()).unwrap();
            let name = String::from_utf8(below[1..].to_vec()).unwrap();
            assert!(seen.insert(name, letter).is_none(), "told twice");
            Ok(())
        };
        let summary = ops::diff::run(
            &self.repository,
            before,
            after,
            &options,
            &Silent,
            &mut each,
        )
        .unwrap();
        (seen, summary)
    }

    /// Every path of a snapshot, by a plain walk.
    fn walk(&self, at: usize) -> BTreeMap<Vec<u8>, Listed> {
        let mut all = BTreeMap::new();
        let mut each = |path: &[u8], listed: &Listed| {
            all.insert(path.to_vec(), listed.clone());
            Ok(())
        };
        ops::look::ls(&self.repository, &self.snapshots[at], None, true, &mut each).unwrap();
        all
    }
}

#[test]
fn differences_are_those_of_plain_maps() {
    let mut random = Random::new(seed("differences"));
    let taken = Taken::new(&mut random, &[0, 1, 30, 5, 100, 0]);
    for old in 0..taken.models.len() {
        for new in 0..taken.models.len() {
            let (seen, summary) = taken.diff(old, new);
            // Paths of the engine are sorted by their names, part by part; a map of whole paths may order otherwise.
            assert_eq!(
                seen,
                expected(&taken.models[old], &taken.models[new]),
                "{old} and {new}"
            );
            assert_eq!(summary.any(), !seen.is_empty());
            let count = |letter| seen.values().filter(|seen| **seen == letter).count() as u64;
            let all = |tally: &ops::diff::Tally| tally.files + tally.dirs + tally.others;
            assert_eq!(all(&summary.added), count('+'));
            assert_eq!(all(&summary.removed), count('-'));
            assert_eq!(all(&summary.changed), count('M') + count('T'));
            assert_eq!(summary.metadata_changed, count('U'));
        }
    }
}

#[test]
fn equal_pages_are_not_read() {
    let mut random = Random::new(seed("pages"));
    let mut taken = Taken::new(&mut random, &[0, 0]);
    assert_eq!(taken.diff(0, 1).1.pages_read, 0);
    // A plain walk reads every page of the large folder: at least one for so many entries.
    for name in ["many/00000x", "many/01234x", "many/99999"] {
        let mut model = taken.models.last().unwrap().clone();
        model.insert(name.into(), new_file(&mut random));
        taken.take(model);
        let last = taken.snapshots.len() - 1;
        let (seen, summary) = taken.diff(last - 1, last);
        assert_eq!(seen.len(), 1, "{seen:?}");
        // On either side the tree's page, the large folder's topmost page and the leaf that changed; where the new
        // name ends a page, a neighbour or two. All would be about twenty.
        assert!(summary.pages_read <= 12, "{} pages", summary.pages_read);
        assert!(summary.pages_read >= 4, "nothing was read");
    }
}

#[test]
fn pages_that_end_elsewhere_are_compared_name_by_name() {
    let mut random = Random::new(seed("page ends"));
    let mut taken = Taken::new(&mut random, &[0]);
    let many = bytes(&taken.root().join("many"));
    let found = taken.repository.find(&taken.snapshots[0], &many).unwrap();
    let Node::Directory(directory) = found.entry.node else {
        panic!("no folder");
    };
    let Page::Branch(pages) = taken.repository.tree_page(directory.root.unwrap()).unwrap() else {
        panic!("too few entries for a test of pages");
    };
    // Without its last name a page runs on into the next.
    let mut model = taken.models[0].clone();
    for page in &pages[1..] {
        let first = format!("many/{}", std::str::from_utf8(&page.first).unwrap());
        let last = model.range(..first).next_back().unwrap().0.clone();
        model.retain(|path, _| *path != last && !path.starts_with(&format!("{last}/")));
    }
    taken.take(model);
    for (old, new) in [(0, 1), (1, 0)] {
        let (seen, _) = taken.diff(old, new);
        assert_eq!(seen, expected(&taken.models[old], &taken.models[new]));
        assert!(seen.len() >= pages.len() - 1);
    }
}

#[test]
fn renames_are_seen() {
    let mut random = Random::new(seed("renames"));
    let mut taken = Taken::new(&mut random, &[0]);
    let mut model = taken.models.last().unwrap().clone();
    for (path, label) in [
        ("old", 0),
        ("old/x", 9001),
        ("old/y", 9002),
        ("single", 9003),
    ] {
        let thing = match label {
            0 => Thing::Folder { mode: 0o755 },
            label => Thing::File {
                label,
                len: 3000,
                mode: 0o644,
                time: 1,
            },
        };
        model.insert(path.into(), thing);
    }
    taken.take(model.clone());
    for (from, to) in [
        ("old", "new"),
        ("old/x", "new/x"),
        ("old/y", "new/y"),
        ("single", "many/moved"),
    ] {
        let thing = model.remove(from).unwrap();
        model.insert(to.into(), thing);
    }
    taken.take(model);
    let (_, summary) = taken.diff(1, 2);
    let root = bytes(&taken.root());
    let found: Vec<(String, String, bool)> = summary
        .renames
        .iter()
        .map(|rename| {
            let name = |path: &[u8]| {
                let below = path.strip_prefix(root.as_slice()).unwrap();
                String::from_utf8(below[1..].to_vec()).unwrap()
            };
            (name(&rename.from), name(&rename.to), rename.directory)
        })
        .collect();
    assert_eq!(
        found,
        [
            ("old".to_owned(), "new".to_owned(), true),
            ("single".to_owned(), "many/moved".to_owned(), false)
        ]
    );
}

#[test]
fn what_is_found_is_what_a_plain_walk_finds() {
    let mut random = Random::new(seed("find"));
    let mut taken = Taken::new(&mut random, &[0, 20, 0, 60, 3]);
    // Another set of paths in between, whose runs are counted apart.
    let model = taken.models.last().unwrap().clone();
    let part = options(&taken.root().join("many"));
    let done = ops::snapshot::run(&taken.repository, &part, &Silent).unwrap();
    let id = done.id.unwrap();
    taken
        .snapshots
        .push(taken.repository.snapshot(&id).unwrap());
    taken.models.push(model.clone());
    let mut model = model;
    for _ in 0..30 {
        edit(&mut model, &mut random);
    }
    taken.take(model);
    let walks: Vec<_> = (0..taken.snapshots.len())
        .map(|at| taken.walk(at))
        .collect();
    let name = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().unwrap().to_vec();
    type Matches = fn(&[u8], &Listed) -> bool;
    let cases: [(FindOptions, Matches); 6] = [
        (
            FindOptions {
                patterns: vec!["*.txt".into()],
                ..FindOptions::default()
            },
            |name, _| name.ends_with(b".txt"),
        ),
        (
            FindOptions {
                ipatterns: vec!["*.txt".into(), "A".into()],
                ..FindOptions::default()
            },
            |name, _| {
                name.to_ascii_lowercase().ends_with(b".txt") || name.eq_ignore_ascii_case(b"a")
            },
        ),
        (
            FindOptions {
                kinds: vec!['d', 'l'],
                ..FindOptions::default()
            },
            |_, listed| matches!(listed.entry.node, Node::Directory(_) | Node::Symlink { .. }),
        ),
        (
            FindOptions {
                size_min: Some(300),
                size_max: Some(3000),
                ..FindOptions::default()
            },
            |_, listed| matches!(listed.entry.node, Node::File { size, .. } if (300..=3000).contains(&size)),
        ),
        (
            FindOptions {
                newer: Some(1_000_400_000_000_000),
                older: Some(1_000_600_000_000_000),
                kinds: vec!['f'],
                ..FindOptions::default()
            },
            |_, listed| {
                matches!(listed.entry.node, Node::File { .. })
                    && (1_000_400_000_000_000..=1_000_600_000_000_000).contains(&listed.entry.mtime)
            },
        ),
        (FindOptions::default(), |_, _| true),
    ];
    for (options, matches) in cases {
        let summary = ops::find::run(&taken.repository, &options, &Silent).unwrap();
        assert_eq!(summary.snapshots.len(), taken.snapshots.len());
        for (at, snapshot) in summary.snapshots.iter().enumerate() {
            let ours = taken
                .snapshots
                .iter()
                .position(|other| other.id == snapshot.id)
                .unwrap();
            let plain: BTreeMap<&[u8], (i64, u32)> = walks[ours]
                .iter()
                .filter(|(path, listed)| matches(&name(path), listed))
                .map(|(path, listed)| (path.as_slice(), (listed.entry.mtime, listed.entry.mode)))
                .collect();
            let mut found = BTreeMap::new();
            for version in &summary.found {
                let same_run = summary.snapshots[version.first].paths == snapshot.paths;
                if same_run && (version.first..=version.last).contains(&at) {
                    let entry = &version.listed.entry;
                    let twice = found.insert(version.path.as_slice(), (entry.mtime, entry.mode));
                    assert!(twice.is_none(), "two versions at once");
                }
            }
            assert_eq!(found, plain, "{options:?} in snapshot {at}");
        }
    }
}

#[test]
fn content_is_found_under_any_name() {
    let lab = Lab::new();
    lab.write_tree(1);
    fs::copy(lab.tree().join("large"), lab.tree().join("b/copy of large")).unwrap();
    let repository = lab.open();
    lab.snapshot(&repository).unwrap();
    let latest = ops::select::one(&repository, "latest", &Filter::default()).unwrap();
    let large = bytes(&lab.tree().join("large"));
    let entry = repository.find(&latest, &large).unwrap().entry;
    let Node::File { content, .. } = &entry.node else {
        panic!("no file");
    };
    let pieces: Vec<_> = repository
        .pieces(content)
        .collect::<Result<_, _>>()
        .unwrap();
    let Some(duramen::format::entry::Piece::Data { id, .. }) = pieces.last() else {
        panic!("no chunk");
    };
    for options in [
        FindOptions {
            content_of: Some(("latest".into(), large)),
            ..FindOptions::default()
        },
        FindOptions {
            chunk: Some(id.hex()[..12].to_uppercase()),
            ..FindOptions::default()
        },
    ] {
        let summary = ops::find::run(&repository, &options, &Silent).unwrap();
        let found: Vec<PathBuf> = summary
            .found
            .iter()
            .map(|found| PathBuf::from(String::from_utf8(found.path.clone()).unwrap()))
            .collect();
        assert_eq!(
            found,
            [lab.tree().join("b/copy of large"), lab.tree().join("large")]
        );
    }
    let wrong = FindOptions {
        chunk: Some("xyz1".into()),
        ..FindOptions::default()
    };
    let error = ops::find::run(&repository, &wrong, &Silent).unwrap_err();
    assert_eq!(error.kind(), duramen::error::Kind::Usage);
}

#[test]
fn a_history_tells_every_version_once() {
    let mut random = Random::new(seed("history"));
    let taken = Taken::new(&mut random, &[0, 20, 0, 40, 40, 0, 3]);
    let every: BTreeSet<Vec<u8>> = (0..taken.snapshots.len())
        .flat_map(|at| taken.walk(at).into_keys())
        .filter(|path| !path.windows(6).any(|part| part == b"many/0"))
        .collect();
    assert!(every.len() > 10, "too small a tree");
    for path in every {
        let filter = Filter::default();
        let summary = ops::history::run(&taken.repository, &path, &filter, &Silent).unwrap();
        let [(_, stretches)] = summary.hosts.as_slice() else {
            panic!("{:?}", summary.hosts);
        };
        // One after the other, without gaps, from where it first stood.
        let first = stretches[0].first;
        assert!(stretches[0].version.is_some());
        let mut next = first;
        let mut expanded = Vec::new();
        for stretch in stretches {
            assert_eq!(stretch.first, next);
            assert_eq!(stretch.snapshots as usize, stretch.last - stretch.first + 1);
            for at in stretch.first..=stretch.last {
                expanded.push((
                    at,
                    stretch.version.as_ref().map(|it| it.listed.entry.clone()),
                ));
            }
            next = stretch.last + 1;
        }
        assert_eq!(next, taken.snapshots.len());
        for (at, snapshot) in taken.snapshots.iter().enumerate() {
            let plain = taken
                .repository
                .find(snapshot, &path)
                .ok()
                .map(|it| it.entry);
            let told = expanded.iter().find(|(told, _)| *told == at);
            let told = told.and_then(|(_, entry)| entry.clone());
            assert_eq!(told, plain, "{} in {at}", path.escape_ascii());
        }
        for pair in stretches.windows(2) {
            let same = match (&pair[0].version, &pair[1].version) {
                (Some(a), Some(b)) => a.listed.entry == b.listed.entry,
                (None, None) => true,
                _ => false,
            };
            assert!(!same, "two stretches of one version");
        }
    }
    let error =
        ops::history::run(&taken.repository, b"/nowhere", &Filter::default(), &Silent).unwrap_err();
    assert_eq!(error.kind(), duramen::error::Kind::NotFound);
}

#[test]
fn numbers_add_up_and_the_largest_are_the_largest() {
    let mut random = Random::new(seed("stats"));
    let taken = Taken::new(&mut random, &[0, 50, 50]);
    let stats = ops::stats::run(&taken.repository, "latest", &Filter::default(), &Silent).unwrap();
    let stored: u64 = [
        "config",
        "keys",
        "keyring",
        "packs",
        "index",
        "snapshots",
        "sessions",
    ]
    .iter()
    .flat_map(|folder| match *folder {
        "config" => vec![taken.repository.storage().size("config").unwrap().unwrap()],
        folder => {
            let listed = taken.repository.storage().list(folder).unwrap();
            listed.into_iter().map(|item| item.size).collect()
        }
    })
    .sum();
    assert_eq!(stats.total(), stored);
    let sizes = |at: usize| -> Vec<u64> {
        let mut sizes: Vec<u64> = taken
            .walk(at)
            .values()
            .filter_map(|listed| match listed.entry.node {
                Node::File { size, .. } => Some(size),
                _ => None,
            })
            .collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes
    };
    assert_eq!(
        stats.logical,
        (0..3).flat_map(sizes).sum::<u64>(),
        "all snapshots side by side"
    );
    assert!(stats.data.sealed < stats.pack_bytes && stats.data.chunks > 0);
    assert!(stats.data.raw <= stats.logical);
    let (snapshot, largest) = stats.largest.unwrap();
    assert_eq!(snapshot.id, taken.snapshots[2].id);
    let found: Vec<u64> = largest.files.iter().map(|part| part.bytes).collect();
    assert_eq!(found, sizes(2)[..10]);
    let many = bytes(&taken.root().join("many"));
    assert!(largest.directories.iter().any(|part| part.path == many));
    assert!(
        largest
            .directories
            .windows(2)
            .all(|pair| pair[0].bytes >= pair[1].bytes)
    );
}
