#![no_main]

use duramen::format::snapshot::Fate;

libfuzzer_sys::fuzz_target!(
    |data: &[u8]| duramen_fuzz::record(data, |fate: &Fate| match fate {
        Fate::Committed(snapshot) => snapshot.check(),
        Fate::Void { .. } => Ok(()),
    })
);
