//! How a sweep is run, what happens while it runs, and how it ended.

use std::path::PathBuf;

use super::{record::CellRecord, store::Shard};

/// How a sweep is run. None of it changes a result.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// The sweep's folder.
    pub dir: PathBuf,
    /// Cells that run at once; 0 for one a core.
    pub jobs: usize,
    /// Whether each cell's run is kept in a folder of its own; if not, a cell that is stopped begins anew.
    pub keeps_runs: bool,
    /// The part of the sweep that is run; all of it if there is none.
    pub shard: Option<Shard>,
    /// A file of static hosts that were measured before, by this sweep or another; without it every front is measured anew.
    pub fronts: Option<PathBuf>,
    /// Whether runs that are kept have event files for TensorBoard.
    pub tensorboard: bool,
}

/// What happens while a sweep runs.
#[derive(Clone, Copy, Debug)]
pub enum SweepEvent<'a> {
    /// Cells of a wave are about to run; those that were there before are among `n_done`.
    WaveBegan {
        /// Cells of the wave.
        n_cells: usize,
        /// Those that need not be run.
        n_done: usize,
    },
    /// A cell ended.
    CellEnded(&'a CellRecord),
}

/// How a sweep ended.
#[derive(Clone, Debug, Default)]
pub struct SweepEnd {
    /// Cells that were completed, now or before.
    pub n_completed: usize,
    /// Cells that failed, with their reasons.
    pub failed: Vec<CellRecord>,
    /// Whether it was stopped before its end.
    pub is_stopped: bool,
}
