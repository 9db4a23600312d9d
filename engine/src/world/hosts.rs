//! Hosts as systems see them: entities by lasting name, with their numbers, their twins and their sites.

use std::ops::Deref;

use bevy_ecs::{prelude::*, query::QueryData, system::SystemParam};
use esper_nn::{
    contract::Contract,
    graph::{NetworkGraph, Span},
    plan::{Fault, Ports},
    program::Program,
};
use serde::{Deserialize, Serialize};

use super::components::{Faulted, Pinned, Principal, Recompiling, Replicas, Runtime, Twin};
use crate::{
    ids::{HostId, Index, SiteId},
    runtime::{HostRuntime, RuntimeHandle, Runtimes},
};

/// The places where seeds are planted in a host, by [`SiteId`]: its sites, and behind them the spans between two of
/// them. It finds them in whatever program the host runs.
#[derive(Component, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSites {
    /// Of sites, then of spans.
    names: Vec<String>,
    spans: Vec<Span>,
}

impl HostSites {
    /// The places of a host: the sites of its first program, numbered in its order, and the spans of its first network.
    pub fn of(program: &Program, graph: &NetworkGraph) -> Self {
        let (sites, spans) = (program.sites.iter(), graph.spans());
        let names = sites.map(|site| site.name.clone()).chain(spans.iter().map(Span::name));
        Self { names: names.collect(), spans }
    }

    /// The span of that name, unless it is a site.
    pub fn span(&self, site: SiteId) -> Option<&Span> {
        let n_sites = self.names.len() - self.spans.len();
        usize::from(site.0).checked_sub(n_sites).map(|at| &self.spans[at])
    }

    /// Names of the sites where a seed there reads and writes.
    ///
    /// # Panics
    ///
    /// If the host never had that site.
    pub fn ends(&self, site: SiteId) -> [&str; 2] {
        match self.span(site) {
            Some(span) => [&span.read, &span.write],
            None => [self.name(site); 2],
        }
    }

    /// The places in `program`, one of the host's, where a seed there reads and writes.
    ///
    /// # Panics
    ///
    /// If the program is without one of them.
    pub fn ports(&self, site: SiteId, program: &Program) -> Ports {
        let find = |name| program.site(name).expect("a host keeps the sites that seeds are at");
        match self.span(site) {
            Some(span) => Ports { read: find(&span.read) as u16, write: find(&span.write) as u16 },
            None => Ports::at(self.place(site, program) as u16),
        }
    }

    /// What a module there must keep, in `program`, one of the host's.
    pub fn contract(&self, site: SiteId, program: &Program) -> Contract {
        match self.span(site) {
            Some(span) => span.contract,
            None => program.contract(self.place(site, program)),
        }
    }

    /// The site's name; a span has both, as in `input..logits`.
    ///
    /// # Panics
    ///
    /// If the host never had that site.
    pub fn name(&self, site: SiteId) -> &str {
        &self.names[usize::from(site.0)]
    }

    /// The place in `program`, one of the host's, where a seed there writes.
    ///
    /// # Panics
    ///
    /// If the program is without that site.
    pub fn place(&self, site: SiteId, program: &Program) -> usize {
        let (usual, [_, name]) = (usize::from(site.0), self.ends(site));
        if program.sites.get(usual).is_some_and(|it| it.name == name) {
            return usual;
        }
        let place = program.sites.iter().position(|it| it.name == name);
        place.expect("a host keeps the sites that seeds are planted at")
    }

    /// Every site and span, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = SiteId> + use<> {
        (0..self.names.len() as u16).map(SiteId)
    }
}

/// Brings a host into the world with its numbers.
pub fn spawn_host(world: &mut World, id: HostId, runtime: HostRuntime) -> Entity {
    let sites = HostSites::of(runtime.program(), &runtime.graph);
    let (train, view) = (runtime.train_plan().clone(), runtime.data_view());
    let handle = world.resource_mut::<Runtimes>().insert(runtime);
    world.spawn((id, Principal, Runtime(handle), sites, train, view)).id()
}

/// What is read of a host or twin.
#[derive(QueryData)]
pub struct HostFacts {
    id: Option<&'static HostId>,
    runtime: &'static Runtime,
    twin: Option<&'static Twin>,
    replicas: Option<&'static Replicas>,
    sites: Option<&'static HostSites>,
    fault: Option<&'static Faulted>,
    is_pinned: Has<Pinned>,
    is_recompiling: Has<Recompiling>,
}

/// Finds hosts, and says what is known of them but their numbers.
///
/// Every `entity` below is a host or a twin, every `host` one of the run's hosts; anything else is a bug and panics.
#[derive(SystemParam)]
pub struct HostNames<'w, 's> {
    index: Res<'w, Index<HostId>>,
    facts: Query<'w, 's, HostFacts>,
}

impl HostNames<'_, '_> {
    fn facts(&self, entity: Entity) -> HostFactsItem<'_, '_> {
        self.facts.get(entity).expect("it is a host or a twin")
    }

    /// The run's hosts, sorted by name; twins left out.
    pub fn principals(&self) -> impl DoubleEndedIterator<Item = (HostId, Entity)> + '_ {
        self.index.iter()
    }

    /// The host of that name, while it lives.
    pub fn entity(&self, id: HostId) -> Option<Entity> {
        self.index.entity(id)
    }

    /// The host's name.
    pub fn id(&self, host: Entity) -> HostId {
        *self.facts(host).id.expect("a host has a name")
    }

    /// The host's twin, while a seed is grafted.
    pub fn twin(&self, host: Entity) -> Option<Entity> {
        self.facts(host).twin.map(Twin::entity)
    }

    /// The host and its twin, if it has one.
    pub fn with_twin(&self, host: Entity) -> impl Iterator<Item = Entity> + use<> {
        [Some(host), self.twin(host)].into_iter().flatten()
    }

    /// The hosts of the other pairs of the verdict that is on, in the order of their streams.
    pub fn replicas(&self, host: Entity) -> &[Entity] {
        self.facts(host).replicas.map_or(&[], Replicas::entities)
    }

    /// The host, the replicas of it and every twin.
    pub fn with_copies(&self, host: Entity) -> Vec<Entity> {
        let hosts = std::iter::once(host).chain(self.replicas(host).iter().copied());
        hosts.flat_map(|host| self.with_twin(host)).collect()
    }

    /// The host's sites.
    pub fn sites(&self, host: Entity) -> &HostSites {
        self.facts(host).sites.expect("a host has its sites")
    }

    /// What stopped it in this tick, if something did.
    pub fn fault(&self, entity: Entity) -> Option<Fault> {
        self.facts(entity).fault.map(|fault| fault.0)
    }

    /// Whether it takes no steps.
    pub fn is_pinned(&self, entity: Entity) -> bool {
        self.facts(entity).is_pinned
    }

    /// Whether a program of another network is on its way to the host.
    pub fn is_recompiling(&self, host: Entity) -> bool {
        self.facts(host).is_recompiling
    }

    fn handle(&self, entity: Entity) -> RuntimeHandle {
        self.facts(entity).runtime.0
    }
}

/// Hosts and their numbers, for reading.
#[derive(SystemParam)]
pub struct Hosts<'w, 's> {
    names: HostNames<'w, 's>,
    runtimes: Res<'w, Runtimes>,
}

impl Hosts<'_, '_> {
    /// The numbers of a host or twin.
    pub fn runtime(&self, entity: Entity) -> &HostRuntime {
        self.runtimes.get(self.names.handle(entity)).expect("a host owns its numbers")
    }
}

impl<'w, 's> Deref for Hosts<'w, 's> {
    type Target = HostNames<'w, 's>;

    fn deref(&self) -> &Self::Target {
        &self.names
    }
}

/// Hosts and their numbers, for writing.
#[derive(SystemParam)]
pub struct HostsMut<'w, 's> {
    names: HostNames<'w, 's>,
    runtimes: ResMut<'w, Runtimes>,
}

impl HostsMut<'_, '_> {
    /// The numbers of a host or twin.
    pub fn runtime(&self, entity: Entity) -> &HostRuntime {
        self.runtimes.get(self.names.handle(entity)).expect("a host owns its numbers")
    }

    /// The numbers of a host or twin, for writing.
    pub fn runtime_mut(&mut self, entity: Entity) -> &mut HostRuntime {
        let handle = self.names.handle(entity);
        self.runtimes.get_mut(handle).expect("a host owns its numbers")
    }

    /// The numbers of a host and of its twin, for writing; `None` while it has none.
    pub fn pair_mut(&mut self, host: Entity) -> Option<(&mut HostRuntime, &mut HostRuntime)> {
        let twin = self.names.twin(host)?;
        let (host, twin) = (self.names.handle(host), self.names.handle(twin));
        Some(self.runtimes.get_pair_mut(host, twin).expect("both own their numbers"))
    }

    /// Takes ownership of the numbers of a host or twin to come.
    pub fn insert(&mut self, runtime: HostRuntime) -> Runtime {
        Runtime(self.runtimes.insert(runtime))
    }

    /// Every one of `entities` with its numbers, for writing, in the order of the arena.
    pub fn select_mut(
        &mut self,
        entities: impl IntoIterator<Item = Entity>,
    ) -> Vec<(Entity, &mut HostRuntime)> {
        let names = &self.names;
        let handles = entities.into_iter().map(|entity| (names.handle(entity), entity));
        self.runtimes.select_mut(handles)
    }
}

impl<'w, 's> Deref for HostsMut<'w, 's> {
    type Target = HostNames<'w, 's>;

    fn deref(&self) -> &Self::Target {
        &self.names
    }
}
