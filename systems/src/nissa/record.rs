//! How a run's record begins, goes on and ends.

use bevy_ecs::prelude::*;
use esper_engine::{
    journal::{Journal, JournalError, Recorded, Repair},
    run_dir::RunDir,
    world::plugin::{Clock, RunStatus},
};
use esper_nn::digest::Digest;

use super::{
    KernelAdopted, NissaConfig, NissaError, NissaState, RunEnded, RunStarted, metrics::Metrics,
};

/// Begins the record of a new run, in the files of `dir` or, without one, in memory. To be called when all plugins are
/// built and no tick has run.
///
/// # Errors
///
/// Fails when a file exists already or can not be made.
pub fn start(
    world: &mut World,
    dir: Option<&RunDir>,
    started: &RunStarted,
) -> Result<(), NissaError> {
    let config = *world.resource::<NissaConfig>();
    let tick = world.resource::<Clock>().0;
    let (mut journal, metrics) = match dir {
        None => (Journal::in_memory(config.events_max), Metrics::default()),
        Some(dir) => {
            let journal = Journal::create(&dir.events(), config.events_max)?;
            (journal, Metrics::create(&dir.metrics())?)
        }
    };
    journal.append(tick, RunStarted::KIND, started)?;
    journal.flush()?;
    world.insert_resource(NissaState {
        journal: journal.position(),
        metrics_bytes: metrics.len_bytes(),
        ..Default::default()
    });
    world.insert_resource(journal);
    world.insert_resource(metrics);
    Ok(())
}

/// Puts on record what a new run adopted, in the order given. To be called after [`start`] and before the first tick.
///
/// # Errors
///
/// Fails when the journal can not be written.
pub fn record_adoptions(world: &mut World, adopted: &[KernelAdopted]) -> Result<(), NissaError> {
    let tick = world.resource::<Clock>().0;
    let mut journal = world.resource_mut::<Journal>();
    adopted.iter().try_for_each(|event| journal.append(tick, KernelAdopted::KIND, event))?;
    journal.flush()?;
    let position = journal.position();
    world.resource_mut::<NissaState>().journal = position;
    Ok(())
}

/// Goes on with the record of a run whose saved resources have just been put back into `world`. The repair says
/// whether a torn line had to be cut off.
///
/// # Errors
///
/// Fails when a file can not be opened or is not the one the checkpoint was taken with.
pub fn resume(world: &mut World, dir: Option<&RunDir>) -> Result<Option<Repair>, NissaError> {
    let config = *world.resource::<NissaConfig>();
    let state = world.resource::<NissaState>().clone();
    let (journal, metrics, repair) = match dir {
        None => {
            let journal = Journal::in_memory_at(state.journal, config.events_max);
            (journal, Metrics::default(), None)
        }
        Some(dir) => {
            let events = dir.events();
            let (journal, repair) = Journal::open_at(&events, state.journal, config.events_max)?;
            let every_epochs = config.metrics_every_epochs;
            let metrics = Metrics::resume(&dir.metrics(), &events, every_epochs, &state)?;
            (journal, metrics, repair)
        }
    };
    world.resource_mut::<NissaState>().metrics_bytes = metrics.len_bytes();
    world.insert_resource(journal);
    world.insert_resource(metrics);
    Ok(repair)
}

/// Ends the record and has the disk hold it; gives the hash of its last line, which the summary names.
///
/// Only a run that is [`RunStatus::Completed`] gets its `run_ended`: another one may yet be resumed, and would then
/// have to end twice. Of a record that could not go on, the run has been told; it ends with what was
/// written before.
///
/// # Errors
///
/// Fails when the journal can not be written.
pub fn finish(world: &mut World, ended: &RunEnded) -> Result<Digest, NissaError> {
    let tick = world.resource::<Clock>().0;
    let is_complete = *world.resource::<RunStatus>() == RunStatus::Completed;
    let mut journal = world.resource_mut::<Journal>();
    if is_complete {
        journal.append(tick, RunEnded::KIND, ended)?;
    }
    match journal.sync() {
        Ok(()) => {
            let position = journal.position();
            world.resource_mut::<NissaState>().journal = position;
        }
        Err(JournalError::Ended) if !is_complete => (),
        Err(error) => return Err(error.into()),
    }
    Ok(world.resource::<NissaState>().journal.head)
}
