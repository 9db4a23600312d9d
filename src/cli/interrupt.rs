//! Ctrl-C: the first asks the run to stop between two ticks, the second ends the process at once.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use esper::{Command, RunHandle};

use super::failure::Failure;

/// The number of SIGINT, and what there is of signals where they have no numbers.
const SIGINT: u8 = 2;

/// What shells report for a process that a signal ended, less the signal's number.
const STATUS_BASE: u8 = 128;

/// The signal that asked the process to stop, if one has.
#[derive(Clone, Default)]
pub struct Signalled(Arc<AtomicU8>);

impl Signalled {
    /// The exit status by which shells know that the signal ended the process.
    pub fn status(&self) -> Option<u8> {
        let signal = self.0.load(Ordering::SeqCst);
        (signal != 0).then(|| STATUS_BASE.saturating_add(signal))
    }

    /// The signal's name.
    pub fn name(&self) -> &'static str {
        match self.0.load(Ordering::SeqCst) {
            1 => "SIGHUP",
            15 => "SIGTERM",
            _ => "SIGINT",
        }
    }
}

/// Asks the run of `handle` to stop at the first SIGINT, SIGTERM or SIGHUP from now on.
pub fn stop_on_signal(handle: RunHandle) -> Result<(), Failure> {
    on_signal(move || handle.send(Command::Stop)).map(|_| ())
}

/// Has the first SIGINT, SIGTERM or SIGHUP from now on do `first`, and the second end the process at once; tells which came
/// first.
pub fn on_signal(first: impl Fn() + Send + 'static) -> Result<Signalled, Failure> {
    let signalled = Signalled::default();
    let seen = signalled.clone();
    let on_signal = move |signal: u8| {
        if seen.0.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            std::process::exit(i32::from(STATUS_BASE.saturating_add(signal)));
        }
        first();
    };
    listen(on_signal)
        .map_err(|error| Failure::failed(format!("can not listen for signals: {error}")))?;
    Ok(signalled)
}

#[cfg(unix)]
fn listen(on_signal: impl Fn(u8) + Send + 'static) -> std::io::Result<()> {
    use signal_hook::{consts, iterator::Signals};

    const { assert!(consts::SIGINT == SIGINT as i32) };
    let mut signals = Signals::new([consts::SIGINT, consts::SIGTERM, consts::SIGHUP])?;
    let wait = move || {
        for signal in signals.forever() {
            on_signal(u8::try_from(signal).unwrap_or(SIGINT));
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(|_| ())
}

#[cfg(not(unix))]
fn listen(on_signal: impl Fn(u8) + Send + 'static) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || on_signal(SIGINT))
}
