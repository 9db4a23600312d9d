//! A run in progress: tick it, stop it, finish it.

use esper_engine::{
    forge::Lateness,
    run_dir::RunDir,
    scenario::Scenario,
    world::plugin::{Clock, Engine, RunStatus},
};
use esper_systems::{
    nissa::{self, HostSummary, NissaState, Progress, RunEnd, RunEnded, RunFacts, Scores, Summary},
    tolaria::{self, CheckpointPlan},
    urza,
};

use crate::RunError;

/// A run of a scenario: an engine and the folder it is kept in.
pub struct Run {
    engine: Engine,
    pub(crate) scenario: Scenario,
    pub(crate) dir: Option<RunDir>,
    params_initial: u64,
    began: std::time::Instant,
}

/// Why [`Run::run_until`] came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The run is over.
    Ended,
    /// It was asked to stop; a checkpoint was written, if it has a folder.
    Interrupted,
}

impl Run {
    pub(crate) fn new(
        engine: Engine,
        scenario: Scenario,
        dir: Option<RunDir>,
        params_initial: u64,
    ) -> Self {
        Self { engine, scenario, dir, params_initial, began: std::time::Instant::now() }
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
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The folder the run is kept in.
    pub fn dir(&self) -> Option<&RunDir> {
        self.dir.as_ref()
    }

    /// Whether hosts have steps left.
    pub fn is_running(&self) -> bool {
        *self.engine.world().resource::<RunStatus>() == RunStatus::Running
    }

    /// Ticks until the run ends or `should_stop` says so between two ticks; then a checkpoint is written.
    ///
    /// # Errors
    ///
    /// Fails when the run fails, or the checkpoint can not be written.
    pub fn run_until(
        &mut self,
        mut should_stop: impl FnMut(u64) -> bool,
    ) -> Result<Stop, RunError> {
        while self.is_running() {
            let tick = self.engine.world().resource::<Clock>().0;
            if should_stop(tick) {
                self.checkpoint()?;
                return Ok(Stop::Interrupted);
            }
            self.engine.tick();
        }
        match self.engine.world().resource::<RunStatus>() {
            RunStatus::Failed(reason) => Err(RunError::Failed(reason.clone())),
            _ => Ok(Stop::Ended),
        }
    }

    /// Writes a checkpoint now, if the run has a folder.
    ///
    /// # Errors
    ///
    /// Fails when it can not be written; the last one stays as it was.
    pub fn checkpoint(&mut self) -> Result<(), RunError> {
        let world = self.engine.world_mut();
        if let Some(folder) = world.resource::<CheckpointPlan>().folder.clone() {
            tolaria::write_checkpoint(world, &folder)?;
        }
        Ok(())
    }

    /// Runs to the end, tests every host once, and writes the summary.
    ///
    /// # Errors
    ///
    /// Fails when the run fails; the summary then says why.
    pub fn finish(&mut self) -> Result<Summary, RunError> {
        self.finish_unless(|_| false)
    }

    /// As [`Run::finish`], unless `should_stop` says so between two ticks: the run can then be resumed, and the summary
    /// says that it was interrupted.
    ///
    /// # Errors
    ///
    /// Fails when the run fails, or when what it leaves behind can not be written.
    pub fn finish_unless(
        &mut self,
        should_stop: impl FnMut(u64) -> bool,
    ) -> Result<Summary, RunError> {
        match self.run_until(should_stop) {
            Ok(Stop::Ended) => self.summarize(RunEnd::Completed, None),
            Ok(Stop::Interrupted) => self.summarize(RunEnd::Interrupted, None),
            Err(error) => {
                // Where even this can not be written, why the run failed is still what is told.
                let _ = self.summarize(RunEnd::Failed, Some(error.to_string()));
                Err(error)
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
            Some(dir) if scenario.urza.path.is_none() => seal_library(&dir),
            _ => Ok(()),
        }
    }

    fn summarize(&mut self, status: RunEnd, reason: Option<String>) -> Result<Summary, RunError> {
        let is_complete = status == RunEnd::Completed;
        let params_initial = self.params_initial;
        let world = self.engine.world_mut();
        let ends = tolaria::end_state(world, is_complete);
        let tallies = world.resource::<NissaState>().clone();
        let epochs = ends.iter().map(|end| end.epochs).min().unwrap_or(0);
        let hosts: Vec<HostSummary> = ends
            .iter()
            .map(|end| HostSummary {
                host: end.host,
                steps: end.steps,
                scores: Scores {
                    train_loss: end.train_loss,
                    val_loss: end.validation.map(|found| found.loss),
                    val_accuracy: end.validation.and_then(|found| found.accuracy),
                    test_loss: end.test.map(|found| found.loss),
                    test_accuracy: end.test.and_then(|found| found.accuracy),
                },
                params_initial,
                params_final: end.params_elems,
                seeds: tallies.tally(end.host),
                flops: end.flops,
                weights_digest: end.weights_digest,
            })
            .collect();
        let ended = RunEnded {
            steps: ends.iter().map(|end| end.steps).sum(),
            weights_digest: Summary::weights_digest(ends.iter().map(|end| end.weights_digest)),
        };
        let audit_head = nissa::finish(world, &ended)?;
        let facts = RunFacts {
            status,
            reason,
            seed: self.scenario.run.seed,
            epochs,
            wall_s: self.began.elapsed().as_secs_f64(),
            n_late: world.resource::<Lateness>().n_late(),
            audit_head,
            counterfactual: self.scenario.kasmina.counterfactual.word().to_owned(),
        };
        let summary = Summary::new(facts, hosts);
        if let Some(dir) = &self.dir {
            summary.write(dir).map_err(nissa::NissaError::from)?;
        }
        world.resource_mut::<Progress>().finish(&summary);
        Ok(summary)
    }
}

/// Has the summary of the run in `dir` name the digest of its library as it is now, which nobody may have open for
/// writing. Without a summary or a library there is nothing to do.
///
/// # Errors
///
/// Fails when the library can not be read or the summary not be written.
pub fn seal_library(dir: &RunDir) -> Result<(), RunError> {
    let Some(mut summary) = Summary::read(dir)?.filter(|_| dir.library().exists()) else {
        return Ok(());
    };
    summary.library_digest = Some(urza::file_digest(dir.library())?);
    summary.write(dir).map_err(nissa::NissaError::from)?;
    Ok(())
}
