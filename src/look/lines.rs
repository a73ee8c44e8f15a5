//! The lines that differ between two small texts, written as a unified diff.
//!
//! The shortest way from one text to the other is found by Myers' algorithm; where the two have so little in common
//! that this would take long, everything between the common beginning and end is shown as replaced. Either is true.

use std::io::Write as _;

/// Texts of more lines are not compared.
const LINES_MAX: usize = 100_000;
/// Lines removed and added, counted together, up to which the shortest way is looked for: memory grows with its
/// square, to about 8 MB.
const STEPS_MAX: usize = 1000;
/// Equal lines shown around a change.
const CONTEXT: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    Keep,
    Remove,
    Add,
}

/// Hunks of a unified diff, without the two lines that name the files; none where one of them is no text (it holds a
/// NUL) or has too many lines.
#[must_use]
pub fn unified(before: &[u8], after: &[u8]) -> Option<Vec<u8>> {
    if before.contains(&0) || after.contains(&0) {
        return None;
    }
    let old: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
    let new: Vec<&[u8]> = after.split_inclusive(|byte| *byte == b'\n').collect();
    if old.len().max(new.len()) > LINES_MAX {
        return None;
    }
    Some(written(&edits(&old, &new), &old, &new))
}

fn edits(old: &[&[u8]], new: &[&[u8]]) -> Vec<Edit> {
    let common = |pair: &(&&[u8], &&[u8])| pair.0 == pair.1;
    let head = old.iter().zip(new).take_while(common).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev());
    let tail = tail.take_while(common).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let middle = shortest(old, new).unwrap_or_else(|| {
        let mut all = vec![Edit::Remove; old.len()];
        all.extend(std::iter::repeat_n(Edit::Add, new.len()));
        all
    });
    let keep = |count| std::iter::repeat_n(Edit::Keep, count);
    keep(head).chain(middle).chain(keep(tail)).collect()
}

/// Myers' algorithm: `reach[k]` is the furthest old line that so many steps get to on the diagonal `k`, which is old
/// lines minus new lines.
fn shortest(old: &[&[u8]], new: &[&[u8]]) -> Option<Vec<Edit>> {
    let middle = old.len().saturating_add(new.len()).min(STEPS_MAX) + 1;
    let mut reach = vec![0usize; 2 * middle + 1];
    let mut steps: Vec<Vec<usize>> = Vec::new();
    for step in 0..middle {
        steps.push(reach[middle - step..=middle + step].to_vec());
        for at in (middle - step..=middle + step).step_by(2) {
            let down =
                at == middle - step || (at != middle + step && reach[at - 1] < reach[at + 1]);
            let mut x = if step == 0 {
                0
            } else if down {
                reach[at + 1]
            } else {
                reach[at - 1] + 1
            };
            // A diagonal below the middle has more new lines than old ones.
            let Some(mut y) = (x + middle).checked_sub(at) else {
                continue;
            };
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            reach[at] = x;
            if x >= old.len() && y >= new.len() {
                return Some(way_back(&steps, old.len(), new.len()));
            }
        }
    }
    None
}

/// Follows the furthest reaches back from the end.
fn way_back(steps: &[Vec<usize>], old: usize, new: usize) -> Vec<Edit> {
    let (mut x, mut y) = (old as isize, new as isize);
    let mut back = Vec::with_capacity(old + new);
    for (step, reach) in steps.iter().enumerate().rev() {
        let step = step as isize;
        let diagonal = x - y;
        // What the step before could reach; its slice begins at its own lowest diagonal.
        let at = |diagonal: isize| {
            reach
                .get((diagonal + step) as usize)
                .map_or(0, |x| *x as isize)
        };
        let down = diagonal == -step || (diagonal != step && at(diagonal - 1) < at(diagonal + 1));
        let (from_x, from_diagonal) = if step == 0 {
            (0, 0)
        } else if down {
            (at(diagonal + 1), diagonal + 1)
        } else {
            (at(diagonal - 1), diagonal - 1)
        };
        let from_y = from_x - from_diagonal;
        let stop_x = if step == 0 {
            0
        } else if down {
            from_x
        } else {
            from_x + 1
        };
        while x > stop_x {
            back.push(Edit::Keep);
            (x, y) = (x - 1, y - 1);
        }
        if step > 0 {
            back.push(if down { Edit::Add } else { Edit::Remove });
            (x, y) = (from_x, from_y);
        }
    }
    back.reverse();
    back
}

fn written(edits: &[Edit], old: &[&[u8]], new: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut x, mut y, mut at) = (0, 0, 0);
    while let Some(distance) = edits[at..].iter().position(|edit| *edit != Edit::Keep) {
        let start = (at + distance).saturating_sub(CONTEXT).max(at);
        (x, y) = (x + start - at, y + start - at);
        // The hunk goes on while the next change stands so near that the lines around both would touch.
        let mut last = at + distance;
        for (ahead, edit) in edits.iter().enumerate().skip(last) {
            if *edit != Edit::Keep {
                last = ahead;
            } else if ahead > last + 2 * CONTEXT {
                break;
            }
        }
        let end = (last + 1 + CONTEXT).min(edits.len());
        let hunk = &edits[start..end];
        let removed = hunk.iter().filter(|edit| **edit != Edit::Add).count();
        let added = hunk.iter().filter(|edit| **edit != Edit::Remove).count();
        // A range of no lines is named by the line before it.
        let from = |line: usize, count: usize| if count == 0 { line } else { line + 1 };
        // Writing to a vector cannot fail.
        let _ = writeln!(
            out,
            "@@ -{},{removed} +{},{added} @@",
            from(x, removed),
            from(y, added)
        );
        for edit in hunk {
            let (mark, line) = match edit {
                Edit::Keep => (b' ', old[x]),
                Edit::Remove => (b'-', old[x]),
                Edit::Add => (b'+', new[y]),
            };
            x += usize::from(*edit != Edit::Add);
            y += usize::from(*edit != Edit::Remove);
            out.push(mark);
            out.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                out.extend_from_slice(b"\n\\ No newline at end of file\n");
            }
        }
        at = end;
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn text(before: &str, after: &str) -> String {
        String::from_utf8(unified(before.as_bytes(), after.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn hunks_as_diff_writes_them() {
        assert_eq!(text("a\nb\n", "a\nb\n"), "");
        assert_eq!(text("", "x\n"), "@@ -0,0 +1,1 @@\n+x\n");
        assert_eq!(text("x\n", ""), "@@ -1,1 +0,0 @@\n-x\n");
        assert_eq!(
            text("1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\n5\nsix\n7\n8"),
            "@@ -3,6 +3,6 @@\n 3\n 4\n 5\n-6\n+six\n 7\n-8\n+8\n\\ No newline at end of file\n"
        );
        let far: String = (0..40).map(|line| format!("{line}\n")).collect();
        let both = far.replace("\n4\n", "\nfour\n").replace("\n30\n", "\n");
        let shown = text(&far, &both);
        assert_eq!(shown.matches("@@ -").count(), 2, "{shown}");
        assert!(shown.contains("@@ -28,7 +28,6 @@"), "{shown}");
    }

    #[test]
    fn no_text_and_no_end() {
        assert!(unified(b"a\0", b"b").is_none());
        assert!(unified(&b"\n".repeat(LINES_MAX + 1), b"").is_none());
        let old: String = (0..3000).map(|line| format!("old {line}\n")).collect();
        let new: String = (0..3000).map(|line| format!("new {line}\n")).collect();
        let shown = text(&old, &new);
        assert!(shown.starts_with("@@ -1,3000 +1,3000 @@\n-old 0\n"));
    }

    /// What `patch` does with the hunks.
    fn patched(before: &[u8], hunks: &[u8]) -> Vec<u8> {
        let old: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
        let mut lines = hunks.split_inclusive(|byte| *byte == b'\n').peekable();
        let (mut out, mut at) = (Vec::new(), 0);
        while let Some(line) = lines.next() {
            if let Some(head) = line.strip_prefix(b"@@ -") {
                let head = std::str::from_utf8(head).unwrap();
                let (start, rest) = head.split_once(',').unwrap();
                let count: usize = rest.split(' ').next().unwrap().parse().unwrap();
                let start: usize = start.parse().unwrap();
                let start = if count == 0 { start } else { start - 1 };
                while at < start {
                    out.extend_from_slice(old[at]);
                    at += 1;
                }
                continue;
            }
            let mut content = line[1..].to_vec();
            if lines.next_if(|next| next.starts_with(b"\\")).is_some() {
                content.pop();
            }
            if line[0] != b'+' {
                assert_eq!(content, old[at]);
                at += 1;
            }
            if line[0] != b'-' {
                out.extend(content);
            }
        }
        out.extend(old[at..].concat());
        out
    }

    /// Length of the longest common subsequence, the slow and sure way.
    fn common(old: &[&[u8]], new: &[&[u8]]) -> usize {
        let mut row = vec![0usize; new.len() + 1];
        for line in old {
            let mut diagonal = 0;
            for (at, other) in new.iter().enumerate() {
                let above = row[at + 1];
                row[at + 1] = if line == other {
                    diagonal + 1
                } else {
                    above.max(row[at])
                };
                diagonal = above;
            }
        }
        row[new.len()]
    }

    proptest! {
        #[test]
        fn hunks_turn_one_text_into_the_other_by_the_shortest_way(
            before in proptest::collection::vec(0..5u8, 0..40),
            after in proptest::collection::vec(0..5u8, 0..40),
            cut in any::<bool>(),
        ) {
            let join = |lines: &[u8]| {
                let mut text: Vec<u8> = lines.iter().flat_map(|line| [b'a' + line, b'\n']).collect();
                if cut {
                    text.pop();
                }
                text
            };
            let (before, after) = (join(&before), join(&after));
            let hunks = unified(&before, &after).unwrap();
            prop_assert_eq!(patched(&before, &hunks), after.clone());
            let old: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
            let new: Vec<&[u8]> = after.split_inclusive(|byte| *byte == b'\n').collect();
            let kept = edits(&old, &new).iter().filter(|edit| **edit == Edit::Keep).count();
            prop_assert_eq!(kept, common(&old, &new));
        }
    }
}
