//! The world's vocabulary: names, stages, phases, plugins, workers, faults and random streams.
//!
//! The world holds facts; numbers live in [`crate::runtime`] and are reached by handles.

pub mod catalog;
pub mod components;
pub mod digest;
pub mod fault;
pub mod forge;
pub mod gate;
pub mod ids;
pub mod journal;
pub mod plugin;
pub mod rng;
pub mod run_dir;
pub mod save;
pub mod stage;
