//! What a host's steps depend on and no step changes.

use std::sync::Arc;

use esper_data::{DeviceData, SplitData, Targets};
use esper_nn::{
    device::Device, module::Composition, optim::Train, plan::LossMonitorConfig, program::Program,
};

/// The fixed side of a host, shared with its twins.
#[derive(Clone)]
pub struct HostConfig {
    /// What every random stream is keyed by.
    pub run_seed: u64,
    /// Which of the run's random streams are this host's; a twin keeps its host's.
    pub stream: u64,
    /// Examples a step, and room for no more; a host's `DataView` may ask for fewer.
    pub batch: usize,
    /// Optimizer, schedule and clipping at birth; a host's `TrainPlan` says what holds later.
    pub train: Train,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Steps of the run.
    pub total_steps: u64,
    /// Where the examples are.
    pub data: Arc<SplitData>,
    /// Where plans run.
    pub device: Arc<dyn Device>,
    /// The examples on that device.
    pub on_device: Arc<DeviceData>,
    /// When a loss is a fault.
    pub monitor: LossMonitorConfig,
    /// Root-mean-square output a seed is held to in TRAINING, as a share of its input's.
    pub rho: f32,
    /// How a seed's output joins the host.
    pub composition: Composition,
    /// A seed's learning rate as a factor of the host's base rate.
    pub seed_lr_scale: f64,
    /// Steps between two samples of a seed.
    pub telemetry_every_steps: u64,
    /// Threads that a large host may use.
    pub threads: usize,
}

/// Arithmetic of a batch, forward, from which a program is cut for threads: its larger instructions are then worth
/// handing over.
const SPLIT_MIN_FLOPS: u64 = 8_000_000;

impl HostConfig {
    /// A host that takes `epochs` over `data` in batches of `batch`; streams are those of run seed 0, and seeds are held
    /// to what Kasmina's section says by default. `monitor` is told the loss of guessing where there is one.
    pub fn new(
        data: Arc<SplitData>,
        batch: usize,
        epochs: u64,
        train: Train,
        monitor: LossMonitorConfig,
        device: Arc<dyn Device>,
        on_device: Arc<DeviceData>,
    ) -> Self {
        let batch = batch.min(data.train.len());
        let steps_per_epoch = esper_data::steps_per_epoch(data.train.len(), batch) as u64;
        let chance_loss = match &data.train.targets {
            Targets::Classes { .. } | Targets::NextTokens(_) => {
                Some((data.train.targets.n_outputs() as f32).ln())
            }
            Targets::Values { .. } => None,
        };
        Self {
            run_seed: 0,
            stream: 0,
            batch,
            train,
            steps_per_epoch,
            total_steps: steps_per_epoch * epochs,
            data,
            device,
            on_device,
            monitor: LossMonitorConfig { chance_loss, ..monitor },
            rho: 0.2,
            composition: Composition::Residual,
            seed_lr_scale: 1.0,
            telemetry_every_steps: 20,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Steps from which on the host is averaged for the choice of its final model; past the end where it is not.
    pub fn last_window_from_step(&self) -> u64 {
        let n_steps = (self.train.average_share * self.total_steps as f64).round() as u64;
        if n_steps == 0 { u64::MAX } else { self.total_steps.saturating_sub(n_steps) }
    }

    /// This, on the random streams `stream`.
    pub(super) fn with_stream(self: Arc<Self>, stream: u64) -> Arc<Self> {
        if self.stream == stream { self } else { Arc::new(Self { stream, ..(*self).clone() }) }
    }

    /// Into how many parts instructions of `program` may be cut.
    pub(super) fn parts_max(&self, program: &Program) -> usize {
        let flops = program.flops_forward().saturating_mul(self.batch as u64);
        if flops < SPLIT_MIN_FLOPS { 1 } else { self.threads.min(self.batch).max(1) }
    }
}
