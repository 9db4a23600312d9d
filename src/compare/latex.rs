//! A comparison as a table for a paper.

use std::fmt::Write;

use super::{
    figures::{count, figure, p_value, rounded, share_within, signed_within},
    types::{ArmComparison, Comparison},
};

impl Comparison {
    /// The comparison as a LaTeX `tabular` with the rules of the package booktabs; names are escaped.
    pub fn to_latex(&self) -> String {
        let percent = rounded(100.0 * self.confidence);
        let mut text = format!(
            "% \\usepackage{{booktabs}}\n\
             % Against the arm {}.\n\
             \\begin{{tabular}}{{llrrrllrrl}}\n\
             \\toprule\n\
             Task & Arm & Pairs & Mean & IQM & Difference [{percent}\\,\\%] & $P(\\mathrm{{better}})$ & \
             $p_{{\\mathrm{{Holm}}}}$ & FLOPs & Verdict \\\\\n",
            self.baseline.replace('\n', " "),
        );
        let mut section = |title: &str, arms: &[ArmComparison]| {
            text.push_str("\\midrule\n");
            for (at, arm) in arms.iter().enumerate() {
                let title = if at == 0 { escaped(title) } else { String::new() };
                let row = row(&title, arm, &self.baseline).join(" & ");
                writeln!(text, "{row} \\\\").expect("a string takes all");
            }
        };
        for case in &self.cases {
            section(&case.title(), &case.arms);
        }
        if self.cases.len() > 1 {
            section("all tasks", &self.overall);
        }
        text.push_str("\\bottomrule\n\\end{tabular}\n");
        text
    }
}

fn row(title: &str, arm: &ArmComparison, baseline: &str) -> [String; 10] {
    let none = || "--".to_owned();
    let versus = arm.versus;
    let verdict = match versus {
        Some(it) => it.verdict.to_string(),
        None if arm.arm == baseline => "baseline".to_owned(),
        None => none(),
    };
    let count_or_mean = |cost: super::Cost| count(cost.flops.total());
    [
        title.to_owned(),
        escaped(&arm.arm),
        versus.map_or_else(none, |it| it.n_pairs.to_string()),
        arm.score.map_or_else(none, |it| math(&figure(it.mean))),
        arm.score.map_or_else(none, |it| math(&figure(it.iqm))),
        versus.map_or_else(none, |it| math(&signed_within(it.difference, it.interval))),
        versus.map_or_else(none, |it| math(&share_within(it.improvement, it.improvement_interval))),
        versus.map_or_else(none, |it| math(&p_value(it.p_holm))),
        arm.cost.map_or_else(none, |it| math(&count_or_mean(it))),
        verdict,
    ]
}

/// Figures in math mode, where a minus is one; `1.2e-4` becomes a power of ten.
fn math(figures: &str) -> String {
    let mut text = String::new();
    let mut rest = figures;
    while let Some(at) = rest.find('e') {
        let exponent = &rest[at + 1..];
        let is_exponent = |c: char| c.is_ascii_digit() || c == '-';
        let len = exponent.find(|c| !is_exponent(c)).unwrap_or(exponent.len());
        text += &rest[..at];
        text += &format!("\\cdot 10^{{{}}}", &exponent[..len]);
        rest = &exponent[len..];
    }
    // A space in math mode is none.
    format!("${}$", (text + rest).replace(" [", "\\ ["))
}

/// `text` as LaTeX prints it.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', c]),
            '\n' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
