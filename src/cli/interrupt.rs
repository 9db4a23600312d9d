//! Ctrl-C: the first asks the run to stop between two ticks, the second ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};

use esper::{Command, RunHandle};

use super::failure::Failure;

/// What shells report for a process that SIGINT ended: 128 + 2.
const STATUS_AT_ONCE: i32 = 130;

/// Asks the run of `handle` to stop at the first SIGINT, SIGTERM or SIGHUP from now on.
pub fn stop_on_signal(handle: RunHandle) -> Result<(), Failure> {
    on_signal(move || handle.send(Command::Stop))
}

/// Has the first SIGINT, SIGTERM or SIGHUP from now on do `first`, and the second end the process at once.
pub fn on_signal(first: impl Fn() + Send + 'static) -> Result<(), Failure> {
    let was_asked = AtomicBool::new(false);
    let on_signal = move || {
        if was_asked.swap(true, Ordering::Relaxed) {
            std::process::exit(STATUS_AT_ONCE);
        }
        first();
    };
    ctrlc::set_handler(on_signal)
        .map_err(|error| Failure::failed(format!("can not listen for signals: {error}")))
}
