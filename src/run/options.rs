//! What a run is made of besides its scenario.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use esper_data::{BUNDLED, SplitData};
use esper_engine::world::plugin::{BuildError, Engine, Plugin};
use esper_nn::device::Device;
use esper_systems::{
    karn::BlueprintFamily,
    nissa::ProgressMode,
    tamiyo::{Policy, TamiyoConfig, TamiyoExt},
};

use super::events::{Event, Subscriber, infallible};
use crate::{
    Devices, RunError,
    hosts::{self, HostGroup, HostSpec},
    scenario::{DATA, HOST, Network, RUN, Resolved, Scenario, ScenarioError, URZA},
};

/// Something to do to the engine before its first tick.
pub(super) type Extension = Box<dyn FnOnce(&mut Engine) -> Result<(), BuildError>>;

/// What a run is made of: a scenario, and whatever a program of one's own adds to it or puts in its place.
///
/// [`Run::start`](crate::Run::start) begins a new run of it, [`Run::resume`](crate::Run::resume) and
/// [`Run::replay`](crate::Run::replay) take the options of a [`RunFolder`](crate::RunFolder), and
/// [`Plan::new`](crate::Plan::new) says what the run would be.
pub struct RunOptions {
    pub(super) scenario: Result<Resolved, ScenarioError>,
    pub(super) base_dir: PathBuf,
    pub(super) place: Place,
    pub(super) data: Option<Arc<SplitData>>,
    pub(super) hosts: Vec<HostSpec>,
    pub(super) devices: Devices,
    pub(super) progress: ProgressMode,
    pub(super) policy: Option<Box<dyn Policy>>,
    /// The names of policies of one's own.
    pub(super) policies: Vec<String>,
    pub(super) families: Vec<Box<dyn BlueprintFamily>>,
    pub(super) preparations: Vec<Extension>,
    pub(super) extensions: Vec<Extension>,
    pub(super) subscribers: Vec<Subscriber>,
}

/// Where a new run is kept.
pub(super) enum Place {
    /// In memory.
    Memory,
    /// In this folder.
    At(PathBuf),
    /// In a new folder in this one.
    In(PathBuf),
}

impl RunOptions {
    /// A run of `scenario`, kept in memory and without output unless set otherwise. One that is not resolved yet is; what is
    /// wrong with it is reported when the run is to begin.
    pub fn new(scenario: impl TryInto<Resolved, Error: Into<ScenarioError>>) -> Self {
        Self {
            scenario: scenario.try_into().map_err(Into::into),
            base_dir: PathBuf::from("."),
            place: Place::Memory,
            data: None,
            hosts: Vec::new(),
            devices: Devices::default(),
            progress: ProgressMode::Quiet,
            policy: None,
            policies: Vec::new(),
            families: Vec::new(),
            preparations: Vec::new(),
            extensions: Vec::new(),
            subscribers: Vec::new(),
        }
    }

    /// Resolves relative paths of data, graphs and weights against `folder`, the scenario's.
    #[must_use]
    pub fn base_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base_dir = folder.into();
        self
    }

    /// Keeps a new run in the folder `root`, which must be empty or not there yet.
    #[must_use]
    pub fn folder(mut self, root: impl Into<PathBuf>) -> Self {
        self.place = Place::At(root.into());
        self
    }

    /// Keeps a new run in `SCENARIO/TIME-SEED/` in the folder `runs`; it is never used twice.
    #[must_use]
    pub fn folder_in(mut self, runs: impl Into<PathBuf>) -> Self {
        self.place = Place::In(runs.into());
        self
    }

    /// Trains on `data` instead of what the scenario's `data.source` names.
    #[must_use]
    pub fn data(mut self, data: Arc<SplitData>) -> Self {
        self.data = Some(data);
        self
    }

    /// Adds hosts to train. Without any, the run trains those that the scenario describes.
    #[must_use]
    pub fn host(mut self, host: impl Into<HostSpec>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Adds a device, for `run.device` to name.
    #[must_use]
    pub fn device(mut self, device: Arc<dyn Device>) -> Self {
        self.devices.add(device);
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

    /// Makes a policy of one's own available: `tamiyo.policy = "<name>"` has `make` make it from Tamiyo's settings.
    #[must_use]
    pub fn add_policy<P: Policy>(
        mut self,
        name: impl Into<String>,
        make: impl Fn(&TamiyoConfig) -> P + Send + Sync + 'static,
    ) -> Self {
        let name = name.into();
        self.policies.push(name.clone());
        self.prepare(move |engine| engine.add_policy(name, make).map(|_| ()))
    }

    /// Adds a family of blueprints to Karn's catalogue.
    #[must_use]
    pub fn blueprint(mut self, family: impl BlueprintFamily) -> Self {
        self.families.push(Box::new(family));
        self
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

    /// Calls `subscriber` with every event of the run, as [`Run::subscribe`](crate::Run::subscribe) does.
    #[must_use]
    pub fn subscribe(mut self, subscriber: impl FnMut(&Event) + Send + Sync + 'static) -> Self {
        self.subscribers.push(infallible(subscriber));
        self
    }

    /// As [`subscribe`](Self::subscribe), for a subscriber that can fail, which ends the run, as
    /// [`Run::try_subscribe`](crate::Run::try_subscribe) does.
    #[must_use]
    pub fn try_subscribe(
        mut self,
        subscriber: impl FnMut(&Event) -> Result<(), RunError> + Send + Sync + 'static,
    ) -> Self {
        self.subscribers.push(Box::new(subscriber));
        self
    }
}

impl From<Scenario> for RunOptions {
    fn from(scenario: Scenario) -> Self {
        Self::new(scenario)
    }
}

impl From<Resolved> for RunOptions {
    fn from(scenario: Resolved) -> Self {
        Self::new(scenario)
    }
}

/// A scenario that is sound, the device it asks for, and hosts that fit their data.
pub(super) struct Prepared {
    pub scenario: Resolved,
    pub device: Arc<dyn Device>,
    /// The data that the scenario names, unless no host trains on it.
    pub data: Option<Arc<SplitData>>,
    pub groups: Vec<HostGroup>,
}

impl Prepared {
    /// Whether `name` is the file that the scenario's graph is read from.
    pub fn is_graph_file(&self, name: &str) -> bool {
        matches!(&self.scenario[HOST].network, Network::Graph(graph) if graph.file == name)
    }
}

impl RunOptions {
    /// Checks the scenario, loads the data and builds the hosts: all there is to know before there is an engine.
    pub(super) fn resolve(&mut self, is_new: bool) -> Result<Prepared, RunError> {
        let resolved = self.scenario.clone()?;
        let mut scenario = Scenario::clone(&resolved);
        let device = self.devices.get(&scenario[RUN].device)?;
        let specs = std::mem::take(&mut self.hosts);
        let is_needed = specs.is_empty() || specs.iter().any(|spec| spec.data.is_none());
        let data = match self.data.take() {
            None if is_needed => {
                let data = load_data(&scenario, &self.base_dir)?;
                make_absolute(&mut scenario[DATA].source, &self.base_dir)?;
                Some(data)
            }
            data => data.filter(|_| is_needed),
        };
        make_files_absolute(&mut scenario, &self.base_dir)?;
        let scenario = scenario.resolve()?;
        let groups = hosts::build_all(&scenario, specs, data.as_ref(), &self.base_dir, is_new)?;
        Ok(Prepared { scenario, device, data, groups })
    }
}

/// Makes the paths of graph, weights and library absolute, so that the run can be resumed from any folder: the first two
/// start at the scenario's folder, the library's at the working directory.
fn make_files_absolute(scenario: &mut Scenario, base_dir: &Path) -> Result<(), RunError> {
    let host = &mut scenario[HOST];
    if let Network::Graph(graph) = &mut host.network {
        make_absolute(&mut graph.file, base_dir)?;
    }
    if let Some(path) = &mut host.init {
        make_absolute(path, base_dir)?;
    }
    if let Some(path) = &mut scenario[URZA].path {
        make_absolute(path, Path::new(""))?;
    }
    Ok(())
}

/// Makes a path that starts at `base_dir` absolute; the name of bundled data is none.
fn make_absolute(path: &mut String, base_dir: &Path) -> Result<(), RunError> {
    if !BUNDLED.contains(&path.as_str()) {
        *path = absolute(&base_dir.join(&path))?;
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<String, RunError> {
    let refuse = |reason: String| RunError::Path { path: path.to_owned(), reason };
    let absolute = std::path::absolute(path).map_err(|error| refuse(error.to_string()))?;
    absolute.into_os_string().into_string().map_err(|_| {
        refuse("its full path is not Unicode, which a scenario has to be; move it".to_owned())
    })
}

/// Loads the data of `scenario`; a relative path is resolved against `base_dir`.
fn load_data(scenario: &Scenario, base_dir: &Path) -> Result<Arc<SplitData>, RunError> {
    Ok(Arc::new(esper_data::load(&scenario[DATA], base_dir)?))
}
