//! A host: its numbers, and the step that trains them.

use std::sync::Arc;

use esper_kernels::cpu;
use serde::{Deserialize, Serialize};

use super::{
    config::HostConfig,
    evaluate::Evaluation,
    flops::Flops,
    loss_monitor::LossMonitor,
    optimizer::{self, GroupSchedule, ParamGroup, update_flops_per_param},
    schedule::{learning_rate, seed_learning_rate},
    seed::{SeedMode, SeedRuntime, SeedSample, SeedState, SiteSample},
    visit::{SeedVisitor, Visit, split},
};
use crate::{
    data::{self, Draw, Order},
    device::{Batch, Pass, Targets, Tensors},
    graph::NetworkGraph,
    program::{GradMask, Program, Region},
    scenario::Incubation,
    world::{fault::Fault, ids::SeedId},
};
use esper_nn::{
    digest::Digest,
    rng::{Purpose, stream_key},
};

/// What of a host a snapshot restores, seeds apart.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct HostState {
    /// Optimizer steps taken.
    pub step: u64,
    /// The data cursor: epoch.
    pub epoch: u64,
    /// The data cursor: examples of the epoch that were visited.
    pub position: usize,
    /// Groups of parameters; the host's own is the first.
    pub groups: Vec<ParamGroup>,
    /// The governor's running statistics.
    pub watch: LossMonitor,
    /// Factor on every learning rate: below 1 after a rollback.
    pub lr_scale: f64,
    /// Sum of the training losses of the epoch so far, an example each.
    pub epoch_loss_sum: f64,
    /// Examples in that sum.
    pub epoch_examples: u64,
    /// Training labels said right in the epoch so far.
    pub epoch_correct: u64,
    /// Where the arithmetic went.
    pub flops: Flops,
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

/// A host ready to step.
#[derive(Clone)]
pub struct HostRuntime {
    /// What no step changes.
    pub config: Arc<HostConfig>,
    /// The network.
    pub graph: Arc<NetworkGraph>,
    /// The network, compiled.
    pub program: Arc<Program>,
    /// What a snapshot restores.
    pub state: HostState,
    /// Bound seeds, by name.
    pub seeds: Vec<SeedRuntime>,
    /// Sites whose activation and gradient are sampled, one bit each: those with a seed planted.
    pub sampled_sites: u64,
    /// The last sample at each site, where there is one.
    pub site_samples: Vec<Option<SiteSample>>,
    /// What the last validation found.
    pub last_validation: Option<Evaluation>,
    /// Steps it took in this tick.
    pub steps_in_tick: u64,
    /// What stopped it, until Tolaria has decided what follows.
    pub fault: Option<Fault>,
    pub(super) order: Order,
    pub(super) gradients: Vec<f32>,
    pub(super) workspace: Vec<f32>,
    pub(super) scratch: Vec<f32>,
    /// Into how many parts its instructions may be cut.
    pub(super) parts_max: usize,
    pub(super) losses: Vec<f32>,
    pub(super) labels: Vec<u32>,
    pub(super) values: Vec<f32>,
    /// Parameter ranges and their group, in the order of the block.
    pub(super) segments: Vec<(std::ops::Range<usize>, usize)>,
    /// What a shadow pass needs of the workspace, for each site.
    pub(super) live_at_sites: Vec<Vec<Region>>,
}

impl HostRuntime {
    /// A host at birth: parameters drawn, moments zero, data cursor at the start.
    pub fn new(config: Arc<HostConfig>, graph: Arc<NetworkGraph>, program: Arc<Program>) -> Self {
        let params = program.draw_params(config.run_seed, Purpose::HostInit, config.stream);
        let n = params.len();
        let has_second = optimizer::has_second_moment(&config.train.optimizer);
        let state = HostState {
            step: 0,
            epoch: 0,
            position: 0,
            groups: vec![ParamGroup {
                prefix: String::new(),
                schedule: GroupSchedule::Host,
                n_updates: 0,
                is_trainable: true,
            }],
            watch: LossMonitor::default(),
            lr_scale: 1.0,
            epoch_loss_sum: 0.0,
            epoch_examples: 0,
            epoch_correct: 0,
            flops: Flops::default(),
            params,
            buffers: program.initial_buffers(),
            m: vec![0.0; n],
            v: if has_second { vec![0.0; n] } else { Vec::new() },
        };
        Self::from_state(config, graph, program, state, Vec::new())
    }

    /// A host as `state` left it, with its seeds.
    ///
    /// # Panics
    ///
    /// If the parameters are not the program's, or the cursor is not the data set's.
    pub fn from_state(
        config: Arc<HostConfig>,
        graph: Arc<NetworkGraph>,
        program: Arc<Program>,
        state: HostState,
        seeds: Vec<SeedRuntime>,
    ) -> Self {
        assert_eq!(state.params.len(), program.params_len_elems, "parameters are the program's");
        assert_eq!(state.buffers.len(), program.buffers_len_elems, "buffers are the program's");
        let batch = config.batch;
        let n_outputs = config.data.train.targets.n_outputs();
        let parts_max = config.parts_max(&program);
        let mut order = Order::new(config.run_seed, config.stream, config.data.train.len());
        order.reseek(state.epoch, state.position).expect("the cursor is the data set's");
        let mut host = Self {
            gradients: vec![0.0; program.params_len_elems],
            workspace: vec![0.0; program.workspace_len_elems(batch)],
            scratch: vec![0.0; parts_max * program.scratch_len_elems(batch)],
            parts_max,
            losses: vec![0.0; batch],
            labels: vec![0; batch * config.data.train.labels_per_example()],
            values: vec![0.0; batch * n_outputs],
            segments: Vec::new(),
            live_at_sites: Vec::new(),
            fault: None,
            last_validation: None,
            steps_in_tick: 0,
            sampled_sites: 0,
            site_samples: vec![None; program.sites.len()],
            config,
            graph,
            program,
            state,
            seeds,
            order,
        };
        host.index_segments();
        host.index_sites();
        host
    }

    /// Whether its steps are worth more than one thread.
    pub fn is_split(&self) -> bool {
        self.parts_max > 1
    }

    /// Whether it has taken all its steps.
    pub fn is_done(&self) -> bool {
        self.state.step >= self.config.total_steps
    }

    /// Whether the last step ended an epoch.
    pub fn is_at_epoch_end(&self) -> bool {
        self.state.step > 0 && self.state.step.is_multiple_of(self.config.steps_per_epoch)
    }

    /// Epochs that are over.
    pub fn epochs_done(&self) -> u64 {
        self.state.step / self.config.steps_per_epoch
    }

    /// The bound seed of that name.
    pub fn seed(&self, id: SeedId) -> Option<&SeedRuntime> {
        self.seeds.iter().find(|seed| seed.state.id == id)
    }

    /// The bound seed of that name, for writing.
    pub fn seed_mut(&mut self, id: SeedId) -> Option<&mut SeedRuntime> {
        self.seeds.iter_mut().find(|seed| seed.state.id == id)
    }

    /// Binds a seed to its site, from the next step on.
    ///
    /// # Panics
    ///
    /// If a seed of that name is bound already.
    pub fn bind(&mut self, state: SeedState, program: Arc<Program>) {
        let place = self.seeds.binary_search_by_key(&state.id, |seed| seed.state.id);
        let place = place.expect_err("a seed is bound once");
        self.seeds.insert(place, SeedRuntime::new(state, program, &self.config));
    }

    /// Takes a seed off its site, and reports whether it was bound.
    pub fn unbind(&mut self, id: SeedId) -> bool {
        let n_before = self.seeds.len();
        self.seeds.retain(|seed| seed.state.id != id);
        self.seeds.len() < n_before
    }

    /// A copy, bit for bit, without seed `without`: its twin. The twin's arithmetic counts from zero.
    pub fn fork(&self, without: SeedId) -> Self {
        let mut twin = self.clone();
        twin.unbind(without);
        twin.state.flops = Flops::default();
        twin
    }

    /// Takes up to `n_steps` steps, fewer where the run ends, an epoch ends or a fault strikes.
    pub fn advance(&mut self, n_steps: u64) {
        self.steps_in_tick = 0;
        while self.steps_in_tick < n_steps && !self.is_done() && self.fault.is_none() {
            if self.step().is_ok() {
                self.steps_in_tick += 1;
                if self.is_at_epoch_end() {
                    break;
                }
            }
        }
    }

    /// What a snapshot keeps: everything but the memory that carries nothing from one step to the next.
    pub fn to_snapshot(&self) -> Self {
        Self {
            config: self.config.clone(),
            graph: self.graph.clone(),
            program: self.program.clone(),
            state: self.state.clone(),
            seeds: self.seeds.clone(),
            sampled_sites: self.sampled_sites,
            site_samples: self.site_samples.clone(),
            last_validation: None,
            steps_in_tick: 0,
            fault: None,
            order: self.order.clone(),
            gradients: Vec::new(),
            workspace: Vec::new(),
            scratch: Vec::new(),
            parts_max: 1,
            losses: Vec::new(),
            labels: Vec::new(),
            values: Vec::new(),
            segments: Vec::new(),
            live_at_sites: Vec::new(),
        }
    }

    /// BLAKE3 of the host's own parameters and of every fossilised module's, in the order of the block, and of their
    /// running statistics.
    pub fn weights_digest(&self) -> Digest {
        if self.state.buffers.is_empty() {
            return Digest::of_f32(&self.state.params);
        }
        let parts = [&self.state.params, &self.state.buffers].map(|part| Digest::of_f32(part).0);
        Digest::of(parts.as_flattened())
    }

    /// Takes one optimizer step. Nothing is allocated.
    ///
    /// # Errors
    ///
    /// Returns the fault that stopped it before the update, and keeps it in [`HostRuntime::fault`].
    pub fn step(&mut self) -> Result<(), Fault> {
        let result = self.try_step();
        self.fault = result.err().or(self.fault);
        result
    }

    fn try_step(&mut self) -> Result<(), Fault> {
        if self.is_at_epoch_end() || self.state.step == 0 {
            self.state.epoch_loss_sum = 0.0;
            self.state.epoch_examples = 0;
            self.state.epoch_correct = 0;
        }
        let rows = self.load_batch();
        let n_correct = self.run_passes(rows);
        let loss_sum: f64 = self.losses[..rows].iter().map(|loss| f64::from(*loss)).sum();
        let loss = (loss_sum / rows as f64) as f32;
        self.state.watch.observe(&self.config.watch, loss)?;
        self.run_shadows(rows);
        self.update_host()?;
        self.update_seeds();
        self.state.epoch_loss_sum += loss_sum;
        self.state.epoch_examples += rows as u64;
        self.state.epoch_correct += n_correct as u64;
        self.state.step += 1;
        Ok(())
    }

    fn load_batch(&mut self) -> usize {
        let Self { order, config, workspace, program, labels, values, state, .. } = self;
        let rows = order.next_batch(config.batch).len();
        let indices = order.last(rows);
        let data::SplitData { train, augment, .. } = &*config.data;
        let draw = Draw {
            run_seed: config.run_seed,
            stream: config.stream,
            epoch: order.epoch(),
            is_training: true,
        };
        let input = program.regions[program.input.0 as usize];
        let start = input.offset * config.batch;
        let features = &mut workspace[start..start + input.elems * rows];
        train.gather_features(indices, draw, augment, features);
        match &train.targets {
            data::Targets::Classes { .. } | data::Targets::NextTokens(_) => {
                let n_labels = rows * train.labels_per_example();
                train.gather_labels(indices, draw, &mut labels[..n_labels]);
            }
            data::Targets::Values { width, .. } => {
                train.targets.gather_values(indices, &mut values[..rows * width]);
            }
        }
        (state.epoch, state.position) = (order.epoch(), order.position());
        rows
    }

    fn run_passes(&mut self, rows: usize) -> usize {
        let is_sampled = self.state.step.is_multiple_of(self.config.telemetry_every_steps);
        let watched = if is_sampled { self.sampled_sites } else { 0 };
        let sites = self.seeds.iter().fold(watched, |mask, seed| mask | 1 << seed.state.site);
        let wanted = GradMask { params: true, sites };
        let program = self.program.clone();
        let device = self.config.device.clone();
        let (mut tensors, mut visitor, pass) =
            self.borrow_for(rows, Visit::Train { is_sampled }, wanted);
        let n_correct = device.forward(&program, 0, &mut tensors, pass, &mut visitor);
        let until = program.backward.len();
        device.backward(&program, until, &mut tensors, pass, &mut visitor);
        let plain = program.flops_backward(GradMask { params: true, sites: 0 });
        let all = program.flops_backward(wanted);
        let flops = &mut self.state.flops;
        flops.host += (program.flops_forward() + plain) * rows as u64;
        flops.seeds += (all - plain) * rows as u64;
        if is_sampled {
            for seed in &mut self.seeds {
                seed.sampling.gradient_norm = cpu::sum_squares(&seed.gradients).sqrt();
                seed.sample = Some(seed.sampling);
                seed.sampling = SeedSample::default();
            }
        }
        n_correct
    }

    /// Everything a pass over this host borrows.
    pub(super) fn borrow_for(
        &mut self,
        rows: usize,
        visit: Visit,
        wanted: GradMask,
    ) -> (Tensors<'_>, SeedVisitor<'_>, Pass<'_>) {
        let config = &*self.config;
        let train = &config.data.train;
        let targets = match &train.targets {
            data::Targets::Classes { .. } | data::Targets::NextTokens(_) => {
                Targets::Classes(&self.labels[..rows * train.labels_per_example()])
            }
            data::Targets::Values { width, .. } => Targets::Values(&self.values[..rows * width]),
        };
        let pass = Pass {
            batch: Batch { rows, targets },
            is_training: !matches!(visit, Visit::Evaluate { .. }),
            updates_buffers: matches!(visit, Visit::Train { .. }),
            dropout_key: stream_key(config.run_seed, Purpose::Dropout, config.stream),
            step: self.state.step,
            wanted,
        };
        let tensors = Tensors {
            params: &self.state.params,
            buffers: &mut self.state.buffers,
            gradients: &mut self.gradients,
            workspace: &mut self.workspace,
            scratch: &mut self.scratch,
            parts_max: self.parts_max,
            losses: &mut self.losses,
            batch_max: config.batch,
        };
        let visitor = SeedVisitor {
            device: &*config.device,
            seeds: &mut self.seeds,
            visit,
            run_seed: config.run_seed,
            step: self.state.step,
            rows,
            rho: config.rho,
            composition: config.composition,
            flops: &mut self.state.flops,
            sampled_sites: self.sampled_sites,
            site_samples: &mut self.site_samples,
            live_at_sites: &self.live_at_sites,
        };
        (tensors, visitor, pass)
    }

    /// The second pass of the tail for each seed that incubates in shadow: `x + f(x)` from its site on.
    fn run_shadows(&mut self, rows: usize) {
        for i in 0..self.seeds.len() {
            let seed = &self.seeds[i];
            if seed.state.mode == SeedMode::Incubating(Incubation::Shadow) && seed.trains() {
                self.run_shadow(i, rows);
            }
        }
    }

    fn run_shadow(&mut self, i: usize, rows: usize) {
        let program = self.program.clone();
        let device = self.config.device.clone();
        let site = &program.sites[self.seeds[i].state.site];
        let mut shadow = std::mem::take(&mut self.seeds[i].shadow);
        // The batch's losses are the host's; the shadow's are nobody's.
        let batch = self.config.batch;
        let (workspace, losses) = shadow.split_at_mut(self.workspace.len());
        let wanted = GradMask { params: false, sites: 1 << self.seeds[i].state.site };
        let x = site_range(&program, site.x, batch, rows);
        let gradient = site_range(&program, site.gradient, batch, rows);
        let (_, f) = split(&mut self.seeds[i], rows);
        cpu::residual_assign(&mut workspace[x], f, 1.0);
        let (mut tensors, mut visitor, pass) = self.borrow_for(rows, Visit::Shadow, wanted);
        tensors.workspace = workspace;
        tensors.losses = losses;
        device.forward(&program, site.forward_step + 1, &mut tensors, pass, &mut visitor);
        device.backward(&program, site.backward_step, &mut tensors, pass, &mut visitor);
        let (output_gradient, _) = split(&mut visitor.seeds[i], rows);
        output_gradient.copy_from_slice(&workspace[gradient]);
        visitor.run_backward(i);
        let tail_forward: u64 =
            program.forward[site.forward_step + 1..].iter().map(|step| step.flops).sum();
        let tail_backward: u64 = program.backward[..site.backward_step]
            .iter()
            .filter(|step| step.mask.is_met_by(wanted))
            .map(|step| step.flops)
            .sum();
        self.state.flops.seeds += (tail_forward + tail_backward) * rows as u64;
        self.seeds[i].shadow = shadow;
    }

    fn update_host(&mut self) -> Result<(), Fault> {
        if !cpu::sum_squares(&self.gradients).is_finite() {
            return Err(Fault::NonFiniteGradient);
        }
        let config = self.config.clone();
        for group in 0..self.state.groups.len() {
            if !self.state.groups[group].is_trainable {
                continue;
            }
            let lr = self.group_rate(&self.state.groups[group]);
            let scale = match config.train.clip_norm {
                None => 1.0,
                clip => cpu::clip_scale(self.group_norm(group), clip),
            };
            let n_updates = self.state.groups[group].n_updates;
            let mut n_params = 0;
            for (range, _) in self.segments.iter().filter(|(_, of)| *of == group) {
                let HostState { params, m, v, .. } = &mut self.state;
                let v = if v.is_empty() { &mut v[..] } else { &mut v[range.clone()] };
                optimizer::update(
                    &config.train.optimizer,
                    lr,
                    n_updates,
                    scale,
                    &mut params[range.clone()],
                    &self.gradients[range.clone()],
                    &mut m[range.clone()],
                    v,
                );
                n_params += range.len() as u64;
            }
            self.state.groups[group].n_updates += 1;
            self.state.flops.host += n_params * update_flops_per_param(&config.train.optimizer);
        }
        Ok(())
    }

    fn group_rate(&self, group: &ParamGroup) -> f64 {
        let (config, step) = (&*self.config, self.state.step);
        let base = config.train.optimizer.lr();
        let rate = match group.schedule {
            GroupSchedule::Host => learning_rate(
                base,
                &config.train.schedule,
                step,
                config.steps_per_epoch,
                config.total_steps,
            ),
            GroupSchedule::Seed { birth_step } => seed_learning_rate(
                base * config.seed_lr_scale,
                birth_step,
                step,
                config.total_steps,
            ),
        };
        rate * self.state.lr_scale
    }

    /// The L2 norm of a group's gradient: parameter by parameter, then over parameters, as PyTorch sums it.
    fn group_norm(&self, group: usize) -> f64 {
        let prefix = &self.state.groups[group].prefix;
        let own = |name: &str| match group {
            0 => !self.state.groups[1..].iter().any(|other| name.starts_with(&other.prefix)),
            _ => name.starts_with(prefix),
        };
        let squares = self.program.params.iter().filter(|param| own(&param.spec.name));
        squares
            .map(|param| f64::from(cpu::sum_squares(&self.gradients[param.range()])))
            .sum::<f64>()
            .sqrt()
    }

    fn update_seeds(&mut self) {
        let config = self.config.clone();
        for i in 0..self.seeds.len() {
            if !self.seeds[i].trains() {
                continue;
            }
            let lr = self.group_rate(&self.seeds[i].state.group);
            let seed = &mut self.seeds[i];
            if !cpu::sum_squares(&seed.gradients).is_finite() {
                seed.state.is_finite = false;
                continue;
            }
            let params = seed.program.params.iter();
            let norm = params
                .map(|param| f64::from(cpu::sum_squares(&seed.gradients[param.range()])))
                .sum::<f64>()
                .sqrt();
            let scale = cpu::clip_scale(norm, config.train.clip_norm);
            let SeedState { params, m, v, group, .. } = &mut seed.state;
            let rule = &config.train.optimizer;
            optimizer::update(rule, lr, group.n_updates, scale, params, &seed.gradients, m, v);
            group.n_updates += 1;
            self.state.flops.seeds += params.len() as u64 * update_flops_per_param(rule);
        }
    }

    /// Finds which stretch of the block belongs to which group. Fossilised modules carry their group's prefix.
    pub(super) fn index_segments(&mut self) {
        self.segments.clear();
        let groups = &self.state.groups;
        for param in &self.program.params {
            let name = &param.spec.name;
            let place = groups[1..].iter().position(|group| name.starts_with(&group.prefix));
            let group = place.map_or(0, |place| place + 1);
            let len = param.spec.len_elems().next_multiple_of(crate::program::PARAM_ALIGN_ELEMS);
            let range = param.offset..param.offset + len;
            match self.segments.last_mut() {
                Some((last, of)) if *of == group && last.end == range.start => last.end = range.end,
                _ => self.segments.push((range, group)),
            }
        }
    }

    /// Finds what shadow passes need of the workspace.
    pub(super) fn index_sites(&mut self) {
        let sites = self.program.sites.iter();
        self.live_at_sites = sites.map(|site| self.program.live_at(site)).collect();
    }
}

fn site_range(
    program: &Program,
    id: crate::program::TensorId,
    batch: usize,
    rows: usize,
) -> std::ops::Range<usize> {
    let region = program.regions[id.0 as usize];
    region.offset * batch..region.offset * batch + region.elems * rows
}
