//! What a comparison comes to, as data: `esper compare --json` prints it, reports draw it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use esper_stats::{Equivalence, Interval, StaticHost};
use esper_systems::nissa::SeedTally;
use serde::{Deserialize, Serialize};

/// Arms against a baseline, on every task and over all of them.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The sweeps' folders.
    pub dirs: Vec<PathBuf>,
    /// The arm that the others are compared to.
    pub baseline: String,
    /// The margin of equivalence: of accuracies as a share, of losses relative to the baseline's mean.
    pub margin: f64,
    /// Confidence of the intervals; one less it is the level of the tests.
    pub confidence: f64,
    /// Samples drawn for each interval.
    pub n_draws: usize,
    /// Each task at each of its settings, in alphabetical order.
    pub cases: Vec<Case>,
    /// The arms over all tasks; equal to that of the case where there is only one.
    pub overall: Vec<ArmComparison>,
    /// What a reader has to know besides: lines that were torn, seeds that were left out.
    pub notes: Vec<String>,
    /// How figures and verdicts are made, a sentence or two each.
    pub rules: Vec<String>,
}

/// A task at settings that are the same for all its arms.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Case {
    /// The scenario's name.
    pub task: String,
    /// What the sweep varies besides arm and seed.
    pub settings: BTreeMap<String, String>,
    /// What scores are.
    pub metric: Metric,
    /// The margin of equivalence, in units of the score.
    pub margin: f64,
    /// Its arms in alphabetical order, the baseline first.
    pub arms: Vec<ArmComparison>,
    /// Static hosts that were measured for it, the cheapest first.
    pub front: Vec<FrontHost>,
}

/// What scores are; of both, more is better.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The share of examples classified right.
    Accuracy,
    /// The loss with its sign turned.
    Loss,
}

/// An arm, and how it compares to the baseline.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ArmComparison {
    /// Its word.
    pub arm: String,
    /// Cases it has runs of, at most one within a case.
    pub n_cases: usize,
    /// Runs that have a score on test data.
    pub n_runs: usize,
    /// Cells that failed, in the order of their ids.
    pub failed: Vec<FailedCell>,
    /// What was chosen for it on validation data, by key; several if its cells differ.
    pub chosen: Vec<BTreeMap<String, String>>,
    /// Cells that were run to choose.
    pub n_tune_cells: usize,
    /// Scores on test data; `None` without runs, and over tasks whose scores are of two kinds.
    pub score: Option<Scores>,
    /// What runs cost and grew; `None` without runs.
    pub cost: Option<Cost>,
    /// Against the baseline; `None` of the baseline itself, and without a common seed.
    pub versus: Option<Versus>,
    /// Against the static front; `None` where none was measured that is cheap enough.
    pub gap: Option<Gap>,
    /// Whether no other arm has a better mean score with at most as many parameters.
    pub is_on_params_front: bool,
    /// Whether no other arm has a better mean score with at most as many FLOPs.
    pub is_on_flops_front: bool,
}

/// A cell that failed.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct FailedCell {
    /// The cell's name.
    pub cell: String,
    /// Why.
    pub reason: String,
}

/// Scores on test data.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Mean over runs; over tasks, the mean of their means.
    pub mean: f64,
    /// Interquartile mean of all runs.
    pub iqm: f64,
}

/// What runs cost and grew.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Parameters at the start of a run, on average.
    pub params_initial: f64,
    /// Parameters at its end, on average.
    pub params_final: f64,
    /// FLOPs of a run, on average.
    pub flops: MeanFlops,
    /// Time of a cell in seconds, on average.
    pub wall_s: f64,
    /// What became of seeds, all runs together.
    pub seeds: SeedTally,
}

/// FLOPs of a run, on average over runs.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanFlops {
    /// Of the host, fossilised modules included.
    pub host: f64,
    /// Of seeds' modules.
    pub seeds: f64,
    /// Of twins, counterfactuals and verdicts.
    pub evaluation: f64,
    /// Of validation and test.
    pub validation: f64,
    /// All that was spent before the run: growth that found its topology, hosts that were tried.
    pub before: f64,
    /// Of the innovation line, which times kernels on its workers: apart from all the others.
    pub innovation: f64,
}

impl MeanFlops {
    /// All but what the innovation line took, of which no two runs have the same.
    pub fn total(&self) -> f64 {
        self.host + self.seeds + self.evaluation + self.validation + self.before
    }
}

/// An arm against the baseline, on pairs of one seed.
///
/// Over all tasks, differences of losses are relative to the baseline's mean.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Versus {
    /// Seeds that both have, over the cases that both have.
    pub n_pairs: usize,
    /// Seeds that only one of them has.
    pub n_left_out: usize,
    /// The mean difference of a pair; above zero the arm is better.
    pub difference: f64,
    /// Its interval; `None` of a case with a single pair.
    pub interval: Option<Interval>,
    /// The share of pairs in which the arm is better.
    pub improvement: f64,
    /// Its interval, as above.
    pub improvement_interval: Option<Interval>,
    /// The two-sided p-value of the difference.
    pub p: f64,
    /// The same, corrected for the number of comparisons.
    pub p_holm: f64,
    /// Whether the difference is within the margin; `None` of a case with a single pair.
    pub equivalence: Option<Equivalence>,
    /// What may be said.
    pub verdict: Verdict,
}

/// What may be said of an arm.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is better than the baseline.
    Beats,
    /// It is worse.
    Loses,
    /// The difference is within the margin.
    OnPar,
    /// None of these is shown.
    Undecided,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Beats => "beats",
            Self::Loses => "loses",
            Self::OnPar => "on par",
            Self::Undecided => "undecided",
        })
    }
}

/// A static host of the front.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct FrontHost {
    /// The host and its means.
    #[serde(flatten)]
    pub host: StaticHost,
    /// Its runs.
    pub n_runs: usize,
    /// Its runs that failed.
    pub n_failed: usize,
    /// Whether it is what the front offers at some budget.
    pub is_chosen: bool,
}

/// An arm's score less that of the best static host that costs no more.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Gap {
    /// The hosts, one a case: chosen by validation among those with at most the arm's mean FLOPs.
    pub hosts: Vec<String>,
    /// The mean difference on test data; above zero the arm is better.
    pub difference: f64,
    /// Its interval; `None` where one of the two has a single run.
    pub interval: Option<Interval>,
    /// Whether all of it is over pairs of one seed.
    pub is_paired: bool,
}
