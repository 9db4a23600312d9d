//! `[run]`: how long, how often, and on what.

use super::{
    keys::{Keys, Section},
    value::Text,
};

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
    /// The device that programs run on, by name: `cpu`, another that is present, or `auto` for the
    /// fastest. Default `cpu`.
    pub device: String,
}

/// Names of devices; which are present is found out when a run is put together.
const DEVICE: Text = Text {
    form: "1 to 32 lowercase letters, digits, `:`, `_` and `-`",
    example: "cpu",
    is_one: |text| {
        let is_allowed =
            |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b":_-".contains(&it);
        (1..=32).contains(&text.len()) && text.bytes().all(is_allowed)
    },
    all: &[],
};

/// Names that are safe as a folder's.
const NAME: Text = Text {
    form: "1 to 64 letters, digits, `_`, `-` and `.`, not starting with `.`",
    example: "digits_mlp",
    is_one: |text| {
        let is_allowed = |it: u8| it.is_ascii_alphanumeric() || b"_-.".contains(&it);
        (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_allowed)
    },
    all: &[],
};

/// TOML's integers are signed.
pub(super) const SEED_MAX: u64 = i64::MAX as u64;

impl Section for Run {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("name", &mut self.name, NAME);
        keys.required("epochs", &mut self.epochs, 1..=1_000_000);
        keys.key("seed", &mut self.seed, 0..=SEED_MAX);
        keys.key("replicas", &mut self.replicas, 1..=4096);
        keys.key("steps_per_tick", &mut self.steps_per_tick, 1..=10_000);
        keys.key("threads", &mut self.threads, 0..=1024);
        keys.key("device", &mut self.device, DEVICE);
    }
}

impl Run {
    /// The name of a run whose scenario is the file `name`: without folders and ending, and with
    /// `_` for what a name can not hold.
    pub(super) fn name_from(file_name: &str) -> String {
        let base = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = base.strip_suffix(".toml").unwrap_or(base).trim_start_matches('.');
        let allow =
            |it: char| if it.is_ascii_alphanumeric() || "_-.".contains(it) { it } else { '_' };
        let name: String = stem.chars().take(64).map(allow).collect();
        if name.is_empty() { Self::default().name } else { name }
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
            device: "cpu".to_owned(),
        }
    }
}
