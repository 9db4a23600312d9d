//! What a reader of a comparison has to know besides its figures.

use std::collections::BTreeSet;

use super::{
    figures::rounded,
    types::{ArmComparison, Case, Comparison, Metric},
};

/// What was left out, and what could not have been shown.
pub fn notes(comparison: &Comparison) -> Vec<String> {
    let mut notes = Vec::new();
    for case in &comparison.cases {
        notes.extend(notes_of_case(case, &comparison.baseline));
    }
    let versus = || comparison.cases.iter().flat_map(|it| &it.arms).filter_map(|it| it.versus);
    let n_comparisons = versus().count();
    let level = 1.0 - comparison.confidence;
    // The least p-value of a sign-flip test: one choice of signs and its opposite.
    let least = |n_pairs: usize| 2.0_f64.powi(1 - n_pairs.min(64) as i32);
    if let Some(most) = versus().map(|it| it.n_pairs).max()
        && least(most) * n_comparisons as f64 >= level
    {
        let needed = (most..=64).find(|n| least(*n) * (n_comparisons as f64) < level);
        let needed = needed.map_or_else(String::new, |it| format!("; {it} pairs can"));
        let (of, pairs) = (counted(n_comparisons, "comparison"), counted(most, "pair"));
        notes.push(format!(
            "{pairs} can not show a difference on a single task in a family of {of}: no p-value is small enough{needed}"
        ));
    }
    notes
}

fn notes_of_case(case: &Case, baseline: &str) -> Vec<String> {
    let (title, mut notes) = (case.title(), Vec::new());
    let has_baseline = case.arms.iter().any(|it| it.arm == baseline && it.n_runs > 0);
    if !has_baseline {
        notes.push(format!("{title}: `{baseline}` has no run, and nothing is compared to it"));
    }
    let n_failed: usize = case.front.iter().map(|it| it.n_failed).sum();
    if n_failed > 0 {
        let of = n_failed + case.front.iter().map(|it| it.n_runs).sum::<usize>();
        notes.push(format!("{title}: {n_failed} of {of} cells of the static front failed"));
    }
    for arm in &case.arms {
        if let Some(seeds) = arm.cost.map(|it| it.seeds)
            && seeds.germinated > 0
            && seeds.fossilized == 0
        {
            notes.push(format!("{title}: `{}` kept none of the modules that it grew", arm.arm));
        }
    }
    for arm in case.arms.iter().filter(|it| it.arm != baseline && has_baseline) {
        match arm.versus {
            Some(versus) if versus.n_left_out > 0 => notes.push(format!(
                "{title}: `{}` and `{baseline}` are compared on {}, and {} that only one of them has left out",
                arm.arm,
                counted(versus.n_pairs, "common seed"),
                counted(versus.n_left_out, "seed"),
            )),
            None if arm.n_runs > 0 => notes.push(format!(
                "{title}: `{}` and `{baseline}` have no seed in common, and are not compared",
                arm.arm
            )),
            _ => (),
        }
    }
    notes
}

/// How figures and verdicts of a comparison are made.
pub fn rules(comparison: &Comparison) -> Vec<String> {
    let Comparison { confidence, n_draws, cases, overall, .. } = comparison;
    let level = rounded(1.0 - confidence);
    let percent = rounded(100.0 * confidence);
    let n_of = |arms: &[ArmComparison]| arms.iter().filter(|it| it.versus.is_some()).count();
    let n_single: usize = cases.iter().map(|it| n_of(&it.arms)).sum();
    let families = match n_of(overall) {
        n if cases.len() > 1 => format!("the {n_single} on single tasks, and the {n} over all"),
        n => format!("all {n}"),
    };
    let has_losses = cases.iter().any(|it| it.metric == Metric::Loss);
    let margin = margin_text(comparison);
    let overall = match (cases.len() > 1, has_losses) {
        (false, _) => "",
        (true, false) => " Tasks are averaged equally, and so are the settings of a task.",
        (true, true) => {
            " Tasks are averaged equally, and so are the settings of a task; over all of them, differences of losses are \
             relative to the baseline's mean |loss|."
        }
    };
    let mut rules = vec![
        "Scores are of test data, and of all of them more is better: accuracies as shares, losses with their sign turned. \
         IQM is the interquartile mean (Agarwal et al. 2021)."
            .to_owned(),
        format!(
            "A pair is two runs of one seed; over several settings of a task it is their mean. Intervals of {percent} % are expanded percentiles of {n_draws} \
             resamples of the pairs within each task (Hesterberg 2015).{overall}"
        ),
        "P(better) is the share of pairs in which the arm is better; ties count half. Where all pairs agree its interval has \
         no width, which is no certainty."
            .to_owned(),
        format!(
            "p Holm is the p-value of a two-sided sign-flip test of the pairs (Fisher 1935), corrected for the number of \
             comparisons (Holm 1979): {families}."
        ),
        format!(
            "eq p is the p-value of two one-sided t-tests (Schuirmann 1987), from five pairs on: below {level}, the \
             difference is within the margin, {margin}."
        ),
        format!(
            "Verdict: `beats` if p Holm is below {level} and the interval of the difference lies above zero; `loses` if p \
             Holm is below {level} and it lies below zero; else `on par` if eq p is below {level}; else `undecided`. An arm \
             with a cell that failed neither beats nor is on par."
        ),
        "FLOPs are all that a cell spent on average; `before` is what was spent before its run. `innovation` is what timing \
         kernels took on workers, in FLOPs apart from these. Cells that chose settings are not counted."
            .to_owned(),
    ];
    if cases.iter().any(|it| !it.front.is_empty()) {
        rules.push(
            "Gap: the mean test score less that of the static host with the best validation score among those that cost at \
             most the arm's mean FLOPs; above zero is better than the static front."
                .to_owned(),
        );
    }
    rules
}

/// The margin, of the scores that there are.
fn margin_text(comparison: &Comparison) -> String {
    let Comparison { baseline, margin, cases, .. } = comparison;
    let of_accuracy = format!("{margin} of accuracy");
    let of_loss = format!("{} % of the mean |loss| of `{baseline}`", rounded(100.0 * margin));
    let metrics: BTreeSet<Metric> = cases.iter().map(|it| it.metric).collect();
    match (metrics.contains(&Metric::Accuracy), metrics.contains(&Metric::Loss)) {
        (true, true) => format!("{of_accuracy}, or {of_loss}"),
        (false, true) => of_loss,
        (_, false) => of_accuracy,
    }
}

/// `3 pairs`, `1 pair`.
fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
