//! The figures of an arm, in a case and over several.

use std::collections::{BTreeMap, BTreeSet};

use esper_stats::{
    Bootstrap, Interval, SignFlip, StatsError, Stratum, equivalence, improvement_share,
    interquartile_mean, mean, probability_of_improvement,
};
use esper_systems::nissa::{SeedTally, Summary};

use super::{
    cases::{ArmCells, CaseCells},
    front::GapSample,
    types::{ArmComparison, Cost, Gap, MeanFlops, Scores, Verdict, Versus},
};
use crate::sweep::CellRecord;

/// Pairs below which nothing is said of equivalence: a few differences that happen to agree have no spread.
const EQUIVALENCE_PAIRS_MIN: usize = 5;

/// Against what an arm is compared, and by what.
#[derive(Clone, Copy)]
pub struct Measure<'a> {
    pub baseline: &'a str,
    /// In units of the differences.
    pub margin: f64,
    pub bootstrap: Bootstrap,
    /// Whether differences are divided by the scale of their case, as they are over several tasks.
    pub is_scaled: bool,
}

/// An arm in a case.
struct Part<'a> {
    case: &'a CaseCells<'a>,
    cells: &'a ArmCells<'a>,
}

/// Compares `arm` over `cases`.
pub fn compare_arm(
    arm: &str,
    cases: &[CaseCells<'_>],
    measure: &Measure<'_>,
) -> Result<ArmComparison, StatsError> {
    let parts: Vec<Part<'_>> =
        cases.iter().filter_map(|case| Some(Part { case, cells: case.arms.get(arm)? })).collect();
    let with_runs: Vec<&Part<'_>> = parts.iter().filter(|it| !it.cells.runs.is_empty()).collect();
    let versus = if arm == measure.baseline { None } else { versus(&with_runs, measure)? };
    let mut chosen: Vec<BTreeMap<String, String>> =
        parts.iter().flat_map(|it| it.cells.chosen.iter().copied().cloned()).collect();
    chosen.sort();
    chosen.dedup();
    Ok(ArmComparison {
        arm: arm.to_owned(),
        n_cases: with_runs.len(),
        n_runs: parts.iter().map(|it| it.cells.runs.len()).sum(),
        failed: parts.iter().flat_map(|it| it.cells.failed.iter().cloned()).collect(),
        chosen,
        n_tune_cells: parts.iter().map(|it| it.cells.n_tune_cells).sum(),
        score: score(&with_runs)?,
        cost: cost(&with_runs)?,
        versus,
        gap: gap(&with_runs, measure)?,
        is_on_params_front: false,
        is_on_flops_front: false,
    })
}

/// The weight of each part: tasks count the same, and so do the settings of a task.
fn weights(parts: &[&Part<'_>]) -> Vec<f64> {
    let mut n_settings: BTreeMap<&str, usize> = BTreeMap::new();
    for part in parts {
        *n_settings.entry(part.case.task).or_default() += 1;
    }
    let n_tasks = n_settings.len();
    parts.iter().map(|it| 1.0 / (n_tasks * n_settings[it.case.task]) as f64).collect()
}

/// The weighted mean of what parts come to.
fn weighted(
    parts: &[&Part<'_>],
    value: impl Fn(&Part<'_>) -> Result<f64, StatsError>,
) -> Result<f64, StatsError> {
    parts.iter().zip(weights(parts)).map(|(part, weight)| Ok(weight * value(part)?)).sum()
}

fn score(parts: &[&Part<'_>]) -> Result<Option<Scores>, StatsError> {
    let Some(first) = parts.first() else { return Ok(None) };
    if parts.iter().any(|it| it.case.metric != first.case.metric) {
        return Ok(None);
    }
    let all: Vec<f64> = parts.iter().flat_map(|it| it.cells.scores()).collect();
    let mean = weighted(parts, |it| mean(&it.cells.scores()))?;
    Ok(Some(Scores { mean, iqm: interquartile_mean(&all)? }))
}

fn cost(parts: &[&Part<'_>]) -> Result<Option<Cost>, StatsError> {
    if parts.is_empty() {
        return Ok(None);
    }
    let average = |of: fn(&CellRecord) -> f64| {
        weighted(parts, |part| {
            let values: Vec<f64> = part.cells.runs.values().map(|(_, cell)| of(cell)).collect();
            mean(&values)
        })
    };
    let mut seeds = SeedTally::default();
    for (_, cell) in parts.iter().flat_map(|it| it.cells.runs.values()) {
        seeds += cell.summary.as_ref().map(|it| it.seeds).unwrap_or_default();
    }
    Ok(Some(Cost {
        params_initial: average(|it| summed(it, |it| it.params_initial))?,
        params_final: average(|it| summed(it, |it| it.params_final))?,
        flops: MeanFlops {
            host: average(|it| summed(it, |it| it.flops.host))?,
            seeds: average(|it| summed(it, |it| it.flops.seeds))?,
            evaluation: average(|it| summed(it, |it| it.flops.evaluation))?,
            validation: average(|it| summed(it, |it| it.flops.validation))?,
            before: average(|it| it.flops_before.total() as f64)?,
            innovation: average(|it| summed(it, |it| it.innovation_flops))?,
        },
        wall_s: average(|it| it.wall_s)?,
        seeds,
    }))
}

/// A count of a cell's summary; a cell with a score has one.
fn summed(cell: &CellRecord, count: fn(&Summary) -> u64) -> f64 {
    cell.summary.as_ref().map_or(0.0, |it| count(it) as f64)
}

/// The differences of the pairs of a part by seed, and how many seeds have no pair.
fn pairs(arm: &ArmCells<'_>, baseline: &ArmCells<'_>) -> (BTreeMap<u64, f64>, usize) {
    let differences: BTreeMap<u64, f64> = arm
        .runs
        .iter()
        .filter_map(|(seed, (score, _))| Some((*seed, score - baseline.runs.get(seed)?.0)))
        .collect();
    let n_left_out = arm.runs.len() + baseline.runs.len() - 2 * differences.len();
    (differences, n_left_out)
}

fn versus(parts: &[&Part<'_>], measure: &Measure<'_>) -> Result<Option<Versus>, StatsError> {
    let mut n_left_out = 0;
    // The settings of a task share their seeds: a seed is one pair, whatever it was run with.
    let mut tasks: BTreeMap<&str, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    for part in parts {
        let Some(baseline) = part.case.arms.get(measure.baseline) else { continue };
        let (differences, left_out) = pairs(part.cells, baseline);
        n_left_out += left_out;
        let scale = if measure.is_scaled { part.case.scale(measure.baseline) } else { 1.0 };
        for (seed, difference) in differences {
            let of_task = tasks.entry(part.case.task).or_default();
            of_task.entry(seed).or_default().push(difference / scale);
        }
    }
    if tasks.is_empty() {
        return Ok(None);
    }
    let weight = 1.0 / tasks.len() as f64;
    let mut strata = Vec::new();
    for seeds in tasks.values() {
        let values = seeds.values().map(|it| mean(it)).collect::<Result<_, _>>()?;
        strata.push(Stratum { weight, values });
    }
    let level = 1.0 - measure.bootstrap.confidence;
    let interval = interval(&strata, &measure.bootstrap)?;
    let has_spread = interval.is_some();
    let test = SignFlip { n_draws: measure.bootstrap.n_draws, seed: measure.bootstrap.seed };
    let p = test.p_value(&strata)?;
    let n_pairs = strata.iter().map(|it| it.values.len()).sum();
    let may_be_equal = has_spread && EQUIVALENCE_PAIRS_MIN <= n_pairs;
    Ok(Some(Versus {
        n_pairs,
        n_left_out,
        difference: estimate(&strata)?,
        interval,
        improvement: improvement_share(&strata)?,
        improvement_interval: has_spread
            .then(|| probability_of_improvement(&strata, &measure.bootstrap))
            .transpose()?,
        p,
        p_holm: p,
        equivalence: may_be_equal
            .then(|| equivalence(&strata, measure.margin, level))
            .transpose()?,
        verdict: Verdict::Undecided,
    }))
}

fn gap(parts: &[&Part<'_>], measure: &Measure<'_>) -> Result<Option<Gap>, StatsError> {
    let (mut hosts, mut strata, mut is_paired) = (Vec::new(), Vec::new(), true);
    // Settings of one task share seeds and hosts of the front: over them, an interval would take one run for several.
    let tasks: BTreeSet<&str> = parts.iter().map(|it| it.case.task).collect();
    if tasks.len() < parts.len() {
        return Ok(None);
    }
    for (part, weight) in parts.iter().zip(weights(parts)) {
        let runs = &part.cells.runs;
        let flops: Vec<f64> = runs.values().map(|(_, cell)| cell.flops_total() as f64).collect();
        let scores = runs.iter().map(|(seed, (score, _))| (*seed, *score)).collect();
        let Some(GapSample { host, strata: of, is_paired: is_of_pairs }) =
            part.case.front.gap(mean(&flops)?, &scores)
        else {
            return Ok(None);
        };
        let scale = if measure.is_scaled { part.case.scale(measure.baseline) } else { 1.0 };
        let scaled = |it: Stratum| Stratum { weight: it.weight * weight / scale, ..it };
        strata.extend(of.into_iter().map(scaled));
        is_paired &= is_of_pairs;
        hosts.push(host);
    }
    if strata.is_empty() {
        return Ok(None);
    }
    let interval = interval(&strata, &measure.bootstrap)?;
    Ok(Some(Gap { hosts, difference: estimate(&strata)?, interval, is_paired }))
}

/// The weighted mean; strata are not empty.
fn estimate(strata: &[Stratum]) -> Result<f64, StatsError> {
    strata.iter().map(|it| Ok(it.weight * mean(&it.values)?)).sum()
}

/// The interval; `None` where a stratum has a single value.
fn interval(strata: &[Stratum], bootstrap: &Bootstrap) -> Result<Option<Interval>, StatsError> {
    let is_spread = strata.iter().all(|it| it.values.len() >= 2);
    is_spread.then(|| bootstrap.mean(strata)).transpose()
}
