//! What a run's folder says, host by host, and what is missing in it.

use std::{collections::BTreeMap, fs, path::Path};

use esper_engine::{
    ids::HostId,
    run_dir::{FileError, Manifest, RunDir},
    runtime::Flops,
};
use esper_nn::graph::NetworkGraph;
use esper_systems::{
    nissa::{HostSummary, Inspection, RunEnd, Scores, SeedHistory, Summary},
    tolaria,
};
use serde::Deserialize;

use crate::report::error::ReportError;

/// A run's folder, read.
pub(in crate::report) struct RunData {
    pub manifest: Manifest,
    pub summary: Option<Summary>,
    pub n_events: u64,
    pub n_rollbacks: u64,
    pub hosts: Vec<HostData>,
    /// What is not there or can not be read, a sentence each.
    pub missing: Vec<String>,
}

/// One host of a run.
pub(in crate::report) struct HostData {
    pub host: HostId,
    pub epochs: Vec<EpochRow>,
    pub seeds: Vec<SeedHistory>,
    pub end: Option<HostEnd>,
    /// Its network at the newest checkpoint.
    pub network: Option<Network>,
}

/// How a host ended.
#[derive(Clone, Copy)]
pub(in crate::report) struct HostEnd {
    pub scores: Scores,
    pub params_initial: u64,
    pub params_final: u64,
    pub flops: Flops,
}

/// A host's network, and when it was that.
pub(in crate::report) struct Network {
    pub step: u64,
    pub graph: NetworkGraph,
    /// Seeds that were on trial then, and are not part of it.
    pub n_seeds: usize,
}

/// A row of `metrics.csv`; what was not measured or not finite is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::report) struct EpochRow {
    pub host: u64,
    pub epoch: u64,
    pub step: u64,
    pub train_loss: Option<f64>,
    pub train_accuracy: Option<f64>,
    pub val_loss: Option<f64>,
    pub val_accuracy: Option<f64>,
    pub params: u64,
}

impl RunData {
    /// Reads the run in the folder at `root`.
    pub fn read(root: &Path) -> Result<Self, ReportError> {
        let dir = RunDir::open(root)?;
        let manifest = dir.read_manifest()?;
        let mut missing = Vec::new();
        let summary = note(Summary::read(&dir), &mut missing).flatten();
        tell_end(summary.as_ref(), &mut missing);
        let inspection = note(Inspection::read(&dir.events()), &mut missing).unwrap_or_default();
        if inspection.is_torn {
            missing.push("The last line of events.jsonl is torn, as a kill leaves it.".to_owned());
        }
        let epochs = note(read_metrics(&dir.metrics()), &mut missing).unwrap_or_default();
        let networks = read_networks(&dir.checkpoints(), &mut missing);
        let (n_events, n_rollbacks) = (inspection.n_events, inspection.n_rollbacks);
        let hosts = by_host(summary.as_ref(), inspection.seeds, epochs, networks);
        Ok(Self { manifest, summary, n_events, n_rollbacks, hosts, missing })
    }
}

impl HostData {
    /// The steps of its whole run so far.
    pub fn n_steps(&self) -> u64 {
        let entered = self.seeds.iter().flat_map(|seed| &seed.stages).filter_map(|it| it.step);
        entered.chain(self.epochs.iter().map(|row| row.step)).max().unwrap_or(0)
    }

    /// Steps of an epoch, where an epoch has ended.
    pub fn steps_per_epoch(&self) -> Option<f64> {
        let row = self.epochs.iter().rev().find(|row| row.epoch > 0 && row.step > 0)?;
        Some(row.step as f64 / row.epoch as f64)
    }
}

/// The value, or its error among what is missing.
fn note<T, E: std::fmt::Display>(result: Result<T, E>, missing: &mut Vec<String>) -> Option<T> {
    result.map_err(|error| missing.push(format!("{error}."))).ok()
}

fn tell_end(summary: Option<&Summary>, missing: &mut Vec<String>) {
    match summary.map(|it| (it.status, &it.reason)) {
        None => missing.push(
            "The run has not ended: there is no summary.json, and so no final scores and no account of compute."
                .to_owned(),
        ),
        Some((RunEnd::Interrupted, _)) => {
            missing.push("The run was interrupted; `esper resume` goes on with it.".to_owned());
        }
        Some((RunEnd::Failed, reason)) => {
            missing.push(format!("The run failed: {}.", reason.as_deref().unwrap_or("no reason is given")));
        }
        Some((RunEnd::Completed, _)) => {}
    }
}

/// The rows of a `metrics.csv`. A last line that is torn, as a kill leaves it, is left out.
fn read_metrics(path: &Path) -> Result<Vec<EpochRow>, String> {
    /// As it is written: empty is not measured, `nan` not finite.
    #[derive(Deserialize)]
    struct Written {
        epoch: u64,
        host: u64,
        step: u64,
        train_loss: Option<f64>,
        train_accuracy: Option<f64>,
        val_loss: Option<f64>,
        val_accuracy: Option<f64>,
        params: u64,
    }
    let bytes = fs::read(path)
        .map_err(|error| FileError::at(path, "read the metrics")(error).to_string())?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let finite = |value: Option<f64>| value.filter(|it| it.is_finite());
    let mut rows = Vec::new();
    for row in csv::Reader::from_reader(&bytes[..whole]).deserialize() {
        let it: Written = row.map_err(|error| format!("{}: {error}", path.display()))?;
        rows.push(EpochRow {
            host: it.host,
            epoch: it.epoch,
            step: it.step,
            train_loss: finite(it.train_loss),
            train_accuracy: finite(it.train_accuracy),
            val_loss: finite(it.val_loss),
            val_accuracy: finite(it.val_accuracy),
            params: it.params,
        });
    }
    Ok(rows)
}

fn read_networks(folder: &Path, missing: &mut Vec<String>) -> BTreeMap<HostId, Network> {
    let Some((newest, damaged)) = note(tolaria::latest_checkpoint(folder), missing) else {
        return BTreeMap::new();
    };
    missing
        .extend(damaged.iter().map(|error| format!("A damaged checkpoint is left out: {error}.")));
    let exported = note(tolaria::read_weights(&newest), missing).unwrap_or_default();
    let network = |it: tolaria::Exported| {
        (it.host, Network { step: it.step, graph: it.graph, n_seeds: it.n_seeds })
    };
    exported.into_iter().map(network).collect()
}

/// Deals out what was read to its hosts.
fn by_host(
    summary: Option<&Summary>,
    seeds: Vec<SeedHistory>,
    epochs: Vec<EpochRow>,
    networks: BTreeMap<HostId, Network>,
) -> Vec<HostData> {
    let mut hosts: BTreeMap<HostId, HostData> = BTreeMap::new();
    let mut of = |host: HostId, put: &mut dyn FnMut(&mut HostData)| {
        put(hosts.entry(host).or_insert_with(|| HostData {
            host,
            epochs: Vec::new(),
            seeds: Vec::new(),
            end: None,
            network: None,
        }));
    };
    for row in epochs {
        of(HostId(row.host), &mut |it| it.epochs.push(row));
    }
    for seed in seeds {
        of(seed.host, &mut |it| it.seeds.push(seed.clone()));
    }
    for (host, network) in networks {
        let mut network = Some(network);
        of(host, &mut |it| it.network = network.take());
    }
    for (host, end) in summary.into_iter().flat_map(ends) {
        of(host, &mut |it| it.end = Some(end));
    }
    hosts.into_values().collect()
}

/// How each host ended; of a run with one, that is the summary itself.
fn ends(summary: &Summary) -> Vec<(HostId, HostEnd)> {
    if summary.hosts.is_empty() {
        let Summary { scores, params_initial, params_final, flops, .. } = *summary;
        return vec![(HostId(0), HostEnd { scores, params_initial, params_final, flops })];
    }
    let end = |it: &HostSummary| {
        let HostSummary { scores, params_initial, params_final, flops, .. } = *it;
        (it.host, HostEnd { scores, params_initial, params_final, flops })
    };
    summary.hosts.iter().map(end).collect()
}
