//! What a sweep will cost, before it runs.

use std::time::{Duration, Instant};

use super::{
    apply::{Source, front_host},
    arm::{Arm, Basis},
    cell::{Cell, CellKind, DataCache, Job, Wanted, make_cell},
    cells::{Records, Wave},
    error::SweepError,
    hosts::predicted_flops,
    record::Phase,
    spec::SweepSpec,
    stop::Stop,
    store::Shard,
};
use crate::{
    Plan, RunError, RunOptions,
    scenario::{RUN, Scenario, TAMIYO},
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
    /// Time of all of them on one core at the speed of the task's host alone, in seconds.
    pub core_s: f64,
}

/// How many times as much a run that grows costs as its host alone. Measured on the shipped scenarios with the built-in
/// strategy: seeds, verdicts and validation are 54 to 63 % of such a run.
pub const GROWTH_FACTOR: f64 = 2.5;

impl SweepSpec {
    /// What the sweep will cost, by task, phase and arm.
    ///
    /// Arms without growth are counted from their plans. What grows is taken to cost [`GROWTH_FACTOR`] times its host, and
    /// an arm that spends what a growth spent, the same. Speed is measured: the task's host trains for a moment.
    ///
    /// # Errors
    ///
    /// As [`SweepSpec::check`], and when data can not be had.
    pub fn cost(&self, shard: Option<Shard>) -> Result<Vec<CellCost>, SweepError> {
        self.check()?;
        let (data, records) = (DataCache::default(), Records::default());
        let mut costs: Vec<CellCost> = Vec::new();
        let mut speeds: Vec<Option<f64>> = vec![None; self.tasks.len()];
        for wave in Wave::ALL {
            for cell in self.cells(wave, &records, shard) {
                let at = |source| SweepError::Cell { cell: cell.id.to_string(), source };
                let flops = self.flops_of(&cell, &data).map_err(at)?;
                let speed = match speeds[cell.task] {
                    Some(speed) => speed,
                    None => *speeds[cell.task].insert(self.speed_of(&cell, &data).map_err(at)?),
                };
                add(&mut costs, &cell, flops, flops / speed);
            }
        }
        Ok(costs)
    }

    /// FLOPs of a cell, as far as they are known before it runs.
    fn flops_of(&self, cell: &Cell, data: &DataCache) -> Result<f64, RunError> {
        let task = &self.tasks[cell.task];
        let mut scenario = (*task.resolve(&cell.settings)?).clone();
        let mut factor = 1.0;
        match cell.kind {
            CellKind::Front { width, n_more, epochs } => {
                scenario = front_host(scenario, (width, n_more, epochs))?;
            }
            CellKind::Arm(arm) => {
                let grows = match arm {
                    Arm::Off | Arm::StaticFinal => false,
                    Arm::Scenario => scenario[TAMIYO].policy != "off",
                    _ => true,
                };
                // The growth of its pair, and then a static host beside it.
                factor = if grows { GROWTH_FACTOR } else { 1.0 };
                factor += if arm == Arm::Restart { 1.0 } else { 0.0 };
                debug_assert!(grows || arm.basis() != Basis::Flops);
                scenario[TAMIYO].policy = "off".to_owned();
            }
        }
        Ok(factor * predicted_flops(&self.plan_of(cell, scenario, data)?))
    }

    fn plan_of(&self, cell: &Cell, scenario: Scenario, data: &DataCache) -> Result<Plan, RunError> {
        let task = &self.tasks[cell.task];
        let data = data.load(&scenario, &task.base_dir)?;
        Plan::new(RunOptions::new(scenario).base_dir(&task.base_dir).data(data))
    }

    /// FLOPs a second of the task's host alone.
    fn speed_of(&self, cell: &Cell, data: &DataCache) -> Result<f64, RunError> {
        const PATIENCE: Duration = Duration::from_millis(500);

        let task = &self.tasks[cell.task];
        let scenario = (*task.resolve(&cell.settings)?).clone();
        let base_dir = task.base_dir.as_path();
        let source = Source {
            data: data.load(&scenario, base_dir)?,
            base_dir,
            seed: cell.id.seed,
            oracle: None,
            growth: None,
            scenario,
        };
        let data = source.data.clone();
        let mut scenario = source.prepare(Arm::Off)?.scenario;
        make_cell(&mut scenario, cell.id.seed, base_dir);
        let (mut flops, began) = (0.0, Instant::now());
        // Whole epochs, doubled until they take long enough to be timed.
        scenario[RUN].epochs = 1;
        scenario[crate::scenario::TRAIN].schedule.warmup_epochs = 0.0;
        while began.elapsed() < PATIENCE {
            let job = Job {
                scenario: scenario.clone(),
                base_dir: base_dir.to_owned(),
                data: data.clone(),
                graph: None,
                dir: None,
            };
            let Some(outcome) = job.run(Wanted::default(), &Stop::default())? else { break };
            flops += outcome.summary.flops.total() as f64;
            scenario[RUN].epochs = (scenario[RUN].epochs * 2).min(64);
        }
        Ok(flops.max(1.0) / began.elapsed().as_secs_f64())
    }
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
