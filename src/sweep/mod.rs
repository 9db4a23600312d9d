//! Sweeps: many runs that differ in task, arm, settings and seed, and what they come to.

mod record;

pub use record::{CellId, CellRecord, CellStatus, Phase, TakenAction};
