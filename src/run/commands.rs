//! Commands from outside: checked and journalled as a policy's are, and repeated by a resume and a replay.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use bevy_ecs::prelude::*;
use esper_engine::{
    journal::{Event, Recorded, RecordedMessage},
    world::plugin::{BuildError, Clock, Engine, Plugin, Tick, TickSystems},
};
use esper_systems::oona::SeedCommand;
use serde::{Deserialize, Serialize};

/// What can be asked of a run from outside. It is done between two ticks, or in the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Asks a seed for an action in the next tick, after the policy's commands.
    Seed(SeedCommand),
    /// Writes a checkpoint, if the run has a folder.
    Snapshot,
    /// Ends the run before its last step; it can be resumed.
    Stop,
}

/// Sends commands to a run from any thread, while the run goes.
#[derive(Clone, Debug, Default)]
pub struct RunHandle(Arc<Mutex<Vec<Command>>>);

impl RunHandle {
    /// Asks the run for something; without effect once the run has ended.
    pub fn send(&self, command: Command) {
        // A list of plain values is sound whatever happened to the thread that held it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(command);
    }

    /// The commands sent since the last call, in order.
    pub(super) fn take(&self) -> Vec<Command> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A command from outside reached the run in this tick; a `command_refused` follows where it was refused.
#[derive(Message, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandReceived {
    /// What was asked, and of which seed.
    #[serde(flatten)]
    pub command: SeedCommand,
}

impl Recorded for CommandReceived {
    const KIND: &'static str = "command_received";
}

impl RecordedMessage for CommandReceived {
    /// Commands are recorded in the order in which they were given.
    type Key = ();

    fn key(&self) {}
}

/// Commands that the next tick takes in.
#[derive(Resource, Serialize, Deserialize, Debug, Default)]
pub(super) struct PendingCommands(pub VecDeque<SeedCommand>);

/// Commands that a journal says were received, by tick: they are received again.
#[derive(Resource, Debug, Default)]
pub(super) struct RecordedCommands(BTreeMap<u64, Vec<SeedCommand>>);

impl RecordedCommands {
    /// Takes in `event`, if a command was received then.
    pub fn add(&mut self, event: &Event) -> Result<(), serde_json::Error> {
        if event.kind == CommandReceived::KIND {
            let received: CommandReceived = event.to()?;
            self.0.entry(event.tick).or_default().push(received.command);
        }
        Ok(())
    }
}

/// Lets a run take commands from outside.
///
/// It is added before Esper's plugins: its event is then the first of a tick, so that a journal that was torn in a tick
/// and holds what a command did holds the command too.
pub(super) struct CommandPlugin;

impl Plugin for CommandPlugin {
    fn name(&self) -> &'static str {
        "commands"
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        engine.world_mut().init_resource::<PendingCommands>();
        engine.add_saved::<PendingCommands>("commands").add_event::<CommandReceived>();
        engine.add_systems(
            Tick,
            pass_on_commands
                .after(TickSystems::Decide)
                .before(TickSystems::Transform)
                .run_if(has_commands),
        );
        Ok(())
    }
}

fn has_commands(
    clock: Res<Clock>,
    pending: Res<PendingCommands>,
    recorded: Option<Res<RecordedCommands>>,
) -> bool {
    let is_repeated = |it: Res<RecordedCommands>| it.0.contains_key(&clock.0);
    !pending.0.is_empty() || recorded.is_some_and(is_repeated)
}

/// Records this tick's commands from outside and passes them on, behind the policy's.
fn pass_on_commands(
    clock: Res<Clock>,
    mut pending: ResMut<PendingCommands>,
    mut recorded: Option<ResMut<RecordedCommands>>,
    mut received: MessageWriter<CommandReceived>,
    mut commands: MessageWriter<SeedCommand>,
) {
    let recorded = recorded.as_mut().and_then(|it| it.0.remove(&clock.0)).unwrap_or_default();
    // A checkpoint may hold commands that the journal beyond it has received: they are the same, and came first.
    let n_repeated = pending.0.len().min(recorded.len());
    for command in pending.0.drain(..).chain(recorded.into_iter().skip(n_repeated)) {
        received.write(CommandReceived { command });
        commands.write(command);
    }
}
