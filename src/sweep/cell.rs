//! One cell: a run of a task under an arm.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use esper_data::SplitData;
use esper_engine::{
    run_dir::FileError,
    runtime::{Flops, Runtimes},
    stage::Stage,
    world::components::Runtime,
};
use esper_nn::graph::NetworkGraph;
use esper_systems::{
    kasmina::BY_COMMAND,
    nissa::{RunEnd, Summary},
    oona::StageChanged,
};

use super::{
    axis::Settings,
    record::{CellId, CellRecord, CellStatus, TakenAction},
    spec::Task,
    stop::Stop,
};
use crate::{
    Run, RunError, RunFolder, RunOptions,
    scenario::{Action, DATA, RUN, Scenario},
    tensorboard::EventFiles,
};

/// A cell that is to be run.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub id: CellId,
    /// Its task's place in the sweep.
    pub task: usize,
    pub kind: CellKind,
    /// Every key that differs from the task's scenario.
    pub settings: Settings,
    /// Those of them that were chosen on validation data.
    pub tuned: Settings,
}

/// What a cell runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CellKind {
    Arm(super::arm::Arm),
    /// A static host of the front.
    Front {
        width: f64,
        n_more: u64,
        epochs: f64,
    },
}

/// What is wanted of a run besides its summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub network: bool,
    pub actions: bool,
}

/// A run, and what it starts from.
pub(super) struct Job {
    pub scenario: Scenario,
    pub base_dir: PathBuf,
    pub data: Arc<SplitData>,
    /// Trained in place of the scenario's network.
    pub graph: Option<NetworkGraph>,
    /// Where the run is kept, unless it is kept in memory.
    pub dir: Option<PathBuf>,
    /// Whether a run that is kept has event files for TensorBoard.
    pub tensorboard: bool,
}

/// A cell whose run can begin.
pub(super) struct Ready<'a> {
    pub cell: &'a Cell,
    pub job: Job,
    pub wanted: Wanted,
    /// What was spent before the run.
    pub flops_before: Flops,
    /// What it took to get ready, in seconds.
    pub wall_s: f64,
}

/// How a run ended.
pub(super) struct Outcome {
    pub summary: Summary,
    pub network: Option<String>,
    pub actions: Vec<TakenAction>,
}

impl Job {
    /// A run of `scenario`, which is `task` with some changes, that is kept nowhere.
    pub fn in_memory(scenario: Scenario, task: &Task, data: Arc<SplitData>) -> Self {
        let base_dir = task.base_dir.clone();
        Self { scenario, base_dir, data, graph: None, dir: None, tensorboard: false }
    }

    /// Runs it to its end; `None` if it was stopped before, to be resumed.
    pub fn run(&self, wanted: Wanted, stop: &Stop) -> Result<Option<Outcome>, RunError> {
        if let Some(outcome) = self.completed(wanted)? {
            return Ok(Some(outcome));
        }
        let mut run = self.begin()?;
        if let Some(dir) = run.dir().filter(|_| self.tensorboard) {
            let mut files = EventFiles::new(dir);
            run.try_subscribe(move |event| Ok(files.take(event)?))?;
        }
        let actions = Arc::new(Mutex::new(Vec::new()));
        if wanted.actions {
            run.subscribe(record_actions(&run, actions.clone()))?;
        }
        let _registered = stop.register(run.handle());
        let summary = run.finish()?;
        if summary.status == RunEnd::Interrupted {
            return Ok(None);
        }
        let network = wanted.network.then(|| network_of(&mut run));
        run.close()?;
        let actions = std::mem::take(&mut *actions.lock().expect("no subscriber panicked"));
        Ok(Some(Outcome { summary, network, actions }))
    }

    /// What the run came to, if it ended before the sweep could say so.
    fn completed(&self, wanted: Wanted) -> Result<Option<Outcome>, RunError> {
        let Some(dir) = self.dir.as_deref().filter(|dir| dir.join("manifest.json").exists()) else {
            return Ok(None);
        };
        // What is wanted beside the summary is not in the folder: the run is made again, to the same bits.
        if wanted.network || wanted.actions {
            return Ok(None);
        }
        // What is damaged is begun anew.
        let summary = RunFolder::open(dir).and_then(|it| it.completed()).unwrap_or(None);
        Ok(summary.map(|summary| Outcome { summary, network: None, actions: Vec::new() }))
    }

    /// The run, from its newest checkpoint if there is one.
    fn begin(&self) -> Result<Run, RunError> {
        let Some(dir) = self.dir.as_deref() else { return Run::start(self.options()) };
        if let Ok(folder) = RunFolder::open(dir)
            && folder.completed().is_ok_and(|it| it.is_none())
            && let Ok(resumed) = Run::resume(&folder, self.options())
        {
            return Ok(resumed.run);
        }
        remove_run(dir)?;
        Run::start(self.options().folder(dir))
    }

    /// What it starts from.
    pub fn options(&self) -> RunOptions {
        let options = self.options_without_graph();
        match &self.graph {
            Some(graph) => options.host(graph.clone()),
            None => options,
        }
    }

    /// What it starts from, but for the graph that is trained in place of the scenario's.
    pub fn options_without_graph(&self) -> RunOptions {
        let options = RunOptions::new(self.scenario.clone());
        options.base_dir(&self.base_dir).data(self.data.clone())
    }
}

/// Removes the folder of a run, if it is there.
pub(super) fn remove_run(dir: &Path) -> Result<(), RunError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::at(dir, "remove what is left of a cell's run")(error).into())
        }
        _ => Ok(()),
    }
}

/// The network of the first host, as JSON.
fn network_of(run: &mut Run) -> String {
    let world = run.engine_mut().world_mut();
    let Runtime(handle) = *world.query::<&Runtime>().iter(world).next().expect("a run has a host");
    let runtime = world.resource::<Runtimes>().get(handle).expect("a host owns its numbers");
    serde_json::to_string(&*runtime.graph).expect("plain data serialises")
}

/// Keeps the actions of the policy: changes of stage that a command asked for.
fn record_actions(
    run: &Run,
    actions: Arc<Mutex<Vec<TakenAction>>>,
) -> impl FnMut(&crate::Event) + Send + Sync + 'static {
    let runtimes = run.engine().world().resource::<Runtimes>();
    let steps_per_epoch = runtimes.iter().next().map_or(1, |it| it.config.steps_per_epoch);
    move |event| {
        let Some(change) = event.get::<StageChanged>() else { return };
        let Some(action) = action_of(&change) else { return };
        actions.lock().expect("no subscriber panicked").push(TakenAction {
            host: change.host,
            epoch: change.step as f64 / steps_per_epoch as f64,
            action: action.word().to_owned(),
            site: change.site,
            blueprint: change.family.filter(|_| action == Action::Germinate),
        });
    }
}

fn action_of(change: &StageChanged) -> Option<Action> {
    if !change.reason.starts_with(BY_COMMAND) {
        return None;
    }
    match change.to {
        Stage::Germinated => Some(Action::Germinate),
        Stage::Grafting => Some(Action::Graft),
        Stage::FineTuning => Some(Action::FineTune),
        Stage::Fossilized => Some(Action::Fossilize),
        Stage::Culled => Some(Action::Cull),
        Stage::Cancelled => Some(Action::Cancel),
        _ => None,
    }
}

impl Cell {
    /// The record of a run that ended well. One that is kept nowhere has no chain of events that its last hash could be
    /// compared with.
    pub fn completed(
        &self,
        outcome: Outcome,
        flops_before: Flops,
        dir: Option<PathBuf>,
        wall_s: f64,
    ) -> CellRecord {
        let Outcome { mut summary, network, actions } = outcome;
        if dir.is_none() {
            summary.audit_head = None;
        }
        CellRecord {
            id: self.id.clone(),
            status: CellStatus::Completed,
            reason: None,
            tuned: self.tuned.clone(),
            basis: None,
            dir,
            summary: Some(summary),
            flops_before,
            network,
            actions,
            wall_s,
        }
    }

    /// The record of a cell that came to nothing.
    pub fn failed(&self, reason: impl ToString, wall_s: f64) -> CellRecord {
        CellRecord {
            id: self.id.clone(),
            status: CellStatus::Failed,
            reason: Some(reason.to_string()),
            tuned: self.tuned.clone(),
            basis: None,
            dir: None,
            summary: None,
            flops_before: Flops::default(),
            network: None,
            actions: Vec::new(),
            wall_s,
        }
    }
}

/// Data of the tasks, read once for all cells that want the same.
#[derive(Default)]
pub(super) struct DataCache(Mutex<BTreeMap<(PathBuf, String), Arc<SplitData>>>);

impl DataCache {
    /// The data of `scenario`, whose relative paths start at `base_dir`.
    pub fn load(&self, scenario: &Scenario, base_dir: &Path) -> Result<Arc<SplitData>, RunError> {
        let config: Vec<String> = scenario
            .keys()
            .into_iter()
            .filter(|(key, _)| key.starts_with("data."))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        // Held while it is read: two cells that want the same would read it twice.
        let mut cache = self.0.lock().expect("no cell panics while it reads");
        let key = (base_dir.to_owned(), config.join("\n"));
        if let Some(data) = cache.get(&key) {
            return Ok(data.clone());
        }
        let data = Arc::new(esper_data::load(&scenario[DATA], base_dir)?);
        cache.insert(key, data.clone());
        Ok(data)
    }
}

/// Sets what every cell has of its own: its seed, and one thread, since cells share the cores.
pub(super) fn make_cell(scenario: &mut Scenario, seed: u64, base_dir: &Path) {
    scenario[RUN].seed = seed;
    scenario[RUN].threads = 1;
    let source = &mut scenario[DATA].source;
    if !esper_data::BUNDLED.contains(&source.as_str()) {
        *source = base_dir.join(&*source).to_string_lossy().into_owned();
    }
}
