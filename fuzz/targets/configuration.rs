#![no_main]

use std::path::Path;

use duramen::config::{Base, Config, When};
use duramen::schedule::{State, crontab, lines, tasks};

/// What people write, what a run has left, and what stands in a crontab: read without panic, and what is accepted can
/// be installed.
fn look(data: &[u8]) {
    let _ = State::decode(data);
    let block = "# duramen begin x: y\n# duramen end x\n";
    if let Ok(with) = crontab::with_block(data, "x", block) {
        assert_eq!(
            crontab::block_in(&with, "x").ok().flatten().as_deref(),
            Some(block)
        );
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(Some(when)) = When::parse(text) {
        again(&when);
    }
    let base = Base {
        folder: Path::new("/etc/duramen"),
        home: Some(Path::new("/home/ann")),
    };
    match Config::parse(text, base) {
        Ok(config) => lines(&tasks(&config)).iter().for_each(again),
        Err(findings) => assert!(
            findings
                .iter()
                .all(|finding| finding.line > 0 && finding.column > 0)
        ),
    }
}

/// What cron is told means what was written.
fn again(when: &When) {
    let line = when.cron_line();
    let read = When::parse(&line).ok().flatten();
    assert_eq!(read.map(|read| read.cron_line()), Some(line));
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| look(data));
