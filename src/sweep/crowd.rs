//! Cells that run as hosts of one world.
//!
//! A world takes as long to begin and end as a host of digits takes to train for ten epochs. Cells of one scenario that are
//! kept nowhere and in which nothing grows share one: each is then bit for bit what it is alone, but for the time it takes.

use std::{collections::VecDeque, sync::Mutex};

use esper_systems::{
    nissa::{RunEnd, Summary},
    tamiyo::OFF,
};

use super::{
    cell::{Cell, Job, Ready, Wanted},
    hosts::predicted_flops,
    stop::Stop,
};
use crate::{
    HostSpec, Plan, Run, RunError,
    scenario::{RUN, TAMIYO, URZA},
};

/// Cells of one world at most: of its cost a cell bears 1/64 then.
const CROWD_MAX: usize = 64;

/// FLOPs of the cells of one world at most, about a second's: longer ones do not notice what a world costs, and are recorded
/// as each of them ends.
const CROWD_FLOPS_MAX: f64 = 3e10;

/// A thread takes no more than one of this many parts of what is left for each thread, so that all end at about one time.
const PARTS_LEFT: usize = 3;

/// Cells that wait for a thread, in their order.
pub(super) struct Queue<'a> {
    left: Mutex<VecDeque<&'a [Cell]>>,
    n_jobs: usize,
}

impl<'a> Queue<'a> {
    /// `cells`, for `n_jobs` threads.
    pub fn new(cells: &'a [Cell], n_jobs: usize) -> Self {
        Self { left: Mutex::new([cells].into()), n_jobs }
    }

    /// The next cell, and cells behind it that differ from it by their seeds alone; `None` if there are no more.
    pub fn take(&self) -> Option<&'a [Cell]> {
        let mut left = self.left.lock().expect("nobody panics while they hold it");
        let n_left: usize = left.iter().map(|cells| cells.len()).sum();
        let n_most = (n_left / (PARTS_LEFT * self.n_jobs)).clamp(1, CROWD_MAX);
        let cells = left.pop_front()?;
        let n_alike = cells.iter().take_while(|it| it.differs_by_seed(&cells[0])).count();
        let (taken, rest) = cells.split_at(n_alike.min(n_most));
        if !rest.is_empty() {
            left.push_front(rest);
        }
        Some(taken)
    }

    /// Has cells that were taken wait again.
    pub fn give_back(&self, cells: &'a [Cell]) {
        if !cells.is_empty() {
            self.left.lock().expect("nobody panics while they hold it").push_front(cells);
        }
    }
}

impl Cell {
    fn differs_by_seed(&self, other: &Self) -> bool {
        (self.task, self.kind) == (other.task, other.kind)
            && (self.id.phase, &self.settings) == (other.id.phase, &other.settings)
    }
}

impl Ready<'_> {
    /// Whether others may be in its world.
    fn is_sociable(&self) -> bool {
        let scenario = &self.job.scenario;
        self.job.dir.is_none()
            && self.wanted == Wanted::default()
            && scenario[TAMIYO].policy == OFF
            && scenario[URZA].path.is_none()
            && scenario[RUN].replicas == 1
    }

    /// Whether it is the same run as `other`'s but for its seed and the network that is given.
    fn fits(&self, other: &Self) -> bool {
        let mut scenario = self.job.scenario.clone();
        scenario[RUN].seed = other.job.scenario[RUN].seed;
        self.is_sociable() && scenario == other.job.scenario
    }
}

/// How many of `n_more` cells like `first` run in its world.
pub(super) fn n_beside(first: &Ready<'_>, n_more: usize) -> usize {
    if n_more == 0 || !first.is_sociable() {
        return 0;
    }
    // What can not be planned can not be run: alone, it says why.
    let Ok(plan) = Plan::new(first.job.options()) else { return 0 };
    let n_cells = (CROWD_FLOPS_MAX / predicted_flops(&plan).max(1.0)) as usize;
    n_cells.saturating_sub(1).min(n_more)
}

/// `ready` by worlds, in the order in which they came.
pub(super) fn gather(ready: Vec<Ready<'_>>) -> Vec<Vec<Ready<'_>>> {
    let mut crowds: Vec<Vec<Ready<'_>>> = Vec::new();
    for it in ready {
        match crowds.iter_mut().find(|crowd| it.fits(&crowd[0])) {
            Some(crowd) => crowd.push(it),
            None => crowds.push(vec![it]),
        }
    }
    crowds
}

/// Runs `jobs`, which differ by seed and graph alone, as hosts of one world, and says what each would have come to alone;
/// `None` if they were stopped.
pub(super) fn run_together(jobs: &[&Job], stop: &Stop) -> Result<Option<Vec<Summary>>, RunError> {
    let seed = |job: &Job| job.scenario[RUN].seed;
    let host = |job: &Job| HostSpec { graph: job.graph.clone(), ..HostSpec::new().seed(seed(job)) };
    let options = jobs[0].options_without_graph();
    let options = jobs.iter().fold(options, |options, job| options.host(host(job)));
    let mut run = Run::start(options)?;
    let _registered = stop.register(run.handle());
    let all = run.finish()?;
    if all.status == RunEnd::Interrupted {
        return Ok(None);
    }
    run.close()?;
    let share = 1.0 / jobs.len() as f64;
    let alone = |(at, job): (usize, &&Job)| all.of_host(at, seed(job), share);
    Ok(Some(jobs.iter().enumerate().map(alone).collect()))
}
