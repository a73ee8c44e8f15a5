//! A repository in memory, and what snapshots in it hold of a deployment.

use std::collections::BTreeMap;
use std::sync::Arc;

use duramen::clock::SystemClock;
use duramen::error::Result;
use duramen::format::bson::Document;
use duramen::format::deployment::{Collection, CollectionKind, Deployment, Moment};
use duramen::format::placed::unplaced;
use duramen::format::records::Chunking;
use duramen::format::snapshot::{Snapshot, SnapshotKind};
use duramen::ops;
use duramen::ops::snapshot::{Excludes, Input, Selection, SnapshotOptions, SnapshotSummary};
use duramen::progress::Silent;
use duramen::repository::{Credential, Environment, Repository, create, new_key_file};
use duramen::seal::Compression;
use duramen::storage::MemoryStorage;

use crate::common::mongod::Mongod;

pub struct Lab {
    storage: MemoryStorage,
    credential: Credential,
    cache: tempfile::TempDir,
}

/// Raw documents, by namespace.
pub type Content = BTreeMap<String, Vec<Vec<u8>>>;

impl Lab {
    pub fn new() -> Self {
        let lab = Self {
            storage: MemoryStorage::new(),
            credential: Credential::KeyFile(new_key_file().unwrap()),
            cache: tempfile::tempdir().unwrap(),
        };
        create(
            &lab.storage,
            &lab.credential,
            &lab.environment(),
            Chunking::default(),
        )
        .unwrap();
        lab
    }

    fn environment(&self) -> Environment {
        Environment {
            cache: Some(self.cache.path().to_owned()),
            state: None,
            threads: 2,
            clock: Arc::new(SystemClock::default()),
            host: "host".into(),
            user: "user".into(),
        }
    }

    pub fn open(&self) -> Repository {
        Repository::open(
            Arc::new(self.storage.clone()),
            std::slice::from_ref(&self.credential),
            self.environment(),
        )
        .unwrap()
    }

    pub fn take(&self, address: &str, selection: &Selection) -> Result<SnapshotSummary> {
        let options = SnapshotOptions {
            collections: selection.clone(),
            ..options(address)
        };
        ops::snapshot::run(&self.open(), &options, &Silent)
    }

    /// All of a server's own databases; what it came to, and the snapshot.
    pub fn snapshot(&self, server: &Mongod) -> (SnapshotSummary, Snapshot) {
        let summary = self
            .take(&server.address(), &Selection::default())
            .unwrap_or_else(|error| panic!("{}", error.detail()));
        let snapshot = self.latest();
        assert_eq!(summary.id, Some(snapshot.id));
        (summary, snapshot)
    }

    pub fn latest(&self) -> Snapshot {
        let filter = ops::select::Filter::default();
        ops::select::one(&self.open(), "latest", &filter).unwrap()
    }

    /// What a snapshot holds: the documents of each collection as the server gave them, sorted by their bytes but for
    /// capped ones.
    pub fn content(&self, snapshot: &Snapshot) -> Content {
        Self::content_of(&self.open(), snapshot)
    }

    /// The same, read by a repository that may have worked it out.
    pub fn content_of(repository: &Repository, snapshot: &Snapshot) -> Content {
        let deployment = snapshot.deployments().next().unwrap();
        let mut content = Content::new();
        for collection in repository.collections(deployment) {
            let collection = collection.unwrap();
            if matches!(
                collection.kind,
                CollectionKind::View | CollectionKind::TimeSeries
            ) {
                continue;
            }
            let documents = documents(repository, &collection);
            if let Some(counted) = collection.documents {
                assert_eq!(counted, documents.len() as u64, "{}", collection.namespace);
            }
            content.insert(collection.namespace, documents);
        }
        content
    }

    pub fn collections(&self, snapshot: &Snapshot) -> Vec<Collection> {
        let deployment = snapshot.deployments().next().unwrap();
        let repository = self.open();
        repository
            .collections(deployment)
            .map(Result::unwrap)
            .collect()
    }

    /// Nothing is wrong with what is stored.
    pub fn check(&self) {
        let options = ops::check::CheckOptions {
            read: ops::check::ReadData::All,
            ..Default::default()
        };
        let summary = ops::check::run(&self.open(), &options, &Silent).unwrap();
        assert!(summary.findings.is_empty(), "{:?}", summary.findings);
    }
}

fn documents(repository: &Repository, collection: &Collection) -> Vec<Vec<u8>> {
    let stored = repository
        .collection(&collection.runs)
        .map(|stored| stored.unwrap().bytes);
    if collection.kind == CollectionKind::Capped {
        let own = |stored: Vec<u8>| {
            let (_, document) = unplaced(Document::whole(&stored).unwrap()).unwrap();
            document.bytes().to_vec()
        };
        return stored.map(own).collect();
    }
    let mut all: Vec<Vec<u8>> = stored.collect();
    all.sort();
    all
}

pub fn options(address: &str) -> SnapshotOptions {
    SnapshotOptions {
        input: Input::Paths(Vec::new()),
        databases: vec![address.to_owned()],
        reading: Default::default(),
        no_dumps: false,
        collections: Selection::default(),
        excludes: Excludes::default(),
        kind: SnapshotKind::Incremental,
        host: String::new(),
        user: String::new(),
        tags: Vec::new(),
        time: None,
        parent: None,
        force: false,
        dry_run: false,
        compression: Compression::Default,
        ignore_inode: false,
        ignore_ctime: false,
    }
}

/// The cluster time that a deployment shows, in the server's two numbers.
pub fn at(deployment: &Deployment) -> (u32, u32) {
    match deployment.moment {
        Moment::At(position) => ((position.time >> 32) as u32, position.time as u32),
        Moment::Between { .. } => panic!("not one point in time"),
    }
}

/// What the server itself says it held at the time that the snapshot shows. It reads capped collections at no time of the
/// past, so these are as they are now.
pub fn on_server(server: &Mongod, databases: &[&str], at: Option<(u32, u32)>) -> Content {
    let mut content = Content::new();
    for database in databases {
        for (listed, _) in server.listed(database) {
            let name = listed.get_str("name").unwrap();
            let plain = listed.get_str("type").unwrap() == "collection";
            let series = name.starts_with("system.buckets.");
            if !plain || (name.starts_with("system.") && !series && name != "system.js") {
                continue;
            }
            let options = listed.get_document("options").unwrap();
            let capped = options.get_bool("capped").unwrap_or(false);
            let mut documents = server.raw(database, name, at.filter(|_| !capped));
            if !capped {
                documents.sort();
            }
            content.insert(format!("{database}.{name}"), documents);
        }
    }
    content
}

/// The same documents everywhere; of what differs, only how much.
pub fn same(stored: &Content, server: &Content) {
    let names = |content: &Content| content.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(stored), names(server));
    for (namespace, documents) in server {
        let own = &stored[namespace];
        let differ = own != documents;
        assert!(
            !differ,
            "{namespace}: {} documents stored, {} on the server, the first that differs: {:?}",
            own.len(),
            documents.len(),
            own.iter()
                .zip(documents)
                .position(|(own, other)| own != other)
        );
    }
}
