//! The world's vocabulary: names, stages, phases, plugins, workers, faults and random streams.
//!
//! The world holds facts; numbers live in [`crate::runtime`] and are reached by handles.

pub use esper_nn::{digest, rng};

pub mod catalog;
pub mod components;
pub mod fault;
pub mod forge;
pub mod gate;
pub mod ids;
pub mod journal;
pub mod plugin;
pub mod run_dir;
pub mod save;
pub mod stage;
