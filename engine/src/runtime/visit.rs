//! What seeds do when a pass comes by their site.
//!
//! A blended seed changes the site's memory in place and puts `x` back on the way down, so that what lies before the
//! site differentiates what it computed. A dormant site costs one call.

use std::ops::Range;

use esper_kernels::cpu;

use super::{
    flops::Flops,
    seed::{SeedMode, SeedRuntime, SiteSample},
};
use crate::{
    device::{Batch, Device, NoSeeds, Pass, SiteVisitor, Targets, Tensors},
    program::{GradMask, Region},
    world::ids::SeedId,
};
use esper_nn::{
    module::{Composition, Incubation},
    rng::{Purpose, stream_key},
};

/// Why the pass is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Visit {
    /// A training step: blended seeds act, incubating seeds learn.
    Train {
        /// Whether root mean squares are sampled.
        is_sampled: bool,
    },
    /// Evaluation: blended seeds act; one seed may act at a scale of its own.
    Evaluate {
        /// That seed and scale.
        forced: Option<(SeedId, f32)>,
    },
    /// The shadow pass of an incubating seed: blended seeds act, and nothing of theirs trains.
    Shadow,
}

pub(super) struct SeedVisitor<'a> {
    pub device: &'a dyn Device,
    pub seeds: &'a mut [SeedRuntime],
    pub visit: Visit,
    pub run_seed: u64,
    pub step: u64,
    pub rows: usize,
    pub rho: f32,
    pub composition: Composition,
    pub flops: &'a mut Flops,
    pub sampled_sites: u64,
    pub site_samples: &'a mut [Option<SiteSample>],
    pub live_at_sites: &'a [Vec<Region>],
}

impl SiteVisitor for SeedVisitor<'_> {
    fn forward(&mut self, site: usize, x: Range<usize>, workspace: &mut [f32]) {
        for i in 0..self.seeds.len() {
            if self.seeds[i].state.site == site
                && let Some(alpha) = self.acting_alpha(&self.seeds[i])
            {
                self.blend(i, alpha, &mut workspace[x.clone()]);
            }
        }
        if !matches!(self.visit, Visit::Train { .. }) {
            return;
        }
        for i in 0..self.seeds.len() {
            let seed = &self.seeds[i];
            if seed.state.site == site && !seed.is_blended() && seed.trains() {
                self.incubate(i, x.clone(), workspace);
            }
        }
    }

    fn backward(
        &mut self,
        site: usize,
        x: Range<usize>,
        gradient: Range<usize>,
        workspace: &mut [f32],
    ) {
        let is_sampled = self.visit == Visit::Train { is_sampled: true };
        let is_sampled = is_sampled && self.sampled_sites >> site & 1 == 1;
        if !is_sampled && self.seeds.iter().all(|seed| seed.state.site != site) {
            return;
        }
        let [x, gradient] = workspace
            .get_disjoint_mut([x, gradient])
            .expect("a site's value and gradient are apart");
        if is_sampled {
            let sample = SiteSample { x_rms: cpu::rms(x), gradient_rms: cpu::rms(gradient) };
            self.site_samples[site] = Some(sample);
        }
        if matches!(self.visit, Visit::Train { .. }) {
            for i in 0..self.seeds.len() {
                let seed = &self.seeds[i];
                if seed.state.site == site && !seed.is_blended() && seed.trains() {
                    self.learn_straight_through(i, x, gradient);
                }
            }
        }
        for i in (0..self.seeds.len()).rev() {
            if self.seeds[i].state.site == site
                && let Some(alpha) = self.acting_alpha(&self.seeds[i])
            {
                self.unblend(i, alpha, x, gradient);
            }
        }
    }
}

impl SeedVisitor<'_> {
    fn acting_alpha(&self, seed: &SeedRuntime) -> Option<f32> {
        match self.visit {
            Visit::Evaluate { forced: Some((id, alpha)) } if id == seed.state.id => Some(alpha),
            // Between steps a blend stands where the last step left it.
            Visit::Evaluate { .. } => {
                seed.is_blended().then(|| seed.alpha(self.step.saturating_sub(1)))
            }
            Visit::Train { .. } | Visit::Shadow => seed.is_blended().then(|| seed.alpha(self.step)),
        }
    }

    fn is_training(&self) -> bool {
        !matches!(self.visit, Visit::Evaluate { .. })
    }

    fn blend(&mut self, i: usize, alpha: f32, x: &mut [f32]) {
        self.run_forward(i, x);
        let seed = &mut self.seeds[i];
        let (_, f) = split(seed, self.rows);
        match self.composition {
            Composition::Residual | Composition::Gate => cpu::residual_assign(x, f, alpha),
            Composition::Blend => {
                let joined = &mut seed.joined[..x.len()];
                cpu::add(
                    x,
                    &seed.workspace[output_range(&seed.program, seed.batch_max, self.rows)],
                    joined,
                );
                cpu::blend_assign(x, joined, alpha);
            }
        }
        let flops = seed.flops_forward(self.rows) + 2 * x.len() as u64;
        self.count(flops);
    }

    fn incubate(&mut self, i: usize, x: Range<usize>, workspace: &[f32]) {
        self.run_forward(i, &workspace[x]);
        let seed = &mut self.seeds[i];
        if seed.state.mode == SeedMode::Incubating(Incubation::Shadow) {
            // Behind the workspace there is room for the losses of the shadow pass.
            seed.shadow.resize(workspace.len() + seed.batch_max, 0.0);
            for region in &self.live_at_sites[seed.state.site] {
                let start = region.offset * seed.batch_max;
                let range = start..start + region.elems * self.rows;
                seed.shadow[range.clone()].copy_from_slice(&workspace[range]);
            }
        }
        let flops = seed.flops_forward(self.rows);
        self.count(flops);
    }

    fn run_forward(&mut self, i: usize, x: &[f32]) {
        let pass = self.pass(&self.seeds[i]);
        let seed = &mut self.seeds[i];
        let program = seed.program.clone();
        let mut tensors = tensors(seed);
        let input = tensors.range(&program, program.input, self.rows);
        tensors.workspace[input].copy_from_slice(x);
        self.device.forward(&program, 0, &mut tensors, pass, &mut NoSeeds);
    }

    /// `d = g + lambda f` with `lambda = rms(g) / (rho rms(x))`: DESIGN section 5, incubation.
    fn learn_straight_through(&mut self, i: usize, x: &[f32], gradient: &[f32]) {
        let seed = &mut self.seeds[i];
        let (x_rms, gradient_rms) = (cpu::rms(x), cpu::rms(gradient));
        if let Visit::Train { is_sampled: true } = self.visit {
            let f = &seed.workspace[output_range(&seed.program, seed.batch_max, self.rows)];
            seed.sampling.output_rms = cpu::rms(f);
            seed.sampling.x_rms = x_rms;
            seed.sampling.gradient_rms = gradient_rms;
        }
        if seed.state.mode != SeedMode::Incubating(Incubation::StraightThrough) {
            return; // A shadow seed learns after the host's pass.
        }
        // A site that is silent in this batch gives no scale to hold the module to.
        let lambda = if 0.0 < x_rms { gradient_rms / (self.rho * x_rms) } else { 0.0 };
        let (output_gradient, f) = split(seed, self.rows);
        output_gradient.copy_from_slice(gradient);
        cpu::residual_assign(output_gradient, f, lambda);
        self.run_backward(i);
        self.count(6 * x.len() as u64);
    }

    fn unblend(&mut self, i: usize, alpha: f32, x: &mut [f32], gradient: &mut [f32]) {
        let (composition, rows) = (self.composition, self.rows);
        let is_sampled = matches!(self.visit, Visit::Train { is_sampled: true });
        let seed = &mut self.seeds[i];
        let input = region(seed, seed.program.input, rows);
        x.copy_from_slice(&seed.workspace[input]);
        let (output_gradient, f) = split(seed, rows);
        if is_sampled {
            let (x_rms, output_rms) = (cpu::rms(x), cpu::rms(f));
            cpu::scale(gradient, alpha, output_gradient);
            seed.sampling.x_rms = x_rms;
            seed.sampling.gradient_rms = cpu::rms(gradient);
            seed.sampling.output_rms = output_rms;
        } else {
            cpu::scale(gradient, alpha, output_gradient);
        }
        if composition == Composition::Blend {
            cpu::scale_assign(gradient, 1.0 - alpha);
            let (output_gradient, _) = split(&mut self.seeds[i], rows);
            cpu::add_assign(gradient, output_gradient);
        }
        self.run_backward(i);
        let seed = &self.seeds[i];
        let dx =
            seed.program.input_gradient.expect("modules are compiled with their input's gradient");
        cpu::add_assign(gradient, &seed.workspace[region(seed, dx, rows)]);
        self.count(2 * x.len() as u64);
    }

    pub(super) fn run_backward(&mut self, i: usize) {
        let pass = self.pass(&self.seeds[i]);
        let seed = &mut self.seeds[i];
        if pass.wanted == GradMask::default() {
            return;
        }
        let program = seed.program.clone();
        let until = program.backward.len();
        let mut tensors = tensors(seed);
        self.device.backward(&program, until, &mut tensors, pass, &mut NoSeeds);
        let flops = seed.flops_backward(pass.wanted, self.rows);
        self.count(flops);
    }

    fn pass(&self, seed: &SeedRuntime) -> Pass<'static> {
        let mut wanted = seed.wanted();
        wanted.params &= matches!(self.visit, Visit::Train { .. }) || !seed.is_blended();
        Pass {
            batch: Batch { rows: self.rows, targets: Targets::None },
            is_training: self.is_training(),
            updates_buffers: matches!(self.visit, Visit::Train { .. }),
            dropout_key: stream_key(self.run_seed, Purpose::SeedDropout, seed.state.id.0),
            step: self.step,
            wanted,
        }
    }

    fn count(&mut self, flops: u64) {
        match self.visit {
            Visit::Train { .. } | Visit::Shadow => self.flops.seeds += flops,
            Visit::Evaluate { .. } => self.flops.evaluation += flops,
        }
    }
}

fn tensors(seed: &mut SeedRuntime) -> Tensors<'_> {
    Tensors {
        params: &seed.state.params,
        buffers: &mut seed.state.buffers,
        gradients: &mut seed.gradients,
        workspace: &mut seed.workspace,
        scratch: &mut seed.scratch,
        parts_max: seed.parts_max,
        losses: &mut [],
        batch_max: seed.batch_max,
    }
}

fn region(seed: &SeedRuntime, id: crate::program::TensorId, rows: usize) -> Range<usize> {
    let region = seed.program.regions[id.0 as usize];
    let start = region.offset * seed.batch_max;
    start..start + region.elems * rows
}

fn output_range(program: &crate::program::Program, batch_max: usize, rows: usize) -> Range<usize> {
    let region = program.regions[program.output.0 as usize];
    let start = region.offset * batch_max;
    start..start + region.elems * rows
}

/// The gradient of the module's output, for writing, and the output.
pub(super) fn split(seed: &mut SeedRuntime, rows: usize) -> (&mut [f32], &[f32]) {
    let gradient =
        seed.program.output_gradient.expect("modules are compiled with their output's gradient");
    let ranges = [region(seed, gradient, rows), region(seed, seed.program.output, rows)];
    let [gradient, output] =
        seed.workspace.get_disjoint_mut(ranges).expect("the plan keeps them apart");
    (gradient, output)
}
