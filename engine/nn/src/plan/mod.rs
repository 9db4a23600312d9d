//! `StepPlan`: what a host does in one step, as one flat list of instructions over buffers.
//!
//! A plan is data: it can be counted, printed, handed to any device, and built anew in microseconds when a module is
//! bound to a site or leaves it. What changes from step to step (how far a module is blended, learning rates, which
//! examples) is no part of it but of [`StepArgs`], so a ramp rebuilds nothing.
//!
//! ```text
//!   load batch │ forward to a site │ what modules do there │ forward to the next ... loss
//!   backward to a site │ what modules do there │ backward ... │ observe the loss
//!   shadow passes │ check gradients │ clip │ update, group by group
//! ```

mod args;
mod build;
mod flops;
mod instr;
mod monitor;
mod ports;
mod print;

pub use args::{BatchArgs, GroupArgs, StepArgs, StepOutcome, UnitArgs};
pub use build::update_flops_per_param;
pub use flops::PlanFlops;
pub use instr::{Space, StepInstr};
pub use monitor::{Fault, LossMonitor, LossMonitorConfig};
pub use ports::{PortError, Ports};
pub use print::ShownPlan;

use std::{ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    module::{Composition, Incubation},
    optim::Optimizer,
    program::{Program, Region},
};

/// The place of a network in a plan: 0 is the host, modules follow in the order in which they are bound.
pub type UnitIndex = u16;

/// The host's place in a plan.
pub const HOST: UnitIndex = 0;

/// Which of a plan's lists is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// A training step.
    Train,
    /// A training step in which root mean squares and gradient norms are sampled.
    TrainSampled,
    /// A forward pass that changes nothing, with the modules that are blended in.
    Evaluate,
    /// A forward pass that changes nothing, in which one more module acts.
    Trial,
    /// A forward pass that changes nothing, and from the sites on a pass for each of some modules at each of some scales.
    Rank,
    /// The host's forward pass alone, over what lies in its input, as in evaluation.
    Infer,
    /// The host's forward pass alone, over what lies in its input, as in training.
    Forward,
    /// The host's backward pass alone, from what lies in its output's gradient: of its parameters, and of its input
    /// where that was compiled in.
    Backward,
}

impl Variant {
    /// Every variant.
    pub const ALL: [Self; 8] = [
        Self::Train,
        Self::TrainSampled,
        Self::Evaluate,
        Self::Trial,
        Self::Rank,
        Self::Infer,
        Self::Forward,
        Self::Backward,
    ];

    /// Whether dropout acts and running statistics follow.
    pub const fn is_training(self) -> bool {
        matches!(self, Self::Train | Self::TrainSampled | Self::Forward | Self::Backward)
    }
}

/// Parameters that are updated together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlannedGroup {
    /// Where its parameters lie in the block, alignment included.
    pub segments: Vec<Range<usize>>,
    /// The parameters one by one: what a gradient's norm is summed over.
    pub params: Vec<Range<usize>>,
    /// Whether it trains at all.
    pub is_trainable: bool,
}

impl PlannedGroup {
    /// Every parameter of `program`, as one group.
    pub fn whole(program: &Program, is_trainable: bool) -> Self {
        let whole = 0..program.params_len_elems;
        let params = program.params.iter().map(|param| param.range()).collect();
        Self { segments: vec![whole], params, is_trainable }
    }
}

/// A network of a plan.
#[derive(Clone, Debug)]
pub struct PlannedUnit {
    /// The network, compiled.
    pub program: Arc<Program>,
    /// Its groups of parameters; a module has one.
    pub groups: Vec<PlannedGroup>,
    /// Into how many parts its instructions may be cut for threads.
    pub parts_max: usize,
}

/// What a module does in a step.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingMode {
    /// It learns beside the host, which does not see it.
    Incubating(Incubation),
    /// It is part of the forward and backward pass.
    Blended,
}

/// How a module is bound to its host.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The place, among the host's sites, of the site that it reads at.
    pub read: u16,
    /// The place of the site that it writes at: the same, or a later one that it spans to.
    pub write: u16,
    /// What it does there.
    pub mode: BindingMode,
    /// Whether its parameters train.
    pub trains: bool,
}

/// What a step depends on and no step changes.
#[derive(Clone, Debug, PartialEq)]
pub struct StepSettings {
    /// Examples the buffers have room for.
    pub batch_max: usize,
    /// The update rule.
    pub optimizer: Optimizer,
    /// Gradients of a larger L2 norm are scaled down to it.
    pub clip_norm: Option<f64>,
    /// When a loss is a fault.
    pub monitor: LossMonitorConfig,
    /// How modules join the host.
    pub composition: Composition,
    /// Root mean square that an incubating module's output is held to, as a share of its input's.
    pub rho: f32,
}

/// One list of instructions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstrList {
    /// What to do, in order.
    pub instrs: Vec<StepInstr>,
    /// What it costs: the sum of what its instructions cost.
    pub flops: PlanFlops,
}

/// What a host and the modules bound to it do in one step.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// What no step changes.
    pub settings: StepSettings,
    units: Vec<PlannedUnit>,
    bindings: Vec<Binding>,
    sampled_sites: u64,
    /// Whether the host and what is blended into it are averaged.
    averages: bool,
    /// What a pass from a site on reads of the pass before it, by the site's place.
    live_at_sites: Vec<Vec<Region>>,
    lists: [InstrList; Variant::ALL.len()],
}

impl StepPlan {
    /// The plan of a host alone.
    pub fn new(host: PlannedUnit, settings: StepSettings) -> Self {
        let mut plan = Self {
            settings,
            live_at_sites: live_at_sites(&host.program),
            units: vec![host],
            bindings: Vec::new(),
            sampled_sites: 0,
            averages: false,
            lists: Default::default(),
        };
        plan.rebuild();
        plan
    }

    /// Networks that run side by side over the same batches, none of them part of another's passes. The lists of
    /// [`Variant::Evaluate`] and [`Variant::Forward`] load a batch, once, and hand it to every network;
    /// [`with_instrs`](Self::with_instrs) then runs them one by one. The other lists are empty.
    ///
    /// # Panics
    ///
    /// If there is no network.
    pub fn side_by_side(networks: Vec<PlannedUnit>, settings: StepSettings) -> Self {
        let x = networks[usize::from(HOST)].program.input;
        let space = Space::Host;
        let reads = (1..networks.len() as UnitIndex).map(|unit| StepInstr::Read { unit, space, x });
        let load: Vec<StepInstr> = [StepInstr::LoadBatch].into_iter().chain(reads).collect();
        let mode = BindingMode::Incubating(Incubation::None);
        let idle = Binding { read: 0, write: 0, mode, trains: false };
        let mut plan = Self {
            settings,
            live_at_sites: Vec::new(),
            bindings: vec![idle; networks.len() - 1],
            units: networks,
            sampled_sites: 0,
            averages: false,
            lists: Default::default(),
        };
        for variant in [Variant::Evaluate, Variant::Forward] {
            plan.lists[variant as usize].instrs.clone_from(&load);
        }
        plan
    }

    /// The host and the modules bound to it, in their order.
    pub fn units(&self) -> &[PlannedUnit] {
        &self.units
    }

    /// How each module is bound, in their order.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// What is done in that variant.
    pub fn list(&self, variant: Variant) -> &InstrList {
        &self.lists[variant as usize]
    }

    /// This plan with `instrs` for its list of `variant`: for instructions that are run one by one.
    #[must_use]
    pub fn with_instrs(&self, variant: Variant, instrs: Vec<StepInstr>) -> Self {
        let mut plan = self.clone();
        plan.lists[variant as usize].instrs = instrs;
        plan
    }

    /// The place of module `unit`'s group among a step's [`GroupArgs`].
    pub fn group_of(&self, unit: UnitIndex) -> usize {
        self.units[HOST as usize].groups.len() + unit as usize - 1
    }

    /// Replaces the host: its network has changed, or its groups. Modules keep their places.
    pub fn set_host(&mut self, host: PlannedUnit) {
        self.live_at_sites = live_at_sites(&host.program);
        self.units[HOST as usize] = host;
        self.rebuild();
    }

    /// Binds a module as unit `place`; those behind it move up.
    ///
    /// # Panics
    ///
    /// If [`Binding::check`] refuses it.
    pub fn bind(&mut self, place: UnitIndex, module: PlannedUnit, binding: Binding) {
        self.check(binding, &module.program);
        self.units.insert(place as usize, module);
        self.bindings.insert(place as usize - 1, binding);
        self.rebuild();
    }

    /// Takes module `unit` off its site; those behind it move down.
    pub fn unbind(&mut self, unit: UnitIndex) {
        self.units.remove(unit as usize);
        self.bindings.remove(unit as usize - 1);
        self.rebuild();
    }

    /// Changes what module `unit` does.
    ///
    /// # Panics
    ///
    /// If [`Binding::check`] refuses it.
    pub fn set_binding(&mut self, unit: UnitIndex, binding: Binding) {
        self.check(binding, &self.units[unit as usize].program);
        if std::mem::replace(&mut self.bindings[unit as usize - 1], binding) != binding {
            self.rebuild();
        }
    }

    /// Replaces the update rule, and the norm that gradients are clipped to.
    pub fn set_rule(&mut self, optimizer: Optimizer, clip_norm: Option<f64>) {
        (self.settings.optimizer, self.settings.clip_norm) = (optimizer, clip_norm);
        self.rebuild();
    }

    /// Says at which sites activation and gradient are sampled, one bit each.
    pub fn set_sampled_sites(&mut self, sites: u64) {
        if std::mem::replace(&mut self.sampled_sites, sites) != sites {
            self.rebuild();
        }
    }

    /// Says whether a training step moves the averages of the host and of the modules that are blended in.
    pub fn set_averages(&mut self, averages: bool) {
        if std::mem::replace(&mut self.averages, averages) != averages {
            self.rebuild();
        }
    }

    /// Whether a training step moves averages.
    pub fn averages(&self) -> bool {
        self.averages
    }

    /// Sites at which activation and gradient are sampled, one bit each.
    pub fn sampled_sites(&self) -> u64 {
        self.sampled_sites
    }

    /// What a pass from the site on reads of the pass before it.
    pub fn live_at(&self, site: u16) -> &[Region] {
        &self.live_at_sites[usize::from(site)]
    }

    fn check(&self, binding: Binding, module: &Program) {
        let host = &self.units[HOST as usize].program;
        let checked = binding.check(host, module, self.settings.composition);
        checked.unwrap_or_else(|error| panic!("{error}"));
    }
}

fn live_at_sites(host: &Program) -> Vec<Vec<Region>> {
    host.sites.iter().map(|site| host.live_at(site)).collect()
}
