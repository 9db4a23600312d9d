//! The events that frame a run: how it began, what it took over, how it ended.

use std::path::Path;

use esper_engine::{
    journal::{EVENTS_FORMAT, Event, Recorded},
    world::ids::{BlueprintId, KernelId},
};
use esper_nn::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::NissaError;

/// The run began. The first event of every chain.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct RunStarted {
    /// [`EVENTS_FORMAT`] of the Esper that wrote it.
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// Digest of the scenario as resolved.
    pub scenario_digest: Digest,
    /// The run's seed.
    pub seed: u64,
    /// Hosts that train.
    pub n_hosts: u64,
    /// Digest of the weights that they began with, where the scenario names some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Digest>,
}

/// A kernel that another run left valid in a shared library was taken over, before the first tick.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct KernelAdopted {
    /// The kernel.
    pub kernel: KernelId,
    /// The blueprint it was compiled from.
    pub blueprint: BlueprintId,
    /// The blueprint's family.
    pub family: String,
    /// The variant, such as `fused`.
    pub variant: String,
    /// Parameters, in elements.
    pub params_elems: u64,
}

/// The run took all its steps. The last event of a chain that is complete.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct RunEnded {
    /// Steps taken, over all hosts.
    pub steps: u64,
    /// Digest of the trained parameters.
    pub weights_digest: Digest,
}

impl Recorded for RunStarted {
    const KIND: &'static str = "run_started";
}

impl Recorded for KernelAdopted {
    const KIND: &'static str = "kernel_adopted";
}

impl Recorded for RunEnded {
    const KIND: &'static str = "run_ended";
}

impl RunStarted {
    /// Refuses a chain of another format at its first event; any other event passes.
    ///
    /// # Errors
    ///
    /// Fails when `event`, of the chain at `path`, is a `run_started` of another format.
    pub fn check_format(event: &Event, path: &Path) -> Result<(), NissaError> {
        if event.kind != Self::KIND {
            return Ok(());
        }
        // The first format had no number.
        let found = event.fields.get("format").map_or(Some(1), Value::as_u64);
        if found == Some(u64::from(EVENTS_FORMAT)) {
            return Ok(());
        }
        Err(NissaError::Format { path: path.to_owned(), found: found.unwrap_or_default() })
    }
}
