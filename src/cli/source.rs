//! A scenario as it is given to a command: a file, overrides, and what they come to.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use esper::{
    Plan, RunBuilder,
    engine::{
        data::{BUNDLED, SplitData},
        scenario::{Network, Override, Scenario, ScenarioFile, nearest},
    },
    load_data,
};

use super::failure::Failure;

/// As much of a file as is looked at; the scenario's own limit is below that.
const LEN_MAX_BYTES: u64 = 2 << 20;

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

/// A scenario, resolved, with the data and the plan of a run.
pub struct Source {
    /// The file with its overrides: where things are written.
    pub file: ScenarioFile,
    /// What it comes to. Its paths are absolute: a run can be resumed from any folder.
    pub scenario: Scenario,
    /// The data it names.
    pub data: Arc<SplitData>,
    /// What a run of it will be.
    pub plan: Plan,
}

impl ScenarioArgs {
    /// Reads and checks everything there is to check before a run.
    pub fn load(&self) -> Result<Source, Failure> {
        let text = read_text(&self.scenario)?;
        let name = self.scenario.to_string_lossy();
        let refuse = |error| Failure::scenario(error, &text);
        let mut file = ScenarioFile::parse(&text, &name).map_err(refuse)?;
        for item in self.overrides()? {
            file.set(&item).map_err(refuse)?;
        }
        let mut scenario = file.resolve().map_err(refuse)?;
        let base_dir = self.scenario.parent().unwrap_or(Path::new(""));
        let data = load_data(&scenario, base_dir).map_err(|error| Failure::run(error, &file))?;
        fix_paths(&mut scenario, base_dir)?;
        let plan = RunBuilder::new(scenario.clone()).data(data.clone()).plan();
        let plan = plan.map_err(|error| Failure::run(error, &file))?;
        Ok(Source { file, scenario, data, plan })
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

/// Makes the paths of `scenario` absolute: those of data, graph and weights start at the scenario's folder, the
/// library's at the working directory.
fn fix_paths(scenario: &mut Scenario, base_dir: &Path) -> Result<(), Failure> {
    let source = &mut scenario.data.source;
    if !BUNDLED.contains(&source.as_str()) {
        *source = absolute(&base_dir.join(&source))?;
    }
    if let Network::Graph(graph) = &mut scenario.host.network {
        graph.file = absolute(&base_dir.join(&graph.file))?;
    }
    if let Some(path) = &mut scenario.host.init {
        *path = absolute(&base_dir.join(&path))?;
    }
    if let Some(path) = &mut scenario.urza.path {
        *path = absolute(Path::new(path))?;
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<String, Failure> {
    let refuse = |why: String| Failure::usage(format!("{}: {why}", path.display()));
    let absolute = std::path::absolute(path).map_err(|error| refuse(error.to_string()))?;
    absolute.into_os_string().into_string().map_err(|_| {
        refuse("its full path is not Unicode, which a scenario has to be; move it".to_owned())
    })
}

/// The text of a scenario.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let refuse = |why: &dyn std::fmt::Display| Failure::usage(format!("{}: {why}", path.display()));
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LEN_MAX_BYTES).read_to_end(&mut bytes));
    if let Err(error) = read {
        let help = match error.kind() {
            io::ErrorKind::NotFound => did_you_mean(path),
            io::ErrorKind::IsADirectory => "; name a .toml file in it".to_owned(),
            _ => String::new(),
        };
        return Err(refuse(&format!("the scenario can not be read: {error}{help}")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        refuse(&format!("line {line} is not UTF-8; save the scenario in that encoding"))
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
