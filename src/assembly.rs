//! A run, put together from a scenario: data, hosts, plugins.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use esper_engine::{
    data::{self, DataConfig, SplitData},
    device::{Cpu, Device},
    forge::Scripts,
    graph::NetworkGraph,
    journal::EVENTS_FORMAT,
    run_dir::RunDir,
    runtime::{HostConfig, HostRuntime, StateDict},
    scenario::{self, Scenario},
    world::{
        hosts::spawn_host,
        ids::HostId,
        plugin::{BuildError, Engine, Plugin, RunSeed},
    },
};
use esper_nn::digest::Digest;
use esper_systems::{
    EsperPlugins,
    karn::{BlueprintFamily, Catalogue, KarnExt},
    kasmina::KasminaConfig,
    nissa::{self, KernelAdopted, ProgressMode, RunStarted},
    tamiyo::{ActivePolicy, Policy},
    tolaria::{self, HostConfigs},
    urza::{LibraryPlace, UrzaConfig},
};

use crate::{
    Plan, Run, RunError, adoption,
    hosts::{self, Built},
};

/// Something to do to the engine after Esper's plugins are in and before the first tick.
type Extension = Box<dyn FnOnce(&mut Engine) -> Result<(), BuildError>>;

/// Puts a [`Run`] together.
pub struct RunBuilder {
    scenario: Scenario,
    base_dir: PathBuf,
    dir: Option<RunDir>,
    data: Option<Arc<SplitData>>,
    progress: ProgressMode,
    policy: Option<Box<dyn Policy>>,
    scripts: Option<Scripts>,
    /// What the run that is replayed adopted.
    adopted: Vec<KernelAdopted>,
    /// Whether the library stays in memory, even where the scenario names a shared one.
    is_apart: bool,
    graph: Option<NetworkGraph>,
    /// Done before Esper's plugins are added.
    preparations: Vec<Extension>,
    /// Done after.
    extensions: Vec<Extension>,
}

impl RunBuilder {
    /// A run of `scenario`, kept in memory and silent until told otherwise.
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            base_dir: PathBuf::from("."),
            dir: None,
            data: None,
            progress: ProgressMode::Quiet,
            policy: None,
            scripts: None,
            adopted: Vec::new(),
            is_apart: false,
            graph: None,
            preparations: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// Resolves relative paths of data, graphs and weights against `folder`, the scenario's.
    #[must_use]
    pub fn base_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base_dir = folder.into();
        self
    }

    /// Keeps the run in `dir`: journal, metrics, checkpoints, library, summary.
    #[must_use]
    pub fn dir(mut self, dir: RunDir) -> Self {
        self.dir = Some(dir);
        self
    }

    /// Trains on `data` instead of what the scenario's `data.source` names.
    #[must_use]
    pub fn data(mut self, data: Arc<SplitData>) -> Self {
        self.data = Some(data);
        self
    }

    /// Trains `graph` instead of the host that the scenario's `[host]` describes. It ends in a loss.
    #[must_use]
    pub fn host(mut self, graph: NetworkGraph) -> Self {
        self.graph = Some(graph);
        self
    }

    /// Shows progress.
    #[must_use]
    pub fn progress(mut self, mode: ProgressMode) -> Self {
        self.progress = mode;
        self
    }

    /// Lets `policy` decide in place of the scenario's.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }

    /// Admits workers' results when `scripts` say, as in the run they were read from: replay. The library stays in
    /// memory, even where the scenario names a shared one.
    #[must_use]
    pub fn scripts(mut self, scripts: Scripts) -> Self {
        self.scripts = Some(scripts);
        self.is_apart = true;
        self
    }

    /// Adopts those kernels, as the run that they were read from did: replay. They are compiled again, as a replay does
    /// not open the shared library that they lay in.
    #[must_use]
    pub fn adopted(mut self, kernels: Vec<KernelAdopted>) -> Self {
        self.adopted = kernels;
        self.is_apart = true;
        self
    }

    /// Adds a family of blueprints to Karn's catalogue.
    #[must_use]
    pub fn blueprint(self, family: impl BlueprintFamily) -> Self {
        self.prepare(move |engine| {
            engine.add_blueprint(family)?;
            Ok(())
        })
    }

    /// Adds a subsystem of one's own, after Esper's.
    #[must_use]
    pub fn plugin(self, plugin: impl Plugin) -> Self {
        self.extend(move |engine| engine.add_plugin(plugin).map(|_| ()))
    }

    /// Does something to the engine before Esper's plugins: resources that they look for when they are built.
    #[must_use]
    pub fn prepare(
        mut self,
        preparation: impl FnOnce(&mut Engine) -> Result<(), BuildError> + 'static,
    ) -> Self {
        self.preparations.push(Box::new(preparation));
        self
    }

    /// Does anything else to the engine, after Esper's plugins.
    #[must_use]
    pub fn extend(
        mut self,
        extension: impl FnOnce(&mut Engine) -> Result<(), BuildError> + 'static,
    ) -> Self {
        self.extensions.push(Box::new(extension));
        self
    }

    /// Says what the run would be, and whether it could begin. Nothing is written, whatever folder was given.
    ///
    /// # Errors
    ///
    /// Fails when the scenario is not sound, or its data can not be had or does not fit it.
    pub fn plan(mut self) -> Result<Plan, RunError> {
        self.dir = None;
        self.progress = ProgressMode::Quiet;
        self.is_apart = true;
        let base_dir = self.base_dir.clone();
        let (run, built) = self.assemble()?;
        hosts::load_init(&run.scenario, &base_dir, &built)?;
        let world = run.engine().world();
        let hosts = world.resource::<HostConfigs>();
        let host = hosts.0.values().next().expect("a run has a host").clone();
        let catalogue = world.resource::<Catalogue>();
        let families = catalogue.iter().map(|family| family.name().to_owned()).collect();
        Ok(Plan::new(run.scenario, &built, &host, families))
    }

    /// Puts a new run together, ready for its first tick.
    ///
    /// # Errors
    ///
    /// Fails when the scenario is not sound, its data can not be had or does not fit it, or its folder can not be
    /// written.
    pub fn build(mut self) -> Result<Run, RunError> {
        let recorded = self.is_apart.then(|| std::mem::take(&mut self.adopted));
        let base_dir = self.base_dir.clone();
        let (mut run, built) = self.assemble()?;
        let scenario = run.scenario.clone();
        let init = hosts::load_init(&scenario, &base_dir, &built)?;
        spawn_hosts(run.engine_mut(), &scenario, &built, init.as_ref());
        let adopted = adopt(run.engine_mut(), &scenario, recorded.as_deref())?;
        let started = RunStarted {
            format: EVENTS_FORMAT,
            scenario: scenario.run.name.clone(),
            scenario_digest: Digest(scenario.digest()),
            seed: scenario.run.seed,
            n_hosts: scenario.run.replicas as u64,
            init: init.as_ref().map(StateDict::digest),
        };
        let dir = run.dir.clone();
        nissa::start(run.engine_mut().world_mut(), dir.as_ref(), &started)?;
        nissa::record_adoptions(run.engine_mut().world_mut(), &adopted)?;
        tolaria::begin(run.engine_mut().world_mut(), dir.as_ref().map(RunDir::checkpoints))?;
        Ok(run)
    }

    /// Puts the run of this builder's folder together as its newest sound checkpoint left it, and says what was
    /// repaired.
    ///
    /// # Errors
    ///
    /// As [`RunBuilder::build`], and when no checkpoint is sound or the journal is not the one it was taken with.
    ///
    /// # Panics
    ///
    /// If the builder was given no folder.
    pub fn resume(self) -> Result<(Run, Vec<String>), RunError> {
        let dir = self.dir.clone().expect("a run is resumed from its folder");
        let (checkpoint, damaged) = tolaria::latest_checkpoint(&dir.checkpoints())?;
        let mut notes: Vec<String> = damaged
            .iter()
            .map(|error| format!("a damaged checkpoint is left out: {error}"))
            .collect();
        let (mut run, _) = self.assemble()?;
        let world = run.engine_mut().world_mut();
        let info = tolaria::restore_checkpoint(world, &checkpoint)?;
        notes.push(format!("resumed after tick {} from {}", info.tick, checkpoint.display()));
        let repair = nissa::resume(world, Some(&dir))?;
        notes.extend(repair.map(|repair| {
            format!(
                "{}: cut off {} bytes of a torn last line",
                repair.path.display(),
                repair.bytes_removed
            )
        }));
        tolaria::go_on(world, dir.checkpoints());
        Ok((run, notes))
    }

    fn assemble(self) -> Result<(Run, Built), RunError> {
        let scenario = self.scenario.checked()?;
        let data = match self.data {
            Some(data) => data,
            None => load_data(&scenario, &self.base_dir)?,
        };
        let built = hosts::build(&scenario, self.graph, &data, &self.base_dir)?;
        let mut engine = Engine::default();
        let world = engine.world_mut();
        world.insert_resource(RunSeed(scenario.run.seed));
        world.insert_resource(host_configs(&scenario, &data));
        if let Some(policy) = self.policy {
            world.insert_resource(ActivePolicy(policy));
        }
        if let Some(scripts) = self.scripts {
            world.insert_resource(scripts);
        }
        for preparation in self.preparations {
            preparation(&mut engine)?;
        }
        let library = self.dir.as_ref().map(RunDir::library);
        let mut urza = UrzaConfig::new(&scenario, library.as_deref());
        if self.is_apart {
            urza.place = LibraryPlace::Memory;
        }
        let sites = built.program.sites.iter().map(|site| site.name.clone()).collect();
        engine.add_plugins(EsperPlugins::new(&scenario, sites, urza, self.progress))?;
        for extension in self.extensions {
            extension(&mut engine)?;
        }
        engine.finish()?;
        check_catalogue(&scenario, engine.world().resource::<Catalogue>())?;
        Ok((Run::new(engine, scenario, self.dir, built.program.params_elems()), built))
    }
}

/// Loads the data of `scenario`; a relative path is resolved against `base_dir`.
///
/// # Errors
///
/// Fails when the data can not be had or can not be used.
pub fn load_data(scenario: &Scenario, base_dir: &Path) -> Result<Arc<SplitData>, RunError> {
    Ok(Arc::new(data::load(&data_config(scenario), base_dir)?))
}

/// What a scenario's `[data]` says, for the loaders.
fn data_config(scenario: &Scenario) -> DataConfig {
    let data = &scenario.data;
    DataConfig {
        source: data.source.clone(),
        task: match data.task {
            scenario::Task::Classification => data::Task::Classification,
            scenario::Task::Regression => data::Task::Regression,
        },
        label: data.label.clone(),
        validation_share: data.validation_share,
        test_share: data.test_share,
        split_seed: data.split_seed,
        standardize: match data.standardize {
            scenario::Standardize::PerFeature => data::Standardize::PerFeature,
            scenario::Standardize::Global => data::Standardize::Global,
            scenario::Standardize::PerChannel => data::Standardize::PerChannel,
            scenario::Standardize::Off => data::Standardize::Off,
        },
        augment: data.augment,
        tokens: match data.tokens {
            scenario::Tokens::Chars => data::Tokens::Chars,
            scenario::Tokens::Bytes => data::Tokens::Bytes,
        },
        context: data.context,
    }
}

/// Plugins bring families of their own: what is asked of the catalogue is checked when they are there.
fn check_catalogue(scenario: &Scenario, catalogue: &Catalogue) -> Result<(), RunError> {
    let policy = scenario.tamiyo.policy;
    if policy != scenario::Policy::Off && catalogue.iter().next().is_none() {
        return Err(RunError::Unfit {
            key: "karn.catalogue".to_owned(),
            message: format!("must name a blueprint for policy \"{policy}\" to choose"),
            help: "for example `catalogue = [\"all\"]`".to_owned(),
        });
    }
    for (index, entry) in scenario.tamiyo.timetable.iter().enumerate() {
        let Some(name) = entry.blueprint.as_deref().filter(|it| catalogue.get(it).is_none()) else {
            continue;
        };
        let known: Vec<&str> = catalogue.iter().map(|family| family.name()).collect();
        let nearest = scenario::nearest(name, known.iter().copied());
        let nearest = nearest.map_or_else(String::new, |it| format!("did you mean `{it}`? "));
        return Err(RunError::Unfit {
            key: format!("tamiyo.timetable[{index}].blueprint"),
            message: format!("the catalogue has no blueprint called `{name}`"),
            help: format!("{nearest}there are {}", known.join(", ")),
        });
    }
    Ok(())
}

fn host_configs(scenario: &Scenario, data: &Arc<SplitData>) -> HostConfigs {
    let device: Arc<dyn Device> = Arc::new(Cpu);
    let streams = 0..scenario.run.replicas as u64;
    let config = |stream| {
        let config = HostConfig::new(scenario, stream, data.clone(), device.clone());
        (stream, Arc::new(config))
    };
    HostConfigs(streams.map(config).collect())
}

fn spawn_hosts(engine: &mut Engine, scenario: &Scenario, built: &Built, init: Option<&StateDict>) {
    let world = engine.world_mut();
    let configs = world.resource::<HostConfigs>().0.clone();
    for replica in 0..scenario.run.replicas as u64 {
        let config = configs[&replica].clone();
        let mut runtime = HostRuntime::new(config, built.graph.clone(), built.program.clone());
        if let Some(weights) = init {
            runtime.load_state_dict(weights).expect("they were checked");
        }
        spawn_host(world, HostId(replica), runtime);
    }
}

/// Adopts what a record says or, without one, what other runs left in the library that the scenario shares with them.
fn adopt(
    engine: &mut Engine,
    scenario: &Scenario,
    recorded: Option<&[KernelAdopted]>,
) -> Result<Vec<KernelAdopted>, RunError> {
    let world = engine.world_mut();
    if !world.resource::<KasminaConfig>().plants_seeds {
        return Ok(Vec::new());
    }
    match recorded {
        Some(recorded) => Ok(adoption::adopt_recorded(world, recorded)),
        None if scenario.urza.path.is_some() => Ok(adoption::adopt_known(world, scenario)?),
        None => Ok(Vec::new()),
    }
}
