//! A host: its numbers, its plan, and the steps that train them.

use std::{ops::Range, sync::Arc};

use esper_data::{Draw, Order};
use esper_nn::{
    device::{DeviceError, SiteSample, StepMemory, UnitState},
    digest::Digest,
    glob,
    graph::NetworkGraph,
    plan::{
        Fault, GroupArgs, HOST, PlannedGroup, PlannedUnit, StepArgs, StepPlan, StepSettings,
        UnitArgs, Variant,
    },
    program::{PARAM_ALIGN_ELEMS, Program},
    rng::{Purpose, stream_key},
};

use super::{
    config::HostConfig,
    module::BoundModule,
    progress::{Averaging, GroupSchedule, ParamGroup, Progress},
    schedule::{learning_rate, seed_learning_rate},
    training::{DataView, TrainPlan},
};

/// A host ready to step.
pub struct HostRuntime {
    /// What no step changes.
    pub config: Arc<HostConfig>,
    /// The network.
    pub graph: Arc<NetworkGraph>,
    /// How far it has come.
    pub state: Progress,
    pub(super) train: TrainPlan,
    pub(super) view: DataView,
    pub(super) modules: Vec<BoundModule>,
    pub(super) plan: StepPlan,
    pub(super) memory: StepMemory,
    pub(super) order: Order,
    pub(super) args: ArgsRoom,
    pub(super) averaging: Option<Averaging>,
}

/// Why a step did not update anything.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StepError {
    /// The network ran into something.
    #[error("the step met `{}`", .0.name())]
    Fault(Fault),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl From<Fault> for StepError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What some steps of a host in a row came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advanced {
    /// Steps that were taken.
    pub n_steps: u64,
    /// What stopped them.
    pub error: Option<StepError>,
}

/// Room for what a step is given: nothing is allocated in it.
#[derive(Default)]
pub(super) struct ArgsRoom {
    pub units: Vec<UnitArgs>,
    pub groups: Vec<GroupArgs>,
    pub indices: Vec<u32>,
}

impl HostRuntime {
    /// A host at birth: parameters drawn, moments zero, data cursor at the start.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn new(
        config: Arc<HostConfig>,
        graph: Arc<NetworkGraph>,
        program: Arc<Program>,
    ) -> Result<Self, DeviceError> {
        let params = program.draw_params(config.run_seed, Purpose::HostInit, config.stream);
        let has_second = config.train.optimizer.has_second_moment();
        let numbers = UnitState::at_birth(&*config.device, &program, &params, has_second)?;
        let order = Order::new(config.run_seed, config.stream, config.data.train.len());
        let train = TrainPlan(config.train.clone());
        Self::assemble(config, train, (graph, program), Progress::at_birth(), numbers, order)
    }

    /// A host without modules that has come as far as `state`, with the numbers of `numbers`, which are the program's.
    pub(super) fn assemble(
        config: Arc<HostConfig>,
        train: TrainPlan,
        (graph, program): (Arc<NetworkGraph>, Arc<Program>),
        state: Progress,
        numbers: UnitState,
        order: Order,
    ) -> Result<Self, DeviceError> {
        let settings = step_settings(&config, &train);
        let host = planned_host(&config, program, &state.groups);
        let examples = &config.on_device.train;
        let targets = [examples.labels_per_example(), examples.values_per_example()];
        let memory = StepMemory::new(&*config.device, &host, &settings, numbers, targets)?;
        let plan = StepPlan::new(host, settings);
        config.device.prepare(&plan)?;
        Ok(Self {
            config,
            graph,
            state,
            train,
            view: DataView::default(),
            modules: Vec::new(),
            plan,
            memory,
            order,
            args: ArgsRoom::default(),
            averaging: None,
        })
    }

    /// The network, compiled.
    pub fn program(&self) -> &Arc<Program> {
        &self.plan.units()[usize::from(HOST)].program
    }

    /// What it does in a step.
    pub fn plan(&self) -> &StepPlan {
        &self.plan
    }

    /// Whether its steps are worth more than one thread.
    pub fn is_split(&self) -> bool {
        self.plan.units()[usize::from(HOST)].parts_max > 1
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

    /// Says at which sites activation and gradient are sampled, one bit each.
    pub fn set_sampled_sites(&mut self, sites: u64) {
        self.plan.set_sampled_sites(sites);
    }

    /// The last sample at a site, where there is one.
    pub fn site_sample(&self, site: u16) -> Option<SiteSample> {
        self.memory.site_samples[usize::from(site)]
    }

    /// Takes up to `steps_max` steps, fewer where the run ends, an epoch ends or a step fails.
    pub fn advance(&mut self, steps_max: u64) -> Advanced {
        let mut advanced = Advanced::default();
        while advanced.n_steps < steps_max && !self.is_done() && advanced.error.is_none() {
            if let Err(error) = self.begin_last_averages() {
                advanced.error = Some(error.into());
                break;
            }
            match self.step() {
                Ok(()) => advanced.n_steps += 1,
                Err(error) => advanced.error = Some(error),
            }
            if self.is_at_epoch_end() {
                break;
            }
        }
        advanced
    }

    /// Takes one optimizer step. Nothing is allocated.
    ///
    /// # Errors
    ///
    /// Returns the fault that stopped it before the update, or why the device failed.
    pub fn step(&mut self) -> Result<(), StepError> {
        if self.is_at_epoch_end() || self.state.step == 0 {
            self.state.begin_epoch();
        }
        let rows = self.order.next_batch(self.view.batch(&self.config)).len();
        (self.state.epoch, self.state.position) = (self.order.epoch(), self.order.position());
        let is_sampled = self.state.step.is_multiple_of(self.config.telemetry_every_steps);
        let variant = if is_sampled { Variant::TrainSampled } else { Variant::Train };
        self.fill_args(self.state.step);
        self.memory.monitor = self.state.monitor;
        let draw = Draw {
            run_seed: self.config.run_seed,
            stream: self.config.stream,
            epoch: self.order.epoch(),
            is_training: true,
        };
        let args = StepArgs {
            average_rate: self.average_rate(),
            step: self.state.step,
            batch: self.config.data.train.batch(self.order.last(rows), draw),
            units: &self.args.units,
            groups: &self.args.groups,
        };
        let examples = Some(&self.config.on_device.train);
        let device = &self.config.device;
        let outcome = device.run(&self.plan, variant, &mut self.memory, examples, &args)?;
        self.state.monitor = self.memory.monitor;
        let flops = self.plan.list(variant).flops;
        if let Some(fault) = outcome.fault {
            self.state.flops.host += flops.host_per_example * rows as u64;
            self.state.flops.seeds += flops.modules_per_example * rows as u64;
            return Err(fault.into());
        }
        self.state.flops.host += flops.host(rows);
        self.state.flops.seeds += flops.modules(rows);
        match self.averaging {
            Some(Averaging::Verdict) => self.state.flops.evaluation += flops.averages_per_step,
            _ => self.state.flops.host += flops.averages_per_step,
        }
        for group in self.state.groups.iter_mut().filter(|group| group.is_trainable) {
            group.n_updates += 1;
        }
        self.count_module_updates();
        self.state.epoch_loss_sum += outcome.loss_sum;
        self.state.epoch_examples += rows as u64;
        self.state.epoch_correct += outcome.n_correct;
        self.state.step += 1;
        Ok(())
    }

    /// What networks and groups of parameters are given in a pass at `step`.
    pub(super) fn fill_args(&mut self, step: u64) {
        let (run_seed, stream) = (self.config.run_seed, self.config.stream);
        let dropout_key = stream_key(run_seed, Purpose::Dropout, stream);
        self.args.units.clear();
        self.args.units.push(UnitArgs { dropout_key, alpha: 0.0 });
        for module in &self.modules {
            let dropout_key = stream_key(run_seed, Purpose::SeedDropout, module.seed.0);
            self.args.units.push(UnitArgs { dropout_key, alpha: module.ramp.at(step) });
        }
        self.args.groups.clear();
        let modules = self.modules.iter().map(|module| &module.group);
        for group in self.state.groups.iter().chain(modules) {
            let lr = group_rate(&self.config, &self.train, &self.state, group);
            self.args.groups.push(GroupArgs { lr, n_updates: group.n_updates });
        }
    }

    /// BLAKE3 of the host's own parameters and of every fossilised module's, in the order of the block, and of their
    /// running statistics.
    pub fn weights_digest(&self) -> Digest {
        let [params, buffers] = self.weights();
        if buffers.is_empty() {
            return Digest::of_f32(&params);
        }
        let parts = [&params, &buffers].map(|part| Digest::of_f32(part).0);
        Digest::of(parts.as_flattened())
    }

    /// Parameters and running statistics: `f32[params_len_elems]`, `f32[buffers_len_elems]`.
    pub fn weights(&self) -> [Vec<f32>; 2] {
        let state = self.numbers();
        [&state.params, &state.buffers].map(|buffer| self.config.device.to_vec(buffer))
    }

    /// First and second moments: `f32[params_len_elems]`; the second is empty for SGD.
    pub fn moments(&self) -> [Vec<f32>; 2] {
        let state = self.numbers();
        [&state.m, &state.v].map(|buffer| self.config.device.to_vec(buffer))
    }

    pub(super) fn numbers(&self) -> &UnitState {
        &self.memory.units[usize::from(HOST)].state
    }

    pub(super) fn numbers_mut(&mut self) -> &mut UnitState {
        &mut self.memory.units[usize::from(HOST)].state
    }
}

fn group_rate(
    config: &HostConfig,
    TrainPlan(train): &TrainPlan,
    state: &Progress,
    group: &ParamGroup,
) -> f64 {
    let (step, base) = (state.step, train.optimizer.lr());
    let rate = match group.schedule {
        GroupSchedule::Host => {
            learning_rate(base, &train.schedule, step, config.steps_per_epoch, config.total_steps)
        }
        GroupSchedule::Seed { birth_step } => {
            seed_learning_rate(base * config.seed_lr_scale, birth_step, step, config.total_steps)
        }
    };
    rate * state.lr_scale
}

/// The host's place in a plan: which stretch of its block belongs to which group. Fossilised modules carry their
/// group's prefix; what is frozen belongs to none.
pub(super) fn planned_host(
    config: &HostConfig,
    program: Arc<Program>,
    groups: &[ParamGroup],
) -> PlannedUnit {
    let plan_group = |group: &ParamGroup| PlannedGroup {
        is_trainable: group.is_trainable,
        ..PlannedGroup::default()
    };
    let mut planned: Vec<PlannedGroup> = groups.iter().map(plan_group).collect();
    for param in &program.params {
        let name = &param.spec.name;
        if glob::is_any_match(&config.train.freeze, name) {
            continue;
        }
        let place = groups[1..].iter().position(|group| name.starts_with(&group.prefix));
        let group = &mut planned[place.map_or(0, |place| place + 1)];
        group.params.push(param.range());
        let len = param.spec.len_elems().next_multiple_of(PARAM_ALIGN_ELEMS);
        extend(&mut group.segments, param.offset..param.offset + len);
    }
    let parts_max = config.parts_max(&program);
    PlannedUnit { program, groups: planned, parts_max }
}

fn extend(segments: &mut Vec<Range<usize>>, range: Range<usize>) {
    match segments.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => segments.push(range),
    }
}

fn step_settings(config: &HostConfig, TrainPlan(train): &TrainPlan) -> StepSettings {
    StepSettings {
        batch_max: config.batch,
        optimizer: train.optimizer.clone(),
        clip_norm: train.clip_norm,
        monitor: config.monitor,
        composition: config.composition,
        rho: config.rho,
    }
}
