//! The figures of a sweep's arms: the one place where records become what is drawn.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    compare::{ArmComparison, Comparison},
    sweep::{CellRecord, CellStatus, Phase},
};

/// What is drawn of one arm. Of scores more is better: accuracies as shares, or losses with their sign turned.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmFigures {
    /// Its name, with the settings that tell it from others of that name.
    pub arm: String,
    /// Cells that completed.
    pub n: usize,
    /// Cells that failed.
    pub n_failed: usize,
    /// Mean score.
    pub mean: f64,
    /// Least score.
    pub min: f64,
    /// Greatest score.
    pub max: f64,
    /// The paired difference to the baseline: lower end of its interval, itself, upper end.
    pub difference: Option<(f64, f64, f64)>,
    /// Mean of the parameters at the end, in elements.
    pub params: f64,
    /// Mean of all that a cell spent, in FLOPs.
    pub flops: f64,
    /// What the comparison says of it, in words.
    pub verdict: Option<String>,
}

/// What is drawn of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskFigures {
    /// The scenario's name.
    pub task: String,
    /// Whether scores are accuracies; they are losses with their sign turned otherwise.
    pub is_accuracy: bool,
    /// The arms that were tested, the best first.
    pub arms: Vec<ArmFigures>,
    /// Static hosts that were measured for the front.
    pub front: Vec<FrontPoint>,
}

/// A static host of the front, as a mean over seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontPoint {
    /// Which.
    pub name: String,
    /// Its score.
    pub score: f64,
    /// Its parameters, in elements.
    pub params: f64,
    /// Its training FLOPs.
    pub flops: f64,
}

/// Means of the cells of a group.
struct Means {
    scores: Vec<f64>,
    params: f64,
    flops: f64,
    n_failed: usize,
}

/// The figures of every task in `records`, with what `comparison` says of its arms where there is one.
pub(super) fn of_records(
    records: &[CellRecord],
    comparison: Option<&Comparison>,
) -> Vec<TaskFigures> {
    let tasks: BTreeSet<&str> = records.iter().map(|it| it.id.task.as_str()).collect();
    tasks.into_iter().map(|task| of_task(task, records, comparison)).collect()
}

/// What `comparison` says of the arm of `cells`, which differ in their seeds alone.
fn compared<'a>(comparison: &'a Comparison, cells: &[&CellRecord]) -> Option<&'a ArmComparison> {
    let id = &cells.first()?.id;
    let is_case = |it: &&crate::compare::Case| it.task == id.task && it.settings == id.settings;
    comparison.cases.iter().find(is_case)?.arms.iter().find(|it| it.arm == id.arm)
}

fn of_task(task: &str, records: &[CellRecord], comparison: Option<&Comparison>) -> TaskFigures {
    let of_phase = |phase: Phase| -> BTreeMap<(String, String), Vec<&CellRecord>> {
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let varied = varied_keys(task, phase, records);
        for it in records.iter().filter(|it| it.id.task == task && it.id.phase == phase) {
            groups.entry((it.id.arm.clone(), settings(it, &varied))).or_default().push(it);
        }
        groups
    };
    let tested = of_phase(Phase::Test);
    let arm = |((arm, settings), cells): (&(String, String), &Vec<&CellRecord>)| {
        let means = Means::of(cells)?;
        let is_alone = tested.keys().filter(|key| key.0 == *arm).count() == 1;
        let name =
            if is_alone || settings.is_empty() { arm.clone() } else { format!("{arm} {settings}") };
        let versus = comparison.and_then(|it| compared(it, cells)?.versus);
        let difference = versus.and_then(|it| {
            it.interval.map(|interval| (interval.low, it.difference, interval.high))
        });
        let fold = |f: fn(f64, f64) -> f64| means.scores.iter().copied().reduce(f);
        Some(ArmFigures {
            arm: name,
            n: means.scores.len(),
            n_failed: means.n_failed,
            mean: means.mean(),
            min: fold(f64::min)?,
            max: fold(f64::max)?,
            difference,
            params: means.params,
            flops: means.flops,
            verdict: versus.map(|it| it.verdict.to_string()),
        })
    };
    let mut arms: Vec<ArmFigures> = tested.iter().filter_map(arm).collect();
    arms.sort_by(|a, b| b.mean.total_cmp(&a.mean).then_with(|| a.arm.cmp(&b.arm)));
    let point = |((arm, settings), cells): (&(String, String), &Vec<&CellRecord>)| {
        let means = Means::of(cells)?;
        let name = if settings.is_empty() { arm.clone() } else { settings.clone() };
        Some(FrontPoint { name, score: means.mean(), params: means.params, flops: means.flops })
    };
    let front = of_phase(Phase::Front).iter().filter_map(point).collect();
    let is_accuracy = records
        .iter()
        .filter(|it| it.id.task == task)
        .any(|it| it.summary.as_ref().is_some_and(|it| it.scores.test_accuracy.is_some()));
    TaskFigures { task: task.to_owned(), is_accuracy, arms, front }
}

/// The settings that differ between cells of a task: what is the same in all tells none from another.
fn varied_keys<'a>(task: &str, phase: Phase, records: &'a [CellRecord]) -> BTreeSet<&'a str> {
    let here = || records.iter().filter(|it| it.id.task == task && it.id.phase == phase);
    let keys: BTreeSet<&String> = here().flat_map(|it| it.id.settings.keys()).collect();
    let is_varied = |key: &&String| {
        let values: BTreeSet<_> = here().map(|it| it.id.settings.get(*key)).collect();
        values.len() > 1
    };
    keys.into_iter().filter(is_varied).map(String::as_str).collect()
}

/// `key=value,key=value` of what the sweep varies.
fn settings(record: &CellRecord, varied: &BTreeSet<&str>) -> String {
    let settings = record.id.settings.iter().filter(|(key, _)| varied.contains(key.as_str()));
    let pairs: Vec<String> = settings.map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

impl Means {
    /// `None` where no cell has a finite score.
    fn of(cells: &[&CellRecord]) -> Option<Self> {
        let is_completed = |it: &&&CellRecord| it.status == CellStatus::Completed;
        let completed: Vec<(&CellRecord, f64)> = cells
            .iter()
            .filter(is_completed)
            .filter_map(|it| Some((*it, it.test_score().filter(|score| score.is_finite())?)))
            .collect();
        if completed.is_empty() {
            return None;
        }
        let mean = |value: fn(&CellRecord) -> f64| {
            completed.iter().map(|(it, _)| value(it)).sum::<f64>() / completed.len() as f64
        };
        Some(Self {
            scores: completed.iter().map(|it| it.1).collect(),
            params: mean(|it| it.summary.as_ref().map_or(0.0, |it| it.params_final as f64)),
            flops: mean(|it| it.flops_total() as f64),
            n_failed: cells.len() - completed.len(),
        })
    }

    fn mean(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.scores.len() as f64
    }
}
