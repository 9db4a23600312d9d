//! `esper export`: a run's weights for other programs.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use esper::{
    RunError,
    engine::run_dir::{RunDir, write_atomic},
    scenario::{self, GraphFile, HOST, Host, Network, Scenario, TAMIYO, TRAIN},
    systems::{
        tamiyo::OFF,
        tolaria::{self, CheckpointError, Exported},
    },
};
use serde::Serialize;

use super::{failure::Failure, output::Output, source::open_folder};

/// Arguments of `esper export`.
#[derive(ClapArgs)]
pub struct Args {
    /// The run's folder.
    dir: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::Safetensors)]
    format: Format,
    /// The file, which must not be there yet [default: hostN.safetensors or hostN.toml in the run's folder].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Which of the run's hosts.
    #[arg(long, value_name = "N", default_value_t = 0)]
    host: u64,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(ValueEnum, Clone, Copy)]
enum Format {
    /// The `state_dict` that PyTorch loads: parameters and running statistics under their names.
    Safetensors,
    /// The network with what has grown in it, for `[host] kind = "graph"`.
    Graph,
    /// The same and a scenario beside it that trains the network from scratch, as the run was trained.
    Scenario,
}

impl Format {
    const fn extension(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Graph => "toml",
            Self::Scenario => "scenario.toml",
        }
    }
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    host: String,
    tick: u64,
    step: u64,
    n_nodes: usize,
    n_tensors: usize,
    n_values: usize,
    n_seeds_left_out: usize,
}

/// Writes the weights of a run's newest checkpoint.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    let dir = RunDir::open(&args.dir)?;
    dir.read_manifest()?;
    let (checkpoint, damaged) = tolaria::latest_checkpoint(&dir.checkpoints())?;
    for error in damaged {
        output.print_note(&format!("a damaged checkpoint is left out: {error}"));
    }
    let exported = pick(tolaria::read_weights(&checkpoint)?, args.host)?;
    let file = match &args.out {
        Some(file) => file.clone(),
        None => dir.root().join(format!("{}.{}", exported.host, args.format.extension())),
    };
    let bytes = match args.format {
        Format::Safetensors => exported.weights.to_bytes(),
        Format::Graph => exported.graph.to_file_text().into_bytes(),
        Format::Scenario => {
            let graph = file.with_extension("graph.toml");
            let text = from_scratch(&args.dir, &graph)?;
            write_new(&graph, exported.graph.to_file_text().as_bytes())?;
            text.into_bytes()
        }
    };
    write_new(&file, &bytes)?;
    let written = Written::new(&exported, file);
    output.print_result("export", &written, written.text(args.format));
    Ok(())
}

/// The run's scenario for the network in the file `graph`: from scratch, without growth, all of it training.
fn from_scratch(root: &Path, graph: &Path) -> Result<String, Failure> {
    let file = open_folder(root)?.file;
    let resolved = file.resolve(&scenario::sections()).map_err(RunError::from)?;
    let mut scenario = Scenario::clone(&resolved);
    scenario[TAMIYO].policy = OFF.to_owned();
    scenario[TAMIYO].timetable.clear();
    scenario[TRAIN].freeze.clear();
    let name = graph.file_name().unwrap_or_default().to_string_lossy().into_owned();
    scenario[HOST] = Host::new(Network::Graph(GraphFile { file: name }));
    Ok(scenario.resolve().map_err(RunError::from)?.to_toml())
}

/// The host numbered `wanted`.
pub(super) fn pick(hosts: Vec<Exported>, wanted: u64) -> Result<Exported, Failure> {
    let n_hosts = hosts.len();
    let found = hosts.into_iter().find(|it| it.host.0 == wanted);
    found.ok_or_else(|| {
        let help = format!("the run has host 0 to host {}", n_hosts.saturating_sub(1));
        Failure::usage(format!("--host {wanted}: there is no such host")).help(help)
    })
}

/// Writes `bytes` to `file`, whole or not at all, unless it is there.
fn write_new(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let refuse = |why| Failure::usage(format!("{}: {why}", file.display()));
    if file.file_name().is_none() {
        return Err(refuse("it is not the name of a file"));
    }
    if file.symlink_metadata().is_ok() {
        let help = "choose another with `--out FILE`";
        return Err(refuse("it is there already; nothing is overwritten").help(help));
    }
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    if folder.is_some_and(|it| !it.is_dir()) {
        return Err(refuse("the folder is not there").help("make it first"));
    }
    write_atomic(file, bytes).map_err(Failure::failed)
}

impl Written {
    fn new(exported: &Exported, file: PathBuf) -> Self {
        Self {
            file,
            host: exported.host.to_string(),
            tick: exported.tick,
            step: exported.step,
            n_nodes: exported.graph.len(),
            n_tensors: exported.weights.len(),
            n_values: exported.weights.iter().map(|(_, tensor)| tensor.values.len()).sum(),
            n_seeds_left_out: exported.n_seeds,
        }
    }

    fn text(&self, format: Format) -> String {
        let Self { host, step, n_nodes, n_tensors, n_values, .. } = self;
        let what = match format {
            Format::Safetensors => format!("{n_tensors} tensors, {n_values} values"),
            Format::Graph => format!("{n_nodes} nodes"),
            Format::Scenario => format!("{n_nodes} nodes to train from scratch"),
        };
        let left_out = match self.n_seeds_left_out {
            0 => String::new(),
            n => format!("; seeds on trial, left out: {n}"),
        };
        format!("{}: {host} after step {step}, {what}{left_out}", self.file.display())
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::None { .. } => {
                let help = "a run saves one when it begins, unless it was killed before";
                Self::usage(error).help(help)
            }
            error => Self::failed(error),
        }
    }
}
