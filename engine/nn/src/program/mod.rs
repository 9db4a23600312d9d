//! `Program`: a graph as flat lists of instructions over one planned block of memory.
//!
//! Nothing is allocated or looked up by name while a program runs. Regions are planned per example and scale with
//! the batch, so one program serves every batch size.

mod compile;
mod lower;
mod options;
mod plan;
pub mod reference;
mod variant;

use std::collections::BTreeSet;

use esper_kernels::cpu::{fill_normal, fill_uniform};
use serde::{Deserialize, Serialize};

pub use compile::PIPELINE_VERSION;
pub use options::CompileOptions;
pub use variant::Variant;

use crate::{
    contract::Contract,
    op::Loss,
    rng::{Purpose, stream_key},
    tensor::{DType, Init, Shape},
};
pub use crate::{
    op::{Backward, Forward, SiteInfo},
    schedule::{GradMask, INPUT_GRADIENT, SITES_MAX, Scheduled},
    tensor::{PARAM_ALIGN_ELEMS, Param, PlacedParam, Region, TensorId},
};

/// A compiled network.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Program {
    /// The forward pass.
    pub forward: Vec<Scheduled<Forward>>,
    /// The backward pass.
    pub backward: Vec<Scheduled<Backward>>,
    /// Where every tensor lies.
    pub regions: Vec<Region>,
    /// Parameters by place.
    pub params: Vec<PlacedParam>,
    /// Length of the parameter block, alignment included.
    pub params_len_elems: usize,
    /// Buffers by place: what is carried from step to step and has no gradient.
    pub buffers: Vec<PlacedParam>,
    /// Length of the buffer block, alignment included.
    pub buffers_len_elems: usize,
    /// Length of the workspace for one example.
    pub workspace_elems: usize,
    /// The batch.
    pub input: TensorId,
    /// Its per-example shape.
    pub input_shape: Shape,
    /// What its words are.
    pub input_dtype: DType,
    /// The gradient of the batch, where [`INPUT_GRADIENT`] was compiled in.
    pub input_gradient: Option<TensorId>,
    /// A host's logits or predictions; a module's output.
    pub output: TensorId,
    /// The output's per-example shape.
    pub output_shape: Shape,
    /// The gradient of the output: written by the loss, or by whoever runs a module.
    pub output_gradient: Option<TensorId>,
    /// Where seeds may be planted, in topological order.
    pub sites: Vec<SiteInfo>,
    /// What the program ends in, if it is a host.
    pub loss: Option<Loss>,
    /// Whether it says something at each position, so that none may see a later one.
    pub is_causal: bool,
    /// Names of the optimizations applied.
    pub optimizations: Vec<String>,
}

impl Program {
    /// Length of the workspace for batches of up to `batch_max` examples.
    pub fn workspace_len_elems(&self, batch_max: usize) -> usize {
        self.workspace_elems * batch_max
    }

    /// Length of the scratch that kernels need for batches of up to `batch_max` examples.
    pub fn scratch_len_elems(&self, batch_max: usize) -> usize {
        let forward = self.forward.iter().map(|it| it.instr.scratch_len_elems(batch_max));
        let backward = self.backward.iter().map(|it| it.instr.scratch_len_elems(batch_max));
        forward.chain(backward).max().unwrap_or(0)
    }

    /// Every tensor that an instruction touches, once for each that does.
    pub fn operands(&self) -> impl Iterator<Item = TensorId> {
        let forward = self.forward.iter().flat_map(|it| it.instr.tensors());
        forward.chain(self.backward.iter().flat_map(|it| it.instr.tensors()))
    }

    /// Arithmetic of one example's forward pass.
    pub fn flops_forward(&self) -> u64 {
        self.forward.iter().map(|step| step.flops).sum()
    }

    /// Arithmetic of one example's backward pass that wants `wanted`.
    pub fn flops_backward(&self, wanted: GradMask) -> u64 {
        self.backward.iter().filter(|step| step.mask.is_met_by(wanted)).map(|it| it.flops).sum()
    }

    /// Parameters in elements, alignment left out.
    pub fn params_elems(&self) -> u64 {
        self.params.iter().map(|param| param.spec.len_elems() as u64).sum()
    }

    /// The place of the site called `name`.
    pub fn site(&self, name: &str) -> Option<usize> {
        self.sites.iter().position(|site| site.name == name)
    }

    /// What a module at the site of that place must keep.
    pub fn contract(&self, place: usize) -> Contract {
        Contract::of(&self.sites[place].shape, self.is_causal)
    }

    /// Where tensors lie that what comes after a site reads and what comes before it wrote: all that a second pass
    /// from the site on needs of the first.
    pub fn live_at(&self, site: &SiteInfo) -> Vec<Region> {
        let (before, after) = self.forward.split_at(site.forward_step + 1);
        let backward = &self.backward[..site.backward_step];
        let written: BTreeSet<TensorId> = before.iter().flat_map(|it| it.instr.tensors()).collect();
        let after = after.iter().flat_map(|it| it.instr.tensors());
        let backward = backward.iter().flat_map(|it| it.instr.tensors());
        let read: BTreeSet<TensorId> = after.chain(backward).collect();
        let mut live: Vec<TensorId> = written.intersection(&read).copied().collect();
        live.extend((!live.contains(&site.x)).then_some(site.x));
        live.into_iter().map(|id| self.regions[id.0 as usize]).collect()
    }

    /// Values an example of tensor `id`.
    pub fn elems(&self, id: TensorId) -> usize {
        self.regions[id.0 as usize].elems
    }

    /// Draws initial parameters from the stream (`run_seed`, `purpose`, `id`): `f32[params_len_elems]`.
    ///
    /// Each parameter has its own counter range, so one parameter's length never moves another's draws.
    pub fn draw_params(&self, run_seed: u64, purpose: Purpose, id: u64) -> Vec<f32> {
        let key = stream_key(run_seed, purpose, id);
        let mut block = vec![0.0; self.params_len_elems];
        for (place, param) in self.params.iter().enumerate() {
            let (values, draw) = (&mut block[param.range()], place as u64);
            match param.spec.init {
                Init::Constant(value) => values.fill(value),
                Init::Uniform(bound) => fill_uniform(key, draw, -bound, bound, values),
                Init::Normal(sd) => fill_normal(key, draw, 0.0, sd, values),
                Init::FanIn => {
                    let bound = 1.0 / (param.spec.fan_in as f32).sqrt();
                    fill_uniform(key, draw, -bound, bound, values);
                }
            }
        }
        block
    }

    /// Buffers at birth, which nothing draws: `f32[buffers_len_elems]`.
    ///
    /// # Panics
    ///
    /// If a buffer's initial values are not constant; every op's are.
    pub fn initial_buffers(&self) -> Vec<f32> {
        let mut block = vec![0.0; self.buffers_len_elems];
        for buffer in &self.buffers {
            let Init::Constant(value) = buffer.spec.init else {
                panic!("`{}` is drawn, and buffers are not", buffer.spec.name)
            };
            block[buffer.range()].fill(value);
        }
        block
    }
}

#[cfg(test)]
mod tests;
