//! The folder of a run that was made before.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use esper_engine::run_dir::{Manifest, RunDir};
use esper_nn::digest::Digest;
use esper_systems::{
    nissa::{RunEnd, Summary},
    tolaria::HostConfigs,
};

use super::{
    assemble::host_configs,
    manifest,
    options::{Prepared, RunOptions},
};
use crate::{
    RunError,
    scenario::{self, DATA, ScenarioFile, Sections},
};

/// As much of a scenario as is read; the scenario's own limit is below that.
const LEN_MAX_BYTES: u64 = 2 << 20;

/// A run's folder, and what is needed to go on with the run or to run it again.
pub struct RunFolder {
    /// The folder.
    pub dir: RunDir,
    /// What the run was made with.
    pub manifest: Manifest,
    /// The scenario it keeps.
    pub file: ScenarioFile,
    /// Whether that is the scenario the run began with.
    pub is_scenario_same: bool,
}

impl RunFolder {
    /// Opens the folder at `root`.
    ///
    /// # Errors
    ///
    /// Fails when no run is kept there, or its manifest or scenario can not be read.
    pub fn open(root: &Path) -> Result<Self, RunError> {
        let dir = RunDir::open(root)?;
        let manifest = dir.read_manifest()?;
        let text = read_scenario_text(&dir.scenario())?;
        let file = ScenarioFile::parse(&text, &dir.scenario().to_string_lossy())?;
        let is_scenario_same = Digest::of(text.as_bytes()) == manifest.scenario_digest;
        Ok(Self { dir, manifest, file, is_scenario_same })
    }

    /// The run's scenario on the data it names. What a program of one's own added to the run is added to them again.
    ///
    /// # Errors
    ///
    /// Fails when the scenario is not sound, or its data can not be had.
    pub fn options(&self) -> Result<RunOptions, RunError> {
        self.options_with(&scenario::sections())
    }

    /// As [`RunFolder::options`], for a scenario that has sections of one's own.
    ///
    /// # Errors
    ///
    /// As [`RunFolder::options`].
    pub fn options_with(&self, sections: &Sections) -> Result<RunOptions, RunError> {
        let scenario = self.file.resolve(sections)?;
        let root = self.dir.root();
        Ok(RunOptions::new(scenario).base_dir(root))
    }

    /// What the hosts of the run depend on and no step changes, by random stream: its data, on its device.
    pub(crate) fn host_configs(&self, mut options: RunOptions) -> Result<HostConfigs, RunError> {
        let resolved = options.resolve(false)?;
        self.check_digests(&resolved)?;
        Ok(host_configs(&resolved)?)
    }

    /// How the run ended, if it took all its steps: there is nothing left to do then.
    ///
    /// # Errors
    ///
    /// Fails when the summary can not be read.
    pub fn completed(&self) -> Result<Option<Summary>, RunError> {
        let summary = Summary::read(&self.dir)?;
        Ok(summary.filter(|summary| summary.status == RunEnd::Completed))
    }

    /// Refuses data or a graph that is not what the run began with.
    pub(super) fn check_digests(&self, resolved: &Prepared) -> Result<(), RunError> {
        let source = &resolved.scenario[DATA].source;
        for (name, now) in manifest::digests(resolved) {
            let Some(then) = self.manifest.data_digests.get(&name).filter(|it| **it != now) else {
                continue;
            };
            let is_graph = resolved.is_graph_file(&name);
            let (key, what) =
                if is_graph { ("host.file", "graph") } else { ("data.source", "data") };
            let whose = if name == *source || is_graph { "" } else { "the data of " };
            return Err(RunError::Unfit {
                key: key.to_owned(),
                message: format!(
                    "{whose}`{name}` is not what the run began with: its BLAKE3 was {then} and is {now}"
                ),
                help: format!("put the {what} back as it was, or start a new run"),
            });
        }
        Ok(())
    }
}

/// The text of the scenario at `path`.
///
/// # Errors
///
/// Fails when the file can not be read or is not UTF-8.
pub fn read_scenario_text(path: &Path) -> Result<String, RunError> {
    let refuse = |source| RunError::ScenarioText { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LEN_MAX_BYTES).read_to_end(&mut bytes))
        .map_err(refuse)?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let reason = format!("line {line} is not UTF-8; save the scenario in that encoding");
        refuse(io::Error::new(io::ErrorKind::InvalidData, reason))
    })
}
