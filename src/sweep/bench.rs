//! The cells of a wave, on as many threads as are asked for.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, mpsc},
    time::Instant,
};

use esper_engine::runtime::Flops;

use super::{
    apply::{Source, front_host, has_basis},
    arm::Arm,
    cell::{Cell, CellKind, DataCache, Job, Outcome, Ready, Wanted, make_cell},
    cells::Records,
    crowd::{Queue, gather, n_beside, run_together},
    error::SweepError,
    front_cache::FrontCache,
    library::Libraries,
    options::{SweepEvent, SweepOptions},
    record::CellRecord,
    search::search,
    spec::SweepSpec,
    stop::Stop,
    store::Store,
};
use crate::{
    RunError,
    scenario::{Scenario, URZA},
};

/// What the cells of a wave share.
pub(super) struct Bench<'a> {
    pub spec: &'a SweepSpec,
    pub options: &'a SweepOptions,
    pub stop: &'a Stop,
    pub store: &'a Store,
    pub records: &'a Records,
    pub data: &'a DataCache,
    pub libraries: &'a Libraries,
    pub fronts: &'a FrontCache,
}

/// What a cell is once it was looked at.
enum Step<'a> {
    Ready(Box<Ready<'a>>),
    /// It ended without a run that it could share; `None` if it was stopped.
    Ended(Option<Box<CellRecord>>),
}

impl Step<'_> {
    fn ended(record: CellRecord) -> Self {
        Self::Ended(Some(Box::new(record)))
    }
}

impl Bench<'_> {
    /// Runs `cells`, each on one of the threads, in their order as far as threads allow.
    pub fn run(
        &self,
        cells: &[Cell],
        observe: &mut impl FnMut(SweepEvent<'_>),
    ) -> Result<Vec<CellRecord>, SweepError> {
        let n_cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let n_jobs = match self.options.jobs {
            0 => n_cores(),
            jobs => jobs,
        };
        let n_jobs = n_jobs.min(cells.len());
        let queue = Queue::new(cells, n_jobs);
        let failure: Mutex<Option<SweepError>> = Mutex::new(None);
        let (sender, ended) = mpsc::channel();
        let mut records = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..n_jobs {
                let (sender, queue, failure) = (sender.clone(), &queue, &failure);
                scope.spawn(move || {
                    while !self.stop.is_asked()
                        && failure.lock().expect("it is only set").is_none()
                        && let Some(cells) = queue.take()
                    {
                        for record in self.run_some(cells, queue) {
                            match self.store.append(&record) {
                                Ok(()) => _ = sender.send(record),
                                Err(error) => {
                                    *failure.lock().expect("it is only set") = Some(error);
                                }
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

    /// What the first of `cells` came to, and those that ran in one world with it; the others are given back. Cells that were
    /// stopped are left out.
    fn run_some<'a>(&self, cells: &'a [Cell], queue: &Queue<'a>) -> Vec<CellRecord> {
        let Some((first, rest)) = cells.split_first() else { return Vec::new() };
        let first = match self.look_at(first) {
            Step::Ready(ready) => *ready,
            Step::Ended(record) => {
                queue.give_back(rest);
                return record.map(|it| *it).into_iter().collect();
            }
        };
        let (beside, left) = rest.split_at(n_beside(&first, rest.len()));
        queue.give_back(left);
        let (mut ready, mut records) = (vec![first], Vec::new());
        for cell in beside {
            match self.look_at(cell) {
                Step::Ready(it) => ready.push(*it),
                Step::Ended(record) => records.extend(record.map(|it| *it)),
            }
        }
        for crowd in gather(ready) {
            records.extend(self.run_crowd(&crowd));
        }
        records
    }

    /// What cells came to that can share a world.
    fn run_crowd(&self, crowd: &[Ready<'_>]) -> Vec<CellRecord> {
        let alone = || crowd.iter().filter_map(|ready| self.run_alone(ready)).collect();
        if crowd.len() == 1 {
            return alone();
        }
        let began = Instant::now();
        let jobs: Vec<&Job> = crowd.iter().map(|it| &it.job).collect();
        match catch_unwind(AssertUnwindSafe(|| run_together(&jobs, self.stop))) {
            Ok(Ok(Some(summaries))) => {
                let wall_s = began.elapsed().as_secs_f64() / crowd.len() as f64;
                let ends = crowd.iter().zip(summaries);
                let end = |(ready, summary)| {
                    let outcome = Outcome { summary, network: None, actions: Vec::new() };
                    self.complete(ready, outcome, wall_s)
                };
                ends.map(end).collect()
            }
            Ok(Ok(None)) => Vec::new(),
            // What one of them did ended the run of all: each shows for itself what it comes to.
            Ok(Err(_)) | Err(_) => alone(),
        }
    }

    /// What the cell came to in a world of its own; `None` if it was stopped.
    fn run_alone(&self, ready: &Ready<'_>) -> Option<CellRecord> {
        let began = Instant::now();
        // A bug in one cell is that cell's failure, and no reason to lose the others.
        let run = || ready.job.run(ready.wanted, self.stop);
        let outcome = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(outcome)) => outcome?,
            Ok(Err(error)) => return Some(ready.cell.failed(error, seconds_since(began))),
            Err(panic) => return Some(ready.cell.failed(bug(&*panic), seconds_since(began))),
        };
        Some(self.complete(ready, outcome, seconds_since(began)))
    }

    /// The record of a run that ended well after `wall_s`.
    fn complete(&self, ready: &Ready<'_>, outcome: Outcome, wall_s: f64) -> CellRecord {
        let Ready { cell, job, flops_before, .. } = ready;
        let wall_s = ready.wall_s + wall_s;
        let is_front = matches!(cell.kind, CellKind::Front { .. });
        if is_front && let Err(error) = self.fronts.add(&job.scenario, &job.data, &outcome.summary)
        {
            return cell.failed(error, wall_s);
        }
        let kept = job.dir.as_ref().map(|_| self.store.cell_path(&cell.id));
        self.based(cell, cell.completed(outcome, *flops_before, kept, wall_s))
    }

    /// The record with what the cell was made from.
    fn based(&self, cell: &Cell, record: CellRecord) -> CellRecord {
        CellRecord { basis: self.spec.basis(cell, self.records), ..record }
    }

    /// Gets a cell ready, or tells what it came to without a run of its own.
    fn look_at<'a>(&self, cell: &'a Cell) -> Step<'a> {
        let began = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| self.prepare(cell, began))) {
            Ok(Ok(step)) => step,
            Ok(Err(error)) => Step::ended(cell.failed(error, seconds_since(began))),
            Err(panic) => Step::ended(cell.failed(bug(&*panic), seconds_since(began))),
        }
    }

    fn prepare<'a>(&self, cell: &'a Cell, began: Instant) -> Result<Step<'a>, RunError> {
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
                let Some(found) = search(source, arm, self.stop)? else {
                    return Ok(Step::Ended(None));
                };
                let (best, before) = (found.best, found.flops_before);
                let record = cell.completed(best, before, None, seconds_since(began));
                return Ok(Step::ended(self.based(cell, record)));
            }
            CellKind::Arm(arm) if !has_basis(arm, growth) => {
                let reason = "the growth of its pair failed, from which the arm is made";
                return Err(RunError::Failed(reason.to_owned()));
            }
            CellKind::Arm(arm) => (source.prepare(arm)?, self.spec.wanted(arm)),
            CellKind::Front { width, n_more, epochs } => {
                let mut scenario = front_host(source.scenario, (width, n_more, epochs))?;
                make_cell(&mut scenario, cell.id.seed, &task.base_dir);
                return Ok(self.prepare_front(cell, Job::in_memory(scenario, task, data), began));
            }
        };
        let dir = self.options.keeps_runs.then(|| self.store.cell_dir(&cell.id));
        let mut scenario = prepared.scenario;
        self.lend_library(cell, &mut scenario, dir.as_ref().is_some_and(|dir| dir.exists()))?;
        let job = Job {
            graph: prepared.graph,
            dir,
            tensorboard: self.options.tensorboard,
            ..Job::in_memory(scenario, task, data)
        };
        let flops_before = prepared.flops_before;
        let wall_s = seconds_since(began);
        Ok(Step::Ready(Box::new(Ready { cell, job, wanted, flops_before, wall_s })))
    }

    /// A static host of the front, unless it was measured before.
    fn prepare_front<'a>(&self, cell: &'a Cell, job: Job, began: Instant) -> Step<'a> {
        let known = self.fronts.get(&job.scenario, &job.data);
        let (wall_s, flops_before) = (seconds_since(began), Flops::default());
        let Some(summary) = known else {
            let wanted = Wanted::default();
            return Step::Ready(Box::new(Ready { cell, job, wanted, flops_before, wall_s }));
        };
        let outcome = Outcome { summary, network: None, actions: Vec::new() };
        Step::ended(cell.completed(outcome, flops_before, None, wall_s))
    }

    /// Has a cell read and write a copy of the library that its scenario shares, if it does.
    fn lend_library(
        &self,
        cell: &Cell,
        scenario: &mut Scenario,
        is_resumed: bool,
    ) -> Result<(), RunError> {
        if let Some(path) = &mut scenario[URZA].path {
            let copy = self.libraries.copy_for(&cell.id, path, is_resumed)?;
            *path = copy.to_string_lossy().into_owned();
        }
        Ok(())
    }
}

impl SweepSpec {
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

fn seconds_since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64()
}

/// The reason of a cell that panicked.
fn bug(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|it| (*it).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a bug: {}", text.unwrap_or_default())
}
