//! Deployments and catalogues for the vectors.

use duramen::format::deployment::{
    CatalogueChild, CataloguePage, Collection, CollectionKind, Deployment, Moment, Position,
    RawDocument,
};
use duramen::format::entry::PageRef;
use duramen::format::extension::Extension;
use duramen::format::run::{Run, Sorted};
use duramen::format::slice::{Scope, Slice};
use duramen::format::snapshot::SourceRecord;
use duramen::format::undo::{Undo, UndoCollection};
use duramen::id::ChunkId;

use crate::support::fixed;

fn chunk(label: &str) -> ChunkId {
    ChunkId(fixed(label))
}

fn deployment(moment: Moment) -> Deployment {
    Deployment {
        set: "rs0".into(),
        server: "6.0.5".into(),
        moment,
        catalogue: Some(PageRef {
            id: chunk("catalogue"),
            depth: 1,
        }),
        collections: 2,
        documents: 70_000,
        bytes: 1 << 33,
        extensions: vec![Extension {
            tag: 300,
            critical: false,
            body: b"kept".to_vec(),
        }],
    }
}

/// Two deployments, what happened to one of them, and no files.
pub fn sources() -> Vec<SourceRecord> {
    let at = Position {
        time: 1_795_240_800 << 32 | 7,
        proof: fixed("proof"),
    };
    let between = Moment::Between {
        from: 1_795_240_800_000_000_000,
        to: 1_795_240_801_000_000_000,
    };
    let mut sources: Vec<SourceRecord> = [Moment::At(at), between]
        .map(|moment| SourceRecord::Mongo(Box::new(deployment(moment))))
        .into();
    sources.push(SourceRecord::Oplog(Box::new(Slice {
        set: "rs0".into(),
        address: "mongodb://db1".into(),
        server: "6.0.5".into(),
        from: Position {
            time: at.time - (60 << 32),
            proof: fixed("before"),
        },
        to: at,
        scope: Scope {
            database: None,
            include: vec!["shop.*".into()],
            exclude: Vec::new(),
            users: true,
        },
        entries: Some(Sorted {
            root: PageRef {
                id: chunk("entries"),
                depth: 0,
            },
            documents: 3,
            bytes: 700,
        }),
        extensions: Vec::new(),
    })));
    sources.push(SourceRecord::Undo(Box::new(Undo {
        address: "mongodb://db1".into(),
        source: duramen::id::SessionId(fixed("restored")),
        at: Some(1_795_240_800_000_000_000),
        merged: true,
        collections: vec![UndoCollection {
            source: "shop.quotes".into(),
            target: "then.quotes".into(),
            created: false,
            before: Run {
                documents: Some(Sorted {
                    root: PageRef {
                        id: chunk("before"),
                        depth: 0,
                    },
                    documents: 2,
                    bytes: 90,
                }),
                ..Run::default()
            },
        }],
        extensions: Vec::new(),
    })));
    sources
}

fn collection(namespace: &str, kind: CollectionKind) -> Collection {
    Collection {
        namespace: namespace.into(),
        kind,
        uuid: Some(fixed("uuid")),
        options: b"\x05\0\0\0\0".to_vec(),
        indexes: vec![RawDocument(b"\x05\0\0\0\0".to_vec())],
        documents: Some(70_000),
        runs: vec![Run {
            documents: Some(Sorted {
                root: PageRef {
                    id: chunk("run page"),
                    depth: 1,
                },
                documents: 70_000,
                bytes: 1 << 20,
            }),
            deleted: None,
            extensions: Vec::new(),
        }],
        extensions: Vec::new(),
    }
}

pub fn catalogue() -> [CataloguePage; 2] {
    let view = Collection {
        uuid: None,
        indexes: Vec::new(),
        documents: None,
        runs: Vec::new(),
        ..collection("shop.view", CollectionKind::View)
    };
    [
        CataloguePage::Leaf(vec![
            collection("shop.log", CollectionKind::Capped),
            collection("shop.quotes", CollectionKind::Plain),
            Collection {
                runs: Vec::new(),
                ..collection("shop.series", CollectionKind::TimeSeries)
            },
            view,
        ]),
        CataloguePage::Branch(vec![CatalogueChild {
            first: "shop.log".into(),
            id: chunk("catalogue page"),
        }]),
    ]
}
