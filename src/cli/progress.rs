//! What the engine is doing, told to a person or to a script while it does it.
//!
//! The engine's threads only count; a thread of our own looks a few times a second and draws a bar on a terminal or
//! writes a line of JSON. So a slow terminal never slows a snapshot down, and the clock keeps running while one huge
//! file is read.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use duramen::clock::{Clock, SystemClock};
use duramen::error::Error;
use duramen::progress::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::json::{ErrorLine, NoteLine, StatusLine};
use super::moment::Moment;
use super::output;
use super::text;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Not at all; problems are still told.
    Silent,
    /// A bar on standard error, once the work takes more than a second.
    Bar,
    /// Lines of JSON on standard output, at most two a second.
    Lines,
}

/// What is said besides progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// Problems are JSON objects.
    pub json: bool,
    /// Notes are not wanted.
    pub quiet: bool,
    /// 1: phases are named; 2: every path is.
    pub verbose: u8,
    /// Standard error shows colours.
    pub colour: bool,
}

/// A bar is drawn only for work that takes longer.
const BAR_AFTER: Duration = Duration::from_secs(1);
const BAR_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_millis(500);

struct Shared {
    manner: Manner,
    clock: SystemClock,
    stop: Arc<AtomicBool>,
    files_expected: AtomicU64,
    bytes_expected: AtomicU64,
    files_done: AtomicU64,
    bytes_done: AtomicU64,
    problems: AtomicU64,
    /// A new phase was named whose first numbers are yet to come: the old phase's stand until then.
    stale: AtomicBool,
    phase: Mutex<(String, Duration)>,
    current: Mutex<Vec<u8>>,
    bar: Mutex<Option<ProgressBar>>,
    /// No bar is drawn before.
    bar_from: Mutex<Duration>,
    finished: Mutex<bool>,
    wake: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded are words for people: they are good enough even where a thread died over them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn moment(&self) -> Moment {
        let since = lock(&self.phase).1;
        Moment {
            files_expected: self.files_expected.load(Relaxed),
            bytes_expected: self.bytes_expected.load(Relaxed),
            files_done: self.files_done.load(Relaxed),
            bytes_done: self.bytes_done.load(Relaxed),
            seconds: self.clock.elapsed().saturating_sub(since).as_secs_f64(),
        }
    }

    fn refresh(&self) {
        if self.stale.load(Relaxed) && self.stale.swap(false, Relaxed) {
            for number in [
                &self.files_expected,
                &self.bytes_expected,
                &self.files_done,
                &self.bytes_done,
            ] {
                number.store(0, Relaxed);
            }
        }
    }

    fn status_line(&self) {
        let moment = self.moment();
        let current = text_of(&lock(&self.current));
        let line = StatusLine {
            message_type: "status",
            phase: lock(&self.phase).0.clone(),
            seconds_elapsed: moment.seconds as u64,
            seconds_remaining: moment.remaining().map(|seconds| seconds as u64),
            percent_done: moment.part(),
            total_files: moment.files_expected,
            files_done: moment.files_done,
            total_bytes: moment.bytes_expected,
            bytes_done: moment.bytes_done,
            error_count: self.problems.load(Relaxed),
            current_files: current.into_iter().collect(),
        };
        // Progress that cannot be told must not stop the work; the summary will say that it could not be written.
        let _ = output::json_line(&line).and_then(|line| output::about_work(&line));
    }

    fn draw(&self) {
        let moment = self.moment();
        let current = lock(&self.current).clone();
        let phase = lock(&self.phase).0.clone();
        let words = moment.words(&phase, self.problems.load(Relaxed), &current);
        let mut bar = lock(&self.bar);
        if self.clock.elapsed() < *lock(&self.bar_from) {
            return;
        }
        // One call, so that it is drawn once.
        bar.get_or_insert_with(new_bar).set_message(words);
    }

    /// A line on standard error, with the bar out of the way.
    fn say(&self, line: &str) {
        let write = || {
            // Nowhere is left to tell that standard error is gone.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        };
        match &*lock(&self.bar) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template("{wide_msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

fn text_of(path: &[u8]) -> Option<String> {
    (!path.is_empty()).then(|| String::from_utf8_lossy(path).into_owned())
}

/// What a command hands to the engine.
pub struct Reporter {
    shared: Arc<Shared>,
    /// What the command is about, for `during` in JSON errors.
    during: &'static str,
    style: Style,
    ticker: Mutex<Option<JoinHandle<()>>>,
    /// Whether a status line was written at all.
    told: Arc<AtomicBool>,
}

impl Reporter {
    /// Starts to report on a command.
    pub fn start(
        during: &'static str,
        style: Style,
        manner: Manner,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let shared = Arc::new(Shared {
            manner,
            clock: SystemClock::default(),
            stop,
            files_expected: AtomicU64::new(0),
            bytes_expected: AtomicU64::new(0),
            files_done: AtomicU64::new(0),
            bytes_done: AtomicU64::new(0),
            problems: AtomicU64::new(0),
            stale: AtomicBool::new(false),
            phase: Mutex::new((during.into(), Duration::ZERO)),
            current: Mutex::new(Vec::new()),
            bar: Mutex::new(None),
            bar_from: Mutex::new(BAR_AFTER),
            finished: Mutex::new(false),
            wake: Condvar::new(),
        });
        let told = Arc::new(AtomicBool::new(false));
        let ticker = match style {
            Style::Silent => None,
            Style::Bar | Style::Lines => {
                let (shared, told) = (Arc::clone(&shared), Arc::clone(&told));
                // Where no thread can be had the work goes on without a bar.
                std::thread::Builder::new()
                    .name("progress".into())
                    .spawn(move || tick(&shared, style, &told))
                    .ok()
            }
        };
        Self {
            shared,
            during,
            style,
            ticker: Mutex::new(ticker),
            told,
        }
    }

    /// Does something that needs the terminal for itself, such as asking for a passphrase. It must not report.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        // Whoever would draw waits for the lock.
        let bar = lock(&self.shared.bar);
        let result = match &*bar {
            Some(bar) => bar.suspend(work),
            None => work(),
        };
        *lock(&self.shared.bar_from) = self.shared.clock.elapsed() + BAR_AFTER;
        result
    }

    /// Takes the bar away; a script is told at least once how far the work went. May be called twice.
    pub fn finish(&self) {
        let Some(ticker) = lock(&self.ticker).take() else {
            return;
        };
        *lock(&self.shared.finished) = true;
        self.shared.wake.notify_all();
        // A thread that died over a bar is no loss.
        let _ = ticker.join();
        if let Some(bar) = lock(&self.shared.bar).take() {
            bar.finish_and_clear();
        }
        if self.style == Style::Lines && !self.told.load(Relaxed) {
            self.shared.status_line();
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.finish();
    }
}

fn tick(shared: &Shared, style: Style, told: &AtomicBool) {
    let every = if style == Style::Bar {
        BAR_EVERY
    } else {
        LINE_EVERY
    };
    let mut finished = lock(&shared.finished);
    loop {
        finished = shared
            .wake
            .wait_timeout(finished, every)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        if *finished {
            return;
        }
        match style {
            Style::Bar => shared.draw(),
            Style::Lines => {
                told.store(true, Relaxed);
                shared.status_line();
            }
            Style::Silent => {}
        }
    }
}

impl Progress for Reporter {
    fn phase(&self, name: &str) {
        *lock(&self.shared.phase) = (name.into(), self.shared.clock.elapsed());
        self.shared.stale.store(true, Relaxed);
        if self.shared.manner.verbose > 0 && !self.shared.manner.json {
            self.shared.say(&format!("{}\n", text::safe(name)));
        }
    }

    fn expect(&self, files: u64, bytes: u64) {
        self.shared.refresh();
        self.shared.files_expected.fetch_add(files, Relaxed);
        self.shared.bytes_expected.fetch_add(bytes, Relaxed);
    }

    fn advance(&self, files: u64, bytes: u64) {
        self.shared.refresh();
        self.shared.files_done.fetch_add(files, Relaxed);
        self.shared.bytes_done.fetch_add(bytes, Relaxed);
    }

    fn current(&self, path: &[u8]) {
        if self.shared.manner.verbose > 1 && !self.shared.manner.json {
            self.shared.say(&format!("{}\n", text::safe_bytes(path)));
        }
        if self.style != Style::Silent {
            // Whoever finds it taken has a newer path to show anyway.
            if let Ok(mut current) = self.shared.current.try_lock() {
                current.clear();
                current.extend_from_slice(path);
            }
        }
    }

    fn problem(&self, error: &Error) {
        self.shared.problems.fetch_add(1, Relaxed);
        if self.shared.manner.json {
            let line = ErrorLine::during(error, self.during);
            if let Ok(line) = output::json_line(&line) {
                self.shared.say(&line);
            }
        } else {
            let word = if self.shared.manner.colour {
                "\x1b[33mproblem:\x1b[0m"
            } else {
                "problem:"
            };
            let line = format!("{word} {}\n", text::safe(&error.to_string()));
            self.shared.say(&line);
        }
    }

    fn note(&self, what: &str) {
        if self.shared.manner.json {
            let line = NoteLine {
                message_type: "note",
                message: what,
            };
            if let Ok(line) = output::json_line(&line) {
                self.shared.say(&line);
            }
        } else if !self.shared.manner.quiet {
            self.shared.say(&format!("{}\n", text::safe(what)));
        }
    }

    fn interrupted(&self) -> bool {
        self.shared.stop.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn silent() -> Reporter {
        Reporter::start(
            "test",
            Style::Silent,
            Manner {
                quiet: true,
                ..Manner::default()
            },
            Arc::default(),
        )
    }

    #[test]
    fn a_new_phase_counts_from_zero_once_it_counts() {
        let reporter = silent();
        reporter.expect(10, 1000);
        reporter.advance(5, 250);
        let moment = reporter.shared.moment();
        assert_eq!(moment.part(), 0.25);
        reporter.phase("next");
        assert_eq!(reporter.shared.moment().bytes_done, 250);
        reporter.expect(4, 0);
        reporter.advance(1, 0);
        let moment = reporter.shared.moment();
        assert_eq!((moment.bytes_expected, moment.bytes_done), (0, 0));
        assert_eq!(moment.part(), 0.25, "by files where there are no bytes");
    }

    #[test]
    fn the_signal_flag_is_heard() {
        let stop = Arc::new(AtomicBool::new(false));
        let reporter = Reporter::start("test", Style::Silent, Manner::default(), stop.clone());
        assert!(reporter.go_on().is_ok());
        stop.store(true, Relaxed);
        assert_eq!(
            reporter.go_on().unwrap_err().kind(),
            duramen::error::Kind::Interrupted
        );
    }
}
