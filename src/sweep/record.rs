//! `results.jsonl`: one line for each cell that ended.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use esper_engine::{ids::HostId, runtime::Flops};
use esper_nn::digest::Digest;
use esper_systems::nissa::Summary;
use serde::{Deserialize, Serialize};

/// What a cell is for.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Chooses the settings of an arm on validation data, with seeds of its own.
    Tune,
    /// Is compared, on test data.
    Test,
    /// Measures static hosts of the task's family, for the static front.
    Front,
}

/// Names a cell of a sweep; no other cell of the sweep has the same.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId {
    /// The scenario's name.
    pub task: String,
    /// What it is for.
    pub phase: Phase,
    /// The arm's word, such as `heuristic` or `off_longer`; of a front's cell, `front`.
    pub arm: String,
    /// What the sweep varies besides arm and seed, by key, as TOML values; tuned keys are left out of cells that are
    /// tested.
    pub settings: BTreeMap<String, String>,
    /// The run's seed; cells with the same seed and settings are a pair.
    pub seed: u64,
}

/// How a cell ended.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum CellStatus {
    /// It has a summary.
    Completed,
    /// It has a reason.
    Failed,
}

/// What a cell came to.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CellRecord {
    /// Which cell.
    #[serde(flatten)]
    pub id: CellId,
    /// How it ended.
    pub status: CellStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was chosen for the arm on validation, by key, as TOML values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tuned: BTreeMap<String, String>,
    /// The weights that the growth of its pair ended with, of a cell that is made from one: with other weights it is another
    /// cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Digest>,
    /// The run's folder, from the sweep's; none where summaries alone are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// How the run ended, in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// What the arm spent before the run of `summary`: the growth that found a topology, hosts that were tried and not
    /// chosen.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flops_before: Flops,
    /// Network that the run ended with, as JSON, where another arm trains it from scratch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What the policy did, where another arm does the same at other times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<TakenAction>,
    /// Time of the whole cell, in seconds.
    pub wall_s: f64,
}

/// An action that a policy took.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct TakenAction {
    /// The host.
    pub host: HostId,
    /// When, in epochs since the start of the run.
    pub epoch: f64,
    /// What was done, as a timetable says it: `germinate`, `graft`, ...
    pub action: String,
    /// The site's name.
    pub site: String,
    /// Family of the blueprint that germinated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint: Option<String>,
}

fn is_zero(flops: &Flops) -> bool {
    flops.total() == 0
}

impl fmt::Display for CellId {
    /// `TASK/ARM/KEY=VALUE,KEY=VALUE/SEED`, and the phase before it where that is not [`Phase::Test`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.phase {
            Phase::Tune => f.write_str("tune/")?,
            Phase::Test => {}
            Phase::Front => f.write_str("front/")?,
        }
        write!(f, "{}/{}/", self.task, self.arm)?;
        if !self.settings.is_empty() {
            let settings: Vec<String> =
                self.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
            write!(f, "{}/", settings.join(","))?;
        }
        write!(f, "{}", self.seed)
    }
}

impl CellRecord {
    /// All that the cell spent, in FLOPs.
    pub fn flops_total(&self) -> u64 {
        self.summary.as_ref().map_or(0, |it| it.flops.total()) + self.flops_before.total()
    }

    /// The score on test data, of which more is better: the accuracy as a share, or where there is none the loss with its
    /// sign turned; `None` of a cell that failed.
    pub fn test_score(&self) -> Option<f64> {
        let scores = self.summary.as_ref()?.scores;
        scores.test_accuracy.or(scores.test_loss.map(|loss| -loss))
    }

    /// As [`CellRecord::test_score`], on validation data.
    pub fn val_score(&self) -> Option<f64> {
        let scores = self.summary.as_ref()?.scores;
        scores.val_accuracy.or(scores.val_loss.map(|loss| -loss))
    }
}
