//! The world's vocabulary: names, stages, phases, plugins, workers, faults and random streams.
//!
//! The world holds facts; numbers live in [`crate::runtime`] and are reached by handles.

pub mod catalog;
pub mod components;
pub mod fault;
pub mod gate;
pub mod ids;
pub mod plugin;
pub mod save;
pub mod stage;
pub mod trials;
