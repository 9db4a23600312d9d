//! Sorts cells into cases and arms.

use std::collections::{BTreeMap, BTreeSet};

use esper_stats::mean;

use super::{
    error::CompareError,
    front::Front,
    types::{FailedCell, Metric},
};
use crate::sweep::{CellRecord, CellStatus, Phase};

/// A task at settings, with the cells of its arms.
pub struct CaseCells<'a> {
    pub task: &'a str,
    pub settings: &'a BTreeMap<String, String>,
    pub metric: Metric,
    pub arms: BTreeMap<&'a str, ArmCells<'a>>,
    pub front: Front,
}

/// The cells of an arm in a case.
#[derive(Default)]
pub struct ArmCells<'a> {
    /// By seed, those that have a score on test data, and the score.
    pub runs: BTreeMap<u64, (f64, &'a CellRecord)>,
    pub failed: Vec<FailedCell>,
    pub chosen: BTreeSet<&'a BTreeMap<String, String>>,
    pub n_tune_cells: usize,
}

impl ArmCells<'_> {
    /// The scores of its runs, in the order of seeds.
    pub fn scores(&self) -> Vec<f64> {
        self.runs.values().map(|(score, _)| *score).collect()
    }
}

impl CaseCells<'_> {
    /// What a difference of 1 is measured by over several tasks: 1 of accuracies, and of losses the baseline's mean without
    /// its sign. 1 if that is zero or the baseline has no run.
    pub fn scale(&self, baseline: &str) -> f64 {
        let losses =
            |arm: &ArmCells<'_>| arm.scores().iter().map(|it| it.abs()).collect::<Vec<_>>();
        match (self.metric, self.arms.get(baseline)) {
            (Metric::Loss, Some(arm)) => {
                mean(&losses(arm)).ok().filter(|it| *it > 0.0).unwrap_or(1.0)
            }
            _ => 1.0,
        }
    }
}

/// Sorts cells, which are in the order of their ids.
pub fn sort(cells: &[CellRecord]) -> Result<Vec<CaseCells<'_>>, CompareError> {
    let of_phase = |phase| cells.iter().filter(move |it| it.id.phase == phase);
    let mut tested: BTreeMap<(&str, &BTreeMap<String, String>), Vec<&CellRecord>> = BTreeMap::new();
    for cell in of_phase(Phase::Test) {
        tested.entry((&cell.id.task, &cell.id.settings)).or_default().push(cell);
    }
    let mut cases = Vec::new();
    for ((task, settings), tested) in tested {
        let belongs =
            |cell: &&CellRecord| cell.id.task == task && fits(&cell.id.settings, settings);
        let front: Vec<&CellRecord> = of_phase(Phase::Front).filter(belongs).collect();
        let metric = metric_of(task, tested.iter().chain(&front))?;
        let mut arms: BTreeMap<&str, ArmCells<'_>> = BTreeMap::new();
        for cell in tested {
            arms.entry(&cell.id.arm).or_default().add(cell);
        }
        for cell in of_phase(Phase::Tune).filter(belongs) {
            if let Some(arm) = arms.get_mut(cell.id.arm.as_str()) {
                arm.n_tune_cells += 1;
            }
        }
        let front = Front::new(&front, settings)?;
        cases.push(CaseCells { task, settings, metric, arms, front });
    }
    Ok(cases)
}

impl<'a> ArmCells<'a> {
    fn add(&mut self, cell: &'a CellRecord) {
        match scored(cell) {
            Ok(score) => drop(self.runs.insert(cell.id.seed, (score, cell))),
            Err(reason) => self.failed.push(FailedCell { cell: cell.id.to_string(), reason }),
        }
        if !cell.tuned.is_empty() {
            self.chosen.insert(&cell.tuned);
        }
    }
}

/// The score of a cell on test data, or why it has none.
pub fn scored(cell: &CellRecord) -> Result<f64, String> {
    let failed = || cell.reason.clone().unwrap_or_else(|| "no reason is given".to_owned());
    match cell.test_score().filter(|score| score.is_finite()) {
        _ if cell.status == CellStatus::Failed => Err(failed()),
        Some(score) => Ok(score),
        None => Err("it has no score on test data".to_owned()),
    }
}

/// Whether a cell of `settings` says nothing else than a case of `wanted` of the keys that both have.
fn fits(settings: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| settings.get(key).is_none_or(|it| it == value))
}

/// What the scores of `cells` are; those that failed have none.
fn metric_of<'a>(
    task: &str,
    cells: impl Iterator<Item = &'a &'a CellRecord>,
) -> Result<Metric, CompareError> {
    let (mut accuracy, mut loss) = (None, None);
    for cell in cells.filter(|it| scored(it).is_ok()) {
        let has_accuracy =
            cell.summary.as_ref().is_some_and(|it| it.scores.test_accuracy.is_some());
        let first = if has_accuracy { &mut accuracy } else { &mut loss };
        first.get_or_insert(&cell.id);
    }
    match (accuracy, loss) {
        (Some(accuracy), Some(loss)) => Err(CompareError::MixedScores {
            task: task.to_owned(),
            accuracy: accuracy.to_string(),
            loss: loss.to_string(),
        }),
        (None, Some(_)) => Ok(Metric::Loss),
        _ => Ok(Metric::Accuracy),
    }
}
