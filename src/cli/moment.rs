//! How far the work is at one moment, and how long it may take yet.

use super::{size, text, time};

/// The numbers of one moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Known to lie ahead.
    pub files_expected: u64,
    /// Known to lie ahead.
    pub bytes_expected: u64,
    /// Done.
    pub files_done: u64,
    /// Done.
    pub bytes_done: u64,
    /// Since the phase began.
    pub seconds: f64,
}

impl Moment {
    /// 0 to 1, by bytes where there are any, by files otherwise.
    pub fn part(&self) -> f64 {
        let (done, expected) = if self.bytes_expected > 0 {
            (self.bytes_done, self.bytes_expected)
        } else {
            (self.files_done, self.files_expected)
        };
        if expected == 0 {
            return 0.0;
        }
        (done as f64 / expected as f64).min(1.0)
    }

    /// Seconds left if it goes on as it went; none before anything is done.
    pub fn remaining(&self) -> Option<f64> {
        let part = self.part();
        (part > 0.0 && self.seconds > 0.0).then(|| self.seconds * (1.0 - part) / part)
    }

    /// One line for a terminal: phase, bar, numbers, and at last the path, which may be cut off.
    pub fn words(&self, phase: &str, problems: u64, current: &[u8]) -> String {
        const WIDTH: usize = 24;
        let mut parts = vec![text::safe(phase)];
        if self.files_expected > 0 || self.bytes_expected > 0 {
            let full = (self.part() * WIDTH as f64) as usize;
            let tip = if full < WIDTH { ">" } else { "" };
            parts.push(format!(
                "[{:<WIDTH$}] {:.1} %",
                "=".repeat(full) + tip,
                self.part() * 100.0
            ));
        }
        if self.files_done > 0 || self.files_expected > 0 {
            parts.push(text::plural(self.files_done, "file", "files"));
        }
        if self.bytes_done > 0 {
            let rate = self.bytes_done as f64 / self.seconds.max(0.001);
            parts.push(format!(
                "{} of {}, {}/s",
                size::show(self.bytes_done),
                size::show(self.bytes_expected.max(self.bytes_done)),
                size::show(rate as u64)
            ));
        }
        match self.remaining() {
            Some(left) => parts.push(format!("{} left", time::span(left))),
            None => parts.push(time::span(self.seconds)),
        }
        if problems > 0 {
            parts.push(text::plural(problems, "problem", "problems"));
        }
        if !current.is_empty() {
            parts.push(text::safe_bytes(current));
        }
        parts.join("  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_sane() {
        let moment = |done, expected, seconds| Moment {
            files_expected: 1,
            bytes_expected: expected,
            files_done: 1,
            bytes_done: done,
            seconds,
        };
        assert_eq!(moment(300, 200, 1.0).part(), 1.0);
        assert_eq!(moment(50, 200, 10.0).remaining(), Some(30.0));
        assert_eq!(moment(0, 200, 10.0).remaining(), None);
        let text = moment(1 << 20, 2 << 20, 2.0).words("snapshot", 1, b"/a\x1b[2J");
        assert_eq!(
            text,
            "snapshot  [============>           ] 50.0 %  1 file  1.00 MiB of 2.00 MiB, 512 KiB/s  2.0 s left  1 problem  /a\\x1b[2J"
        );
    }
}
