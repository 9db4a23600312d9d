//! Modules come to a host, change what they do there, and leave.

use std::sync::Arc;

use esper_nn::{
    device::{DeviceError, UnitMemory, UnitState},
    module::Incubation,
    plan::{Binding, BindingMode, PlannedGroup, PlannedUnit, UnitIndex},
    program::Program,
    rng::Purpose,
};

use super::{
    host::HostRuntime,
    module::{BoundModule, ModuleRecord, NewModule},
    schedule::Ramp,
};
use crate::ids::SeedId;

impl HostRuntime {
    /// The modules bound to it, in the order of their seeds.
    pub fn modules(&self) -> &[BoundModule] {
        &self.modules
    }

    /// How the module of that seed is bound, if it is.
    pub fn binding(&self, seed: SeedId) -> Option<Binding> {
        self.place_of(seed).map(|place| self.plan.bindings()[place])
    }

    /// The memory of that seed's module, if it is bound.
    pub fn module_memory(&self, seed: SeedId) -> Option<&UnitMemory> {
        self.place_of(seed).map(|place| &self.memory.units[place + 1])
    }

    /// The seeds whose modules are part of the forward pass, in order.
    pub fn blended(&self) -> impl Iterator<Item = SeedId> + '_ {
        let modules = self.modules.iter().zip(self.plan.bindings());
        let blended = modules.filter(|(_, binding)| binding.mode == BindingMode::Blended);
        blended.map(|(module, _)| module.seed)
    }

    /// The compiled network of a bound module.
    pub fn module_program(&self, seed: SeedId) -> Option<&Arc<Program>> {
        let place = self.place_of(seed)?;
        Some(&self.plan.units()[place + 1].program)
    }

    /// Parameters of bound modules, in elements.
    pub fn module_params_elems(&self) -> u64 {
        self.plan.units()[1..].iter().map(|unit| unit.program.params_elems()).sum()
    }

    /// Parameters of modules that are blended in, in elements.
    pub fn blended_params_elems(&self) -> u64 {
        let programs = self.blended().filter_map(|seed| self.module_program(seed));
        programs.map(|program| program.params_elems()).sum()
    }

    /// Parameters of a seed's module at birth, from the seed's own stream: `f32[params_len_elems]`.
    pub fn draw_module_params(&self, seed: SeedId, program: &Program) -> Vec<f32> {
        program.draw_params(self.config.run_seed, Purpose::SeedInit, seed.0)
    }

    /// Binds a module with `params: f32[params_len_elems]` to its site, from the next step on.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    ///
    /// # Panics
    ///
    /// If one of that seed is bound already, or the parameters are not the program's.
    pub fn bind(
        &mut self,
        module: NewModule,
        program: Arc<Program>,
        params: &[f32],
    ) -> Result<(), DeviceError> {
        assert_eq!(params.len(), program.params_len_elems, "parameters are the program's");
        let has_second = self.train.0.optimizer.has_second_moment();
        let state = UnitState::at_birth(&*self.config.device, &program, params, has_second)?;
        self.bind_state(module.record(), program, state)
    }

    /// Binds a module as it was, with the numbers of `state`.
    pub(super) fn bind_state(
        &mut self,
        record: ModuleRecord,
        program: Arc<Program>,
        state: UnitState,
    ) -> Result<(), DeviceError> {
        let ModuleRecord { module, binding, is_finite, sample } = record;
        let place = self.modules.binary_search_by_key(&module.seed, |it| it.seed);
        let place = place.expect_err("a seed is bound once");
        let unit = place as UnitIndex + 1;
        let parts_max = self.config.parts_max(&program);
        let groups = vec![PlannedGroup::whole(&program, module.group.is_trainable)];
        let planned = PlannedUnit { program, groups, parts_max };
        let (device, settings) = (&*self.config.device, &self.plan.settings);
        let mut memory = UnitMemory::new(device, &planned, settings, state)?;
        (memory.is_finite, memory.sample) = (is_finite, sample);
        self.memory.units.insert(usize::from(unit), memory);
        if binding.mode == BindingMode::Incubating(Incubation::Shadow) {
            self.memory.make_shadow_room(device, unit)?;
        }
        if binding.is_span() {
            self.memory.make_span_room(device, unit, &planned.program, settings)?;
        }
        self.plan.bind(unit, planned, binding);
        self.modules.insert(place, module);
        self.config.device.prepare(&self.plan)
    }

    /// The module at `place` as it is, without its program and its numbers.
    pub(super) fn record_of(&self, place: usize) -> ModuleRecord {
        let memory = &self.memory.units[place + 1];
        ModuleRecord {
            module: self.modules[place].clone(),
            binding: self.plan.bindings()[place],
            is_finite: memory.is_finite,
            sample: memory.sample,
        }
    }

    /// Takes a seed's module off its site, and reports whether it was bound.
    pub fn unbind(&mut self, seed: SeedId) -> bool {
        self.take_module(seed).is_some()
    }

    /// Takes a seed's module off its site, with its program and its numbers.
    pub(super) fn take_module(
        &mut self,
        seed: SeedId,
    ) -> Option<(BoundModule, Arc<Program>, UnitState)> {
        let place = self.place_of(seed)?;
        let program = self.plan.units()[place + 1].program.clone();
        self.plan.unbind(place as UnitIndex + 1);
        let memory = self.memory.units.remove(place + 1);
        Some((self.modules.remove(place), program, memory.state))
    }

    /// Makes a bound module part of the host's passes from the next step on: blended in as `ramp` says, its parameters
    /// training if `trains` and they can. Reports whether it is bound.
    pub fn set_blend(&mut self, seed: SeedId, ramp: Ramp, trains: bool) -> bool {
        let Some(place) = self.place_of(seed) else { return false };
        let module = &mut self.modules[place];
        module.ramp = ramp;
        let trains = trains && module.group.is_trainable && self.memory.units[place + 1].is_finite;
        let binding = self.plan.bindings()[place];
        let binding = Binding { mode: BindingMode::Blended, trains, ..binding };
        self.plan.set_binding(place as UnitIndex + 1, binding);
        true
    }

    /// Ends the training of every module that this step found not to be finite, and counts the updates of the others.
    pub(super) fn count_module_updates(&mut self) {
        for place in 0..self.modules.len() {
            let binding = self.plan.bindings()[place];
            if !binding.trains {
                continue;
            }
            if self.memory.units[place + 1].is_finite {
                self.modules[place].group.n_updates += 1;
            } else {
                let binding = Binding { trains: false, ..binding };
                self.plan.set_binding(place as UnitIndex + 1, binding);
            }
        }
    }

    pub(super) fn place_of(&self, seed: SeedId) -> Option<usize> {
        self.modules.binary_search_by_key(&seed, |it| it.seed).ok()
    }

    /// A bound module's parameters and running statistics: `f32[params_len_elems]`, `f32[buffers_len_elems]`.
    pub fn module_weights(&self, seed: SeedId) -> Option<[Vec<f32>; 2]> {
        let state = &self.module_memory(seed)?.state;
        Some([&state.params, &state.buffers].map(|buffer| self.config.device.to_vec(buffer)))
    }
}
