//! What everything in Esper runs on: the world, the runtime and the scenario, over networks ([`nn`]) and data
//! ([`data`]).

#![forbid(unsafe_code)]

pub use esper_data as data;
pub use esper_nn as nn;
pub use esper_nn::{device, graph, program};

pub mod forge;
pub mod journal;
pub mod run_dir;
pub mod runtime;
pub mod scenario;
pub mod world;
