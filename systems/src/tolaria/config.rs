//! `[run]`, `[governor]` and `[checkpoint]`: how long hosts are trained, how they are watched and when they are saved.

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::prelude::*;
use esper_data::{DeviceData, SplitData};
use esper_engine::{
    ids::HostId,
    runtime::HostConfig,
    scenario::{DATA, Interval, Key, Keys, Rules, SEED_MAX, Scenario, Section, TRAIN, Text},
};
use esper_nn::{
    device::{Cpu, Device},
    plan::LossMonitorConfig,
};

/// The key of `[run]`.
pub const RUN: Key<RunSettings> = Key::new();

/// The key of `[governor]`.
pub const GOVERNOR: Key<Governor> = Key::new();

/// The key of `[checkpoint]`.
pub const CHECKPOINT: Key<Checkpoint> = Key::new();

/// How hosts are trained, watched and saved.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct TolariaConfig {
    /// Optimizer steps of every host in one tick.
    pub steps_per_tick: u64,
    /// Threads that share the hosts; 0 for one a core.
    pub threads: usize,
    /// The scenario's `[governor]`.
    pub governor: Governor,
    /// The scenario's `[checkpoint]`.
    pub checkpoint: Checkpoint,
}

impl TolariaConfig {
    /// What `scenario` says; what it does not have stands at its default.
    pub fn new(scenario: &Scenario) -> Self {
        let run: RunSettings = scenario.or_default();
        Self {
            steps_per_tick: run.steps_per_tick,
            threads: run.threads,
            governor: scenario.or_default(),
            checkpoint: scenario.or_default(),
        }
    }
}

/// The fixed side of every host: what a checkpoint does not repeat.
#[derive(Resource, Clone, Default)]
pub struct HostConfigs(pub BTreeMap<HostId, Arc<HostConfig>>);

/// What `scenario` says of the host whose random streams are `stream` of `run_seed`, on `data`, which is `on_device` too.
pub fn host_config(
    scenario: &Scenario,
    (run_seed, stream): (u64, u64),
    data: Arc<SplitData>,
    device: Arc<dyn Device>,
    on_device: Arc<DeviceData>,
) -> HostConfig {
    let (run, governor) = (&scenario[RUN], &scenario[GOVERNOR]);
    let monitor = LossMonitorConfig {
        is_enabled: governor.enabled,
        window_checks: governor.window_checks,
        divergence_sd: governor.divergence_sd as f32,
        divergence_ratio: governor.divergence_ratio as f32,
        divergence_checks: governor.divergence_checks,
        collapse_checks: governor.collapse_checks,
        chance_loss: None,
    };
    let train = scenario[TRAIN].clone();
    let (batch, epochs) = (scenario[DATA].batch, run.epochs);
    let config = HostConfig::new(data, batch, epochs, train, monitor, device, on_device);
    // Without the section there are no seeds, and what is said of them has no meaning.
    let rho = scenario.value::<f64>("kasmina.rho").map(|rho| rho as f32);
    HostConfig {
        run_seed,
        stream,
        rho: rho.unwrap_or(config.rho),
        composition: scenario.value("kasmina.composition").unwrap_or(config.composition),
        seed_lr_scale: scenario.value("kasmina.seed_lr_scale").unwrap_or(config.seed_lr_scale),
        telemetry_every_steps: scenario
            .value("kasmina.telemetry_every_steps")
            .unwrap_or(config.telemetry_every_steps),
        threads: match run.threads {
            0 => config.threads,
            threads => threads,
        },
        ..config
    }
}

/// Holds the warm-up to end with the run.
pub(super) fn check_warmup(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let warmup_epochs = scenario[TRAIN].schedule.warmup_epochs;
    let epochs = scenario[RUN].epochs;
    rules.hold(
        warmup_epochs <= epochs as f64,
        &["train.schedule.warmup_epochs", "run.epochs"],
        format!("must be at most `run.epochs` ({epochs}), is {warmup_epochs}"),
        "for example `warmup_epochs = 1.0`",
    );
}

/// How long the run is, how many hosts it trains, and what it runs on.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSettings {
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
    /// The device that programs run on, by name: `cpu`, `oracle` (plain loops, slow, to check others
    /// by), another that is present, or `auto` for the fastest. Default `cpu`.
    pub device: String,
}

/// Names of devices; which are present is found out when a run is put together.
const DEVICE: Text = Text {
    form: "1 to 32 lowercase letters, digits, `:`, `_` and `-`",
    example: Cpu::NAME,
    is_one: |text| {
        let is_allowed =
            |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b":_-".contains(&it);
        (1..=32).contains(&text.len()) && text.bytes().all(is_allowed)
    },
    all: &[],
};

/// What counts as harm, and how far training is taken back.
///
/// A check is one optimizer step of one host. A loss or gradient that is not finite is harm at
/// once and has no setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Governor {
    /// Whether harm rolls the host back. Default true.
    pub enabled: bool,
    /// Recent checks whose losses give the mean and the standard deviation, 8 to 100,000.
    /// Default 100.
    pub window_checks: usize,
    /// Standard deviations above the mean at which a loss diverges, above 0 and at most 10^6.
    /// Default 6.
    pub divergence_sd: f64,
    /// Times the mean a loss must also reach to diverge, a twentieth of the loss of guessing added to both, above 1 and at
    /// most 10^6. Default 3.
    pub divergence_ratio: f64,
    /// Divergent checks in a row that are harm, 1 to 10,000. Default 3.
    pub divergence_checks: usize,
    /// Checks in a row no better than chance, after better ones, that are harm, 1 to 1,000,000.
    /// Default 100.
    pub collapse_checks: usize,
    /// Rollbacks of one host before its run ends as failed, 0 to 1000. Default 3.
    pub rollbacks_max: usize,
    /// Factor on the learning rate after each rollback, above 0 and at most 1. Default 0.5.
    pub lr_backoff: f64,
    /// Steps from one snapshot to the next, 1 to 1,000,000. Default 100.
    pub snapshot_every_steps: u64,
    /// Snapshots kept of each host, 1 to 64. Default 4.
    pub snapshots_max: usize,
}

/// When the run is saved to disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Epochs from one checkpoint to the next, 0 to 1,000,000; 0 stands for one at the end only.
    /// Default 5.
    pub every_epochs: u64,
    /// Newest checkpoints kept, 1 to 1000. Default 2: one survives while the next is written.
    pub keep: usize,
}

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

impl Section for RunSettings {
    const NAME: &'static str = "run";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("name", &mut self.name, NAME);
        keys.required("epochs", &mut self.epochs, 1..=1_000_000);
        keys.key("seed", &mut self.seed, 0..=SEED_MAX);
        keys.key("replicas", &mut self.replicas, 1..=4096);
        keys.key("steps_per_tick", &mut self.steps_per_tick, 1..=10_000);
        keys.key("threads", &mut self.threads, 0..=1024);
        keys.key("device", &mut self.device, DEVICE);
    }
    fn of_file(name: &str) -> Self {
        Self { name: Self::name_from(name), ..Self::default() }
    }
}

impl RunSettings {
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

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            name: "scenario".to_owned(),
            epochs: 30,
            seed: 0,
            replicas: 1,
            steps_per_tick: 10,
            threads: 0,
            device: Cpu::NAME.to_owned(),
        }
    }
}

impl Section for Governor {
    const NAME: &'static str = "governor";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("enabled", &mut self.enabled, ());
        keys.key("window_checks", &mut self.window_checks, 8..=100_000);
        keys.key("divergence_sd", &mut self.divergence_sd, Interval::above(0.0).to(1e6));
        keys.key("divergence_ratio", &mut self.divergence_ratio, Interval::above(1.0).to(1e6));
        keys.key("divergence_checks", &mut self.divergence_checks, 1..=10_000);
        keys.key("collapse_checks", &mut self.collapse_checks, 1..=1_000_000);
        keys.key("rollbacks_max", &mut self.rollbacks_max, 0..=1000);
        keys.key("lr_backoff", &mut self.lr_backoff, Interval::above(0.0).to(1.0));
        keys.key("snapshot_every_steps", &mut self.snapshot_every_steps, 1..=1_000_000);
        keys.key("snapshots_max", &mut self.snapshots_max, 1..=64);
    }
}

impl Section for Checkpoint {
    const NAME: &'static str = "checkpoint";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("every_epochs", &mut self.every_epochs, 0..=1_000_000);
        keys.key("keep", &mut self.keep, 1..=1000);
    }
}

impl Default for Governor {
    fn default() -> Self {
        Self {
            enabled: true,
            window_checks: 100,
            divergence_sd: 6.0,
            divergence_ratio: 3.0,
            divergence_checks: 3,
            collapse_checks: 100,
            rollbacks_max: 3,
            lr_backoff: 0.5,
            snapshot_every_steps: 100,
            snapshots_max: 4,
        }
    }
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { every_epochs: 5, keep: 2 }
    }
}
