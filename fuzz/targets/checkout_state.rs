#![no_main]

use duramen::checkout::State;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(state) = State::decode(data) {
        let again = State::decode(&duramen_fuzz::written(state.encode()));
        assert!(
            again.is_ok_and(|again| again == state),
            "a state that does not come back"
        );
    }
});
