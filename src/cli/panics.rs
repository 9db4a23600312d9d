//! What is said when Esper itself is at fault.

use std::{
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::{Mutex, PoisonError},
};

use super::failure::Failure;

/// Where the last panic was and what it said. A worker's panic is caught by its forge and becomes an event of the run; it
/// is reported only if nothing catches it.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Runs `f`; a panic that comes through is a [`Failure`] that asks to be reported.
pub fn caught<T>(f: impl FnOnce() -> T) -> Result<T, Failure> {
    panic::set_hook(Box::new(keep));
    // Nothing that `f` worked on is looked at again.
    panic::catch_unwind(AssertUnwindSafe(f)).map_err(|_| {
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
        let what = last.unwrap_or_else(|| "it does not say where".to_owned());
        let version = env!("CARGO_PKG_VERSION");
        Failure::bug(format!("this is a bug of Esper {version}, please report it: {what}"))
    })
}

fn keep(info: &PanicHookInfo<'_>) {
    let place = info.location().map(|it| format!(" at {it}")).unwrap_or_default();
    let what = info.payload_as_str().unwrap_or("a panic without words");
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{what}{place}"));
}
