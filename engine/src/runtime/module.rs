//! Modules that are bound to a host: what is known of each beside its numbers and its place in the plan.

use std::sync::Arc;

use esper_nn::{
    device::{DeviceError, ModuleSample, UnitMemory, UnitState},
    module::Incubation,
    plan::{Binding, BindingMode, PlannedGroup, PlannedUnit, UnitIndex},
    program::Program,
    rng::Purpose,
};
use serde::{Deserialize, Serialize};

use super::{
    host::HostRuntime,
    progress::{GroupSchedule, ParamGroup},
    schedule::Ramp,
};
use crate::world::ids::SeedId;

/// What a seed's module does in a step.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub enum ModuleMode {
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

/// A module bound to a host.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct BoundModule {
    /// The seed it is of.
    pub seed: SeedId,
    /// The place of its site in the host's program.
    pub site: u16,
    /// What it does.
    pub mode: ModuleMode,
    /// Its schedule, its update count, and whether it can train at all.
    pub group: ParamGroup,
    /// Whether its numbers are still finite.
    pub is_finite: bool,
    /// What was last sampled of it; `None` before the first sample.
    pub sample: Option<ModuleSample>,
}

impl BoundModule {
    /// A module of `seed` that begins to train at the host's step `birth_step`.
    pub fn at_birth(
        seed: SeedId,
        site: u16,
        incubation: Incubation,
        is_trainable: bool,
        birth_step: u64,
    ) -> Self {
        let schedule = GroupSchedule::Seed { birth_step };
        let prefix = super::module_prefix(seed);
        Self {
            seed,
            site,
            mode: ModuleMode::Incubating(incubation),
            group: ParamGroup { prefix, schedule, n_updates: 0, is_trainable },
            is_finite: true,
            sample: None,
        }
    }

    /// Whether it is part of the forward pass.
    pub const fn is_blended(&self) -> bool {
        matches!(self.mode, ModuleMode::Blended { .. })
    }

    /// Whether it trains in this step.
    pub fn trains(&self) -> bool {
        self.group.is_trainable
            && self.is_finite
            && match self.mode {
                ModuleMode::Incubating(incubation) => incubation != Incubation::None,
                ModuleMode::Blended { trains, .. } => trains,
            }
    }

    /// How far it is blended in the forward pass of `step`.
    pub fn alpha(&self, step: u64) -> f32 {
        match self.mode {
            ModuleMode::Incubating(_) => 0.0,
            ModuleMode::Blended { ramp, .. } => ramp.at(step),
        }
    }

    pub(super) fn binding(&self) -> Binding {
        let mode = match self.mode {
            ModuleMode::Incubating(incubation) => BindingMode::Incubating(incubation),
            ModuleMode::Blended { .. } => BindingMode::Blended,
        };
        Binding { read: self.site, write: self.site, mode, trains: self.trains() }
    }
}

impl HostRuntime {
    /// The modules bound to it, in the order of their seeds.
    pub fn modules(&self) -> &[BoundModule] {
        &self.modules
    }

    /// The bound module of that seed.
    pub fn module(&self, seed: SeedId) -> Option<&BoundModule> {
        self.place_of(seed).map(|place| &self.modules[place])
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
        module: BoundModule,
        program: Arc<Program>,
        params: &[f32],
    ) -> Result<(), DeviceError> {
        assert_eq!(params.len(), program.params_len_elems, "parameters are the program's");
        let has_second = self.config.train.optimizer.has_second_moment();
        let state = UnitState::at_birth(&*self.config.device, &program, params, has_second)?;
        self.bind_state(module, program, state)
    }

    /// Binds a module with the numbers of `state`.
    pub(super) fn bind_state(
        &mut self,
        module: BoundModule,
        program: Arc<Program>,
        state: UnitState,
    ) -> Result<(), DeviceError> {
        let place = self.modules.binary_search_by_key(&module.seed, |it| it.seed);
        let place = place.expect_err("a seed is bound once");
        let unit = place as UnitIndex + 1;
        let parts_max = self.config.parts_max(&program);
        let groups = vec![PlannedGroup::whole(&program, module.group.is_trainable)];
        let planned = PlannedUnit { program, groups, parts_max };
        let (device, settings) = (&*self.config.device, &self.plan.settings);
        let mut memory = UnitMemory::new(device, &planned, settings, state)?;
        (memory.is_finite, memory.sample) = (module.is_finite, module.sample);
        self.memory.units.insert(usize::from(unit), memory);
        if module.mode == ModuleMode::Incubating(Incubation::Shadow) {
            self.memory.make_shadow_room(device, unit)?;
        }
        self.plan.bind(unit, planned, module.binding());
        self.modules.insert(place, module);
        self.config.device.prepare(&self.plan)
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

    /// Changes what a bound module does, from the next step on, and reports whether it is bound.
    pub fn set_mode(&mut self, seed: SeedId, mode: ModuleMode) -> bool {
        let Some(place) = self.place_of(seed) else { return false };
        self.modules[place].mode = mode;
        self.rebind(place);
        true
    }

    /// Brings the plan up to what is known of the module at `place`.
    pub(super) fn rebind(&mut self, place: usize) {
        self.plan.set_binding(place as UnitIndex + 1, self.modules[place].binding());
    }

    pub(super) fn place_of(&self, seed: SeedId) -> Option<usize> {
        self.modules.binary_search_by_key(&seed, |it| it.seed).ok()
    }

    /// A bound module's parameters and running statistics: `f32[params_len_elems]`, `f32[buffers_len_elems]`.
    pub fn module_weights(&self, seed: SeedId) -> Option<[Vec<f32>; 2]> {
        let state = &self.memory.units[self.place_of(seed)? + 1].state;
        Some([&state.params, &state.buffers].map(|buffer| self.config.device.to_vec(buffer)))
    }
}
