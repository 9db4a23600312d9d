//! A comparison as comma-separated values (RFC 4180): a row for each arm of each task.

use ::csv::{Terminator, WriterBuilder};
use esper_stats::Interval;

use super::{
    text::pairs,
    types::{ArmComparison, Case, Comparison, Metric},
};

/// A row: names of columns and their values.
type Row = Vec<(&'static str, String)>;

impl Comparison {
    /// The comparison as comma-separated values: a line of names, a row for each arm of each task, and with several tasks
    /// one for each arm over all, whose `task` is empty and whose `scope` is `all`. Numbers keep all their digits, what
    /// there is not is empty, and lines end in CR LF.
    pub fn to_csv(&self) -> String {
        let mut rows: Vec<Row> = Vec::new();
        for case in &self.cases {
            rows.extend(case.arms.iter().map(|arm| self.row(Some(case), arm)));
        }
        if self.cases.len() > 1 {
            rows.extend(self.overall.iter().map(|arm| self.row(None, arm)));
        }
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
        let names = rows.first().into_iter().map(|row| row.iter().map(|(name, _)| *name).collect());
        let values = rows.iter().map(|row| row.iter().map(|(_, value)| value.as_str()).collect());
        for record in names.chain(values).collect::<Vec<Vec<&str>>>() {
            writer.write_record(record).expect("rows are of one length, and memory takes all");
        }
        let bytes = writer.into_inner().expect("memory takes all");
        String::from_utf8(bytes).expect("strings were written")
    }

    fn row(&self, case: Option<&Case>, arm: &ArmComparison) -> Row {
        let metric = |it: &Case| match it.metric {
            Metric::Accuracy => "accuracy",
            Metric::Loss => "loss",
        };
        let chosen: Vec<String> = arm.chosen.iter().map(pairs).collect();
        let mut row: Row = vec![
            ("scope", if case.is_some() { "task" } else { "all" }.to_owned()),
            ("task", case.map(|it| it.task.clone()).unwrap_or_default()),
            ("settings", case.map(|it| pairs(&it.settings)).unwrap_or_default()),
            ("arm", arm.arm.clone()),
            ("baseline", self.baseline.clone()),
            ("metric", case.map(metric).unwrap_or_default().to_owned()),
            ("n_cases", arm.n_cases.to_string()),
            ("n_runs", arm.n_runs.to_string()),
            ("n_failed", arm.failed.len().to_string()),
            ("mean", or_empty(arm.score.map(|it| it.mean))),
            ("iqm", or_empty(arm.score.map(|it| it.iqm))),
        ];
        row.extend(versus_columns(arm, case.map_or(self.margin, |it| it.margin)));
        row.extend(cost_columns(arm));
        let gap = arm.gap.as_ref();
        let interval = gap.and_then(|it| it.interval);
        row.extend([
            ("gap", or_empty(gap.map(|it| it.difference))),
            ("gap_low", low(interval)),
            ("gap_high", high(interval)),
            ("gap_hosts", gap.map(|it| it.hosts.join("; ")).unwrap_or_default()),
            ("is_on_params_front", arm.is_on_params_front.to_string()),
            ("is_on_flops_front", arm.is_on_flops_front.to_string()),
            ("chosen", chosen.join("; ")),
        ]);
        row
    }
}

fn versus_columns(arm: &ArmComparison, margin: f64) -> Row {
    let versus = arm.versus;
    let interval = versus.and_then(|it| it.interval);
    let improvement = versus.and_then(|it| it.improvement_interval);
    let equivalence = versus.and_then(|it| it.equivalence);
    let verdict = versus.map(|it| match it.verdict {
        super::Verdict::OnPar => "on_par".to_owned(),
        other => other.to_string(),
    });
    vec![
        ("n_pairs", or_empty(versus.map(|it| it.n_pairs))),
        ("n_left_out", or_empty(versus.map(|it| it.n_left_out))),
        ("difference", or_empty(versus.map(|it| it.difference))),
        ("difference_low", low(interval)),
        ("difference_high", high(interval)),
        ("improvement", or_empty(versus.map(|it| it.improvement))),
        ("improvement_low", low(improvement)),
        ("improvement_high", high(improvement)),
        ("p", or_empty(versus.map(|it| it.p))),
        ("p_holm", or_empty(versus.map(|it| it.p_holm))),
        ("margin", margin.to_string()),
        ("equivalence_p", or_empty(equivalence.map(|it| it.p))),
        ("is_equivalent", or_empty(equivalence.map(|it| it.is_equivalent))),
        ("verdict", verdict.unwrap_or_default()),
    ]
}

fn cost_columns(arm: &ArmComparison) -> Row {
    let cost = arm.cost;
    let seeds = cost.map(|it| it.seeds);
    let flops = cost.map(|it| it.flops);
    vec![
        ("params_initial", or_empty(cost.map(|it| it.params_initial))),
        ("params_final", or_empty(cost.map(|it| it.params_final))),
        ("flops_total", or_empty(flops.map(|it| it.total()))),
        ("flops_host", or_empty(flops.map(|it| it.host))),
        ("flops_seeds", or_empty(flops.map(|it| it.seeds))),
        ("flops_evaluation", or_empty(flops.map(|it| it.evaluation))),
        ("flops_validation", or_empty(flops.map(|it| it.validation))),
        ("flops_before", or_empty(flops.map(|it| it.before))),
        ("flops_innovation", or_empty(flops.map(|it| it.innovation))),
        ("wall_s", or_empty(cost.map(|it| it.wall_s))),
        ("germinated", or_empty(seeds.map(|it| it.germinated))),
        ("fossilized", or_empty(seeds.map(|it| it.fossilized))),
        ("culled", or_empty(seeds.map(|it| it.culled))),
        ("cancelled", or_empty(seeds.map(|it| it.cancelled))),
        ("rolled_back", or_empty(seeds.map(|it| it.rolled_back))),
    ]
}

fn or_empty(value: Option<impl ToString>) -> String {
    value.map(|it| it.to_string()).unwrap_or_default()
}

fn low(interval: Option<Interval>) -> String {
    or_empty(interval.map(|it| it.low))
}

fn high(interval: Option<Interval>) -> String {
    or_empty(interval.map(|it| it.high))
}
