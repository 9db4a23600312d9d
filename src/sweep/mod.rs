//! Sweeps: many runs that differ in task, arm, settings and seed, and what they come to.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use esper::sweep::{Stop, SweepChanges, SweepOptions, SweepSpec};
//!
//! let spec = SweepSpec::load(Path::new("sweeps/digits.toml"), &SweepChanges::default())?;
//! let dir = "runs/sweeps/digits".into();
//! let options = SweepOptions { dir, jobs: 0, keeps_runs: false, shard: None, fronts: None, tensorboard: false };
//! let end = spec.run(&options, &Stop::default(), |_| ())?;
//! println!("{} cells, {} failed", end.n_completed, end.failed.len());
//! # Ok::<(), esper::sweep::SweepError>(())
//! ```

mod apply;
mod arm;
mod axis;
mod bench;
mod cell;
mod cells;
mod check;
mod cost;
mod crowd;
mod csv;
mod error;
mod front_cache;
mod hosts;
mod library;
mod merge;
mod options;
mod place;
mod record;
mod results;
mod run;
mod search;
mod section;
mod spec;
mod stop;
mod store;

pub use arm::Arm;
pub use cost::CellCost;
pub use error::SweepError;
pub use merge::{Merged, merge};
pub use options::{SweepEnd, SweepEvent, SweepOptions};
pub use record::{CellId, CellRecord, CellStatus, Phase, TakenAction};
pub use results::{RESULTS, ResultsError, ResultsFile};
pub use section::{FRONT, Front, SWEEP, Sweep};
pub use spec::{SweepChanges, SweepSpec};
pub use stop::Stop;
pub use store::{Shard, UNFINISHED};
