//! `[run]`: how long, how often, and on what.

use super::word::words;

/// How long the run is, how many hosts it trains, and what it runs on (DESIGN §3, §9).
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Names the folder under `runs/`: 1 to 64 letters, digits, `_`, `-` and `.`. Default: the
    /// scenario's file name without its ending.
    pub name: String,
    /// Passes over the training examples, 1 to 1,000,000. Required.
    pub epochs: u64,
    /// Everything random in the run is drawn from it, 0 to 2^63 - 1. Default 0.
    pub seed: u64,
    /// Hosts trained side by side, each with its own random streams, 1 to 4096. Default 1.
    pub replicas: usize,
    /// Optimizer steps a host takes in a tick, 1 to 10,000. Default 10.
    pub steps_per_tick: u64,
    /// Threads that train hosts, 0 to 1024; 0 stands for one a core. Default 0. The number
    /// changes no bit of the result.
    pub threads: usize,
    /// Where programs run. Default `cpu`.
    pub device: DeviceKind,
}

words! {
    /// Where programs run.
    DeviceKind {
        /// The processor.
        Cpu = "cpu",
    }
}

impl Default for Run {
    fn default() -> Self {
        Self {
            name: "scenario".to_owned(),
            epochs: 30,
            seed: 0,
            replicas: 1,
            steps_per_tick: 10,
            threads: 0,
            device: DeviceKind::Cpu,
        }
    }
}
