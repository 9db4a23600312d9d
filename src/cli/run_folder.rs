//! The folder of a run that was made before.

use std::path::Path;

use esper::{
    RunBuilder,
    engine::{
        run_dir::{Manifest, RunDir},
        scenario::ScenarioFile,
    },
    load_data,
};
use esper_nn::digest::Digest;

use super::{failure::Failure, manifest, source::read_text};

/// A run's folder, and what is needed to run it again.
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
    pub fn open(root: &Path) -> Result<Self, Failure> {
        let dir = RunDir::open(root)?;
        let manifest = dir.read_manifest()?;
        let text = read_text(&dir.scenario())?;
        let file = ScenarioFile::parse(&text, &dir.scenario().to_string_lossy())
            .map_err(|error| Failure::scenario(error, &text))?;
        let is_scenario_same = Digest::of(text.as_bytes()) == manifest.scenario_digest;
        Ok(Self { dir, manifest, file, is_scenario_same })
    }

    /// Has the run's scenario put together on the run's data.
    pub fn builder(&self) -> Result<RunBuilder, Failure> {
        let file = &self.file;
        let scenario = file.resolve().map_err(|error| Failure::scenario(error, file.text()))?;
        let root = self.dir.root();
        let data = load_data(&scenario, root).map_err(|error| Failure::run(error, file))?;
        for (source, now) in manifest::digests(&scenario, &data) {
            let Some(then) = self.manifest.data_digests.get(&source).filter(|it| **it != now)
            else {
                continue;
            };
            let is_data = source == scenario.data.source;
            let (key, what) =
                if is_data { ("data.source", "data") } else { ("host.file", "graph") };
            let message = format!(
                "`{source}` is not what the run began with: its BLAKE3 was {then} and is {now}"
            );
            let help = Some(format!("put the {what} back as it was, or start a new run"));
            return Err(Failure::scenario(file.refuse(key, message, help), file.text()));
        }
        Ok(RunBuilder::new(scenario).data(data))
    }
}
