//! What everything in Esper runs on: graph, program, device, runtime, world, data and scenario.

pub mod data;
pub mod device;
pub mod graph;
pub mod program;
pub mod runtime;
pub mod scenario;
pub mod world;
