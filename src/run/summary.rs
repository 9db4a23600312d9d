//! What a run came to, and its last file.

use bevy_ecs::world::World;
use esper_engine::{forge::Lateness, run_dir::RunDir, world::kernel::InnovationFlops};
use esper_systems::{
    nissa::{self, HostSummary, NissaState, Progress, RunEnd, RunEnded, RunFacts, Scores, Summary},
    tolaria::{self, HostEnd},
    urza,
};

use super::Run;
use crate::{
    RunError,
    scenario::{KASMINA, RUN},
};

impl Run {
    /// Ends the record, and writes and shows the summary.
    pub(super) fn summarize(
        &mut self,
        status: RunEnd,
        reason: Option<String>,
    ) -> Result<Summary, RunError> {
        let is_complete = status == RunEnd::Completed;
        let ends = tolaria::end_state(self.engine.world_mut(), is_complete);
        let ended = RunEnded {
            steps: ends.iter().map(|end| end.steps).sum(),
            weights_digest: Summary::weights_digest(ends.iter().map(|end| end.weights_digest)),
        };
        let audit_head = nissa::finish(self.engine.world_mut(), &ended)?;
        let world = self.engine.world();
        let facts = RunFacts {
            status,
            reason,
            seed: self.scenario[RUN].seed,
            epochs: ends.iter().map(|end| end.epochs).min().unwrap_or(0),
            wall_s: self.began.elapsed().as_secs_f64(),
            n_late: world.resource::<Lateness>().n_late(),
            audit_head,
            counterfactual: self.scenario[KASMINA].counterfactual.word().to_owned(),
            innovation_flops: world.get_resource::<InnovationFlops>().map_or(0, |it| it.0),
        };
        let hosts = ends.iter().map(|end| self.host_summary(world, end)).collect();
        let summary = Summary::new(facts, hosts);
        if let Some(dir) = &self.dir {
            summary.write(dir).map_err(nissa::NissaError::from)?;
        }
        self.engine.world_mut().resource_mut::<Progress>().finish(&summary);
        if is_complete {
            self.deliver_events()?;
        }
        Ok(summary)
    }

    fn host_summary(&self, world: &World, end: &HostEnd) -> HostSummary {
        HostSummary {
            host: end.host,
            steps: end.steps,
            scores: Scores {
                train_loss: end.train_loss,
                val_loss: end.validation.map(|found| found.loss),
                val_accuracy: end.validation.and_then(|found| found.accuracy),
                test_loss: end.test.map(|found| found.loss),
                test_accuracy: end.test.and_then(|found| found.accuracy),
            },
            params_initial: self.params_initial.get(&end.host).copied().unwrap_or_default(),
            params_final: end.params_elems,
            seeds: world.resource::<NissaState>().tally(end.host),
            flops: end.flops,
            is_average: end.is_average,
            weights_digest: end.weights_digest,
        }
    }
}

/// Has the summary of the run in `dir` name the digest of its library as it is now, which must not be open for
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
