//! What everything in Esper runs on: graph, program, device, world, data and scenario.

pub mod data;
