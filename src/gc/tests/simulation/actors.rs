//! What actors do: the real code of writers, pruners and everybody who says something of a snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::mix::Mix;
use super::random::Random;
use super::turn::Turns;
use crate::error::Result;
use crate::format::codec;
use crate::format::entry::{Content, Directory, Entry, Node, PageRef, Piece};
use crate::format::page::TreePage;
use crate::format::records::SessionPurpose;
use crate::format::snapshot::{
    Counters, Features, PathBytes, Snapshot, SnapshotKind, SourceRecord, State,
};
use crate::gc::{PruneOptions, Unused, prune};
use crate::id::{ChunkId, SnapshotId};
use crate::progress::Silent;
use crate::repository::{ChunkKind, ChunkWriter, Repository, Session, Standing, WriterOptions};

#[derive(Clone, Copy, Debug)]
pub enum Role {
    Write,
    Prune,
    Forget,
    Undo,
    Hold,
    Expire,
}

impl Role {
    pub const ALL: [Role; 6] = [
        Role::Write,
        Role::Prune,
        Role::Forget,
        Role::Undo,
        Role::Hold,
        Role::Expire,
    ];
}

pub fn act(
    role: Role,
    mix: &Mix,
    repository: &Repository,
    turns: &Arc<Turns>,
    random: &mut Random,
) {
    // What fails was killed, expired, or too late for something that has gone: the oracle alone decides what is wrong.
    let _ = match role {
        Role::Write => write(mix, repository, turns, random),
        Role::Prune => prune(repository, &options(mix, random), &Silent).map(drop),
        Role::Forget => forget(repository, random),
        Role::Undo => undo(repository, random),
        Role::Hold => hold(repository, turns, random),
        Role::Expire => expire(repository, random),
    };
}

fn options(mix: &Mix, random: &mut Random) -> PruneOptions {
    PruneOptions {
        grace: Duration::ZERO,
        session_expiry: if random.one_in(mix.impatience) {
            Duration::ZERO
        } else {
            Duration::from_secs(1 << 40)
        },
        max_unused: if random.one_in(3) {
            Unused::Any
        } else {
            Unused::Bytes(0)
        },
        max_repack: random.one_in(4).then_some(400),
        purge: random.one_in(3),
    }
}

fn write(mix: &Mix, repository: &Repository, turns: &Turns, random: &mut Random) -> Result<()> {
    let session = repository.begin(SessionPurpose::Write)?;
    let done = write_in(mix, repository, &session, turns, random);
    session.end(repository);
    done
}

fn write_in(
    mix: &Mix,
    repository: &Repository,
    session: &Session,
    turns: &Turns,
    random: &mut Random,
) -> Result<()> {
    let mut parents = repository.snapshots()?;
    parents.retain(|snapshot| !session.forgotten.contains(&snapshot.id));
    let mut entries: Vec<Entry> = Vec::new();
    if !parents.is_empty() && random.below(10) < 7 {
        let parent = &parents[random.below(parents.len() as u64) as usize];
        let root = repository.root(parent)?.entry;
        if let Node::Directory(directory) = &root.node {
            // By reference: nobody looks up what is in these.
            for listed in repository.entries(directory) {
                let entry = listed?.entry;
                if random.below(10) < 8 {
                    entries.push(entry);
                }
            }
        }
    }
    let options = WriterOptions {
        compression: crate::seal::Compression::Off,
        dry_run: false,
    };
    let mut writer = ChunkWriter::new(repository, session, options)?;
    for _ in 0..1 + random.below(4) {
        let bytes =
            format!("the content with the number {}", random.below(mix.contents)).into_bytes();
        let id = repository.chunk_id(ChunkKind::Data, &bytes);
        let name = id.hex().into_bytes();
        if entries.iter().any(|entry| entry.name == name) {
            continue;
        }
        writer.put(ChunkKind::Data, id, &bytes)?;
        let len = bytes.len() as u32;
        entries.push(entry(
            name,
            Node::File {
                size: u64::from(len),
                content: Content::List(vec![Piece::Data { id, len }]),
            },
        ));
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut needs: BTreeSet<ChunkId> = entries.iter().filter_map(chunk_of).collect();
    let count = entries.len() as u64;
    let page = codec::encode(&TreePage::Leaf {
        entries,
        users: Vec::new(),
        groups: Vec::new(),
        extensions: Vec::new(),
    })?;
    let id = repository.chunk_id(ChunkKind::Tree, &page);
    writer.put(ChunkKind::Tree, id, &page)?;
    needs.insert(id);
    let (_, relied) = writer.finish()?;
    if random.one_in(4) {
        session.renew(repository)?;
    }
    turns.oracle().expect(session.id, needs);
    let root = Node::Directory(Directory {
        root: Some(PageRef { id, depth: 0 }),
        entries: count,
        files: count,
        bytes: 0,
    });
    repository.commit(session, &snapshot(repository, session.id, root), &relied)?;
    Ok(())
}

fn chunk_of(entry: &Entry) -> Option<ChunkId> {
    match &entry.node {
        Node::File {
            content: Content::List(pieces),
            ..
        } => match pieces.first() {
            Some(Piece::Data { id, .. }) => Some(*id),
            _ => None,
        },
        _ => None,
    }
}

fn entry(name: Vec<u8>, node: Node) -> Entry {
    Entry {
        name,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: 0,
        node,
        xattrs: Vec::new(),
        link: None,
        extensions: Vec::new(),
    }
}

fn snapshot(repository: &Repository, id: SnapshotId, root: Node) -> Snapshot {
    let now = repository.environment().clock.now();
    Snapshot {
        id,
        repository: repository.id(),
        features: Features::default(),
        time: now,
        started: now,
        finished: now,
        kind: SnapshotKind::Incremental,
        parent: None,
        host: String::new(),
        user: String::new(),
        tags: Vec::new(),
        paths: Vec::new(),
        excludes: Vec::new(),
        sources: vec![SourceRecord::Files {
            root: Box::new(entry(b"/".to_vec(), root)),
            owner: [PathBytes(Vec::new()), PathBytes(Vec::new())],
            hints: None,
        }],
        state: State::Complete,
        problems: Vec::new(),
        problem_count: 0,
        counters: Counters::default(),
        program: String::new(),
        git: None,
        seen: [0; 32],
        extensions: Vec::new(),
    }
}

fn drawn(
    repository: &Repository,
    random: &mut Random,
    wanted: Standing,
) -> Result<Option<SnapshotId>> {
    let found: Vec<SnapshotId> = repository
        .standing(&mut |_, error| Err(error))?
        .into_iter()
        .filter(|(_, facts)| facts.standing == wanted)
        .map(|(snapshot, _)| snapshot.id)
        .collect();
    if found.is_empty() {
        return Ok(None);
    }
    Ok(Some(found[random.below(found.len() as u64) as usize]))
}

fn forget(repository: &Repository, random: &mut Random) -> Result<()> {
    match drawn(repository, random, Standing::Living)? {
        Some(id) => repository.forget(&id),
        None => Ok(()),
    }
}

fn undo(repository: &Repository, random: &mut Random) -> Result<()> {
    match drawn(repository, random, Standing::Forgotten)? {
        Some(id) => repository.undo_forget(&id).map(drop),
        None => Ok(()),
    }
}

fn hold(repository: &Repository, turns: &Turns, random: &mut Random) -> Result<()> {
    let wanted = if random.one_in(2) {
        Standing::Living
    } else {
        Standing::Forgotten
    };
    let Some(id) = drawn(repository, random, wanted)? else {
        return Ok(());
    };
    repository.hold(&id, "simulated")?;
    turns.oracle().promise(id);
    if random.one_in(2) {
        repository.release(&id)?;
    }
    Ok(())
}

fn expire(repository: &Repository, random: &mut Random) -> Result<()> {
    let live = repository.live_sessions()?;
    if live.is_empty() {
        return Ok(());
    }
    repository.expire(&live[random.below(live.len() as u64) as usize].id)
}
