//! A checkpoint as it was read: its hosts, on the data they were trained on, and whatever else it keeps.

use std::path::{Path, PathBuf};

use esper_engine::{
    ids::HostId,
    runtime::{HostRuntime, SavedHost, TensorMap},
    world::save::{LoadError, SavedWorld},
};
use serde::de::DeserializeOwned;

use super::{
    checkpoint::{CheckpointError, CheckpointInfo, decode},
    config::HostConfigs,
    saved_hosts::{principals, refused, unknown_host},
};

/// A checkpoint as it was read. Nothing of it runs.
pub struct StoredRun {
    path: PathBuf,
    info: CheckpointInfo,
    saved: SavedWorld,
    tensors: TensorMap,
}

impl StoredRun {
    /// Reads the checkpoint at `path`.
    ///
    /// # Errors
    ///
    /// Fails when a file is damaged, or has another format.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let (info, saved, tensors) = decode(path)?;
        Ok(Self { path: path.to_owned(), info, saved, tensors })
    }

    /// What it says of itself.
    pub const fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    /// What was saved under `name`.
    ///
    /// # Errors
    ///
    /// Fails when nothing was, or it can not be read as a `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, CheckpointError> {
        self.saved.read(name).map_err(|source| self.content(source))
    }

    /// The hosts with the modules bound to them, by name and bit for bit, with what `configs` has for them; twins
    /// are left out.
    ///
    /// # Errors
    ///
    /// Fails when a host does not fit its data, its graph does not compile, or the device has no room.
    pub fn hosts(
        &self,
        configs: &HostConfigs,
    ) -> Result<Vec<(HostId, HostRuntime)>, CheckpointError> {
        let hosts = principals(&self.saved).map_err(|source| self.content(source))?;
        let load = |host: HostId, owner: &str, saved: SavedHost| {
            let config = configs.0.get(&host).cloned();
            let config = config.ok_or_else(|| unknown_host(host))?;
            HostRuntime::load(config, saved, owner, &self.tensors).map_err(|it| refused(host, it))
        };
        let hosts = hosts.into_iter().map(|(host, owner, saved)| {
            let loaded = load(host, &owner, saved).map_err(|source| self.content(source))?;
            Ok((host, loaded))
        });
        hosts.collect()
    }

    fn content(&self, source: LoadError) -> CheckpointError {
        CheckpointError::Content { path: self.path.clone(), source }
    }
}
