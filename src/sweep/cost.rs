//! What a sweep will cost, before it runs.

use std::time::{Duration, Instant};

use esper_engine::runtime::Runtimes;

use super::{
    apply::{Source, front_host},
    arm::Arm,
    cell::{Cell, CellKind, DataCache},
    cells::{Records, Wave},
    error::SweepError,
    hosts::predicted_flops,
    record::Phase,
    spec::SweepSpec,
    store::Shard,
};
use crate::{
    Plan, Run, RunError, RunOptions, RunState,
    scenario::{Scenario, TAMIYO, URZA},
};

/// What cells of one kind will cost.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct CellCost {
    /// The task.
    pub task: String,
    /// What they are for.
    pub phase: Phase,
    /// The arm.
    pub arm: String,
    /// How many there are.
    pub n_cells: usize,
    /// What one costs in the mean, in FLOPs.
    pub flops_per_cell: f64,
    /// Time of all of them on one core, in seconds.
    pub core_s: f64,
}

/// How long the growth of a task is looked at to say what it costs.
const PATIENCE: Duration = Duration::from_secs(10);

impl SweepSpec {
    /// What the sweep will cost, by task, phase and arm.
    ///
    /// Arms without growth are counted from their plans. For those that grow, and those that spend what a growth spent,
    /// one growth of each task is run, for ten seconds at most, and taken to go on as it began; it tells the speed too.
    ///
    /// # Errors
    ///
    /// As [`SweepSpec::check`], and when data can not be had.
    pub fn cost(&self, shard: Option<Shard>) -> Result<Vec<CellCost>, SweepError> {
        self.check()?;
        let (data, records) = (DataCache::default(), Records::default());
        let mut costs: Vec<CellCost> = Vec::new();
        let mut pilots: Vec<Option<Pilot>> = vec![None; self.tasks.len()];
        for wave in Wave::ALL {
            for cell in self.cells(wave, &records, shard) {
                let at = |source| SweepError::Cell {
                    cell: cell.id.to_string(),
                    source: Box::new(source),
                };
                let pilot = match pilots[cell.task] {
                    Some(pilot) => pilot,
                    None => *pilots[cell.task].insert(self.pilot(&cell, &data).map_err(at)?),
                };
                let flops = self.flops_of(&cell, &data, pilot).map_err(at)?;
                add(&mut costs, &cell, flops, flops / pilot.flops_per_s);
            }
        }
        Ok(costs)
    }

    /// FLOPs of a cell, as far as they are known before it runs.
    fn flops_of(&self, cell: &Cell, data: &DataCache, pilot: Pilot) -> Result<f64, RunError> {
        let task = &self.tasks[cell.task];
        let scenario = (*task.resolve(&cell.settings)?).clone();
        let factor = match cell.kind {
            CellKind::Front { width, n_more, epochs } => {
                let scenario = front_host(scenario, (width, n_more, epochs))?;
                return Ok(predicted_flops(&self.plan_of(cell, scenario, data)?));
            }
            CellKind::Arm(Arm::Off) => 1.0,
            CellKind::Arm(Arm::Scenario) if scenario[TAMIYO].policy == "off" => 1.0,
            // The growth of its pair, and then a static host beside it.
            CellKind::Arm(Arm::Restart) => pilot.growth_factor + 1.0,
            CellKind::Arm(_) => pilot.growth_factor,
        };
        let mut alone = scenario;
        alone[TAMIYO].policy = "off".to_owned();
        Ok(factor * predicted_flops(&self.plan_of(cell, alone, data)?))
    }

    fn plan_of(&self, cell: &Cell, scenario: Scenario, data: &DataCache) -> Result<Plan, RunError> {
        let task = &self.tasks[cell.task];
        let data = data.load(&scenario, &task.base_dir)?;
        Plan::new(RunOptions::new(scenario).base_dir(&task.base_dir).data(data))
    }

    /// Runs the growth of a task, or its host alone where nothing grows, for ten seconds at most.
    fn pilot(&self, cell: &Cell, data: &DataCache) -> Result<Pilot, RunError> {
        let task = &self.tasks[cell.task];
        let mut scenario = (*task.resolve(&cell.settings)?).clone();
        scenario[URZA].path = None;
        let arm = self.sweep.growth_arm().unwrap_or(Arm::Off);
        let source = Source {
            data: data.load(&scenario, &task.base_dir)?,
            base_dir: &task.base_dir,
            seed: cell.id.seed,
            oracle: self.oracle(&task.name),
            growth: None,
            scenario,
        };
        let data = source.data.clone();
        let scenario = source.prepare(arm)?.scenario;
        let options = || RunOptions::new(scenario.clone()).base_dir(&task.base_dir);
        let plan = Plan::new(options().data(data.clone()))?;
        let total_steps: u64 = plan.hosts.iter().map(|it| it.total_steps * it.n_hosts).sum();
        let mut run = Run::start(options().data(data))?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE && run.tick()? == RunState::Running {}
        let seconds = began.elapsed().as_secs_f64();
        let (mut flops, mut n_steps) = (0, 0);
        for runtime in run.engine().world().resource::<Runtimes>().iter() {
            flops += runtime.state.flops.total();
            n_steps += runtime.state.step;
        }
        let share = (n_steps as f64 / total_steps as f64).clamp(1e-9, 1.0);
        Ok(Pilot {
            growth_factor: flops as f64 / share / predicted_flops(&plan),
            flops_per_s: (flops.max(1) as f64 / seconds).max(1.0),
        })
    }
}

/// What a task's growth was seen to cost.
#[derive(Clone, Copy, Debug)]
struct Pilot {
    /// Times what its host alone is predicted to cost.
    growth_factor: f64,
    flops_per_s: f64,
}

fn add(costs: &mut Vec<CellCost>, cell: &Cell, flops: f64, core_s: f64) {
    let id = &cell.id;
    let is_it = |it: &&mut CellCost| it.task == id.task && it.phase == id.phase && it.arm == id.arm;
    match costs.iter_mut().find(is_it) {
        Some(cost) => {
            let n = cost.n_cells as f64;
            cost.flops_per_cell = (cost.flops_per_cell * n + flops) / (n + 1.0);
            cost.core_s += core_s;
            cost.n_cells += 1;
        }
        None => costs.push(CellCost {
            task: id.task.clone(),
            phase: id.phase,
            arm: id.arm.clone(),
            n_cells: 1,
            flops_per_cell: flops,
            core_s,
        }),
    }
}
