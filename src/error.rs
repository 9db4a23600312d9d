//! Why a run could not begin or go on.

use std::path::PathBuf;

use esper_engine::{
    data::{DataError, DataFault},
    graph::GraphError,
    journal::JournalError,
    run_dir::{FileError, RunDirError},
    world::plugin::BuildError,
};
use esper_nn::device::DeviceError;
use esper_systems::{
    karn::CatalogueError, nissa::NissaError, tamiyo::PolicyError, tolaria::CheckpointError,
    urza::LibraryError,
};

use crate::scenario::ScenarioError;

/// Why a run could not begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The scenario is not sound.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The scenario's file can not be read.
    #[error("{}: the scenario can not be read: {source}", path.display())]
    ScenarioText {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// A path of the scenario can not be made absolute.
    #[error("{}: {reason}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The scenario does not fit its data, or what is present here.
    #[error("{key}: {message}; {help}")]
    Unfit {
        /// The scenario's key.
        key: String,
        /// What does not fit.
        message: String,
        /// What to do.
        help: String,
    },
    /// The data can not be had.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The device has no room, or has failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The host is not a network.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The plugins do not fit together, or one of them can not begin.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The run's folder can not be made or read.
    #[error(transparent)]
    Dir(#[from] RunDirError),
    /// The record can not be kept.
    #[error(transparent)]
    Record(#[from] NissaError),
    /// The journal can not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file of the run's folder can not be read or removed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A checkpoint can not be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The library can not be read.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The run ended before its last step.
    #[error("{0}")]
    Failed(String),
}

impl RunError {
    /// Whether what the user wrote is at fault: exit status 2 rather than 1.
    pub fn is_usage(&self) -> bool {
        let is_written = matches!(
            self,
            Self::Scenario(_) | Self::ScenarioText { .. } | Self::Path { .. } | Self::Graph(_)
        );
        is_written || self.scenario_key().is_some()
    }

    /// The scenario's key that asks for what can not be had, where it is not the scenario itself that says so.
    pub fn scenario_key(&self) -> Option<&str> {
        match self {
            Self::Unfit { key, .. } => Some(key),
            Self::Data(error) => Some(data_key(&error.fault)),
            Self::Build(BuildError::Plugin { source, .. }) if source.is::<CatalogueError>() => {
                Some("karn.catalogue")
            }
            Self::Build(BuildError::Plugin { source, .. }) if source.is::<PolicyError>() => {
                Some("tamiyo.policy")
            }
            _ => None,
        }
    }
}

fn data_key(fault: &DataFault) -> &'static str {
    match fault {
        DataFault::NoLabelFile
        | DataFault::LabelNotUsed
        | DataFault::MissingLabel { .. }
        | DataFault::BadLabel { .. } => "data.label",
        DataFault::ShareSum { .. } => "data.validation_share",
        DataFault::NoContext | DataFault::ContextTooLong { .. } => "data.context",
        DataFault::NotUtf8 { .. } | DataFault::VocabularyTooLarge { .. } => "data.tokens",
        DataFault::NotAnImage { .. } | DataFault::AugmentRange { .. } => "data.augment",
        _ => "data.source",
    }
}
