//! Urza's settings: which library, and in whose name.

use std::path::{Path, PathBuf};

use esper_engine::scenario::Urza;

/// The library's name inside a run's folder.
pub const LIBRARY_FILE: &str = "library.redb";

/// Where a run keeps what it learns about blueprints and kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrzaConfig {
    /// The library's file; it is created when it is not there, its folder is not.
    pub path: PathBuf,
    /// The run's lasting name, the same after a resume.
    pub run: String,
}

impl UrzaConfig {
    /// The scenario's `[urza]`, for the run `run` whose folder is `run_dir`.
    pub fn new(urza: &Urza, run_dir: &Path, run: impl Into<String>) -> Self {
        let path = match &urza.path {
            Some(shared) => PathBuf::from(shared),
            None => run_dir.join(LIBRARY_FILE),
        };
        Self { path, run: run.into() }
    }
}
