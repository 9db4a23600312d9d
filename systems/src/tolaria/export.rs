//! The weights of a checkpoint, read without the data that the run was trained on.

use std::path::Path;

use esper_engine::{
    graph::NetworkGraph,
    runtime::{SavedHost, StateDict},
    world::ids::HostId,
};

use super::{
    checkpoint::{CheckpointError, decode},
    saved_hosts::{principals, refused},
};

/// A host as a checkpoint has it.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Its name.
    pub host: HostId,
    /// The tick that the checkpoint was taken after.
    pub tick: u64,
    /// Optimizer steps it had taken.
    pub step: u64,
    /// Its network, with what has grown in it.
    pub graph: NetworkGraph,
    /// Its parameters and buffers.
    pub weights: StateDict,
    /// Seeds that were on trial, and so are not part of it.
    pub n_seeds: usize,
}

/// The hosts of the checkpoint at `path`, by name; twins are left out.
///
/// # Errors
///
/// Fails when a file is damaged or a host's graph does not compile.
pub fn read_weights(path: &Path) -> Result<Vec<Exported>, CheckpointError> {
    let (info, saved, tensors) = decode(path)?;
    let content = |source| CheckpointError::Content { path: path.to_owned(), source };
    let exported = |(host, owner, saved): (HostId, String, SavedHost)| {
        let weights =
            saved.state_dict(&owner, &tensors).map_err(|it| content(refused(host, it)))?;
        Ok(Exported {
            host,
            tick: info.tick,
            step: saved.step(),
            graph: saved.graph().clone(),
            weights,
            n_seeds: saved.n_seeds(),
        })
    };
    principals(&saved).map_err(content)?.into_iter().map(exported).collect()
}
