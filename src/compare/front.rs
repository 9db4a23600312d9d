//! The static front of a case, and an arm's gap to it.

use std::collections::BTreeMap;

use esper_stats::{StaticFront, StaticHost, StatsError, Stratum, mean};

use super::types::FrontHost;
use crate::sweep::CellRecord;

/// Static hosts that were measured for a case.
pub struct Front {
    /// The hosts, the cheapest first.
    pub hosts: Vec<FrontHost>,
    front: StaticFront,
    /// Test scores by the host's name and seed.
    scores: BTreeMap<String, BTreeMap<u64, f64>>,
}

/// An arm against the host that the front offers for what the arm cost.
pub struct GapSample {
    /// The host's name.
    pub host: String,
    /// What the gap is estimated from: differences of pairs, or scores of both sides.
    pub strata: Vec<Stratum>,
    /// Whether it is pairs.
    pub is_paired: bool,
}

/// The runs of a static host.
#[derive(Default)]
struct HostRuns {
    flops: Vec<f64>,
    val_scores: Vec<f64>,
    test_scores: BTreeMap<u64, f64>,
    n_failed: usize,
}

impl Front {
    /// The front of `cells`, whose settings beyond those of the case say which host it is.
    pub fn new(cells: &[&CellRecord], case: &BTreeMap<String, String>) -> Result<Self, StatsError> {
        let mut runs: BTreeMap<String, HostRuns> = BTreeMap::new();
        for cell in cells {
            let runs = runs.entry(name_of(cell, case)).or_default();
            match (cell.val_score(), cell.test_score()) {
                (Some(val), Some(test)) if val.is_finite() && test.is_finite() => {
                    runs.flops.push(cell.flops_total() as f64);
                    runs.val_scores.push(val);
                    runs.test_scores.insert(cell.id.seed, test);
                }
                _ => runs.n_failed += 1,
            }
        }
        let mut measured = Vec::new();
        for (name, runs) in runs.iter().filter(|(_, runs)| !runs.flops.is_empty()) {
            let test_scores: Vec<f64> = runs.test_scores.values().copied().collect();
            measured.push(StaticHost {
                name: name.clone(),
                flops: mean(&runs.flops)?,
                val_score: mean(&runs.val_scores)?,
                test_score: mean(&test_scores)?,
            });
        }
        let front = StaticFront::new(measured)?;
        let is_chosen = |name: &str| front.steps().iter().any(|it| it.name == name);
        let host = |host: &StaticHost| FrontHost {
            host: host.clone(),
            n_runs: runs[&host.name].flops.len(),
            n_failed: runs[&host.name].n_failed,
            is_chosen: is_chosen(&host.name),
        };
        let hosts = front.hosts().iter().map(host).collect();
        let scores = runs.into_iter().map(|(name, runs)| (name, runs.test_scores)).collect();
        Ok(Self { hosts, front, scores })
    }

    /// An arm with these test scores by seed against the best host of at most `flops`; pairs where two seeds or more are
    /// common, both sides for themselves otherwise. `None` below the cheapest host.
    pub fn gap(&self, flops: f64, scores: &BTreeMap<u64, f64>) -> Option<GapSample> {
        let host = self.front.best_within(flops)?;
        let theirs = &self.scores[&host.name];
        let pairs: Vec<f64> =
            scores.iter().filter_map(|(seed, score)| Some(score - theirs.get(seed)?)).collect();
        let is_paired = pairs.len() >= 2;
        let strata = if is_paired {
            Stratum::single(pairs)
        } else {
            let all = |scores: &BTreeMap<u64, f64>| scores.values().copied().collect();
            Stratum::unpaired(all(scores), all(theirs))
        };
        Some(GapSample { host: host.name.clone(), strata, is_paired })
    }
}

/// What tells a static host from the others of its case.
fn name_of(cell: &CellRecord, case: &BTreeMap<String, String>) -> String {
    let own: Vec<String> = cell
        .id
        .settings
        .iter()
        .filter(|(key, _)| !case.contains_key(*key))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if own.is_empty() { cell.id.arm.clone() } else { own.join(", ") }
}
