#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::format::entry::check_pieces;
use crate::format::records::SessionPurpose;
use crate::repository::testing::in_memory;
use crate::repository::{ChunkWriter, WriterOptions};
use crate::seal::Compression;

type Chunks = BTreeMap<ChunkId, Vec<u8>>;

/// Stores bytes in pieces of these lengths, every third of them as a part of a longer chunk.
fn store(repository: &Repository, bytes: &[u8], lengths: &[usize], chunks: &mut Chunks) -> Content {
    let session = repository.begin(SessionPurpose::Write).unwrap();
    let options = WriterOptions {
        compression: Compression::Level(1),
        dry_run: false,
    };
    let mut writer = ChunkWriter::new(repository, &session, options).unwrap();
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    for (number, len) in lengths.iter().cycle().enumerate() {
        if rest.is_empty() {
            break;
        }
        let (here, behind) = rest.split_at(rest.len().min(*len));
        rest = behind;
        let around: &[u8] = if number % 3 == 0 { b"around" } else { b"" };
        let chunk = [around, here].concat();
        let id = repository.chunk_id(ChunkKind::Data, &chunk);
        writer.put(ChunkKind::Data, id, &chunk).unwrap();
        let (of, offset) = (chunk.len() as u32, around.len() as u32);
        pieces.push(part(id, of, offset, here.len() as u32));
        chunks.insert(id, chunk);
    }
    writer.finish().unwrap();
    session.end(repository);
    Content::List(pieces)
}

/// What the pieces come to; chunks must come before pieces that name them.
fn bytes_of(made: Vec<Made>, chunks: &mut Chunks) -> (Vec<u8>, usize) {
    let (mut bytes, mut new) = (Vec::new(), 0);
    for made in made {
        match made {
            Made::Chunk { id, bytes } => {
                new += bytes.len();
                chunks.insert(id, bytes);
            }
            Made::Piece(piece) => {
                check_pieces(&[piece]).unwrap();
                match piece {
                    Piece::Data { id, len } => {
                        assert_eq!(chunks[&id].len(), len as usize);
                        bytes.extend_from_slice(&chunks[&id]);
                    }
                    Piece::Part {
                        id,
                        of,
                        offset,
                        len,
                    } => {
                        assert_eq!(chunks[&id].len(), of as usize);
                        bytes.extend_from_slice(
                            &chunks[&id][offset as usize..(offset + len) as usize],
                        );
                    }
                    Piece::Hole { len } => bytes.resize(bytes.len() + len as usize, 0),
                }
            }
        }
    }
    (bytes, new)
}

/// One line a document; few of them, so that many are alike.
fn lines(numbers: &[u16]) -> Vec<u8> {
    let line = |number: &u16| {
        format!(
            "{{\"n\":{},\"t\":\"{}\"}}\n",
            number,
            "x".repeat(usize::from(number % 37))
        )
    };
    numbers.iter().map(line).collect::<String>().into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// More records than are held (64 in tests), of which some come again and again; parts cut anywhere; holes.
    #[test]
    fn whatever_is_matched_the_bytes_are_the_same(
        old in prop::collection::vec(prop_oneof![0u16..40, 0u16..30_000], 1..600),
        edits in prop::collection::vec((0usize..5, any::<prop::sample::Index>(), 0u16..30_000), 0..30),
        lengths in prop::collection::vec(1usize..900, 1..6),
        portion in 1usize..3000,
        hole in prop::option::of((any::<prop::sample::Index>(), 1u64..5000)),
    ) {
        let repository = in_memory(None);
        let mut chunks = Chunks::new();
        let content = store(&repository, &lines(&old), &lengths, &mut chunks);
        let mut new = old.clone();
        for (what, at, number) in edits {
            let at = at.index(new.len() + 1).min(new.len().saturating_sub(1));
            match what {
                _ if new.is_empty() => new.push(number),
                0 => new[at] = number,
                1 => drop(new.remove(at)),
                2 => new.insert(at, number),
                3 => new.rotate_left(at),
                _ => new.extend_from_within(at.saturating_sub(9)..at),
            }
        }
        let bytes = lines(&new);
        let cutter = Cutter::new(repository.config().chunking, repository.keys().gear());
        let held = Old::of(&repository, &content).unwrap();
        let mut recipe = Recipe::new(&repository, repository.keys(), &cutter, Layout::JsonLines, &held).unwrap();
        let (mut made, mut expected) = (Vec::new(), Vec::new());
        let hole = hole.map(|(at, len)| (at.index(bytes.len() + 1), len));
        let (first, second) = bytes.split_at(hole.map_or(bytes.len(), |(at, _)| at));
        for some in first.chunks(portion) {
            recipe.data(some, &mut made);
        }
        expected.extend_from_slice(first);
        if let Some((_, len)) = hole {
            recipe.hole(len, &mut made);
            expected.resize(expected.len() + len as usize, 0);
        }
        for some in second.chunks(portion) {
            recipe.data(some, &mut made);
        }
        expected.extend_from_slice(second);
        recipe.end(&mut made);
        prop_assert!(recipe.trouble().is_none());
        let unchanged = new == old && hole.is_none();
        let (found, stored) = bytes_of(made, &mut chunks);
        prop_assert_eq!(found, expected);
        prop_assert!(!unchanged || stored == 0, "{} new bytes of the same file", stored);
    }
}
