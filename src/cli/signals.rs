//! Ctrl-C and SIGTERM: the first asks the work to stop where nothing is lost, the second ends the program at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use duramen::error::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Starts to listen; the flag turns true at the first signal.
///
/// # Errors
/// Where the system does not let us listen.
pub fn listen() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first action looks at the flag that the second one sets.
        flag::register_conditional_default(signal, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Error::io_named("listen to", "signals", error))?;
    }
    Ok(stop)
}
