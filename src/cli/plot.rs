//! A quantity over time, drawn with the block characters that every terminal has.

use duramen::clock::Nanos;

use super::time;

/// An eighth to eight eighths of a character's height.
const BLOCKS: [char; 8] = [
    '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}',
];
/// Columns and lines of the picture, labels apart.
const WIDTH: usize = 60;
const HEIGHT: usize = 8;

/// Draws the value that each moment has: that of the last point at or before it. Points stand in the order of their
/// times; `label` writes the highest value. Nothing is drawn of fewer than two moments, or of zeros.
pub fn over_time(points: &[(Nanos, u64)], label: impl Fn(u64) -> String) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return String::new();
    };
    let highest = points.iter().map(|point| point.1).max().unwrap_or(0);
    let span = i128::from(last.0) - i128::from(first.0);
    if span <= 0 || highest == 0 {
        return String::new();
    }
    let eighths: Vec<usize> = (0..WIDTH)
        .map(|column| {
            let moment = i128::from(first.0) + span * column as i128 / (WIDTH as i128 - 1);
            let at = points.partition_point(|point| i128::from(point.0) <= moment);
            let value = points[at.saturating_sub(1)].1;
            let full = (HEIGHT * BLOCKS.len()) as u128;
            let height = (u128::from(value) * full).div_ceil(u128::from(highest));
            height as usize
        })
        .collect();
    let top = label(highest);
    let margin = top.chars().count();
    let mut out = String::new();
    for line in (0..HEIGHT).rev() {
        let mark = match line {
            _ if line == HEIGHT - 1 => top.as_str(),
            0 => "0",
            _ => "",
        };
        let bar: String = eighths
            .iter()
            .map(
                |eighths| match eighths.saturating_sub(line * BLOCKS.len()) {
                    0 => ' ',
                    some => BLOCKS[some.min(BLOCKS.len()) - 1],
                },
            )
            .collect();
        out.push_str(&format!("  {mark:>margin$} {}\n", bar.trim_end()));
    }
    let (from, to) = (time::local(first.0), time::local(last.0));
    let gap = WIDTH.saturating_sub(from.len() + to.len());
    out.push_str(&format!("  {:>margin$} {from}{:gap$}{to}\n", "", ""));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_the_top() {
        let plot = over_time(&[(0, 0), (50, 50), (100, 100)], |value| {
            format!("{value} B")
        });
        let lines: Vec<&str> = plot.lines().collect();
        assert_eq!(lines.len(), HEIGHT + 1, "{plot}");
        assert!(lines[0].starts_with("  100 B "), "{plot}");
        assert!(lines[0].ends_with(BLOCKS[7]), "{plot}");
        // Half of the time nothing, then half of the height, then all of it at the very end.
        let columns = |line: &str| line.chars().filter(|c| BLOCKS.contains(c)).count();
        assert_eq!(columns(lines[0]), 1, "{plot}");
        assert_eq!(columns(lines[HEIGHT - 1]), WIDTH / 2, "{plot}");
        assert!(lines[HEIGHT].contains("1970"), "{plot}");
    }

    #[test]
    fn nothing_to_draw() {
        assert_eq!(over_time(&[], |_| String::new()), "");
        assert_eq!(over_time(&[(5, 7)], |_| String::new()), "");
        assert_eq!(over_time(&[(5, 0), (6, 0)], |_| String::new()), "");
        assert_ne!(
            over_time(&[(i64::MIN, 1), (i64::MAX, u64::MAX)], |_| String::new()),
            ""
        );
    }
}
