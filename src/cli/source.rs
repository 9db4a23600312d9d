//! A scenario as it is given to a command: a file, overrides, and what they come to.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use esper::{
    Plan, RunError, RunFolder, RunOptions, read_scenario_text,
    scenario::{self, Override, Resolved, ScenarioFile},
};
use esper_nn::suggest::nearest;

use super::failure::Failure;

/// Which scenario, with which keys changed.
#[derive(Args)]
pub struct ScenarioArgs {
    /// The scenario, a TOML file.
    scenario: PathBuf,
    /// Set a key of the scenario, such as `train.optimizer.lr=0.01`; may be given often.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Set `run.seed`.
    #[arg(long, value_name = "N")]
    seed: Option<String>,
    /// Set `run.device`.
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
}

/// A scenario as written, and what it comes to.
pub struct Source {
    /// The file with its overrides: where things are written.
    pub file: ScenarioFile,
    /// What they come to.
    pub scenario: Resolved,
    /// The run it describes.
    pub options: RunOptions,
}

impl ScenarioArgs {
    /// Reads the scenario and gives every key its value.
    pub fn load(&self) -> Result<Source, Failure> {
        let text = read_text(&self.scenario)?;
        let name = self.scenario.to_string_lossy();
        let refuse = |error| Failure::scenario(error, &text);
        let mut file = ScenarioFile::parse(&text, &name).map_err(refuse)?;
        for item in self.overrides()? {
            file.set(&item).map_err(refuse)?;
        }
        let scenario = file.resolve(&scenario::sections()).map_err(refuse)?;
        let base_dir = self.scenario.parent().unwrap_or(Path::new(""));
        let options = RunOptions::new(scenario.clone()).base_dir(base_dir);
        Ok(Source { file, scenario, options })
    }

    /// What a run of the scenario would be.
    pub fn plan(&self) -> Result<Plan, Failure> {
        let Source { file, options, .. } = self.load()?;
        Plan::new(options).map_err(|error| Failure::run(error, &file))
    }

    fn overrides(&self) -> Result<Vec<Override>, Failure> {
        let named = [("run.seed", &self.seed), ("run.device", &self.device)];
        let named =
            named.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?)));
        let texts = self.overrides.iter().cloned().chain(named);
        texts
            .map(|text| Override::parse(&text).map_err(|error| Failure::scenario(error, "")))
            .collect()
    }
}

/// Opens the folder of a run that was made before.
pub fn open_folder(root: &Path) -> Result<RunFolder, Failure> {
    RunFolder::open(root).map_err(|error| match error {
        RunError::Scenario(error) => {
            let path = root.join("scenario.toml");
            Failure::scenario(error, &fs::read_to_string(path).unwrap_or_default())
        }
        error => error.into(),
    })
}

/// The text of a scenario.
fn read_text(path: &Path) -> Result<String, Failure> {
    read_scenario_text(path).map_err(|error| {
        let kind = match &error {
            RunError::ScenarioText { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        let help = match kind {
            io::ErrorKind::NotFound => did_you_mean(path),
            io::ErrorKind::IsADirectory => "; name a .toml file in it".to_owned(),
            _ => String::new(),
        };
        Failure::usage(format!("{error}{help}"))
    })
}

fn did_you_mean(path: &Path) -> String {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    nearest(&wanted, names.iter().map(String::as_str)).map_or_else(
        || "; name a scenario, such as scenarios/digits_mlp.toml".to_owned(),
        |name| format!("; did you mean {}?", path.with_file_name(name).display()),
    )
}
