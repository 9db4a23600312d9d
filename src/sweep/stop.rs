//! Stopping a sweep between two ticks of its runs.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use crate::{Command, RunHandle};

/// Asks a sweep to stop: its runs are saved, to be resumed when the sweep is run again.
#[derive(Clone, Default)]
pub struct Stop(Arc<Asked>);

#[derive(Default)]
struct Asked {
    is_asked: AtomicBool,
    /// Runs under way; those that have ended leave an empty place.
    handles: Mutex<Vec<Option<RunHandle>>>,
}

/// Forgets a run when it ends.
pub(super) struct Registered<'a> {
    stop: &'a Stop,
    place: usize,
}

impl Stop {
    /// Asks for it.
    pub fn ask(&self) {
        self.0.is_asked.store(true, Ordering::SeqCst);
        let handles = self.0.handles.lock().expect("nobody panics while they hold it");
        handles.iter().flatten().for_each(|handle| handle.send(Command::Stop));
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.is_asked.load(Ordering::SeqCst)
    }

    /// Has the run of `handle` stop with the sweep, until what is returned is dropped.
    pub(super) fn register(&self, handle: RunHandle) -> Registered<'_> {
        let mut handles = self.0.handles.lock().expect("nobody panics while they hold it");
        // Under the lock: whoever asks from now on finds the handle there.
        if self.is_asked() {
            handle.send(Command::Stop);
        }
        let place = handles.iter().position(Option::is_none).unwrap_or(handles.len());
        if place == handles.len() {
            handles.push(None);
        }
        handles[place] = Some(handle);
        Registered { stop: self, place }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let handles = self.stop.0.handles.lock();
        handles.expect("nobody panics while they hold it")[self.place] = None;
    }
}
