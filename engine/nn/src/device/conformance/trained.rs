//! A host and its modules on a device.

use std::sync::Arc;

use super::super::{Device, Examples, ModuleSample, SiteSample, StepMemory, UnitMemory, UnitState};
use super::networks::{CONTEXT, Host, N_EXAMPLES, module_of, span_of};
use crate::{
    module::{Composition, Incubation},
    optim::Optimizer,
    plan::{
        BatchArgs, Binding, BindingMode, GroupArgs, LossMonitorConfig, PlannedGroup, PlannedUnit,
        Ports, StepArgs, StepOutcome, StepPlan, StepSettings, UnitArgs, UnitIndex, Variant,
    },
    program::Program,
    rng::Purpose,
};

pub(super) const N_STEPS: u64 = 8;
const BATCH: usize = 6;

/// What the buffers of a [`UnitState`] hold, in the order of [`UnitState::all`].
pub(super) const KINDS: [&str; 4] =
    ["parameter", "running statistic", "first moment", "second moment"];

pub(super) struct Trained {
    device: Arc<dyn Device>,
    host: Host,
    examples: Arc<Examples>,
    plan: StepPlan,
    memory: StepMemory,
    step: u64,
    /// One a network.
    units: Vec<Unit>,
}

struct Unit {
    alpha: f32,
    /// The step that it was bound at.
    born_at: u64,
    /// Its numbers then.
    at_birth: Vec<Vec<f32>>,
    /// Key of its dropout, whatever its place.
    dropout_key: u64,
}

impl Trained {
    pub(super) fn new(
        device: &Arc<dyn Device>,
        host: Host,
        composition: Composition,
        optimizer: &Optimizer,
    ) -> Self {
        let settings = StepSettings {
            batch_max: BATCH,
            optimizer: optimizer.clone(),
            clip_norm: Some(1.0),
            monitor: LossMonitorConfig::OFF,
            composition,
            rho: 0.2,
        };
        let program = host.program();
        let params = program.draw_params(5, Purpose::HostInit, 0);
        let has_second = optimizer.has_second_moment();
        let state = UnitState::at_birth(&**device, &program, &params, has_second);
        let state = state.expect("there is room");
        let unit = Unit::new(&**device, &state, 0, 0);
        let planned = planned(program);
        let examples = Arc::new(host.examples(&**device));
        let targets = [examples.labels_per_example(), examples.values_per_example()];
        let memory = StepMemory::new(&**device, &planned, &settings, state, targets);
        let memory = memory.expect("there is room");
        let plan = StepPlan::new(planned, settings);
        device.prepare(&plan).expect("the device runs every instruction");
        let device = device.clone();
        Self { device, host, examples, plan, memory, step: 0, units: vec![unit] }
    }

    pub(super) fn n_units(&self) -> UnitIndex {
        self.units.len() as UnitIndex
    }

    pub(super) fn last_site(&self) -> u16 {
        self.plan.units()[0].program.sites.len() as u16 - 1
    }

    /// Binds a module at site `site` as unit `unit`.
    pub(super) fn bind(&mut self, unit: UnitIndex, site: u16, how: Incubation) {
        let shape = &self.plan.units()[0].program.sites[usize::from(site)].shape;
        self.bind_program(unit, Ports::at(site), how, module_of(shape));
    }

    /// Binds a module from the host's first site that has as many axes as its last to that last, as unit `unit`.
    pub(super) fn bind_span(&mut self, unit: UnitIndex, how: Incubation) -> Ports {
        let sites = &self.plan.units()[0].program.sites;
        let write = sites.last().expect("a host has sites");
        let read = sites.iter().position(|site| site.shape.len() == write.shape.len());
        let read = read.expect("the last has as many");
        let program = span_of(&sites[read].shape, &write.shape);
        let ports = Ports { read: read as u16, write: self.last_site() };
        assert!(ports.read < ports.write, "{:?} has a span", self.host);
        self.bind_program(unit, ports, how, program);
        ports
    }

    fn bind_program(
        &mut self,
        unit: UnitIndex,
        Ports { read, write }: Ports,
        how: Incubation,
        program: Arc<Program>,
    ) {
        let device = &*self.device;
        let params = program.draw_params(5, Purpose::SeedInit, u64::from(unit));
        let has_second = self.plan.settings.optimizer.has_second_moment();
        let state = UnitState::at_birth(device, &program, &params, has_second);
        let state = state.expect("there is room");
        let planned = planned(program);
        let place = usize::from(unit);
        self.units.insert(place, Unit::new(device, &state, self.step, u64::from(unit)));
        let memory = UnitMemory::new(device, &planned, &self.plan.settings, state);
        self.memory.units.insert(place, memory.expect("there is room"));
        self.memory.make_shadow_room(device, unit).expect("there is room");
        let settings = &self.plan.settings;
        if read != write {
            let made = self.memory.make_span_room(device, unit, &planned.program, settings);
            made.expect("there is room");
        }
        let mode = BindingMode::Incubating(how);
        self.plan.bind(unit, planned, Binding { read, write, mode, trains: true });
        self.plan.set_sampled_sites(self.plan.sampled_sites() | 1 << write);
        self.prepare();
    }

    pub(super) fn graft(&mut self, unit: UnitIndex, alpha: f32) {
        let binding = self.plan.bindings()[usize::from(unit) - 1];
        self.plan.set_binding(unit, Binding { mode: BindingMode::Blended, ..binding });
        self.units[usize::from(unit)].alpha = alpha;
        self.prepare();
    }

    pub(super) fn unbind(&mut self, unit: UnitIndex) {
        self.plan.unbind(unit);
        self.memory.units.remove(usize::from(unit));
        self.units.remove(usize::from(unit));
        self.prepare();
    }

    fn prepare(&self) {
        self.device.prepare(&self.plan).expect("the device runs every instruction");
    }

    /// A copy of the host alone.
    pub(super) fn twin(&self) -> Self {
        let StepSettings { composition, optimizer, .. } = &self.plan.settings;
        let mut twin = Self::new(&self.device, self.host, *composition, optimizer);
        let numbers = self.memory.units[0].state.duplicate(&*self.device);
        twin.memory.units[0].state = numbers.expect("there is room");
        twin.step = self.step;
        twin
    }

    /// Puts NaN where the network's parameters were.
    pub(super) fn spoil(&mut self, unit: UnitIndex) {
        let params = &mut self.memory.units[usize::from(unit)].state.params;
        self.device.upload_f32(&vec![f32::NAN; params.len_elems()], params, 0);
    }

    pub(super) fn is_finite(&self, unit: UnitIndex) -> bool {
        self.memory.units[usize::from(unit)].is_finite
    }

    /// Takes a step; every second one is sampled, and every third batch is smaller.
    pub(super) fn take_step(&mut self) -> StepOutcome {
        let rows = if self.step % 3 == 2 { BATCH - 2 } else { BATCH };
        let at = |row| ((self.step as usize * BATCH + row) % N_EXAMPLES) as u32;
        let indices: Vec<u32> = (0..rows).map(at).collect();
        let is_sampled = self.step.is_multiple_of(2);
        let variant = if is_sampled { Variant::TrainSampled } else { Variant::Train };
        let outcome = self.run(variant, &indices);
        self.step += 1;
        outcome
    }

    pub(super) fn evaluate(&mut self, variant: Variant) -> f64 {
        let indices: Vec<u32> = (0..BATCH as u32).collect();
        self.run(variant, &indices).loss_sum
    }

    /// The loss with module `unit` blended in by `alpha` for once.
    pub(super) fn try_module(&mut self, unit: UnitIndex, alpha: f32) -> f64 {
        self.plan.rebuild_trial(unit);
        self.prepare();
        let own = std::mem::replace(&mut self.units[usize::from(unit)].alpha, alpha);
        let loss = self.evaluate(Variant::Trial);
        self.units[usize::from(unit)].alpha = own;
        loss
    }

    fn run(&mut self, variant: Variant, indices: &[u32]) -> StepOutcome {
        let args = |unit: &Unit| UnitArgs { dropout_key: unit.dropout_key, alpha: unit.alpha };
        let units: Vec<UnitArgs> = self.units.iter().map(args).collect();
        let lr = self.plan.settings.optimizer.lr();
        let group = |unit: &Unit| GroupArgs { lr, n_updates: self.step - unit.born_at };
        let groups: Vec<GroupArgs> = self.units.iter().map(group).collect();
        let is_training = variant.is_training();
        let batch = BatchArgs {
            indices,
            shift: usize::from(is_training) * (self.step as usize % CONTEXT),
            augment: is_training.then_some((9, self.step)),
        };
        let args =
            StepArgs { step: self.step, average_rate: 0.02, batch, units: &units, groups: &groups };
        let (memory, examples) = (&mut self.memory, Some(&*self.examples));
        let outcome = self.device.run(&self.plan, variant, memory, examples, &args);
        outcome.expect("the device runs it")
    }

    /// Everything that the last sampled step sampled.
    pub(super) fn samples(&self) -> Vec<f32> {
        let of_site = |it: &SiteSample| [it.x_rms, it.gradient_rms];
        let of_module =
            |it: &ModuleSample| [it.x_rms, it.gradient_rms, it.output_rms, it.gradient_norm];
        let sites = self.memory.site_samples.iter().flatten().flat_map(of_site);
        let modules = self.memory.units.iter().filter_map(|unit| unit.sample.as_ref());
        sites.chain(modules.flat_map(of_module)).collect()
    }

    /// What training changes in a network, by [`KINDS`].
    pub(super) fn numbers(&self, unit: UnitIndex) -> Vec<Vec<f32>> {
        numbers(&*self.device, &self.memory.units[usize::from(unit)].state)
    }

    /// As [`numbers`](Self::numbers), as it was when the network was bound.
    pub(super) fn at_birth(&self, unit: UnitIndex) -> &[Vec<f32>] {
        &self.units[usize::from(unit)].at_birth
    }

    /// As [`numbers`](Self::numbers), bit by bit.
    pub(super) fn bits(&self, unit: UnitIndex) -> Vec<Vec<u32>> {
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
        self.numbers(unit).into_iter().map(bits).collect()
    }
}

impl Unit {
    fn new(device: &dyn Device, state: &UnitState, born_at: u64, dropout_key: u64) -> Self {
        Self { alpha: 0.0, born_at, at_birth: numbers(device, state), dropout_key }
    }
}

fn numbers(device: &dyn Device, state: &UnitState) -> Vec<Vec<f32>> {
    state.all().into_iter().map(|buffer| device.to_vec(buffer)).collect()
}

fn planned(program: Arc<Program>) -> PlannedUnit {
    let groups = vec![PlannedGroup::whole(&program, true)];
    PlannedUnit { program, groups, parts_max: 1 }
}
