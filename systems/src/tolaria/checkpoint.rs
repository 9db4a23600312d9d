//! Checkpoints: a folder each, written whole or not at all, from which a run goes on bit for bit.
//!
//! ```text
//! checkpoints/tick-0000000420/
//!   weights.safetensors   parameters under PyTorch's names, moments beside them
//!   state.bin             everything else, postcard
//!   checkpoint.json       tick, steps, and the BLAKE3 of the two files above and of itself
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bevy_ecs::{
    prelude::*,
    system::{SystemParam, SystemState},
};
use esper_engine::{
    ids::HostId,
    journal::{Journal, JournalPosition},
    run_dir::{FileError, sync_folder, to_json, write_atomic},
    runtime::{Runtimes, TensorMap},
    world::{
        components::{Pinned, Principal, Runtime},
        hosts::Hosts,
        kernel::Library,
        plugin::{Clock, RunStatus},
        save::{LoadError, SavedWorld},
    },
};
use esper_nn::{device::DeviceError, digest::Digest};
use serde::{Deserialize, Serialize};

use super::{
    config::TolariaConfig,
    snapshots::{Snapshots, take_first},
};

/// Where checkpoints go, and how far the run was at the last.
#[derive(Resource, Clone, Debug, Default)]
pub struct CheckpointPlan {
    /// The folder; without one nothing is saved.
    pub folder: Option<PathBuf>,
    /// Epochs that were over at the last checkpoint.
    pub epochs_done: u64,
}

/// The form in which checkpoints are written. To be raised whenever what an older Esper wrote would be misread.
///
/// 1 had no number and knew its components by heart; 2 has what was registered, under names.
pub const CHECKPOINT_FORMAT: u32 = 3;

/// What `checkpoint.json` says.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CheckpointInfo {
    /// [`CHECKPOINT_FORMAT`] of the Esper that wrote it.
    pub format: u32,
    /// The tick it was taken after.
    pub tick: u64,
    /// Steps of each host, by name.
    pub steps: Vec<(String, u64)>,
    /// The journal's place then.
    pub journal: JournalPosition,
    /// BLAKE3 of `weights.safetensors`.
    pub weights: Digest,
    /// BLAKE3 of `state.bin`.
    pub state: Digest,
    /// BLAKE3 of this object with this field as zeros.
    pub seal: Digest,
}

/// Why a checkpoint can not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is not what was written.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// It was written in another form than is read here.
    #[error(
        "{}: it has format {found} and this Esper reads format {CHECKPOINT_FORMAT}; go on with the Esper that began \
         the run (manifest.json says which), or begin a new one",
        path.display()
    )]
    Format {
        /// The checkpoint.
        path: PathBuf,
        /// The format it has.
        found: u32,
    },
    /// There is none to resume from.
    #[error("{}: no sound checkpoint to resume from", folder.display())]
    None {
        /// The folder.
        folder: PathBuf,
    },
    /// The journal can not be saved with it.
    #[error(transparent)]
    Journal(#[from] esper_engine::journal::JournalError),
    /// The device has no room for a snapshot.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The library it leans on can not be kept.
    #[error("the library: {0}")]
    Library(String),
    /// The content does not fit this engine.
    #[error("{}: {source}", path.display())]
    Content {
        /// The checkpoint.
        path: PathBuf,
        /// What does not fit.
        source: LoadError,
    },
}

const WEIGHTS: &str = "weights.safetensors";
const STATE: &str = "state.bin";
const INFO: &str = "checkpoint.json";
const PREFIX: &str = "tick-";
/// A checkpoint that is being written, and one that is being removed: no reader looks at either.
const DRAFT_PREFIX: &str = ".draft-";
const REMOVED_PREFIX: &str = ".removed-";

/// Whether the tick that ends is one after which the run is saved.
pub(super) fn is_checkpoint_due(
    plan: Res<CheckpointPlan>,
    config: Res<TolariaConfig>,
    status: Res<RunStatus>,
    epochs_done: EpochsDone,
) -> bool {
    if plan.folder.is_none() {
        return false;
    }
    let every_epochs = config.checkpoint.every_epochs;
    *status == RunStatus::Completed
        || every_epochs > 0 && epochs_done.least() / every_epochs > plan.epochs_done / every_epochs
}

/// Saves the run; a failure ends it, and the last checkpoint stays.
pub(super) fn save(world: &mut World) {
    let Some(folder) = world.resource::<CheckpointPlan>().folder.clone() else { return };
    let keep = world.resource::<TolariaConfig>().checkpoint.keep;
    let epochs_done = least_epochs_done(world);
    match write_checkpoint(world, &folder) {
        Ok(_) => {
            world.resource_mut::<CheckpointPlan>().epochs_done = epochs_done;
            remove_old(&folder, keep);
        }
        Err(error) => {
            let hint = "free some room or make the folder writable, then `esper resume`";
            let reason = format!("the checkpoint could not be written: {error}; {hint}");
            world.resource_mut::<RunStatus>().fail(reason);
        }
    }
}

/// How many epochs the hosts that take steps have behind them.
#[derive(SystemParam)]
pub(super) struct EpochsDone<'w, 's> {
    training: Query<'w, 's, &'static Runtime, (With<Principal>, Without<Pinned>)>,
    runtimes: Res<'w, Runtimes>,
}

impl EpochsDone<'_, '_> {
    fn least(&self) -> u64 {
        let epochs = |runtime: &Runtime| Some(self.runtimes.get(runtime.0)?.epochs_done());
        self.training.iter().filter_map(epochs).min().unwrap_or(0)
    }
}

fn least_epochs_done(world: &mut World) -> u64 {
    SystemState::<EpochsDone>::new(world).get(world).expect("the engine has hosts").least()
}

/// Writes a checkpoint of the world as it stands between two ticks, and returns its folder.
///
/// # Errors
///
/// Fails when the folder can not be written; what was written before stays as it was.
pub fn write_checkpoint(world: &mut World, folder: &Path) -> Result<PathBuf, CheckpointError> {
    let journal = match world.get_resource_mut::<Journal>() {
        Some(mut journal) => {
            journal.sync()?;
            journal.position()
        }
        None => JournalPosition::default(),
    };
    if let Some(library) = world.get_resource::<Library>() {
        library.0.settle().map_err(CheckpointError::Library)?;
    }
    world.init_resource::<TensorMap>();
    let saved = SavedWorld::save(world);
    let tensors = world.remove_resource::<TensorMap>().expect("it was just put there");
    let weights = tensors.to_bytes();
    let state = postcard::to_stdvec(&saved).expect("plain data serialises");
    let tick = world.resource::<Clock>().0;
    let info = CheckpointInfo {
        format: CHECKPOINT_FORMAT,
        tick,
        steps: steps(world),
        journal,
        weights: Digest::of(&weights),
        state: Digest::of(&state),
        seal: Digest::default(),
    };
    let info = CheckpointInfo { seal: Digest::of(&to_json(&info)), ..info };

    let target = folder.join(format!("{PREFIX}{tick:010}"));
    // A resumed run comes by the same ticks again: what is there and sound is not put at risk.
    if read(&target).is_ok_and(|(found, ..)| found == info) {
        return Ok(target);
    }
    let draft = folder.join(format!("{DRAFT_PREFIX}{tick:010}"));
    remove_folder(&draft).map_err(writing(&draft))?;
    fs::create_dir_all(&draft).map_err(writing(&draft))?;
    let written = write_files(&draft, &weights, &state, &to_json(&info));
    if let Err(error) = written {
        // The last checkpoint is untouched; the draft only takes room.
        let _ = remove_folder(&draft);
        return Err(error.into());
    }
    remove_checkpoint(&target).map_err(writing(&target))?;
    fs::rename(&draft, &target).map_err(writing(&target))?;
    sync_folder(folder).map_err(writing(folder))?;
    Ok(target)
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    FileError::at(path, "write the checkpoint")
}

fn write_files(draft: &Path, weights: &[u8], state: &[u8], info: &[u8]) -> Result<(), FileError> {
    write_atomic(&draft.join(WEIGHTS), weights)?;
    write_atomic(&draft.join(STATE), state)?;
    write_atomic(&draft.join(INFO), info)
}

fn remove_folder(path: &Path) -> io::Result<()> {
    unless_missing(fs::remove_dir_all(path))
}

/// Removes a checkpoint if it is there. It is renamed first: a process that is killed here leaves it whole or gone.
fn remove_checkpoint(path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let removed = path.with_file_name(format!("{REMOVED_PREFIX}{name}"));
    remove_folder(&removed)?;
    unless_missing(fs::rename(path, &removed))?;
    remove_folder(&removed)
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn steps(world: &mut World) -> Vec<(String, u64)> {
    let mut state = SystemState::<Hosts>::new(world);
    let hosts = state.get(world).expect("the engine has hosts");
    let step = |(id, host): (HostId, Entity)| (id.to_string(), hosts.runtime(host).state.step);
    hosts.principals().map(step).collect()
}

/// Every checkpoint in `folder`, oldest first, sound or not.
pub fn list_checkpoints(folder: &Path) -> Vec<PathBuf> {
    list_named(folder, PREFIX)
}

fn list_named(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|it| it.starts_with(prefix))
        })
        .collect();
    found.sort();
    found
}

/// Removes all but the newest `keep` checkpoints, and what a killed process left half written or half removed.
/// What can not be removed takes room and does no harm.
fn remove_old(folder: &Path, keep: usize) {
    let found = list_checkpoints(folder);
    for old in &found[..found.len().saturating_sub(keep.max(1))] {
        let _ = remove_checkpoint(old);
    }
    for prefix in [DRAFT_PREFIX, REMOVED_PREFIX] {
        for leftover in list_named(folder, prefix) {
            let _ = remove_folder(&leftover);
        }
    }
}

/// The newest sound checkpoint in `folder`, and what is wrong with those newer than it.
///
/// # Errors
///
/// Fails when there is none.
pub fn latest_checkpoint(
    folder: &Path,
) -> Result<(PathBuf, Vec<CheckpointError>), CheckpointError> {
    let mut damaged = Vec::new();
    for path in list_checkpoints(folder).into_iter().rev() {
        match verify_checkpoint(&path) {
            Ok(_) => return Ok((path, damaged)),
            Err(error) => damaged.push(error),
        }
    }
    Err(damaged.into_iter().next().unwrap_or(CheckpointError::None { folder: folder.to_owned() }))
}

/// Checks every byte of a checkpoint against its digests.
///
/// # Errors
///
/// Names the file that is not what was written.
pub fn verify_checkpoint(path: &Path) -> Result<CheckpointInfo, CheckpointError> {
    read(path).map(|(info, ..)| info)
}

fn read(path: &Path) -> Result<(CheckpointInfo, Vec<u8>, Vec<u8>), CheckpointError> {
    let file = |name: &str| {
        let path = path.join(name);
        fs::read(&path).map_err(FileError::at(&path, "read the checkpoint"))
    };
    let damaged =
        |name: &str, what: String| CheckpointError::Damaged { path: path.join(name), what };
    let bytes = file(INFO)?;
    check_format(path, &bytes)?;
    let info: CheckpointInfo =
        serde_json::from_slice(&bytes).map_err(|error| damaged(INFO, error.to_string()))?;
    let unsealed = CheckpointInfo { seal: Digest::default(), ..info.clone() };
    if to_json(&info) != bytes || Digest::of(&to_json(&unsealed)) != info.seal {
        return Err(damaged(INFO, "its seal does not match its content".to_owned()));
    }
    let (weights, state) = (file(WEIGHTS)?, file(STATE)?);
    for (name, bytes, digest) in [(WEIGHTS, &weights, info.weights), (STATE, &state, info.state)] {
        if Digest::of(bytes) != digest {
            let what = format!("its BLAKE3 is not {digest}, which checkpoint.json says");
            return Err(damaged(name, what));
        }
    }
    Ok((info, weights, state))
}

/// Refuses a checkpoint of another format, whatever else it says of itself.
fn check_format(path: &Path, info: &[u8]) -> Result<(), CheckpointError> {
    /// The form without a number is the first.
    #[derive(Deserialize)]
    struct Format {
        #[serde(default = "first")]
        format: u32,
    }

    const fn first() -> u32 {
        1
    }

    match serde_json::from_slice(info) {
        Ok(Format { format }) if format != CHECKPOINT_FORMAT => {
            Err(CheckpointError::Format { path: path.to_owned(), found: format })
        }
        // What is no JSON is damaged, which the seal tells.
        _ => Ok(()),
    }
}

/// Reads the checkpoint at `path`: what it says of itself, the world, and the world's tensors.
pub(super) fn decode(
    path: &Path,
) -> Result<(CheckpointInfo, SavedWorld, TensorMap), CheckpointError> {
    let (info, weights, state) = read(path)?;
    let damaged =
        |name: &str, what: String| CheckpointError::Damaged { path: path.join(name), what };
    let saved: SavedWorld =
        postcard::from_bytes(&state).map_err(|error| damaged(STATE, error.to_string()))?;
    let tensors =
        TensorMap::from_bytes(&weights).map_err(|error| damaged(WEIGHTS, error.to_string()))?;
    Ok((info, saved, tensors))
}

/// Fills a world that has plugins and no hosts from the checkpoint at `path`, bit for bit.
///
/// # Errors
///
/// Fails when a file is damaged or the content does not fit the world's plugins, data or scenario.
pub fn restore_checkpoint(
    world: &mut World,
    path: &Path,
) -> Result<CheckpointInfo, CheckpointError> {
    let (info, saved, tensors) = decode(path)?;
    world.insert_resource(tensors);
    let loaded = saved.load(world);
    world.remove_resource::<TensorMap>();
    loaded.map_err(|source| CheckpointError::Content { path: path.to_owned(), source })?;
    let epochs_done = least_epochs_done(world);
    world.resource_mut::<CheckpointPlan>().epochs_done = epochs_done;
    debug_assert_eq!(world.resource::<Clock>().0, info.tick);
    Ok(info)
}

/// Begins a new run: first snapshots, and a first checkpoint in `folder`, from which even its first tick can be resumed.
///
/// # Errors
///
/// Fails when the checkpoint can not be written.
pub fn begin(world: &mut World, folder: Option<PathBuf>) -> Result<(), CheckpointError> {
    take_first_snapshots(world)?;
    if let Some(folder) = &folder {
        write_checkpoint(world, folder)?;
    }
    world.resource_mut::<CheckpointPlan>().folder = folder;
    Ok(())
}

/// Goes on saving a resumed run in `folder`.
pub fn go_on(world: &mut World, folder: PathBuf) {
    world.resource_mut::<CheckpointPlan>().folder = Some(folder);
}

fn take_first_snapshots(world: &mut World) -> Result<(), DeviceError> {
    let mut state = SystemState::<(Hosts, ResMut<Snapshots>)>::new(world);
    let (hosts, mut snapshots) = state.get_mut(world).expect("the engine has hosts");
    for (id, host) in hosts.principals() {
        if snapshots.len(id) == 0 {
            take_first(&mut snapshots, id, hosts.runtime(host))?;
        }
    }
    Ok(())
}
