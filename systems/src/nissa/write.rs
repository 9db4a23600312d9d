//! What Nissa does in `Record`, in the order it does it.

use bevy_ecs::prelude::*;
use esper_engine::{
    journal::{Journal, TickEvents},
    world::plugin::{Clock, RunStatus},
};

use super::{NissaConfig, NissaState, Progress, metrics::Metrics};
use crate::oona::{EpochEnded, HostReport, StageChanged};

/// Whether something happened, in this tick or before it, that is not on record.
pub(super) fn is_anything_to_record(
    events: Res<TickEvents>,
    journal: Res<Journal>,
    state: Res<NissaState>,
) -> bool {
    events.iter().len() > 0 || journal.position() != state.journal
}

/// Puts the tick's facts on record, and hands them to the operating system before anybody is told.
pub(super) fn record_events(
    clock: Res<Clock>,
    events: Res<TickEvents>,
    mut journal: ResMut<Journal>,
    mut state: ResMut<NissaState>,
    mut commands: Commands,
) {
    let recorded = events.iter().try_for_each(|event| event.append(clock.0, &mut journal));
    match recorded.and_then(|()| journal.flush()) {
        Ok(()) => state.journal = journal.position(),
        Err(error) => RunStatus::fail_later(&mut commands, error.to_string()),
    }
}

/// Counts what became of seeds.
pub(super) fn count_outcomes(events: Res<TickEvents>, mut state: ResMut<NissaState>) {
    for change in events.of::<StageChanged>() {
        state.tallies.entry(change.host).or_default().count(change.to);
    }
}

/// Adds a row to `metrics.csv` for each host that ended an epoch.
pub(super) fn write_metrics(
    clock: Res<Clock>,
    config: Res<NissaConfig>,
    events: Res<TickEvents>,
    mut metrics: ResMut<Metrics>,
    mut state: ResMut<NissaState>,
    mut commands: Commands,
) {
    let is_due = |it: &&EpochEnded| it.epoch.is_multiple_of(config.metrics_every_epochs);
    let mut rows: Vec<&EpochEnded> = events.of().filter(is_due).collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|row| row.host);
    match metrics.append(clock.0, rows.into_iter().map(Into::into)) {
        Ok(()) => state.metrics_bytes = metrics.len_bytes(),
        Err(error) => RunStatus::fail_later(&mut commands, error.to_string()),
    }
}

/// Whether progress is shown.
pub(super) fn is_anybody_watching(progress: Res<Progress>) -> bool {
    !progress.is_quiet()
}

/// Shows what happened.
pub(super) fn show_progress(
    clock: Res<Clock>,
    events: Res<TickEvents>,
    mut reports: MessageReader<HostReport>,
    mut progress: ResMut<Progress>,
) {
    progress.show(clock.0, reports.read(), &events);
}
