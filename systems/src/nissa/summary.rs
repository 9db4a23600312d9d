//! `summary.json`: how a run ended, in numbers.

use std::fs;

use esper_engine::{
    ids::HostId,
    journal::{self, ChainReport},
    run_dir::{FileError, RunDir, to_json, write_atomic},
    runtime::Flops,
};
use esper_nn::digest::Digest;
use serde::{Deserialize, Serialize};

use super::{NissaError, SeedTally};

/// How a run ended.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// Every host took all its steps.
    Completed,
    /// It can not go on.
    Failed,
    /// It was asked to stop, and can be resumed.
    Interrupted,
}

/// Losses in nats an example, or squared units for regression; accuracies as shares. What was not measured is left out.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// Mean training loss over the last epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_loss: Option<f64>,
    /// Validation loss after the last epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Share of validation examples classified right after the last epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_accuracy: Option<f64>,
    /// Test loss; test data is read once, at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<f64>,
    /// Share of test examples classified right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<f64>,
}

impl Scores {
    /// The mean of each score over the hosts that have it.
    pub fn mean(hosts: &[Self]) -> Self {
        let mean = |score: fn(&Self) -> Option<f64>| {
            let values: Vec<f64> = hosts.iter().filter_map(score).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        Self {
            train_loss: mean(|it| it.train_loss),
            val_loss: mean(|it| it.val_loss),
            val_accuracy: mean(|it| it.val_accuracy),
            test_loss: mean(|it| it.test_loss),
            test_accuracy: mean(|it| it.test_accuracy),
        }
    }
}

/// What became of one host.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct HostSummary {
    /// The host.
    pub host: HostId,
    /// Steps taken.
    pub steps: u64,
    /// How well it learnt.
    #[serde(flatten)]
    pub scores: Scores,
    /// Parameters at the start, in elements.
    pub params_initial: u64,
    /// Parameters at the end, fossilised modules included, in elements.
    pub params_final: u64,
    /// What became of its seeds.
    pub seeds: SeedTally,
    /// What it cost.
    pub flops: Flops,
    /// Whether it ended as the average over its last window, which validation found better than what its last step left.
    #[serde(default)]
    pub is_average: bool,
    /// Digest of its parameters.
    pub weights_digest: Digest,
}

/// What is known of a run besides its hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFacts {
    /// How it ended.
    pub status: RunEnd,
    /// Why it failed.
    pub reason: Option<String>,
    /// Its seed.
    pub seed: u64,
    /// Epochs that were completed by every host.
    pub epochs: u64,
    /// How long it took, in seconds, resumed parts included if they are known.
    pub wall_s: f64,
    /// Ticks that had to wait for a worker.
    pub n_late: u64,
    /// The audit chain's last hash.
    pub audit_head: Digest,
    /// How gains were measured: `twin` or `gate`.
    pub counterfactual: String,
    /// What timing kernels took.
    pub innovation_flops: u64,
}

/// How a run ended, in numbers. With several hosts, scores are means over them and counts are sums.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Summary {
    /// How it ended.
    pub status: RunEnd,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The run's seed.
    pub seed: u64,
    /// Epochs.
    pub epochs: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// How well it learnt.
    #[serde(flatten)]
    pub scores: Scores,
    /// Parameters at the start, in elements.
    pub params_initial: u64,
    /// Parameters at the end, in elements.
    pub params_final: u64,
    /// What became of seeds.
    pub seeds: SeedTally,
    /// What it cost.
    pub flops: Flops,
    /// What timing the kernels that this run validated took beside that, in FLOPs; no two runs have the same.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub innovation_flops: u64,
    /// How long it took, in seconds.
    pub wall_s: f64,
    /// Ticks that had to wait for a worker.
    pub n_late: u64,
    /// Hosts that ended as the average over their last window, which validation found better than what the last step left.
    #[serde(default)]
    pub n_averaged: u64,
    /// Digest of the parameters: the host's own, or with several hosts the BLAKE3 of their digests' bytes in the order of
    /// hosts.
    pub weights_digest: Digest,
    /// The audit chain's last hash; `None` where a sweep kept no chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_head: Option<Digest>,
    /// BLAKE3 of `library.redb` once the run had closed it; `None` before that, and where the library is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library_digest: Option<Digest>,
    /// How gains were measured: `twin` or `gate`.
    pub counterfactual: String,
    /// Each host, when there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostSummary>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it a reference")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Summary {
    /// Sums up a run; `hosts` in the order of their ids, twins left out.
    pub fn new(run: RunFacts, hosts: Vec<HostSummary>) -> Self {
        let RunFacts {
            status,
            reason,
            seed,
            epochs,
            wall_s,
            n_late,
            audit_head,
            counterfactual,
            innovation_flops,
        } = run;
        let scores: Vec<Scores> = hosts.iter().map(|host| host.scores).collect();
        let (mut seeds, mut flops) = (SeedTally::default(), Flops::default());
        for host in &hosts {
            seeds += host.seeds;
            flops += host.flops;
        }
        Self {
            status,
            reason,
            seed,
            epochs,
            steps: hosts.iter().map(|host| host.steps).sum(),
            scores: Scores::mean(&scores),
            params_initial: hosts.iter().map(|host| host.params_initial).sum(),
            params_final: hosts.iter().map(|host| host.params_final).sum(),
            seeds,
            flops,
            innovation_flops,
            wall_s,
            n_late,
            n_averaged: hosts.iter().filter(|host| host.is_average).count() as u64,
            weights_digest: Self::weights_digest(hosts.iter().map(|host| host.weights_digest)),
            audit_head: Some(audit_head),
            library_digest: None,
            counterfactual,
            hosts: if hosts.len() > 1 { hosts } else { Vec::new() },
        }
    }

    /// What a run of its host number `at` alone would have come to, with `seed` and in the `share` of the time that is that
    /// host's. The audit chain is all hosts' and is left out.
    ///
    /// # Panics
    ///
    /// If the run had no such host, or it was alone.
    #[must_use]
    pub fn of_host(&self, at: usize, seed: u64, share: f64) -> Self {
        let host = self.hosts[at].clone();
        Self {
            seed,
            steps: host.steps,
            scores: host.scores,
            params_initial: host.params_initial,
            params_final: host.params_final,
            seeds: host.seeds,
            flops: host.flops,
            n_averaged: u64::from(host.is_average),
            weights_digest: host.weights_digest,
            wall_s: self.wall_s * share,
            audit_head: None,
            hosts: Vec::new(),
            ..self.clone()
        }
    }

    /// The digest of a run's parameters from those of its hosts, in the order of their ids.
    pub fn weights_digest(hosts: impl IntoIterator<Item = Digest>) -> Digest {
        let digests: Vec<Digest> = hosts.into_iter().collect();
        match digests[..] {
            [digest] => digest,
            _ => Digest::of(&digests.iter().flat_map(|digest| digest.0).collect::<Vec<u8>>()),
        }
    }

    /// Writes `summary.json`, whole or not at all.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be written.
    pub fn write(&self, dir: &RunDir) -> Result<(), FileError> {
        write_atomic(&dir.summary(), &to_json(self))
    }

    /// Reads `summary.json`; `None` while the run has none.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be read or is not a summary.
    pub fn read(dir: &RunDir) -> Result<Option<Self>, NissaError> {
        let path = dir.summary();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| NissaError::Damaged { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::at(&path, "read the summary")(error).into()),
        }
    }

    /// Checks a run's audit chain, and that it has the line its summary names: as its last, if the run is complete; one
    /// that is not may have gone on since.
    ///
    /// # Errors
    ///
    /// Fails at the first line that is not what was written, or when lines are missing at the end or the summary
    /// does not say how the chain ends.
    pub fn verify_chain(dir: &RunDir) -> Result<ChainReport, NissaError> {
        let path = dir.events();
        let report = journal::verify(&path)?;
        let Some(Self { status, audit_head, .. }) = Self::read(dir)? else { return Ok(report) };
        let expected = audit_head.ok_or_else(|| NissaError::NoHead { path: dir.summary() })?;
        let is_there = expected == report.head
            || (status != RunEnd::Completed
                && journal::read(&path)?.flatten().any(|event| event.hash == expected));
        let found = report.head;
        if is_there { Ok(report) } else { Err(NissaError::Head { path, expected, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u64) -> HostSummary {
        HostSummary {
            is_average: n == 1,
            host: HostId(n),
            steps: 10 + n,
            scores: Scores {
                train_loss: Some(n as f64),
                val_accuracy: Some(0.5),
                ..Scores::default()
            },
            params_initial: 100,
            params_final: 100 + n,
            seeds: SeedTally { germinated: 2, culled: 1, ..SeedTally::default() },
            flops: Flops { host: 5, seeds: n, evaluation: 1, validation: 2 },
            weights_digest: Digest::of(&[n as u8]),
        }
    }

    fn summary(n_hosts: u64) -> Summary {
        let run = RunFacts {
            status: RunEnd::Completed,
            reason: None,
            seed: 3,
            epochs: 2,
            wall_s: 1.5,
            n_late: 0,
            audit_head: Digest::of(b"head"),
            counterfactual: "twin".into(),
            innovation_flops: 0,
        };
        Summary::new(run, (0..n_hosts).map(host).collect())
    }

    #[test]
    fn the_keys_are_the_designs_in_one_order() {
        let text = String::from_utf8(to_json(&summary(1))).unwrap();
        let keys: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("  \"")?.split_once('"'))
            .map(|(key, _)| key)
            .collect();
        assert_eq!(
            keys,
            [
                "status",
                "seed",
                "epochs",
                "steps",
                "train_loss",
                "val_accuracy",
                "params_initial",
                "params_final",
                "seeds",
                "flops",
                "wall_s",
                "n_late",
                "n_averaged",
                "weights_digest",
                "audit_head",
                "counterfactual",
            ]
        );
        let Summary { weights_digest, .. } = summary(1);
        assert_eq!(weights_digest, host(0).weights_digest, "one host's digest is its own");
    }

    #[test]
    fn scores_are_means_over_hosts_and_counts_are_sums() {
        let summary = summary(3);
        assert_eq!(summary.scores.train_loss, Some(1.0));
        assert_eq!((summary.steps, summary.params_final), (33, 303));
        assert_eq!((summary.seeds.germinated, summary.seeds.culled), (6, 3));
        assert_eq!((summary.flops.host, summary.flops.seeds), (15, 3));
        assert_eq!(summary.hosts.len(), 3);
        let text = to_json(&summary);
        assert_eq!(serde_json::from_slice::<Summary>(&text).unwrap(), summary);
    }
}
