//! Static hosts that were measured before, by what they are made from: the front of a task is measured once.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use esper_data::SplitData;
use esper_engine::run_dir::FileError;
use esper_nn::digest::Digest;
use esper_systems::nissa::Summary;
use serde::{Deserialize, Serialize};

use crate::{
    RunError,
    scenario::{RUN, Scenario},
};

/// A file of summaries, a line each, that any sweep adds to and reads.
#[derive(Default)]
pub(super) struct FrontCache {
    path: Option<PathBuf>,
    known: BTreeMap<Digest, Summary>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    key: Digest,
    summary: Summary,
}

impl FrontCache {
    /// Reads the file at `path`; lines that are no entries are passed over, since another process may be writing one.
    pub fn open(path: Option<&Path>) -> Self {
        let text = path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
        let known = entries.map(|it| (it.key, it.summary)).collect();
        Self { path: path.map(Path::to_owned), known }
    }

    /// What a run of `scenario` on `data` came to, if it was measured by this build.
    pub fn get(&self, scenario: &Scenario, data: &SplitData) -> Option<Summary> {
        self.known.get(&key(scenario, data)?).cloned()
    }

    /// Adds what it came to.
    pub fn add(
        &self,
        scenario: &Scenario,
        data: &SplitData,
        summary: &Summary,
    ) -> Result<(), RunError> {
        let (Some(path), Some(key)) = (&self.path, key(scenario, data)) else { return Ok(()) };
        let failed = || FileError::at(path, "write the cache of static fronts");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed())?;
        }
        let entry = Entry { key, summary: summary.clone() };
        let mut line = serde_json::to_vec(&entry).expect("plain data serialises");
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed())?;
        Ok(file.write_all(&line).map_err(failed())?)
    }
}

/// The digest of all that a run's result hangs on: its scenario but for the name, its data, and the program that runs it.
fn key(scenario: &Scenario, data: &SplitData) -> Option<Digest> {
    let mut scenario = scenario.clone();
    scenario[RUN].name = "front".to_owned();
    let text = [&scenario.digest()[..], &data.digest[..], &program()?.0[..]].concat();
    Some(Digest::of(&text))
}

/// The digest of this program's file: another build may have other bits.
fn program() -> Option<Digest> {
    static PROGRAM: OnceLock<Option<Digest>> = OnceLock::new();
    *PROGRAM.get_or_init(|| {
        let bytes = fs::read(std::env::current_exe().ok()?).ok()?;
        Some(Digest::of(&bytes))
    })
}
