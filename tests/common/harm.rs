//! Harming a stored file on the disk.

use std::path::Path;

use super::random::Random;

/// Does something to a file that no store may do, and says what.
pub fn harm(path: &Path, random: &mut Random) -> &'static str {
    let mut bytes = std::fs::read(path).unwrap();
    let len = bytes.len();
    let what = match random.below(5) {
        // Nothing else can be done to one that was emptied before.
        0..=3 if bytes.is_empty() => {
            bytes.extend_from_slice(b"garbage");
            "filled with garbage"
        }
        0 => {
            let at = random.index(len);
            bytes[at] ^= 1 << random.below(8);
            "flipped a bit"
        }
        1 => {
            bytes.truncate(random.index(len));
            "truncated"
        }
        2 => {
            bytes.clear();
            "emptied"
        }
        3 => {
            bytes.extend_from_slice(b"garbage");
            "appended garbage"
        }
        _ => {
            std::fs::remove_file(path).unwrap();
            return "removed";
        }
    };
    std::fs::write(path, bytes).unwrap();
    what
}
