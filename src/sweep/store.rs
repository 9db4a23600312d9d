//! The folder of a sweep.
//!
//! ```text
//! runs/sweeps/digits/
//!   sweep.toml       the sweep with every key written out
//!   sweep.json       version, and the BLAKE3 of every scenario
//!   unfinished       is there until all cells have ended
//!   results.jsonl    a line for each cell that ended, in the order in which they ended
//!   cells.csv        the same as a table; of runs that are kept, metrics.csv has a row an epoch
//!   libraries/       shared libraries as they were when the sweep began, and each cell's copy
//!   cells/           TASK/ARM/SETTINGS/SEED, a run's folder each
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};

use esper_engine::run_dir::{FileError, to_json, write_atomic};
use esper_nn::digest::Digest;
use serde::{Deserialize, Serialize};

use super::{
    error::SweepError,
    record::{CellId, CellRecord, CellStatus},
    results::{RESULTS, ResultsError, ResultsFile},
    spec::SweepSpec,
};

/// Part `index` of `of` of a sweep: pairs stay together, and parts share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 1.
    pub index: u64,
    /// How many there are.
    pub of: u64,
}

/// What must be the same when a sweep is gone on with.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct SweepManifest {
    version: String,
    name: String,
    /// BLAKE3 of each scenario's text, by task.
    scenarios: BTreeMap<String, Digest>,
    /// BLAKE3 of each scenario's data, by task.
    data: BTreeMap<String, Digest>,
}

/// The file that is in a sweep's folder until all of its cells have ended.
pub const UNFINISHED: &str = "unfinished";

/// The file that is locked while a process works in the folder: by a sweep, or the merging of one, alone; by parts together.
const LOCK: &str = "lock";

/// A sweep's folder, open for writing by this process alone.
pub(super) struct Store {
    root: PathBuf,
    shard: Option<Shard>,
    results: Mutex<File>,
    path: PathBuf,
    _lock: File,
}

impl Store {
    /// Opens the folder at `root` for `spec` on data with these digests, making what is missing, and reads what is there:
    /// cells that failed are left out, and will be run again.
    pub fn open(
        root: &Path,
        spec: &SweepSpec,
        shard: Option<Shard>,
        data: BTreeMap<String, Digest>,
    ) -> Result<(Self, Vec<CellRecord>), SweepError> {
        fs::create_dir_all(root).map_err(FileError::at(root, "create the sweep's folder"))?;
        check_own(root)?;
        let lock = lock_folder(root, shard.is_some())?;
        write_spec(root, spec, data)?;
        let path = root.join(results_name(shard));
        let results = open_results(&path)?;
        // Of a part, against another process that runs the same.
        lock_file(&results, root, &path, false)?;
        if shard.is_none() {
            write_atomic(&root.join(UNFINISHED), b"cells of this sweep are missing\n")?;
        }
        let (records, is_clean) = read_completed(&path)?;
        let root = root.to_owned();
        let store = Self { root, shard, results: Mutex::new(results), path, _lock: lock };
        if !is_clean {
            store.rewrite(&records)?;
        }
        Ok((store, records))
    }

    /// The folder of a cell's run.
    pub fn cell_dir(&self, id: &CellId) -> PathBuf {
        self.root.join(self.cell_path(id))
    }

    /// The same from the sweep's folder. Parts have folders of their own: each makes the choices of all.
    pub fn cell_path(&self, id: &CellId) -> PathBuf {
        let cells = match self.shard {
            None => "cells".to_owned(),
            Some(Shard { index, of }) => format!("cells-{index}-of-{of}"),
        };
        Path::new(&cells).join(cell_path(id))
    }

    /// Adds a cell to the results, in one write: a process that is killed leaves a whole line, or one that is cut off.
    pub fn append(&self, record: &CellRecord) -> Result<(), SweepError> {
        let mut file = self.results.lock().expect("nobody panics while they hold it");
        let written = file.write_all(&to_line(record));
        Ok(written.map_err(FileError::at(&self.path, "write the results"))?)
    }

    /// Puts `records` in the place of all results.
    pub fn rewrite<'a>(
        &self,
        records: impl IntoIterator<Item = &'a CellRecord>,
    ) -> Result<(), SweepError> {
        let mut file = self.results.lock().expect("nobody panics while they hold it");
        let lines: Vec<u8> = records.into_iter().flat_map(to_line).collect();
        write_atomic(&self.path, &lines)?;
        *file = open_results(&self.path)?;
        lock_file(&file, &self.root, &self.path, false)
    }

    /// Says that all cells have ended.
    pub fn finish(&self) -> Result<(), SweepError> {
        set_finished(&self.root)
    }

    /// Waits until the results are on the disk.
    pub fn sync(&self) -> Result<(), SweepError> {
        let file = self.results.lock().expect("nobody panics while they hold it");
        Ok(file.sync_all().map_err(FileError::at(&self.path, "write the results"))?)
    }
}

/// Removes the file that says that cells are missing.
pub(super) fn set_finished(root: &Path) -> Result<(), SweepError> {
    let path = root.join(UNFINISHED);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::at(&path, "end the sweep")(error).into())
        }
        _ => Ok(()),
    }
}

fn open_results(path: &Path) -> Result<File, SweepError> {
    match OpenOptions::new().create(true).append(true).open(path) {
        Err(source) if source.kind() == io::ErrorKind::IsADirectory => {
            Err(ResultsError::Unreadable { path: path.to_owned(), source }.into())
        }
        opened => Ok(opened.map_err(FileError::at(path, "open the results"))?),
    }
}

/// Locks the folder of a sweep against other processes; those that share it let each other be.
pub(super) fn lock_folder(root: &Path, is_shared: bool) -> Result<File, SweepError> {
    let path = root.join(LOCK);
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(FileError::at(&path, "lock the sweep's folder"))?;
    lock_file(&file, root, &path, is_shared)?;
    Ok(file)
}

fn lock_file(file: &File, root: &Path, path: &Path, is_shared: bool) -> Result<(), SweepError> {
    let locked = if is_shared { file.try_lock_shared() } else { file.try_lock() };
    locked.map_err(|error| match error {
        TryLockError::WouldBlock => SweepError::InUse { dir: root.to_owned() },
        TryLockError::Error(error) => FileError::at(path, "lock the sweep's folder")(error).into(),
    })
}

/// Refuses a folder that holds anything but a sweep, or what one leaves that was killed at its beginning.
fn check_own(root: &Path) -> Result<(), SweepError> {
    if root.join("sweep.json").exists() {
        return Ok(());
    }
    let entries = fs::read_dir(root).map_err(FileError::at(root, "read the sweep's folder"))?;
    let is_own = |name: &str| name == LOCK || name.trim_start_matches('.').starts_with("sweep.");
    for entry in entries {
        let entry = entry.map_err(FileError::at(root, "read the sweep's folder"))?;
        if !is_own(&entry.file_name().to_string_lossy()) {
            return Err(SweepError::Other {
                dir: root.to_owned(),
                what: "it is not empty, and holds no sweep".to_owned(),
            });
        }
    }
    Ok(())
}

/// `results.jsonl`, or of a part `results-1-of-4.jsonl`.
pub(super) fn results_name(shard: Option<Shard>) -> String {
    match shard {
        None => RESULTS.to_owned(),
        Some(Shard { index, of }) => format!("results-{index}-of-{of}.jsonl"),
    }
}

pub(super) fn to_line(record: &CellRecord) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).expect("plain data serialises");
    line.push(b'\n');
    line
}

/// Writes the sweep, or holds it to be the one that the folder was made for.
fn write_spec(
    root: &Path,
    spec: &SweepSpec,
    data: BTreeMap<String, Digest>,
) -> Result<(), SweepError> {
    let (toml, manifest) = (root.join("sweep.toml"), root.join("sweep.json"));
    let now = SweepManifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: spec.name.clone(),
        scenarios: spec.tasks.iter().map(|it| (it.name.clone(), it.digest)).collect(),
        data,
    };
    let other = |what: String| SweepError::Other { dir: root.to_owned(), what };
    let bytes = match fs::read(&manifest) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write_atomic(&toml, spec.toml.as_bytes())?;
            return Ok(write_atomic(&manifest, &to_json(&now))?);
        }
        read => read.map_err(FileError::at(&manifest, "read the sweep"))?,
    };
    let then: SweepManifest = serde_json::from_slice(&bytes)
        .map_err(|error| other(format!("its sweep.json can not be read: {error}")))?;
    if then.version != now.version {
        return Err(other(format!("it was made by Esper {}", then.version)));
    }
    for (task, digest) in &now.scenarios {
        if then.scenarios.get(task) != Some(digest) {
            return Err(other(format!("it was made with another scenario `{task}`")));
        }
        if then.data.get(task) != now.data.get(task) {
            return Err(other(format!("it was made with other data for `{task}`")));
        }
    }
    let text = fs::read_to_string(&toml).map_err(FileError::at(&toml, "read the sweep"))?;
    if without_seeds(&text) != without_seeds(&spec.toml) {
        return Err(other(first_difference(&text, &spec.toml)));
    }
    // More seeds of the same cells, or fewer: those that are there stay.
    if text != spec.toml {
        write_atomic(&toml, spec.toml.as_bytes())?;
    }
    Ok(())
}

/// A sweep without the line of `sweep.seeds`, the first that names seeds.
fn without_seeds(toml: &str) -> String {
    let mut lines: Vec<&str> = toml.lines().collect();
    if let Some(at) = lines.iter().position(|line| line.starts_with("seeds = ")) {
        lines.remove(at);
    }
    lines.join("\n")
}

fn first_difference(then: &str, now: &str) -> String {
    let then_lines: BTreeSet<&str> = then.lines().collect();
    let line = now.lines().find(|line| !then_lines.contains(line)).unwrap_or_default();
    format!("it was made for another sweep, without `{line}`")
}

/// The cells of the file at `path` that were completed, and whether it holds nothing else: none that failed, no line that is
/// cut off at its end.
pub(super) fn read_completed(path: &Path) -> Result<(Vec<CellRecord>, bool), SweepError> {
    let Some(found) = ResultsFile::read(path)? else { return Ok((Vec::new(), true)) };
    let n_found = found.records.len();
    let records = found.records.into_iter().map(|(_, record)| record);
    let completed: Vec<CellRecord> =
        records.filter(|it| it.status == CellStatus::Completed).collect();
    let is_clean = found.is_whole && completed.len() == n_found;
    Ok((completed, is_clean))
}

/// The folder of a cell's run, from that of all cells.
fn cell_path(id: &CellId) -> PathBuf {
    let mut path = PathBuf::from(&id.task);
    path.push(match id.phase {
        super::record::Phase::Test => id.arm.clone(),
        super::record::Phase::Tune => format!("tune-{}", id.arm),
        super::record::Phase::Front => "front".to_owned(),
    });
    if !id.settings.is_empty() {
        path.push(settings_name(&id.settings));
    }
    path.join(id.seed.to_string())
}

/// A folder's name for settings: what of them a name can hold, and a digest of all.
fn settings_name(settings: &BTreeMap<String, String>) -> String {
    let text: Vec<String> = settings
        .iter()
        .map(|(key, value)| format!("{}={value}", key.rsplit('.').next().unwrap_or(key)))
        .collect();
    let allow = |it: char| if it.is_ascii_alphanumeric() || "_-.=".contains(it) { it } else { '_' };
    let name: String = text.join("-").chars().take(60).map(allow).collect();
    let whole: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let digest = Digest::of(whole.join("\n").as_bytes()).to_string();
    format!("{name}-{}", &digest[..8])
}
