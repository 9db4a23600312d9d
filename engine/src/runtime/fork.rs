//! Forks and snapshots: copies of a host, bit for bit.

use std::sync::Arc;

use esper_data::Order;
use esper_nn::{
    device::{DeviceError, SiteSample, UnitState},
    graph::NetworkGraph,
    module::Incubation,
    plan::{BindingMode, HOST, UnitIndex},
    program::Program,
};

use super::{
    flops::Flops,
    host::{HostRuntime, planned_host},
    module::ModuleRecord,
    progress::Progress,
};
use crate::ids::SeedId;

/// A host as it was: all that carries anything from one step to the next, and no more.
pub struct HostSnapshot {
    /// The network.
    pub graph: Arc<NetworkGraph>,
    /// The network, compiled.
    pub program: Arc<Program>,
    /// How far it had come.
    pub state: Progress,
    /// Its modules.
    pub modules: Vec<ModuleSnapshot>,
    pub(super) numbers: UnitState,
    pub(super) site_samples: Vec<Option<SiteSample>>,
    pub(super) sampled_sites: u64,
    pub(super) order: Order,
}

/// A module as it was.
pub struct ModuleSnapshot {
    pub(super) record: ModuleRecord,
    /// The module, compiled.
    pub program: Arc<Program>,
    pub(super) numbers: UnitState,
}

impl HostSnapshot {
    /// The seeds whose modules were part of the forward pass, in order.
    pub fn blended(&self) -> impl Iterator<Item = SeedId> + '_ {
        let records = self.modules.iter().map(|it| &it.record);
        let blended = records.filter(|it| it.binding.mode == BindingMode::Blended);
        blended.map(|record| record.module.seed)
    }
}

impl HostRuntime {
    /// A copy, bit for bit, without the module of seed `without`: its twin. The twin's arithmetic counts from zero.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn fork(&self, without: SeedId) -> Result<Self, DeviceError> {
        let mut twin = self.duplicate()?;
        twin.unbind(without);
        twin.state.flops = Flops::default();
        Ok(twin)
    }

    /// A copy, bit for bit.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn duplicate(&self) -> Result<Self, DeviceError> {
        let device = &*self.config.device;
        let numbers = self.numbers().duplicate(device)?;
        let (config, graph) = (self.config.clone(), self.graph.clone());
        let (program, state) = (self.program().clone(), self.state.clone());
        let (train, order) = (self.train.clone(), self.order.clone());
        let mut copy = Self::assemble(config, train, (graph, program), state, numbers, order)?;
        copy.view = self.view;
        for place in 0..self.modules.len() {
            let program = self.plan.units()[place + 1].program.clone();
            let numbers = self.memory.units[place + 1].state.duplicate(device)?;
            copy.bind_state(self.record_of(place), program, numbers)?;
        }
        copy.memory.site_samples.clone_from(&self.memory.site_samples);
        copy.plan.set_sampled_sites(self.plan.sampled_sites());
        copy.copy_averages(self)?;
        Ok(copy)
    }

    /// A copy of this host for a pair that goes its own way: it trains on the random streams `stream` from here on, and of
    /// its modules has those alone that are blended in, and that of seed `joining`. Its arithmetic counts from zero.
    ///
    /// The pass over the data begins anew in the order of that stream, as far along as this host is.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn replicate(&self, stream: u64, joining: Option<SeedId>) -> Result<Self, DeviceError> {
        let mut copy = self.duplicate()?;
        let blended: Vec<SeedId> = self.blended().chain(joining).collect();
        let bound = self.modules.iter().map(|module| module.seed);
        for seed in bound.filter(|seed| !blended.contains(seed)) {
            copy.unbind(seed);
        }
        copy.set_stream(stream);
        copy.state.flops = Flops::default();
        Ok(copy)
    }

    /// Draws from `stream` from here on.
    pub fn set_stream(&mut self, stream: u64) {
        if stream == self.config.stream {
            return;
        }
        self.config = self.config.clone().with_stream(stream);
        let (epoch, position) = (self.order.epoch(), self.order.position());
        self.order = Order::new(self.config.run_seed, stream, self.order.n_examples());
        self.order.reseek(epoch, position).expect("it is a position of the same pass");
    }

    /// What a snapshot keeps.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn to_snapshot(&self) -> Result<HostSnapshot, DeviceError> {
        Ok(HostSnapshot {
            graph: self.graph.clone(),
            program: self.program().clone(),
            state: self.state.clone(),
            modules: self.module_snapshots()?,
            numbers: self.numbers().duplicate(&*self.config.device)?,
            site_samples: self.memory.site_samples.clone(),
            sampled_sites: self.plan.sampled_sites(),
            order: self.order.clone(),
        })
    }

    fn module_snapshots(&self) -> Result<Vec<ModuleSnapshot>, DeviceError> {
        let snapshot = |place: usize| {
            let numbers = self.memory.units[place + 1].state.duplicate(&*self.config.device)?;
            let program = self.plan.units()[place + 1].program.clone();
            Ok(ModuleSnapshot { record: self.record_of(place), program, numbers })
        };
        (0..self.modules.len()).map(snapshot).collect()
    }

    /// Brings `snapshot` up to this host, in the snapshot's memory where it is as large.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn update_snapshot(&self, snapshot: &mut HostSnapshot) -> Result<(), DeviceError> {
        snapshot.graph = self.graph.clone();
        snapshot.program = self.program().clone();
        snapshot.state.clone_from(&self.state);
        snapshot.numbers.copy_from(&*self.config.device, self.numbers())?;
        snapshot.modules = self.module_snapshots()?;
        snapshot.site_samples.clone_from(&self.memory.site_samples);
        snapshot.sampled_sites = self.plan.sampled_sites();
        move_order(&mut snapshot.order, &self.order, &self.state);
        Ok(())
    }

    /// Goes back to `snapshot`, bit for bit. Gradients and workspaces stay: they carry nothing from one step to the next.
    /// What the host is trained by and on stays as it is now.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn restore(&mut self, snapshot: &HostSnapshot) -> Result<(), DeviceError> {
        let device = self.config.device.clone();
        while let Some(module) = self.modules.last() {
            let seed = module.seed;
            self.unbind(seed);
        }
        self.end_averages();
        self.state.clone_from(&snapshot.state);
        self.numbers_mut().copy_from(&*device, &snapshot.numbers)?;
        if !Arc::ptr_eq(self.program(), &snapshot.program) {
            self.set_network(snapshot.graph.clone(), snapshot.program.clone())?;
        }
        self.plan.set_sampled_sites(snapshot.sampled_sites);
        self.memory.site_samples.clone_from(&snapshot.site_samples);
        for ModuleSnapshot { record, program, numbers } in &snapshot.modules {
            self.bind_state(record.clone(), program.clone(), numbers.duplicate(&*device)?)?;
        }
        move_order(&mut self.order, &snapshot.order, &snapshot.state);
        self.fit_order();
        self.fit_moments()
    }

    /// Shares the network of `other` where it is the same: what is told apart by its address is then one.
    pub fn share_network(&mut self, other: &Self) {
        if **self.program() == **other.program() {
            self.graph = other.graph.clone();
            let host = planned_host(&self.config, other.program().clone(), &self.state.groups);
            self.plan.set_host(host);
        }
    }

    /// Replaces the network; the numbers are the new one's already.
    pub(super) fn set_network(
        &mut self,
        graph: Arc<NetworkGraph>,
        program: Arc<Program>,
    ) -> Result<(), DeviceError> {
        let device = self.config.device.clone();
        let host = planned_host(&self.config, program, &self.state.groups);
        self.graph = graph;
        self.memory.site_samples.resize(host.program.sites.len(), None);
        self.memory.units[usize::from(HOST)].make_room(&*device, &host, &self.plan.settings)?;
        self.plan.set_host(host);
        for place in 0..self.modules.len() {
            let mode = self.plan.bindings()[place].mode;
            if mode == BindingMode::Incubating(Incubation::Shadow) {
                self.memory.make_shadow_room(&*device, place as UnitIndex + 1)?;
            }
        }
        device.prepare(&self.plan)
    }
}

/// Moves `order` to where `other` is; a permutation that is the same is not drawn anew.
fn move_order(order: &mut Order, other: &Order, state: &Progress) {
    if (order.epoch(), order.n_examples()) == (other.epoch(), other.n_examples()) {
        order.reseek(state.epoch, state.position).expect("both visit the same examples");
    } else {
        order.clone_from(other);
    }
}
