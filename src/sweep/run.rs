//! Running a sweep: its cells in waves, on as many threads as are asked for.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Instant,
};

use esper_data::SplitData;
use esper_engine::runtime::Flops;
use esper_nn::digest::Digest;

use super::{
    apply::{Source, front_host, has_basis},
    arm::Arm,
    cell::{Cell, CellKind, DataCache, Job, Outcome, Wanted, make_cell, remove_run},
    cells::{Records, Wave},
    csv::write_tables,
    error::SweepError,
    front_cache::FrontCache,
    library::{Libraries, shared_paths},
    record::{CellRecord, CellStatus},
    search::search,
    spec::{SweepSpec, Task},
    stop::Stop,
    store::{Shard, Store},
};
use crate::{
    RunError,
    scenario::{Scenario, URZA},
};

/// How a sweep is run. None of it changes a result.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// The sweep's folder.
    pub dir: PathBuf,
    /// Cells that run at once; 0 for one a core.
    pub jobs: usize,
    /// Whether each cell's run is kept in a folder of its own; if not, a cell that is stopped begins anew.
    pub keeps_runs: bool,
    /// The part of the sweep that is run; all of it if there is none.
    pub shard: Option<Shard>,
    /// A file of static hosts that were measured before, by this sweep or another; without it every front is measured anew.
    pub fronts: Option<PathBuf>,
    /// Whether runs that are kept have event files for TensorBoard.
    pub tensorboard: bool,
}

/// What happens while a sweep runs.
#[derive(Clone, Copy, Debug)]
pub enum SweepEvent<'a> {
    /// Cells of a wave are about to run; those that were there before are among `n_done`.
    WaveBegan {
        /// Cells of the wave.
        n_cells: usize,
        /// Those that need not be run.
        n_done: usize,
    },
    /// A cell ended.
    CellEnded(&'a CellRecord),
}

/// How a sweep ended.
#[derive(Clone, Debug, Default)]
pub struct SweepEnd {
    /// Cells that were completed, now or before.
    pub n_completed: usize,
    /// Cells that failed, with their reasons.
    pub failed: Vec<CellRecord>,
    /// Whether it was stopped before its end.
    pub is_stopped: bool,
}

impl SweepSpec {
    /// Runs what is left of the sweep, telling `observe` of every cell that ends. One that fails stops no other, and is
    /// run again when the sweep is.
    ///
    /// # Errors
    ///
    /// Fails when the folder holds another sweep, is in use, or can not be written; and at the first cell whose scenario is
    /// not sound.
    pub fn run(
        &self,
        options: &SweepOptions,
        stop: &Stop,
        mut observe: impl FnMut(SweepEvent<'_>),
    ) -> Result<SweepEnd, SweepError> {
        self.check()?;
        let data = DataCache::default();
        let digests = self.data_digests(&data)?;
        let (store, found) = Store::open(&options.dir, self, options.shard, digests)?;
        let mut records: Records = found.into_iter().map(|it| (it.id.clone(), it)).collect();
        let fronts = FrontCache::open(options.fronts.as_deref());
        let libraries = Libraries::freeze(&options.dir, self)?;
        let mut end = SweepEnd::default();
        for wave in Wave::ALL {
            let cells = self.cells(wave, &records, options.shard);
            let n_cells = cells.len();
            self.drop_stale(&cells, &mut records, &store)?;
            let left: Vec<Cell> =
                cells.into_iter().filter(|cell| !records.contains_key(&cell.id)).collect();
            if n_cells == 0 {
                continue;
            }
            observe(SweepEvent::WaveBegan { n_cells, n_done: n_cells - left.len() });
            let at = Bench {
                spec: self,
                options,
                stop,
                store: &store,
                records: &records,
                data: &data,
                libraries: &libraries,
                fronts: &fronts,
            };
            for record in at.run(&left, &mut observe)? {
                match record.status {
                    CellStatus::Completed => _ = records.insert(record.id.clone(), record),
                    CellStatus::Failed => end.failed.push(record),
                }
            }
            if stop.is_asked() {
                end.is_stopped = true;
                break;
            }
        }
        store.sync()?;
        write_tables(&options.dir, &records, &end.failed)?;
        if !end.is_stopped && options.shard.is_none() {
            store.finish()?;
            for path in shared_paths(self)? {
                libraries.merge(&path, records.keys())?;
            }
        }
        end.n_completed = records.len();
        Ok(end)
    }
}

/// What the cells of a wave share.
struct Bench<'a> {
    spec: &'a SweepSpec,
    options: &'a SweepOptions,
    stop: &'a Stop,
    store: &'a Store,
    records: &'a Records,
    data: &'a DataCache,
    libraries: &'a Libraries,
    fronts: &'a FrontCache,
}

impl Bench<'_> {
    /// Runs `cells`, each on one of the threads, in their order as far as threads allow.
    fn run(
        &self,
        cells: &[Cell],
        observe: &mut impl FnMut(SweepEvent<'_>),
    ) -> Result<Vec<CellRecord>, SweepError> {
        let n_cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let n_jobs = match self.options.jobs {
            0 => n_cores(),
            jobs => jobs,
        };
        let next = AtomicUsize::new(0);
        let failure: Mutex<Option<SweepError>> = Mutex::new(None);
        let (sender, ended) = mpsc::channel();
        let mut records = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..n_jobs.min(cells.len()) {
                let (sender, next, failure) = (sender.clone(), &next, &failure);
                scope.spawn(move || {
                    while !self.stop.is_asked()
                        && failure.lock().expect("it is only set").is_none()
                        && let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let Some(record) = self.run_cell(cell) else { continue };
                        match self.store.append(&record) {
                            Ok(()) => _ = sender.send(record),
                            Err(error) => {
                                *failure.lock().expect("it is only set") = Some(error);
                            }
                        }
                    }
                });
            }
            drop(sender);
            for record in ended {
                observe(SweepEvent::CellEnded(&record));
                records.push(record);
            }
        });
        match failure.into_inner().expect("it is only set") {
            Some(error) => Err(error),
            None => Ok(records),
        }
    }

    /// What the cell came to; `None` if it was stopped.
    fn run_cell(&self, cell: &Cell) -> Option<CellRecord> {
        let began = Instant::now();
        // A bug in one cell is that cell's failure, and no reason to lose the others.
        match catch_unwind(AssertUnwindSafe(|| self.try_cell(cell, began))) {
            Ok(Ok(record)) => {
                let basis = self.spec.basis(cell, self.records);
                record.map(|record| CellRecord { basis, ..record })
            }
            Ok(Err(error)) => Some(cell.failed(error, began)),
            Err(panic) => Some(cell.failed(format!("a bug: {}", panic_text(&*panic)), began)),
        }
    }

    fn try_cell(&self, cell: &Cell, began: Instant) -> Result<Option<CellRecord>, RunError> {
        let task = &self.spec.tasks[cell.task];
        let scenario = (*task.resolve(&cell.settings)?).clone();
        let data = self.data.load(&scenario, &task.base_dir)?;
        let growth = self.spec.growth_of(cell, self.records);
        let growth = growth.and_then(|id| self.records.get(&id));
        let source = Source {
            scenario,
            base_dir: &task.base_dir,
            data: data.clone(),
            seed: cell.id.seed,
            oracle: self.spec.oracle(&task.name),
            growth,
        };
        let (prepared, wanted) = match cell.kind {
            CellKind::Arm(arm) if arm.is_search() => {
                let Some(found) = search(source, arm, self.stop)? else { return Ok(None) };
                return Ok(Some(cell.completed(found.best, found.flops_before, None, began)));
            }
            CellKind::Arm(arm) if !has_basis(arm, growth) => {
                let reason = "the growth of its pair failed, from which the arm is made";
                return Err(RunError::Failed(reason.to_owned()));
            }
            CellKind::Arm(arm) => (source.prepare(arm)?, self.spec.wanted(arm)),
            CellKind::Front { width, n_more, epochs } => {
                let mut scenario = front_host(source.scenario, (width, n_more, epochs))?;
                make_cell(&mut scenario, cell.id.seed, &task.base_dir);
                return self.run_front(cell, scenario, data, began);
            }
        };
        let dir = self.options.keeps_runs.then(|| self.store.cell_dir(&cell.id));
        let mut scenario = prepared.scenario;
        if let Some(path) = &mut scenario[URZA].path {
            let is_resumed = dir.as_ref().is_some_and(|dir| dir.exists());
            let copy = self.libraries.copy_for(&cell.id, path, is_resumed)?;
            *path = copy.to_string_lossy().into_owned();
        }
        let job = Job {
            scenario,
            base_dir: task.base_dir.clone(),
            data,
            graph: prepared.graph,
            dir: dir.clone(),
            tensorboard: self.options.tensorboard,
        };
        let outcome = job.run(wanted, self.stop)?;
        let kept = dir.map(|_| self.store.cell_path(&cell.id));
        Ok(outcome.map(|it| cell.completed(it, prepared.flops_before, kept, began)))
    }
}

impl Bench<'_> {
    /// A static host of the front, unless it was measured before.
    fn run_front(
        &self,
        cell: &Cell,
        scenario: Scenario,
        data: Arc<SplitData>,
        began: Instant,
    ) -> Result<Option<CellRecord>, RunError> {
        let summary = match self.fronts.get(&scenario, &data) {
            Some(summary) => summary,
            None => {
                let job =
                    Job::in_memory(scenario.clone(), &self.spec.tasks[cell.task], data.clone());
                let Some(outcome) = job.run(Wanted::default(), self.stop)? else { return Ok(None) };
                self.fronts.add(&scenario, &data, &outcome.summary)?;
                outcome.summary
            }
        };
        let outcome = Outcome { summary, network: None, actions: Vec::new() };
        Ok(Some(cell.completed(outcome, Flops::default(), None, began)))
    }
}

impl SweepSpec {
    /// Forgets cells that were run with another choice than is made now, or from another growth: they are run again.
    fn drop_stale(
        &self,
        cells: &[Cell],
        records: &mut Records,
        store: &Store,
    ) -> Result<(), SweepError> {
        let is_stale = |cell: &&Cell| {
            let of =
                |it: &CellRecord| it.tuned != cell.tuned || it.basis != self.basis(cell, records);
            records.get(&cell.id).is_some_and(of)
        };
        let stale: Vec<&Cell> = cells.iter().filter(is_stale).collect();
        if stale.is_empty() {
            return Ok(());
        }
        for cell in stale {
            records.remove(&cell.id);
            remove_run(&store.cell_dir(&cell.id))?;
        }
        store.rewrite(records.values())
    }

    /// The weights of the growth that a cell is made from.
    fn basis(&self, cell: &Cell, records: &Records) -> Option<Digest> {
        let growth = self.growth_of(cell, records)?;
        Some(records.get(&growth)?.summary.as_ref()?.weights_digest)
    }

    /// The digest of each task's data, with what all cells have.
    fn data_digests(&self, data: &DataCache) -> Result<BTreeMap<String, Digest>, SweepError> {
        let digest = |task: &Task| {
            let scenario = task.resolve(&self.fixed_settings())?;
            let data = data.load(&scenario, &task.base_dir)?;
            Ok((task.name.clone(), Digest(data.digest)))
        };
        self.tasks.iter().map(digest).collect()
    }

    /// What other arms of the sweep need of a run of `arm`.
    fn wanted(&self, arm: Arm) -> Wanted {
        let is_growth = self.sweep.growth_arm() == Some(arm);
        let needs = |arms: &[Arm]| is_growth && self.sweep.arms.iter().any(|it| arms.contains(it));
        Wanted {
            network: needs(&[Arm::StaticFinal, Arm::Restart]),
            actions: needs(&[Arm::Random, Arm::Permuted]),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|it| (*it).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
