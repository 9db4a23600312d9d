//! The world's vocabulary: names, stages, phases, plugins, blueprints, kernels and faults.
//!
//! The world holds facts; numbers live in [`crate::runtime`] and are reached by handles.

pub mod blueprint;
pub mod components;
pub mod gate;
pub mod hosts;
pub mod ids;
pub mod kernel;
pub mod kernel_cache;
pub mod plugin;
pub mod save;
pub mod stage;
pub mod trials;
