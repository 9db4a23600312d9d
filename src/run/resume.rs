//! A run that goes on where its newest checkpoint left it.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
};

use esper_engine::{
    journal::{self, JournalError, Recorded},
    run_dir::{FileError, RunDir},
};
use esper_systems::{
    nissa::{self, KernelAdopted, RunStarted},
    tolaria,
};

use super::{
    Run, RunFolder,
    assemble::{LibraryChoice, assemble},
    commands::RecordedCommands,
    options::RunOptions,
    start,
};
use crate::RunError;

/// A run that goes on.
pub struct Resumed {
    /// The run, ready for its next tick.
    pub run: Run,
    /// Where it goes on, and what had to be repaired; a sentence each.
    pub notes: Vec<String>,
}

impl Run {
    /// Goes on with the run in `folder` where its newest sound checkpoint left it; `options` are the folder's, with what
    /// a program of one's own added when the run began. A run that was stopped before its first checkpoint begins anew.
    ///
    /// # Errors
    ///
    /// As [`Run::start`], and when no checkpoint is sound, the journal is not the one it was taken with, another process
    /// writes it, or the data is not what the run began with.
    pub fn resume(folder: &RunFolder, mut options: RunOptions) -> Result<Resumed, RunError> {
        let dir = &folder.dir;
        let mut notes = Vec::new();
        let is_new = was_stopped_at_birth(dir);
        let resolved = options.resolve(is_new)?;
        folder.check_digests(&resolved)?;
        let run = if is_new {
            clear(dir)?;
            let note = "the run was stopped before its first checkpoint: it begins anew";
            notes.push(note.to_owned());
            start::begin(options, &resolved, Some(dir.clone()))?
        } else {
            let library = (LibraryChoice::AsScenario, None);
            let mut run = assemble(options, &resolved, Some(dir.clone()), library)?;
            run.restore(dir, &mut notes)?;
            run
        };
        // How the run ended the last time is no longer how it ended.
        remove(&dir.summary())?;
        Ok(Resumed { run, notes })
    }

    fn restore(&mut self, dir: &RunDir, notes: &mut Vec<String>) -> Result<(), RunError> {
        let (checkpoint, damaged) = tolaria::latest_checkpoint(&dir.checkpoints())?;
        notes.extend(damaged.iter().map(|it| format!("a damaged checkpoint is left out: {it}")));
        let world = self.engine.world_mut();
        let info = tolaria::restore_checkpoint(world, &checkpoint)?;
        notes.push(format!("resumed after tick {} from {}", info.tick, checkpoint.display()));
        let repair = nissa::resume(world, Some(dir))?;
        notes.extend(repair.map(|repair| {
            format!(
                "{}: cut off {} bytes of a torn last line",
                repair.path.display(),
                repair.bytes_removed
            )
        }));
        world.insert_resource(commands_after(dir, info.tick)?);
        tolaria::go_on(world, dir.checkpoints());
        self.deliver_events()
    }
}

/// The commands that the journal says were received after `tick`.
fn commands_after(dir: &RunDir, tick: u64) -> Result<RecordedCommands, RunError> {
    let path = dir.events();
    let mut commands = RecordedCommands::default();
    for event in journal::read(&path)? {
        let event = event?;
        if event.tick > tick {
            commands
                .add(&event)
                .map_err(|source| nissa::NissaError::Damaged { path: path.clone(), source })?;
        }
    }
    Ok(commands)
}

/// Whether the run has no checkpoint because it was stopped before its first, rather than because somebody removed them.
fn was_stopped_at_birth(dir: &RunDir) -> bool {
    let birth = [RunStarted::KIND, KernelAdopted::KIND];
    let has_ticked = journal::read(&dir.events())
        .is_ok_and(|events| events.flatten().any(|event| !birth.contains(&event.kind.as_str())));
    !has_ticked && tolaria::list_checkpoints(&dir.checkpoints()).is_empty()
}

/// Removes what a run began to write that was stopped before its first checkpoint, unless a process still writes it.
fn clear(dir: &RunDir) -> Result<(), RunError> {
    if let Ok(events) = File::open(dir.events())
        && let Err(TryLockError::WouldBlock) = events.try_lock()
    {
        return Err(JournalError::InUse { path: dir.events() }.into());
    }
    [dir.events(), dir.metrics(), dir.library()].iter().try_for_each(|path| remove(path))
}

fn remove(path: &Path) -> Result<(), RunError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::at(path, "remove the file")(error).into())
        }
        _ => Ok(()),
    }
}
