//! Files beside a scenario that a host is made from: looked for, read and compared with the data.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use esper_engine::{
    run_dir::{FileError, RunDir},
    runtime::{ExchangeError, StateDict},
};
use esper_nn::{
    graph::{FILE_LEN_MAX_BYTES, GraphFormat, Loss, NetworkGraph, Node, Op},
    op::{Attention, Embedding, Input},
    suggest::nearest,
};

use esper_systems::tolaria;

use super::examples::Examples;
use crate::RunError;

/// Reads the graph in the file `name`, a path relative to `base_dir`.
pub(super) fn read_graph(name: &str, base_dir: &Path) -> Result<NetworkGraph, RunError> {
    let path = base_dir.join(name);
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let Some(format) = GraphFormat::from_extension(extension) else {
        let message = format!("`{name}` is neither a .toml nor a .json file");
        return Err(unfit("host.file", message, "name a file of nodes in one of the two formats"));
    };
    let text = read_text(&path).map_err(|error| unreadable("host.file", name, &path, &error))?;
    NetworkGraph::from_file_text(&text, format).map_err(|error| {
        let help = "scenarios/graphs holds an example, and the documentation of \
                    `esper_nn::graph::file` a table of ops";
        unfit("host.file", format!("{name}: {error}"), help)
    })
}

/// Reads the weights that `host.init` names.
pub(super) fn read_init(name: &str, base_dir: &Path) -> Result<StateDict, RunError> {
    let path = base_dir.join(name);
    if path.is_dir() {
        return read_run(name, &path);
    }
    StateDict::read(&path).map_err(|error| match error {
        ExchangeError::File(FileError { source, .. }) => {
            unreadable("host.init", name, &path, &source)
        }
        error => {
            let help = "name a .safetensors file of a `state_dict`, or the folder of a run";
            unfit("host.init", format!("`{name}`: {error}"), help)
        }
    })
}

/// The weights of the first host of the run in the folder `path`, as its newest checkpoint has them.
fn read_run(name: &str, path: &Path) -> Result<StateDict, RunError> {
    let refuse = |error: String| {
        let help =
            "name the folder of a run, in which `manifest.json` lies, or a .safetensors file";
        unfit("host.init", format!("`{name}`: {error}"), help)
    };
    let dir = RunDir::open(path).map_err(|error| refuse(error.to_string()))?;
    let newest = tolaria::latest_checkpoint(&dir.checkpoints());
    let (checkpoint, _) = newest.map_err(|error| refuse(error.to_string()))?;
    let hosts = tolaria::read_weights(&checkpoint).map_err(|error| refuse(error.to_string()))?;
    let first = hosts.into_iter().next();
    first.map(|it| it.weights).ok_or_else(|| refuse("the run has no host".to_owned()))
}

/// Refuses a graph, which the scenario's `key` names, that can not be fed `examples` or says something else of them.
pub(super) fn check_graph(
    graph: &NetworkGraph,
    examples: &Examples<'_>,
    key: &str,
) -> Result<(), RunError> {
    let mut faults = graph
        .nodes()
        .filter_map(|(index, node)| fault_of(node, &graph.input_shapes(index), examples));
    faults.next().map_or(Ok(()), |(message, help)| Err(unfit(key, message, help)))
}

/// What is wrong with a node that reads tensors of `shapes`, and what to do.
fn fault_of(node: &Node, shapes: &[&[usize]], examples: &Examples<'_>) -> Option<(String, String)> {
    let name = &node.name;
    match (&node.op, examples.vocabulary) {
        (Op::Input(Input { shape }), _) if !accepts(shape, examples) => {
            let wanted = examples.image().map_or_else(|| examples.shape.to_vec(), Vec::from);
            let message = format!("its input `{name}` has shape {shape:?}, and {examples}");
            Some((message, format!("write `shape = {wanted:?}`")))
        }
        (Op::Loss(loss), _) if *loss != examples.loss => {
            let [found, wanted] = [*loss, examples.loss].map(loss_word);
            let message = format!("its loss `{name}` is of kind {found}, and {examples}");
            Some((message, format!("write `kind = \"{wanted}\"`, or another `data.task`")))
        }
        (Op::Loss(_), _) if shapes[0] != examples.output_shape() => {
            let (found, wanted) = (shapes[0], examples.output_shape());
            let message = format!(
                "its loss `{name}` reads outputs of shape {found:?}, and should read {wanted:?}: {examples}"
            );
            Some((message, format!("end in `outputs = {}`", examples.n_outputs)))
        }
        (Op::Attention(Attention { is_causal: false, .. }), Some(_)) => {
            let message = format!(
                "its attention `{name}` shows each position those after it, which it has to predict: {examples}"
            );
            Some((message, "write `causal = true`".to_owned()))
        }
        (Op::Embedding(Embedding { vocabulary, .. }), Some(n_tokens))
            if *vocabulary != n_tokens =>
        {
            let message =
                format!("its embedding `{name}` knows {vocabulary} tokens, and {examples}");
            Some((message, format!("write `vocabulary = {n_tokens}`")))
        }
        (Op::Embedding(_), None) => {
            let message = format!("its embedding `{name}` reads tokens, and {examples}");
            Some((message, "an embedding is for a text as `data.source`".to_owned()))
        }
        _ => None,
    }
}

/// The loss as graph files write it.
const fn loss_word(loss: Loss) -> &'static str {
    match loss {
        Loss::CrossEntropy => "cross_entropy",
        Loss::MeanSquaredError => "mean_squared_error",
    }
}

/// Whether an input of `shape` takes `examples`: as they are, as images or as vectors.
fn accepts(shape: &[usize], examples: &Examples<'_>) -> bool {
    let image = examples.image();
    let is_image = image.is_some_and(|image| shape == image);
    shape == examples.shape || is_image || shape == [examples.elems()]
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // The reader of graphs refuses what is longer, and says so.
    File::open(path)?.take(FILE_LEN_MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn unreadable(key: &str, name: &str, path: &Path, error: &io::Error) -> RunError {
    let help = match (error.kind(), nearest_file(path)) {
        (io::ErrorKind::NotFound, Some(near)) => format!("did you mean `{near}`?"),
        (io::ErrorKind::NotFound, None) => "a relative path starts at the scenario's folder".into(),
        (io::ErrorKind::InvalidData, _) => "save it as UTF-8".into(),
        _ => "check the path and its permissions".into(),
    };
    unfit(key, format!("`{name}` can not be read: {error}"), help)
}

/// The file beside `path` with the nearest name.
fn nearest_file(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.file_name()));
    let names: Vec<String> = entries.filter_map(|name| name.into_string().ok()).collect();
    let wanted = path.file_name()?.to_str()?;
    nearest(wanted, names.iter().map(String::as_str)).map(str::to_owned)
}

/// What `key` asks for does not fit, and what to do.
pub(super) fn unfit(key: &str, message: impl Into<String>, help: impl Into<String>) -> RunError {
    RunError::Unfit { key: key.to_owned(), message: message.into(), help: help.into() }
}
