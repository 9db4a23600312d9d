//! `esper resume`: goes on with a run where its newest checkpoint left it.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::PathBuf,
};

use clap::Args as ClapArgs;
use esper::{
    Run, RunBuilder,
    engine::{
        journal::{self, Recorded},
        run_dir::{FileError, RunDir},
    },
    systems::{
        nissa::{KernelAdopted, RunEnd, RunStarted, Summary},
        tolaria,
    },
};
use serde::Serialize;

use super::{
    drive::{self, DriveArgs},
    failure::Failure,
    run_folder::RunFolder,
    voice::{Output, Voice},
};

/// Arguments of `esper resume`.
#[derive(ClapArgs)]
pub struct Args {
    /// The run's folder.
    dir: PathBuf,
    #[command(flatten)]
    drive: DriveArgs,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Serialize)]
struct Note<'a> {
    text: &'a str,
}

/// Goes on with a run.
pub fn execute(args: &Args, voice: Voice) -> Result<(), Failure> {
    let note = |text: &str| voice.note("note", &Note { text }, text);
    let folder = RunFolder::open(&args.dir)?;
    let dir = &folder.dir;
    let summary = Summary::read(dir).map_err(Failure::failed)?;
    if let Some(summary) = summary.filter(|it| it.status == RunEnd::Completed) {
        let text = format!("{} is complete: there is nothing left to do", dir.root().display());
        voice.note("summary", &summary, text);
        return Ok(());
    }
    if !folder.is_scenario_same {
        note("scenario.toml is not as it was when the run began; `esper verify` will say so");
    }
    let builder = folder.builder()?.dir(dir.clone()).progress(voice.progress());
    let (run, notes) = take_up(builder, dir).map_err(|error| match error {
        TakeUpError::Run(error) => Failure::run(error, &folder.file),
        TakeUpError::Folder(failure) => failure,
    })?;
    notes.iter().for_each(|text| note(text));
    // How the run ended the last time is no longer how it ended.
    remove(&dir.summary())?;
    drive::announce(voice, dir);
    drive::drive(run, dir, &args.drive, voice)
}

enum TakeUpError {
    Run(esper::RunError),
    Folder(Failure),
}

fn take_up(builder: RunBuilder, dir: &RunDir) -> Result<(Run, Vec<String>), TakeUpError> {
    if !was_killed_at_birth(dir) {
        return builder.resume().map_err(TakeUpError::Run);
    }
    clear(dir).map_err(TakeUpError::Folder)?;
    let run = builder.build().map_err(TakeUpError::Run)?;
    Ok((run, vec!["the run was stopped before its first checkpoint: it begins anew".to_owned()]))
}

/// Whether the run has no checkpoint because it did not live to its first, rather than because somebody removed them.
fn was_killed_at_birth(dir: &RunDir) -> bool {
    let birth = [RunStarted::KIND, KernelAdopted::KIND];
    let has_lived = journal::read(&dir.events())
        .is_ok_and(|events| events.flatten().any(|event| !birth.contains(&event.kind.as_str())));
    !has_lived && tolaria::list_checkpoints(&dir.checkpoints()).is_empty()
}

/// Removes what a run that was killed at birth began to write, unless it lives yet.
fn clear(dir: &RunDir) -> Result<(), Failure> {
    if let Ok(events) = File::open(dir.events())
        && let Err(TryLockError::WouldBlock) = events.try_lock()
    {
        let path = dir.events();
        return Err(Failure::failed(journal::JournalError::InUse { path }));
    }
    [dir.events(), dir.metrics(), dir.library()].iter().try_for_each(|path| remove(path))
}

fn remove(path: &std::path::Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::failed(FileError::at(path, "remove the file")(error)))
        }
        _ => Ok(()),
    }
}
