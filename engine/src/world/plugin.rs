//! Plugins: how a subsystem, or a stranger's crate, joins the engine.

use std::any::TypeId;

use bevy_ecs::{
    message::{MessageRegistry, message_update_system},
    prelude::*,
    schedule::{LogLevel, ScheduleBuildSettings, ScheduleLabel, SingleThreadedExecutor},
    system::ScheduleSystem,
};

use serde::{Deserialize, Serialize};

use super::{blueprint::SiteContracts, components::Active, kernel_cache::KernelCache};
use crate::{
    ids::{BlueprintId, HostId, Index, KernelId, SeedId},
    runtime::Runtimes,
    scenario::{Resolved, Sections},
};

/// One pass through the eight phases: `steps_per_tick` steps of every host and every decision about them.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tick;

/// The phases of a [`Tick`], in the order they run.
///
/// A message written in a phase is read in a later phase of the same tick, so that at a tick's end
/// nothing is in flight but what the forges hold.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TickSystems {
    /// Work finished elsewhere enters the world, in ticket order.
    Admit,
    /// Every active host takes its optimizer steps.
    Train,
    /// Hosts and seeds report what they saw.
    Sense,
    /// The policy reads reports and writes commands.
    Decide,
    /// Commands and verdicts change stages, topology and blends. No other phase does.
    Transform,
    /// New jobs leave for the workers.
    Dispatch,
    /// The journal, the metrics and the library learn what happened.
    Record,
    /// The tick is over: a checkpoint is written if one is due.
    Persist,
}

/// The order inside [`TickSystems::Sense`]: hosts first, then the seeds that are judged against them.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SenseSystems {
    /// Hosts whose epoch ended are validated.
    Hosts,
    /// Seeds are sampled, judged and reported.
    Seeds,
}

/// Systems with something to do only while a seed lives: they are skipped in a tick in which none does when the first of
/// them is due.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActiveSeedSystems;

/// The order inside [`TickSystems::Transform`]: faults first, then seeds, then hosts.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransformSystems {
    /// Grafts that did harm are withdrawn.
    Withdraw,
    /// Hosts still at fault are rolled back.
    Restore,
    /// Kernels are bound, commands carried out, stages advanced.
    Advance,
    /// Snapshots are taken of what the tick left.
    Snapshot,
}

/// The order inside [`TickSystems::Dispatch`]: what is designed can be sent to be compiled in the same tick.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DispatchSystems {
    /// Blueprints are designed.
    Design,
    /// Graphs leave for the compiler.
    Compile,
    /// Kernels leave for validation.
    Validate,
}

/// The order inside [`TickSystems::Record`]: what is written is collected first.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordSystems {
    /// The tick's events are put in the order of the journal.
    Collect,
    /// They are written, counted and shown.
    Write,
}

/// How many ticks have begun since the run started.
#[derive(
    Resource, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord,
)]
pub struct Clock(pub u64);

/// What every random stream of the run is keyed by.
#[derive(Resource, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunSeed(pub u64);

/// Whether the run goes on, and if not, why.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub enum RunStatus {
    /// Hosts have steps left.
    #[default]
    Running,
    /// Every host took all its steps.
    Completed,
    /// The run can not go on; the reason is for people.
    Failed(String),
}

/// A part of the engine: nine ship with Esper, and yours is not different from them.
pub trait Plugin: Send + Sync + 'static {
    /// A stable, lowercase name; it appears in errors, journals and metrics.
    fn name(&self) -> &'static str;

    /// The names of the plugins that must have been added before this one.
    fn requires(&self) -> &[&'static str] {
        &[]
    }

    /// Registers the sections of a scenario that the plugin reads, and the rules that tie them to others.
    fn sections(&self, _sections: &mut Sections) {}

    /// Adds the plugin's resources, messages and systems. Runs once, before the first tick.
    ///
    /// # Errors
    ///
    /// Fails when something the plugin needs is absent or out of range.
    fn build(&self, engine: &mut Engine) -> Result<(), BuildError>;

    /// Does what has to wait until every plugin is built, such as choosing among what they registered.
    ///
    /// # Errors
    ///
    /// Fails when what was registered does not fit together.
    fn finish(&self, _engine: &mut Engine) -> Result<(), BuildError> {
        Ok(())
    }
}

/// Plugins in the order in which they are to be added.
#[derive(Default)]
pub struct PluginGroup(Vec<(TypeId, Box<dyn Plugin>)>);

impl PluginGroup {
    /// Puts a plugin behind those that are there.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "the name that Bevy's groups have for it")]
    pub fn add<P: Plugin>(mut self, plugin: P) -> Self {
        self.0.push((TypeId::of::<P>(), Box::new(plugin)));
        self
    }

    /// Leaves out every plugin of type `P`.
    #[must_use]
    pub fn disable<P: Plugin>(mut self) -> Self {
        self.0.retain(|(id, _)| *id != TypeId::of::<P>());
        self
    }

    /// Puts `plugin` in the place of the one of its type, or last where there is none.
    #[must_use]
    pub fn set<P: Plugin>(mut self, plugin: P) -> Self {
        match self.0.iter_mut().find(|(id, _)| *id == TypeId::of::<P>()) {
            Some((_, place)) => *place = Box::new(plugin),
            None => return self.add(plugin),
        }
        self
    }

    /// Its plugins, in order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.0.iter().map(|(_, plugin)| &**plugin)
    }

    /// The names of its plugins, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(_, plugin)| plugin.name())
    }
}

/// Why an engine could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The same plugin was added twice.
    #[error("plugin `{plugin}` was added twice")]
    Duplicate {
        /// Its name.
        plugin: &'static str,
    },
    /// A plugin was added before one it builds on.
    #[error("plugin `{plugin}` needs `{needs}` first")]
    Missing {
        /// The plugin that could not be built.
        plugin: &'static str,
        /// What it needed.
        needs: &'static str,
    },
    /// A plugin found something in its settings, its files or its data that it can not work with.
    #[error("{plugin}: {source}")]
    Plugin {
        /// The plugin that could not be built.
        plugin: &'static str,
        /// What it found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RunStatus {
    /// Ends the run as failed, unless it has failed before: the first reason is the one to be told.
    pub fn fail(&mut self, reason: impl Into<String>) {
        if !matches!(self, Self::Failed(_)) {
            *self = Self::Failed(reason.into());
        }
    }

    /// As [`RunStatus::fail`], by command: several systems of one phase may fail without an order among them.
    pub fn fail_later(commands: &mut Commands, reason: impl Into<String>) {
        let reason = reason.into();
        commands.queue(move |world: &mut World| world.resource_mut::<Self>().fail(reason));
    }
}

impl BuildError {
    /// Wraps what `plugin` ran into.
    pub fn plugin(
        plugin: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Plugin { plugin, source: source.into() }
    }
}

/// A world, the schedule that moves it, and the plugins it was made from.
pub struct Engine {
    world: World,
    plugins: Vec<&'static str>,
    /// Plugins that are built and have yet to be finished.
    unfinished: Vec<Box<dyn Plugin>>,
}

impl Default for Engine {
    fn default() -> Self {
        Self { world: new_world(), plugins: Vec::new(), unfinished: Vec::new() }
    }
}

fn new_world() -> World {
    use DispatchSystems::{Compile, Design, Validate};
    use TickSystems::{Admit, Decide, Dispatch, Persist, Record, Sense, Train, Transform};
    use TransformSystems::{Advance, Restore, Snapshot, Withdraw};

    let mut tick = Schedule::new(Tick);
    tick.set_executor(SingleThreadedExecutor::new())
        .set_build_settings(ScheduleBuildSettings {
            ambiguity_detection: LogLevel::Error,
            ..ScheduleBuildSettings::new()
        })
        .configure_sets((Admit, Train, Sense, Decide, Transform, Dispatch, Record, Persist).chain())
        .configure_sets((SenseSystems::Hosts, SenseSystems::Seeds).chain().in_set(Sense))
        .configure_sets((Withdraw, Restore, Advance, Snapshot).chain().in_set(Transform))
        .configure_sets((Design, Compile, Validate).chain().in_set(Dispatch))
        .configure_sets((RecordSystems::Collect, RecordSystems::Write).chain().in_set(Record))
        .configure_sets(ActiveSeedSystems.run_if(any_with_component::<Active>))
        .add_systems((advance_clock, message_update_system).chain().before(Admit));

    let mut world = World::new();
    world.init_resource::<Clock>();
    world.init_resource::<RunSeed>();
    world.init_resource::<Resolved>();
    world.init_resource::<RunStatus>();
    world.init_resource::<Index<HostId>>();
    world.init_resource::<Index<SeedId>>();
    world.init_resource::<Index<BlueprintId>>();
    world.init_resource::<Index<KernelId>>();
    world.init_resource::<Runtimes>();
    world.init_resource::<KernelCache>();
    world.init_resource::<SiteContracts>();
    world.init_resource::<MessageRegistry>();
    world.add_schedule(tick);
    world
}

impl Engine {
    /// Adds a plugin and builds it at once.
    ///
    /// # Errors
    ///
    /// Returns [`BuildError::Duplicate`] for a name already present, [`BuildError::Missing`] where a plugin that it
    /// requires is not, or the plugin's own error.
    pub fn add_plugin(&mut self, plugin: impl Plugin) -> Result<&mut Self, BuildError> {
        self.add_boxed(Box::new(plugin))
    }

    /// Adds the plugins of a group, in its order.
    ///
    /// # Errors
    ///
    /// As [`Engine::add_plugin`]; those before the one that failed stay.
    pub fn add_plugins(&mut self, group: impl Into<PluginGroup>) -> Result<&mut Self, BuildError> {
        for (_, plugin) in group.into().0 {
            self.add_boxed(plugin)?;
        }
        Ok(self)
    }

    fn add_boxed(&mut self, plugin: Box<dyn Plugin>) -> Result<&mut Self, BuildError> {
        let name = plugin.name();
        if self.has_plugin(name) {
            return Err(BuildError::Duplicate { plugin: name });
        }
        if let Some(needs) = plugin.requires().iter().find(|needs| !self.has_plugin(needs)) {
            return Err(BuildError::Missing { plugin: name, needs });
        }
        plugin.build(self)?;
        self.plugins.push(name);
        self.unfinished.push(plugin);
        Ok(self)
    }

    /// Finishes the plugins added since the last call, in the order in which they were added. To be called when all are
    /// there; the first tick does it where nobody has.
    ///
    /// # Errors
    ///
    /// Fails with the first plugin's error.
    pub fn finish(&mut self) -> Result<(), BuildError> {
        for plugin in std::mem::take(&mut self.unfinished) {
            plugin.finish(self)?;
        }
        Ok(())
    }

    /// Adds systems to a schedule; each must name its phase.
    pub fn add_systems<M>(
        &mut self,
        schedule: impl ScheduleLabel,
        systems: impl IntoScheduleConfigs<ScheduleSystem, M>,
    ) -> &mut Self {
        self.world.resource_mut::<Schedules>().add_systems(schedule, systems);
        self
    }

    /// Registers a message kind, kept for two ticks and then dropped.
    pub fn add_message<M: Message>(&mut self) -> &mut Self {
        MessageRegistry::register_message::<M>(&mut self.world);
        self
    }

    /// Whether the plugin of that name has been built.
    pub fn has_plugin(&self, name: &str) -> bool {
        self.plugins.contains(&name)
    }

    /// The names of the plugins, in the order they were added.
    pub fn plugins(&self) -> &[&'static str] {
        &self.plugins
    }

    /// The scenario of the run; without one, a scenario without sections.
    pub fn scenario(&self) -> &Resolved {
        self.world.resource::<Resolved>()
    }

    /// The world, for reading.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The world, for plugins, harnesses and tests.
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// Runs one tick.
    ///
    /// # Panics
    ///
    /// If a plugin can not be finished; [`Engine::finish`] says so as an error.
    pub fn tick(&mut self) {
        if !self.unfinished.is_empty() {
            self.finish().unwrap_or_else(|error| panic!("{error}"));
        }
        self.world.run_schedule(Tick);
        self.world.clear_trackers();
    }

    /// Runs ticks until the run is no longer [`RunStatus::Running`], and says how it ended.
    pub fn run(&mut self) -> RunStatus {
        while *self.world.resource::<RunStatus>() == RunStatus::Running {
            self.tick();
        }
        self.world.resource::<RunStatus>().clone()
    }
}

fn advance_clock(mut clock: ResMut<Clock>) {
    clock.0 += 1;
}
