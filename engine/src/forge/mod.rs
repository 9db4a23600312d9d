//! The bridge to worker threads: jobs leave at any speed and return by rule.
//!
//! A thread's timing must not be able to change a run. So in [`Mode::Strict`] a job's return tick is
//! chosen when it is sent (`sent + latency_ticks`), and a worker that is late makes that tick wait,
//! which [`Lateness`] counts; it never makes the run different. In [`Mode::Free`] a job returns when it
//! is ready; each admission is journalled, and a [`Script`] made of the journal repeats them to the tick.
//!
//! Two resources: [`Forge`] owns threads and dies with the process, [`JobsOut`] is plain data and is
//! saved. What a checkpoint brought back is sent to the workers again, under its old tickets.

mod admit;
mod pool;
mod script;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use admit::{Admission, Workers};
pub use script::{JOB_ADMITTED, JobOutcome, Script, Scripts};

use crate::scenario::words;
use crate::world::plugin::{BuildError, Engine, Tick, TickSystems};
use pool::Pool;

words! {
    /// When finished work enters the world, for the whole innovation line.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    Mode {
        /// At the tick fixed when it was sent: the same bits every run.
        Strict = "strict",
        /// When it is ready; the journal holds the tick, for replay.
        Free = "free",
    }
}

/// A job's place in the order in which a forge's jobs were sent, from zero.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Work that needs nothing from the world while it runs, and can be saved and sent again.
pub trait Job: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What the work makes; failures the caller can expect belong in here, as a `Result`.
    type Output: Send + Sync + 'static;

    /// Does the work, on a worker thread. Must be a function of `self` alone.
    fn run(self) -> Self::Output;
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It returned.
    Done(T),
    /// It panicked. The worker lives on, and the run decides what that means.
    Panicked,
    /// It ran for longer than it may, or no worker was left to run it. Its worker was abandoned.
    TimedOut,
}

impl<T> Outcome<T> {
    /// How it ended, without what was made.
    pub const fn kind(&self) -> JobOutcome {
        match self {
            Self::Done(_) => JobOutcome::Done,
            Self::Panicked => JobOutcome::Panicked,
            Self::TimedOut => JobOutcome::TimedOut,
        }
    }
}

/// How a forge works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForgeConfig {
    /// A stable, lowercase name, unique in an engine: journals, checkpoints and [`AdmitSystems`] use it.
    pub name: &'static str,
    /// When outcomes are admitted.
    pub mode: Mode,
    /// Threads. None is started before the first job.
    pub n_workers: usize,
    /// Jobs that may be out at once.
    pub queue_max: usize,
    /// Ticks between sending a job and admitting its outcome in [`Mode::Strict`].
    pub latency_ticks: u64,
    /// For how long a job may run before its worker is abandoned.
    pub timeout_ms: u64,
}

impl ForgeConfig {
    /// One worker, strict: 64 jobs out, 20 ticks, one minute.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            mode: Mode::Strict,
            n_workers: 1,
            queue_max: 64,
            latency_ticks: 20,
            timeout_ms: 60_000,
        }
    }

    fn check(&self) -> Result<(), ForgeError> {
        let settings = [
            ("n_workers", self.n_workers as u64),
            ("queue_max", self.queue_max as u64),
            ("latency_ticks", self.latency_ticks),
            ("timeout_ms", self.timeout_ms),
        ];
        match settings.iter().find(|(_, value)| *value == 0) {
            Some((setting, _)) => Err(ForgeError::Zero { forge: self.name, setting }),
            None => Ok(()),
        }
    }
}

/// Why a forge could not be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForgeError {
    /// A setting is zero.
    #[error("forge `{forge}`: `{setting}` is at least 1")]
    Zero {
        /// The forge.
        forge: &'static str,
        /// The setting.
        setting: &'static str,
    },
    /// Two forges share a name.
    #[error("forge `{forge}` was added twice")]
    Duplicate {
        /// The name.
        forge: &'static str,
    },
}

/// The queue is full; the job comes back to be sent on a later tick.
#[derive(Debug, thiserror::Error)]
#[error("the forge has as many jobs out as it may")]
pub struct Full<J>(pub J);

/// A bounded pool of workers for one kind of job.
#[derive(Resource)]
pub struct Forge<J: Job> {
    config: ForgeConfig,
    script: Option<Script>,
    handicap: Option<InjectedDelay>,
    pool: Pool<J>,
}

/// Jobs sent and not yet admitted, oldest first: the part of a forge that a checkpoint keeps.
#[derive(Resource, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct JobsOut<J: Job> {
    n_sent: u64,
    out: VecDeque<Sent<J>>,
    /// False after a load: nothing of this has reached the workers.
    #[serde(skip)]
    is_known: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Sent<J: Job> {
    ticket: Ticket,
    due_tick: u64,
    job: J,
    /// What the pool calls it, once it is there.
    #[serde(skip)]
    task: Option<pool::Task>,
}

impl<J: Job> Default for JobsOut<J> {
    fn default() -> Self {
        Self { n_sent: 0, out: VecDeque::new(), is_known: false }
    }
}

impl<J: Job> JobsOut<J> {
    /// Every job that is out, with its ticket and the tick at which it is due, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Ticket, u64, &J)> {
        self.out.iter().map(|sent| (sent.ticket, sent.due_tick, &sent.job))
    }

    /// How many jobs are out.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Whether none is out, and the workers have none that was out before a load either.
    fn is_settled(&self) -> bool {
        self.out.is_empty() && self.is_known
    }

    /// How many jobs have been sent since the run began.
    pub fn n_sent(&self) -> u64 {
        self.n_sent
    }
}

/// For how long workers hold each job of a forge back before they run it. Insert it before the plugins to find out
/// whether timing leaks into a run.
#[derive(Resource, Clone, Copy, Debug)]
pub struct InjectedDelay(pub fn(forge: &str, Ticket) -> Duration);

/// How often, and for how long, a tick waited for a worker: all forges together.
///
/// A matter of timing and so no part of the world's state: it is neither saved nor journalled. Atomic,
/// so that forges need no order among themselves to count.
#[derive(Resource, Debug, Default)]
pub struct Lateness {
    n_late: AtomicU64,
    waited_us: AtomicU64,
}

impl Lateness {
    /// Admissions that had to wait: zero in an undisturbed run.
    pub fn n_late(&self) -> u64 {
        self.n_late.load(Ordering::Relaxed)
    }

    /// Time spent waiting.
    pub fn waited_us(&self) -> u64 {
        self.waited_us.load(Ordering::Relaxed)
    }

    fn add(&self, waited: Duration) {
        self.n_late.fetch_add(1, Ordering::Relaxed);
        self.waited_us.fetch_add(waited.as_micros() as u64, Ordering::Relaxed);
    }
}

/// The part of [`TickSystems::Admit`] in which the forge of that name is emptied.
///
/// Forges are emptied one after the other, in the order in which they were added.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AdmitSystems(pub &'static str);

/// Systems that have something to do only while a job is out, of any forge.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct AdmitAnySystems;

/// Names of the forges, in the order they were added, and whether one has something to admit or to hand to its workers.
#[derive(Resource, Default)]
struct Forges(Vec<(&'static str, fn(&World) -> bool)>);

fn is_any_job_out(world: &World) -> bool {
    world.resource::<Forges>().0.iter().any(|(_, has_jobs)| has_jobs(world))
}

impl Engine {
    /// Adds the forge of jobs `J`; checkpoints keep its [`JobsOut`] under `config.name`.
    ///
    /// # Errors
    ///
    /// Fails when a setting is zero or the name is taken.
    pub fn add_forge<J: Job>(&mut self, config: ForgeConfig) -> Result<&mut Self, BuildError> {
        config.check().map_err(|error| BuildError::plugin(config.name, error))?;
        let world = self.world_mut();
        let mut forges = world.get_resource_or_init::<Forges>();
        if forges.0.iter().any(|(name, _)| *name == config.name) {
            let error = ForgeError::Duplicate { forge: config.name };
            return Err(BuildError::plugin(config.name, error));
        }
        let previous = forges.0.last().map(|(name, _)| *name);
        forges.0.push((config.name, |world| !world.resource::<JobsOut<J>>().is_settled()));
        let scripts = world.get_resource::<Scripts>();
        // In a replay, a forge without a script is one none of whose jobs came back.
        let script = scripts.map(|it| it.0.get(config.name).cloned().unwrap_or_default());
        world.get_resource_or_init::<Lateness>();
        let handicap = world.get_resource::<InjectedDelay>().copied();
        world.insert_resource(Forge::<J>::new(config, script, handicap));
        world.insert_resource(JobsOut::<J>::default());
        let mut schedules = world.resource_mut::<Schedules>();
        let set = AdmitSystems(config.name);
        schedules.configure_sets(Tick, set.in_set(AdmitAnySystems));
        match previous {
            Some(previous) => schedules.configure_sets(Tick, set.after(AdmitSystems(previous))),
            None => schedules.configure_sets(
                Tick,
                AdmitAnySystems.in_set(TickSystems::Admit).run_if(is_any_job_out),
            ),
        };
        Ok(self.add_saved::<JobsOut<J>>(config.name))
    }
}
