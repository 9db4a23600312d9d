//! What may be said of arms, once all are measured.

use esper_stats::{Point, StatsError, holm, pareto};

use super::types::{ArmComparison, Cost, Verdict, Versus};

/// Corrects the p-values of a family of comparisons, and gives each its verdict.
pub fn settle(family: &mut [&mut ArmComparison], level: f64) -> Result<(), StatsError> {
    let mut all: Vec<(bool, &mut Versus)> = family
        .iter_mut()
        .filter_map(|it| Some((!it.failed.is_empty(), it.versus.as_mut()?)))
        .collect();
    let p_values: Vec<f64> = all.iter().map(|(_, it)| it.p).collect();
    for ((has_failed, versus), p_holm) in all.iter_mut().zip(holm(&p_values)?) {
        versus.p_holm = p_holm;
        versus.verdict = match verdict(versus, level) {
            // What is left after a failure is not what was asked for.
            Verdict::Beats | Verdict::OnPar if *has_failed => Verdict::Undecided,
            verdict => verdict,
        };
    }
    Ok(())
}

/// The rule, which `Comparison::rules` says in words.
fn verdict(versus: &Versus, level: f64) -> Verdict {
    let is_significant = versus.p_holm < level;
    match versus.interval {
        Some(interval) if is_significant && interval.low > 0.0 => Verdict::Beats,
        Some(interval) if is_significant && interval.high < 0.0 => Verdict::Loses,
        _ if versus.equivalence.is_some_and(|it| it.is_equivalent) => Verdict::OnPar,
        _ => Verdict::Undecided,
    }
}

/// Marks the arms that are on the Pareto fronts of score against parameters and against FLOPs; arms without runs of each of
/// `n_cases` have means of something else.
pub fn mark_fronts(arms: &mut [ArmComparison], n_cases: usize) -> Result<(), StatsError> {
    let mut measured: Vec<(Point, Point, &mut ArmComparison)> = Vec::new();
    for arm in arms.iter_mut().filter(|it| it.n_cases == n_cases) {
        let (Some(score), Some(Cost { params_final, flops, .. })) = (arm.score, arm.cost) else {
            continue;
        };
        let point = |cost| Point { cost, score: score.mean };
        measured.push((point(params_final), point(flops.total()), arm));
    }
    let on_params = pareto(&measured.iter().map(|it| it.0).collect::<Vec<_>>())?;
    let on_flops = pareto(&measured.iter().map(|it| it.1).collect::<Vec<_>>())?;
    for ((_, _, arm), (params, flops)) in
        measured.into_iter().zip(on_params.into_iter().zip(on_flops))
    {
        (arm.is_on_params_front, arm.is_on_flops_front) = (params, flops);
    }
    Ok(())
}
