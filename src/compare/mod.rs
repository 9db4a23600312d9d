//! Comparison of arms: what a sweep's cells say, how sure that is, and a verdict in words by a rule that is printed with it.
//!
//! ```no_run
//! use esper::compare::{CompareOptions, Comparison};
//!
//! let comparison = Comparison::of_dirs(&["sweeps/digits".into()], &CompareOptions::default())?;
//! println!("{}", comparison.to_text());
//! # Ok::<(), esper::compare::CompareError>(())
//! ```

mod arms;
mod cases;
mod csv;
mod error;
mod figures;
mod front;
mod latex;
mod notes;
mod read;
mod table;
mod text;
mod types;
mod verdict;

use std::{collections::BTreeSet, path::PathBuf};

use esper_nn::suggest::did_you_mean;
use esper_stats::Bootstrap;

use self::{
    arms::{Measure, compare_arm},
    cases::CaseCells,
};
use crate::sweep::Phase;

pub use error::CompareError;
pub use read::{Results, read_results};
pub use types::{
    ArmComparison, Case, Comparison, Cost, FailedCell, FrontHost, Gap, MeanFlops, Metric, Scores,
    Verdict, Versus,
};

/// The arm that others are compared to, where there is one and none is named.
const BASELINE: &str = "off";

/// How arms are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct CompareOptions {
    /// The arm that the others are compared to; `None` is `off`, or without it the first in alphabetical order.
    pub baseline: Option<String>,
    /// The margin of equivalence: of accuracies as a share, of losses relative to the baseline's mean.
    pub margin: f64,
    /// How intervals are drawn; one less its confidence is the level of the tests.
    pub bootstrap: Bootstrap,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { baseline: None, margin: 0.005, bootstrap: Bootstrap::default() }
    }
}

impl Comparison {
    /// Compares the arms of the sweeps in `dirs`.
    ///
    /// # Errors
    ///
    /// As [`read_results`] and [`Comparison::new`].
    pub fn of_dirs(dirs: &[PathBuf], options: &CompareOptions) -> Result<Self, CompareError> {
        Self::new(dirs, &read_results(dirs)?, options)
    }

    /// Compares the arms of `results`, which were read from `dirs`.
    ///
    /// # Errors
    ///
    /// Fails when no cell was tested or all failed, the baseline is no arm, the margin or the bootstrap is not sound, or
    /// cells of a task have scores of two kinds.
    pub fn new(
        dirs: &[PathBuf],
        results: &Results,
        options: &CompareOptions,
    ) -> Result<Self, CompareError> {
        let CompareOptions { margin, bootstrap, .. } = *options;
        if !margin.is_finite() || margin <= 0.0 {
            return Err(CompareError::Margin { margin });
        }
        let sorted = cases::sort(&results.cells)?;
        check_runs(dirs, results, &sorted)?;
        let arms: BTreeSet<&str> = sorted.iter().flat_map(|it| it.arms.keys().copied()).collect();
        let baseline = choose_baseline(options.baseline.as_deref(), &arms)?;
        // The baseline first, and the others in their order.
        let order: Vec<&str> = [baseline]
            .into_iter()
            .chain(arms.iter().copied().filter(|it| *it != baseline))
            .collect();
        let level = 1.0 - bootstrap.confidence;
        let mut cases = Vec::new();
        for case in &sorted {
            cases.push(compare_case(case, &order, baseline, options)?);
        }
        let family = &mut cases.iter_mut().flat_map(|it| &mut it.arms).collect::<Vec<_>>();
        verdict::settle(family, level)?;
        let overall = if let [case] = &cases[..] {
            case.arms.clone()
        } else {
            let measure = Measure { baseline, margin, bootstrap, is_scaled: true };
            let compared = order.iter().map(|arm| compare_arm(arm, &sorted, &measure));
            let mut overall = compared.collect::<Result<Vec<_>, _>>()?;
            verdict::settle(&mut overall.iter_mut().collect::<Vec<_>>(), level)?;
            verdict::mark_fronts(&mut overall, sorted.len())?;
            overall
        };
        let mut comparison = Self {
            dirs: dirs.to_vec(),
            baseline: baseline.to_owned(),
            margin,
            confidence: bootstrap.confidence,
            n_draws: bootstrap.n_draws,
            cases,
            overall,
            notes: results.notes.clone(),
            rules: Vec::new(),
        };
        let notes = notes::notes(&comparison);
        comparison.notes.extend(notes);
        comparison.rules = notes::rules(&comparison);
        Ok(comparison)
    }
}

fn compare_case(
    case: &CaseCells<'_>,
    order: &[&str],
    baseline: &str,
    options: &CompareOptions,
) -> Result<Case, CompareError> {
    let margin = options.margin * case.scale(baseline);
    let measure = Measure { baseline, margin, bootstrap: options.bootstrap, is_scaled: false };
    let of_case = std::slice::from_ref(case);
    let here = order.iter().filter(|arm| case.arms.contains_key(**arm));
    let mut arms =
        here.map(|arm| compare_arm(arm, of_case, &measure)).collect::<Result<Vec<_>, _>>()?;
    verdict::mark_fronts(&mut arms, 1)?;
    Ok(Case {
        task: case.task.to_owned(),
        settings: case.settings.clone(),
        metric: case.metric,
        margin,
        arms,
        front: case.front.hosts.clone(),
    })
}

/// Refuses results in which nothing can be compared.
fn check_runs(
    dirs: &[PathBuf],
    results: &Results,
    cases: &[CaseCells<'_>],
) -> Result<(), CompareError> {
    let tested: Vec<_> = results.cells.iter().filter(|it| it.id.phase == Phase::Test).collect();
    let Some(first) = tested.first() else {
        let dirs: Vec<String> = dirs.iter().map(|it| it.display().to_string()).collect();
        let n_cells = results.cells.len();
        return Err(CompareError::NothingTested { dirs: dirs.join(", "), n_cells });
    };
    if cases.iter().flat_map(|it| it.arms.values()).all(|it| it.runs.is_empty()) {
        return Err(CompareError::AllFailed {
            n_cells: tested.len(),
            cell: first.id.to_string(),
            reason: cases::scored(first).err().unwrap_or_default(),
        });
    }
    Ok(())
}

fn choose_baseline<'a>(
    asked: Option<&str>,
    arms: &BTreeSet<&'a str>,
) -> Result<&'a str, CompareError> {
    let default = || arms.get(BASELINE).or_else(|| arms.first());
    let found = asked.map_or_else(default, |asked| arms.get(asked));
    found.copied().ok_or_else(|| {
        let baseline = asked.unwrap_or(BASELINE).to_owned();
        let known: Vec<&str> = arms.iter().copied().collect();
        let help = did_you_mean(&baseline, "the arms are", &known);
        CompareError::UnknownBaseline { baseline, help }
    })
}
