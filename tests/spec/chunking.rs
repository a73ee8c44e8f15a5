//! Cut points: of every size, of data that never cuts, and at every awkward length.

use duramen::chunk::Cutter;
use duramen::crypto::derive::gear_table;
use duramen::format::records::Chunking;
use duramen::id::to_hex;
use serde_json::{Value, json};

use crate::support::{fixed, hold};

const INPUT: usize = 8 << 20;

fn input() -> Vec<u8> {
    let mut bytes = vec![0; INPUT];
    blake3::Hasher::new()
        .update(b"duramen vector chunking input")
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn lengths(cutter: &Cutter, mut data: &[u8]) -> Vec<u32> {
    let mut lengths = Vec::new();
    while !data.is_empty() {
        let length = cutter.cut(data);
        assert!(length > 0 && length <= cutter.window());
        lengths.push(length as u32);
        data = &data[length..];
    }
    lengths
}

fn hash(lengths: &[u32]) -> String {
    let mut hasher = blake3::Hasher::new();
    for length in lengths {
        hasher.update(&length.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[test]
fn cut_points_are_those_of_the_vectors() {
    let root = fixed::<32>("dedup root");
    let gear = gear_table(&root);
    let data = input();
    let cutter = |sizes| Cutter::new(sizes, gear.clone());
    let sizes = |bits: u32| Chunking {
        min: 1 << (bits - 2),
        average: 1 << bits,
        max: (4 << bits).min(1 << 20),
    };
    let cuts: Vec<Value> = (12..=20)
        .map(|bits| {
            let sizes = sizes(bits);
            let lengths = lengths(&cutter(sizes), &data);
            json!({
                "min": sizes.min, "average": sizes.average, "max": sizes.max, "chunks": lengths.len(),
                "lengths_hash": hash(&lengths), "first_lengths": lengths[..lengths.len().min(12)],
            })
        })
        .collect();
    let default = cutter(Chunking::default());
    let Chunking { min, average, max } = Chunking::default();
    let edges: Vec<Value> = [0, 1, 2, 63]
        .into_iter()
        .chain([min, average, max].iter().flat_map(|n| [n - 1, *n, n + 1]))
        .chain([min + 7, average + 3, max - 3, max + 5])
        .map(|length| {
            // From a place in the input on, so that not all begin alike.
            let from = length as usize * 3;
            let lengths = lengths(&default, &data[from..from + length as usize]);
            json!({"from": from, "length": length, "lengths": lengths})
        })
        .collect();
    let zeros = lengths(&default, &vec![0; 1 << 20]);
    let words = |words: &[u64]| -> Vec<String> {
        words.iter().map(|word| format!("{word:016x}")).collect()
    };
    hold(
        "chunking.json",
        &json!({
            "dedup_root": to_hex(&root),
            "gear_first_8": words(&gear[..8]),
            "gear_last_8": words(&gear[248..]),
            "input": {"seed": "duramen vector chunking input", "length": INPUT, "hash": blake3::hash(&data).to_hex().to_string()},
            "default": {"min": min, "average": average, "max": max},
            "cuts": cuts, "edges_of_default_sizes": edges, "mebibyte_of_zeros": zeros,
        }),
    );
}

/// A cutter that sees a window ahead cuts as one that sees everything.
#[test]
fn a_window_is_enough() {
    let data = &input()[..2 << 20];
    let cutter = Cutter::new(Chunking::default(), gear_table(&fixed::<32>("dedup root")));
    let whole = lengths(&cutter, data);
    let mut at = 0;
    for length in whole {
        let end = (at + cutter.window()).min(data.len());
        assert_eq!(cutter.cut(&data[at..end]), length as usize, "at {at}");
        at += length as usize;
    }
}
