//! A run, from its first tick to its summary: the one way in for the command line and for programs of one's own.

mod adoption;
mod assemble;
mod commands;
mod evaluate;
mod events;
mod folder;
mod manifest;
mod options;
mod plan;
mod replay;
mod resume;
mod start;
mod summary;

pub use commands::{Command, CommandReceived, RunHandle};
pub use evaluate::evaluate;
pub use events::Event;
pub use folder::{RunFolder, read_scenario_text};
pub use options::RunOptions;
pub(crate) use plan::layers;
pub use plan::{HostPlan, Layer, Plan};
pub use replay::Replay;
pub use resume::Resumed;
pub use summary::seal_library;

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use esper_engine::{
    ids::HostId,
    journal::Journal,
    run_dir::RunDir,
    world::plugin::{Clock, Engine, RunStatus},
};
use esper_systems::{
    nissa::{RunEnd, Summary},
    tolaria::{self, CheckpointPlan},
};

use self::{
    commands::PendingCommands,
    events::{Subscriber, Subscribers},
};
use crate::{
    RunError,
    scenario::{Resolved, URZA},
};

/// A run of a scenario: an engine, the folder it is kept in, and who listens to it.
///
/// ```
/// use esper::prelude::*;
///
/// let mut scenario = scenario::defaults();
/// scenario[RUN].epochs = 2;
/// scenario[DATA].source = "digits".into();
/// scenario[HOST] = scenario::Host::mlp([64, 8, 10]);
/// let mut run = Run::start(scenario)?;
/// run.subscribe(|event| {
///     if let Some(epoch) = event.get::<EpochEnded>() {
///         println!("tick {}: validation loss {:.3}", event.tick, epoch.val_loss);
///     }
/// })?;
/// while run.tick()? == RunState::Running {}
/// let summary = run.finish()?;
/// assert_eq!(summary.epochs, 2);
/// # Ok::<(), esper::RunError>(())
/// ```
pub struct Run {
    engine: Engine,
    scenario: Resolved,
    dir: Option<RunDir>,
    params_initial: BTreeMap<HostId, u64>,
    subscribers: Subscribers,
    handle: RunHandle,
    stop_at_tick: Option<u64>,
    is_asked_to_stop: bool,
    began: Instant,
}

/// What a run does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It goes on.
    Running,
    /// It was asked to stop, and takes no further tick.
    Stopped,
    /// It is over.
    Ended,
}

impl Run {
    fn new(
        engine: Engine,
        scenario: Resolved,
        dir: Option<RunDir>,
        params_initial: BTreeMap<HostId, u64>,
        subscribers: Vec<Subscriber>,
    ) -> Self {
        Self {
            engine,
            scenario,
            dir,
            params_initial,
            subscribers: Subscribers::new(subscribers),
            handle: RunHandle::default(),
            stop_at_tick: None,
            is_asked_to_stop: false,
            began: Instant::now(),
        }
    }

    /// The engine: its world, its plugins, its tick.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine, for writing.
    pub fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The scenario as resolved.
    pub fn scenario(&self) -> &Resolved {
        &self.scenario
    }

    /// The folder the run is kept in.
    pub fn dir(&self) -> Option<&RunDir> {
        self.dir.as_ref()
    }

    /// Ticks taken since the run began.
    pub fn n_ticks(&self) -> u64 {
        self.engine.world().resource::<Clock>().0
    }

    /// Sends commands to this run from another thread.
    pub fn handle(&self) -> RunHandle {
        self.handle.clone()
    }

    /// Asks the run for something, as [`RunHandle::send`] does from another thread.
    pub fn command(&mut self, command: Command) {
        self.handle.send(command);
    }

    /// Stops the run after `tick`, as [`Command::Stop`] would.
    pub fn stop_at_tick(&mut self, tick: u64) {
        self.stop_at_tick = Some(tick);
    }

    /// Calls `subscriber` with every event of the run's journal, in order and once: with those up to now at once, and
    /// with those of a tick at its end.
    ///
    /// # Errors
    ///
    /// Fails when the journal can not be read.
    pub fn subscribe(
        &mut self,
        subscriber: impl FnMut(&Event) + Send + Sync + 'static,
    ) -> Result<(), RunError> {
        self.subscribers.add(events::infallible(subscriber));
        self.deliver_events()
    }

    /// As [`subscribe`](Self::subscribe), for a subscriber that can fail: its error ends the run as a failed one, as a
    /// file of the run's own that can not be written does. The last checkpoint stays, and the run can be resumed from it.
    ///
    /// # Errors
    ///
    /// Fails when the journal can not be read, or with what the subscriber fails with.
    pub fn try_subscribe(
        &mut self,
        subscriber: impl FnMut(&Event) -> Result<(), RunError> + Send + Sync + 'static,
    ) -> Result<(), RunError> {
        self.subscribers.add(Box::new(subscriber));
        self.deliver_events()
    }

    /// Takes in what was asked, then takes a tick unless the run is over or was asked to stop, and says what is next.
    ///
    /// # Errors
    ///
    /// Fails when the run fails, or a checkpoint that was asked for can not be written.
    pub fn tick(&mut self) -> Result<RunState, RunError> {
        self.take_commands()?;
        if self.state()? == RunState::Running {
            self.engine.tick();
            self.deliver_events()?;
        }
        self.state()
    }

    fn take_commands(&mut self) -> Result<(), RunError> {
        for command in self.handle.take() {
            match command {
                Command::Seed(command) => {
                    let mut pending = self.engine.world_mut().resource_mut::<PendingCommands>();
                    pending.0.push_back(command);
                }
                Command::Snapshot => {
                    self.snapshot()?;
                }
                Command::Stop => self.is_asked_to_stop = true,
            }
        }
        Ok(())
    }

    /// Whether the run goes on.
    ///
    /// # Errors
    ///
    /// Fails with the reason when the run has failed.
    pub fn state(&self) -> Result<RunState, RunError> {
        match self.engine.world().resource::<RunStatus>() {
            RunStatus::Failed(reason) => Err(RunError::Failed(reason.clone())),
            RunStatus::Completed => Ok(RunState::Ended),
            RunStatus::Running => {
                let is_last = self.stop_at_tick.is_some_and(|last| self.n_ticks() >= last);
                let is_stopped = self.is_asked_to_stop || is_last;
                Ok(if is_stopped { RunState::Stopped } else { RunState::Running })
            }
        }
    }

    fn deliver_events(&mut self) -> Result<(), RunError> {
        let mut journal = self.engine.world_mut().resource_mut::<Journal>();
        self.subscribers.deliver(&mut journal, self.dir.as_ref())
    }

    /// Writes a checkpoint now, and gives its folder; `None` if the run is kept in memory.
    ///
    /// # Errors
    ///
    /// Fails when it can not be written; the last one stays as it was.
    pub fn snapshot(&mut self) -> Result<Option<PathBuf>, RunError> {
        let world = self.engine.world_mut();
        let folder = world.resource::<CheckpointPlan>().folder.clone();
        let written = folder.map(|folder| tolaria::write_checkpoint(world, &folder));
        Ok(written.transpose()?)
    }

    /// Ticks until the run is over, tests every host once, and writes the summary. A run that is asked to stop before
    /// writes a checkpoint, and its summary says that it was interrupted.
    ///
    /// # Errors
    ///
    /// Fails when the run fails, which the summary then says too, or when what it leaves behind can not be written.
    pub fn finish(&mut self) -> Result<Summary, RunError> {
        match self.tick_to_end() {
            Ok(end) => self.summarize(end, None),
            Err(error) => {
                // If the summary can not be written either, the first error is the one to return.
                let _ = self.summarize(RunEnd::Failed, Some(error.to_string()));
                Err(error)
            }
        }
    }

    fn tick_to_end(&mut self) -> Result<RunEnd, RunError> {
        loop {
            match self.tick()? {
                RunState::Running => (),
                RunState::Ended => return Ok(RunEnd::Completed),
                RunState::Stopped => {
                    self.snapshot()?;
                    return Ok(RunEnd::Interrupted);
                }
            }
        }
    }

    /// Ends the run's threads and closes its library; `summary.json` then names the digest of that file.
    ///
    /// # Errors
    ///
    /// Fails when the library can not be read or the summary not be written.
    pub fn close(self) -> Result<(), RunError> {
        let Self { engine, dir, scenario, .. } = self;
        drop(engine);
        match dir {
            Some(dir) if scenario[URZA].path.is_none() => seal_library(&dir),
            _ => Ok(()),
        }
    }
}
