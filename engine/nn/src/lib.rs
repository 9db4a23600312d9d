//! Networks without a world: graphs of ops, programs compiled from them, and the devices that run them.
//!
//! Nothing here knows of runs, files of a run, or an entity-component system. Everything is `f32`, row-major, batch
//! first; names and layouts are PyTorch's.

#![forbid(unsafe_code)]

pub mod contract;
pub mod device;
pub mod digest;
pub mod graph;
pub mod module;
pub mod optim;
pub mod program;
pub mod rng;
pub mod suggest;
pub mod word;
