//! A comparison as text for people, 120 columns wide.

use std::fmt::Write;

use esper_nn::suggest::clip;

use super::{
    figures::{count, figure, p_value, percent, rounded, share_within, signed_within},
    table::{
        Align::{Left, Right},
        Table, wrapped,
    },
    types::{ArmComparison, Case, Comparison, Metric},
};

/// Columns of the text.
const WIDTH_CHARS: usize = 120;
/// Columns of an arm's word.
const ARM_CHARS: usize = 18;
/// Failed cells that are named.
const FAILED_MAX: usize = 10;

impl Comparison {
    /// The comparison as text, at most 120 columns wide but for names and figures that are longer than usual.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let has_front = self.cases.iter().any(|it| !it.front.is_empty());
        for case in &self.cases {
            let metric = match case.metric {
                Metric::Accuracy => "accuracy",
                Metric::Loss => "loss, its sign turned,",
            };
            let title =
                format!("{}: {metric} on test data, against `{}`", case.title(), self.baseline);
            text += &self.section(&title, &case.arms, has_front);
        }
        if self.cases.len() > 1 {
            let title =
                format!("all {} tasks and settings, against `{}`", self.cases.len(), self.baseline);
            text += &self.section(&title, &self.overall, has_front);
        }
        text += &list("chosen on validation data", self.chosen_lines());
        text += &list("failed", self.failed_lines());
        text += &list("notes", self.notes.clone());
        text += &list("how to read this", self.rules.clone());
        text.truncate(text.trim_end().len());
        text
    }

    fn section(&self, title: &str, arms: &[ArmComparison], has_front: bool) -> String {
        let tables = [
            scores(arms, &self.baseline, self.confidence) + &relative_costs(arms, &self.baseline),
            costs(arms),
            growth(arms, has_front, self.confidence),
        ];
        format!("{}\n{}\n", wrapped(title, WIDTH_CHARS, "  "), tables.join("\n"))
    }

    fn chosen_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for case in &self.cases {
            for arm in case.arms.iter().filter(|it| !it.chosen.is_empty()) {
                let settings = arm.chosen.iter().map(pairs);
                let settings: Vec<String> = settings.collect();
                let mut line =
                    format!("{}: `{}`: {}", case.title(), arm.arm, settings.join("; or "));
                if arm.n_tune_cells > 0 {
                    write!(line, " (by {} cells)", arm.n_tune_cells).expect("a string takes all");
                }
                lines.push(line);
            }
        }
        lines
    }

    fn failed_lines(&self) -> Vec<String> {
        let failed = self.cases.iter().flat_map(|it| &it.arms).flat_map(|it| &it.failed);
        let mut lines: Vec<String> =
            failed.map(|it| format!("{}: {}", it.cell, clip(&it.reason))).collect();
        let n_more = lines.len().saturating_sub(FAILED_MAX);
        if n_more > 0 {
            lines.truncate(FAILED_MAX);
            lines.push(format!("and {n_more} more"));
        }
        lines
    }
}

impl Case {
    /// The task, and its settings where it has some: `digits (data.size=100, train.lr=0.1)`.
    pub fn title(&self) -> String {
        if self.settings.is_empty() {
            self.task.clone()
        } else {
            format!("{} ({})", self.task, pairs(&self.settings))
        }
    }
}

/// `key=value, key=value`.
pub fn pairs(settings: &std::collections::BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(", ")
}

/// A heading and its items; nothing where there are none.
fn list(heading: &str, items: Vec<String>) -> String {
    let lines: String =
        items.iter().map(|it| wrapped(&format!("- {it}"), WIDTH_CHARS, "  ")).collect();
    if items.is_empty() { lines } else { format!("{heading}:\n{lines}\n") }
}

fn word(arm: &ArmComparison) -> String {
    if arm.arm.chars().count() <= ARM_CHARS {
        return arm.arm.clone();
    }
    arm.arm.chars().take(ARM_CHARS - 1).chain(['…']).collect()
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// How many times the baseline's FLOPs each arm took.
fn relative_costs(arms: &[ArmComparison], baseline: &str) -> String {
    let flops = |arm: &ArmComparison| Some(arm.cost?.flops.total());
    let Some(least) = arms.iter().find(|it| it.arm == baseline).and_then(flops) else {
        return String::new();
    };
    let of_arm = |arm: &ArmComparison| Some(format!("{} {:.3}", arm.arm, flops(arm)? / least));
    let others: Vec<String> =
        arms.iter().filter(|it| it.arm != baseline).filter_map(of_arm).collect();
    if others.is_empty() || least <= 0.0 {
        return String::new();
    }
    wrapped(
        &format!("FLOPs, as multiples of `{baseline}`: {}", others.join(", ")),
        WIDTH_CHARS,
        "  ",
    )
}

fn scores(arms: &[ArmComparison], baseline: &str, confidence: f64) -> String {
    let is_usual = rounded(100.0 * confidence) == 95.0;
    let difference = if is_usual { "difference [95 %]" } else { "difference [interval]" };
    let mut table = Table::new(&[
        ("arm", Left),
        ("mean", Right),
        ("IQM", Right),
        ("pairs", Right),
        (difference, Left),
        ("P(better)", Left),
        ("p Holm", Right),
        ("eq p", Right),
        ("verdict", Left),
    ]);
    for arm in arms {
        let mut row = vec![
            word(arm),
            or_dash(arm.score.map(|it| figure(it.mean))),
            or_dash(arm.score.map(|it| figure(it.iqm))),
        ];
        row.extend(match arm.versus {
            Some(it) => [
                it.n_pairs.to_string(),
                signed_within(it.difference, it.interval),
                share_within(it.improvement, it.improvement_interval),
                p_value(it.p_holm),
                or_dash(it.equivalence.map(|it| p_value(it.p))),
                it.verdict.to_string(),
            ],
            None => {
                let verdict = if arm.arm == baseline { "baseline" } else { "not compared" };
                ["-", "-", "-", "-", "-", verdict].map(str::to_owned)
            }
        });
        table.row(row);
    }
    table.to_text()
}

fn costs(arms: &[ArmComparison]) -> String {
    let mut table = Table::new(&[
        ("arm", Left),
        ("runs", Right),
        ("failed", Right),
        ("params", Right),
        ("FLOPs", Right),
        ("host %", Right),
        ("seeds %", Right),
        ("eval. %", Right),
        ("valid. %", Right),
        ("before %", Right),
        ("innovation", Right),
        ("wall s", Right),
    ]);
    for arm in arms {
        let mut row = vec![word(arm), arm.n_runs.to_string(), arm.failed.len().to_string()];
        if let Some(cost) = arm.cost {
            let (flops, total) = (cost.flops, cost.flops.total());
            row.push(format!("{} -> {}", count(cost.params_initial), count(cost.params_final)));
            row.push(format!("{total:.3e}"));
            let accounts =
                [flops.host, flops.seeds, flops.evaluation, flops.validation, flops.before];
            row.extend(accounts.map(|part| percent(part, total)));
            row.push(format!("{:.2e}", flops.innovation));
            row.push(format!("{:.2}", cost.wall_s));
        }
        table.row(row);
    }
    table.to_text()
}

fn growth(arms: &[ArmComparison], has_front: bool, confidence: f64) -> String {
    let mut headers = vec![
        ("arm", Left),
        ("germinated", Right),
        ("fossilized", Right),
        ("culled", Right),
        ("cancelled", Right),
        ("rolled back", Right),
        ("Pareto front of", Left),
    ];
    if has_front {
        let is_usual = rounded(100.0 * confidence) == 95.0;
        headers.push((if is_usual { "gap [95 %]" } else { "gap [interval]" }, Left));
    }
    let mut table = Table::new(&headers);
    for arm in arms {
        let seeds = arm.cost.map(|it| it.seeds);
        let counts = seeds.map(|it| {
            [it.germinated, it.fossilized, it.culled, it.cancelled, it.rolled_back]
                .map(|n| n.to_string())
        });
        let fronts = match (arm.is_on_params_front, arm.is_on_flops_front) {
            (true, true) => "params, FLOPs",
            (true, false) => "params",
            (false, true) => "FLOPs",
            (false, false) => "-",
        };
        let mut row = vec![word(arm)];
        row.extend(counts.unwrap_or_else(|| ["-"; 5].map(str::to_owned)));
        row.push(fronts.to_owned());
        row.push(or_dash(arm.gap.as_ref().map(|it| signed_within(it.difference, it.interval))));
        table.row(row.into_iter().take(headers.len()));
    }
    table.to_text()
}
