//! A seed's numbers: its module's parameters and what it does at its site.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    config::HostConfig,
    host::HostRuntime,
    optimizer::{GroupSchedule, ParamGroup, has_second_moment},
    schedule::Ramp,
};
use crate::{
    program::{GradMask, INPUT_GRADIENT, Program},
    world::ids::{KernelId, SeedId},
};
use esper_nn::{module::Incubation, rng::Purpose};

/// What a seed's module does in a step.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub enum SeedMode {
    /// It learns beside the host, which does not see it.
    Incubating(Incubation),
    /// It is part of the forward and backward pass.
    Blended {
        /// How far.
        ramp: Ramp,
        /// Whether its parameters train.
        trains: bool,
    },
}

/// What of a seed a snapshot restores.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct SeedState {
    /// Its lasting name.
    pub id: SeedId,
    /// Its site's place in the host's program.
    pub site: usize,
    /// The kernel that runs it.
    pub kernel: KernelId,
    /// What it does.
    pub mode: SeedMode,
    /// Its schedule, its update count, and whether it can train at all.
    pub group: ParamGroup,
    /// Whether its numbers are still finite.
    pub is_finite: bool,
    /// `f32[params_len_elems]`.
    #[serde(skip)]
    pub params: Vec<f32>,
    /// Running statistics: `f32[buffers_len_elems]`.
    #[serde(skip)]
    pub buffers: Vec<f32>,
    /// First moments: `f32[params_len_elems]`.
    #[serde(skip)]
    pub m: Vec<f32>,
    /// Second moments: `f32[params_len_elems]`; empty for SGD.
    #[serde(skip)]
    pub v: Vec<f32>,
}

/// What was last sampled of a seed in a training step.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct SeedSample {
    /// Root mean square of the activation at the site.
    pub x_rms: f32,
    /// Root mean square of the task gradient at the site.
    pub gradient_rms: f32,
    /// Root mean square of the module's output.
    pub output_rms: f32,
    /// L2 norm of the module's parameter gradient.
    pub gradient_norm: f32,
}

/// What was last sampled at a site, whether or not a seed grows there.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct SiteSample {
    /// Root mean square of the activation.
    pub x_rms: f32,
    /// Root mean square of the task gradient.
    pub gradient_rms: f32,
}

/// A seed bound to its site.
#[derive(Clone)]
pub struct SeedRuntime {
    /// What a snapshot restores.
    pub state: SeedState,
    /// Its module.
    pub program: Arc<Program>,
    /// The last sample, once there is one.
    pub sample: Option<SeedSample>,
    pub(super) gradients: Vec<f32>,
    pub(super) workspace: Vec<f32>,
    pub(super) scratch: Vec<f32>,
    /// Into how many parts its instructions may be cut.
    pub(super) parts_max: usize,
    /// `f32[batch, width]`: the module with its identity, for the blend composition.
    pub(super) joined: Vec<f32>,
    /// What of the host's workspace the shadow pass needs, as it was at the site.
    pub(super) shadow: Vec<f32>,
    pub(super) sampling: SeedSample,
    pub(super) batch_max: usize,
}

impl SeedRuntime {
    /// Makes room for `state` to run `program` in a host of `config`.
    ///
    /// # Panics
    ///
    /// If the parameters are not the program's.
    pub fn new(state: SeedState, program: Arc<Program>, config: &HostConfig) -> Self {
        assert_eq!(state.params.len(), program.params_len_elems, "parameters are the program's");
        assert_eq!(state.buffers.len(), program.buffers_len_elems, "buffers are the program's");
        let (batch_max, parts_max) = (config.batch, config.parts_max(&program));
        let width: usize = program.output_shape.iter().product();
        Self {
            gradients: vec![0.0; program.params_len_elems],
            workspace: vec![0.0; program.workspace_len_elems(batch_max)],
            scratch: vec![0.0; parts_max * program.scratch_len_elems(batch_max)],
            parts_max,
            joined: vec![0.0; width * batch_max],
            shadow: Vec::new(),
            sample: None,
            sampling: SeedSample::default(),
            state,
            program,
            batch_max,
        }
    }

    /// Whether it is part of the forward pass.
    pub fn is_blended(&self) -> bool {
        matches!(self.state.mode, SeedMode::Blended { .. })
    }

    /// Whether it trains in this step.
    pub fn trains(&self) -> bool {
        self.state.group.is_trainable
            && self.state.is_finite
            && match self.state.mode {
                SeedMode::Incubating(incubation) => incubation != Incubation::None,
                SeedMode::Blended { trains, .. } => trains,
            }
    }

    /// How far it is blended in the forward pass of `step`.
    pub fn alpha(&self, step: u64) -> f32 {
        match self.state.mode {
            SeedMode::Incubating(_) => 0.0,
            SeedMode::Blended { ramp, .. } => ramp.at(step),
        }
    }

    /// What a backward pass through the module is for.
    pub(super) fn wanted(&self) -> GradMask {
        GradMask {
            params: self.trains(),
            sites: if self.is_blended() { INPUT_GRADIENT } else { 0 },
        }
    }

    /// Multiplies and adds of one example's forward pass.
    pub(super) fn flops_forward(&self, rows: usize) -> u64 {
        self.program.flops_forward() * rows as u64
    }

    /// Multiplies and adds of one example's backward pass.
    pub(super) fn flops_backward(&self, wanted: GradMask, rows: usize) -> u64 {
        self.program.flops_backward(wanted) * rows as u64
    }
}

impl SeedState {
    /// A seed at birth in `host`: parameters drawn from its own stream, moments zero, its own schedule from here on.
    pub fn at_birth(
        host: &HostRuntime,
        id: SeedId,
        site: usize,
        kernel: KernelId,
        program: &Program,
        incubation: Incubation,
        is_trainable: bool,
    ) -> Self {
        let n = program.params_len_elems;
        let has_second = has_second_moment(&host.config.train.optimizer);
        Self {
            id,
            site,
            kernel,
            mode: SeedMode::Incubating(incubation),
            group: ParamGroup {
                prefix: super::module_prefix(id),
                schedule: GroupSchedule::Seed { birth_step: host.state.step },
                n_updates: 0,
                is_trainable,
            },
            is_finite: true,
            params: program.draw_params(host.config.run_seed, Purpose::SeedInit, id.0),
            buffers: program.initial_buffers(),
            m: vec![0.0; n],
            v: if has_second { vec![0.0; n] } else { Vec::new() },
        }
    }
}
