//! Ctrl-C: the first asks the run to stop between two ticks, the second ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::Failure;

/// What shells report for a process that SIGINT ended: 128 + 2.
const STATUS_AT_ONCE: i32 = 130;

static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// Listens for SIGINT, SIGTERM and SIGHUP from now on.
pub fn listen() -> Result<(), Failure> {
    let on_signal = || {
        if IS_ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(STATUS_AT_ONCE);
        }
    };
    ctrlc::set_handler(on_signal)
        .map_err(|error| Failure::failed(format!("can not listen for signals: {error}")))
}

/// Whether the run was asked to stop.
pub fn is_asked() -> bool {
    IS_ASKED.load(Ordering::Relaxed)
}
