//! The bytes and the holes of two files, without reading what is a hole in both: 50 GB of nothing take no time.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// From (inclusive) and to (exclusive).
pub type Extent = (u64, u64);

/// Where the system says that data stands, in order.
pub fn data_extents(file: &File, size: u64) -> Vec<Extent> {
    let mut extents = Vec::new();
    let mut at = 0;
    while at < size {
        let from = match seek(file, SeekFrom::Data(at)) {
            Ok(from) => from,
            Err(Errno::NXIO) => break,
            Err(error) => panic!("find the data in a file: {error}"),
        };
        let to = seek(file, SeekFrom::Hole(from)).expect("find the hole in a file");
        extents.push((from, to.min(size)));
        at = to;
    }
    extents
}

/// The extents grown to whole blocks and joined where they then touch: a hole smaller than a block is no hole.
pub fn whole_blocks(extents: &[Extent], block: u64) -> Vec<Extent> {
    joined(
        extents
            .iter()
            .map(|(from, to)| (from / block * block, to.div_ceil(block) * block)),
    )
}

fn joined(extents: impl IntoIterator<Item = Extent>) -> Vec<Extent> {
    let mut whole: Vec<Extent> = Vec::new();
    for (from, to) in extents {
        match whole.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => whole.push((from, to)),
        }
    }
    whole
}

/// Compares two files of equal size wherever one of them has data.
pub fn first_different_byte(files: &[File; 2], extents: &[Vec<Extent>; 2]) -> Option<u64> {
    let mut either: Vec<Extent> = extents.concat();
    either.sort_unstable();
    let largest = either.iter().map(|(from, to)| to - from).max()?;
    let buffer = vec![0; largest.min(1 << 20) as usize];
    let mut buffers = [buffer.clone(), buffer];
    for (from, to) in joined(either) {
        let mut at = from;
        while at < to {
            let len = (to - at).min(buffers[0].len() as u64) as usize;
            for (file, buffer) in files.iter().zip(&mut buffers) {
                file.read_exact_at(&mut buffer[..len], at)
                    .expect("read a file to compare it");
            }
            let [x, y] = [&buffers[0][..len], &buffers[1][..len]];
            if x != y {
                let offset = x.iter().zip(y).position(|(x, y)| x != y).unwrap();
                return Some(at + offset as u64);
            }
            at += len as u64;
        }
    }
    None
}
