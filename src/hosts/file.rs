//! Files beside a scenario that a host is made from: looked for, read and compared with the data.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use esper_engine::{
    graph::{FILE_LEN_MAX_BYTES, GraphFormat, NetworkGraph, Op},
    runtime::{ExchangeError, StateDict},
    scenario::nearest,
    world::run_dir::FileError,
};

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
                    `esper_engine::graph::file` a table of ops";
        unfit("host.file", format!("{name}: {error}"), help)
    })
}

/// Reads the weights that `host.init` names.
pub(super) fn read_init(name: &str, base_dir: &Path) -> Result<StateDict, RunError> {
    let path = base_dir.join(name);
    StateDict::read(&path).map_err(|error| match error {
        ExchangeError::File(FileError { source, .. }) => {
            unreadable("host.init", name, &path, &source)
        }
        error => {
            let help = "name a .safetensors file of a `state_dict`";
            unfit("host.init", format!("`{name}`: {error}"), help)
        }
    })
}

/// Refuses a graph, which the scenario's `key` names, that can not be fed `examples` or says something else of them.
pub(super) fn check_graph(
    graph: &NetworkGraph,
    examples: &Examples<'_>,
    key: &str,
) -> Result<(), RunError> {
    for (index, node) in graph.nodes() {
        let (name, shapes) = (&node.name, graph.input_shapes(index));
        match &node.op {
            Op::Input { shape } if !accepts(shape, examples) => {
                let wanted = examples.image().map_or_else(|| examples.shape.to_vec(), Vec::from);
                let message = format!("its input `{name}` has shape {shape:?}, and {examples}");
                return Err(unfit(key, message, format!("write `shape = {wanted:?}`")));
            }
            Op::Loss(loss) if *loss != examples.loss => {
                let message = format!("its loss `{name}` is {loss:?}, and {examples}");
                let help = format!("the loss of this task is {:?}", examples.loss);
                return Err(unfit(key, message, help));
            }
            Op::Loss(_) if shapes[0] != examples.output_shape() => {
                let message = format!(
                    "its loss `{name}` reads outputs of shape {:?}, and `data` asks for {:?}: {examples}",
                    shapes[0],
                    examples.output_shape()
                );
                let help = format!("end in `outputs = {}`", examples.n_outputs);
                return Err(unfit(key, message, help));
            }
            Op::Embedding { vocabulary, .. } => match examples.vocabulary {
                Some(n_tokens) if *vocabulary != n_tokens => {
                    let message = format!(
                        "its embedding `{name}` knows {vocabulary} tokens, and {examples} of {n_tokens}"
                    );
                    return Err(unfit(key, message, format!("write `vocabulary = {n_tokens}`")));
                }
                Some(_) => {}
                None => {
                    let message = format!("its embedding `{name}` reads tokens, and {examples}");
                    return Err(unfit(key, message, "an embedding is for `data.source` of text"));
                }
            },
            _ => {}
        }
    }
    Ok(())
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
