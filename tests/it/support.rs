//! Short runs that the tests share.

use esper::{
    engine::scenario::{Adam, Optimizer},
    prelude::*,
};

/// A run of a few hundred steps in which seeds germinate, graft and are judged.
pub fn brief() -> Scenario {
    let mut scenario = Scenario::default();
    scenario.run.name = "brief".to_owned();
    scenario.run.epochs = 14;
    scenario.run.steps_per_tick = 4;
    scenario.run.threads = 1;
    scenario.data.source = "digits".to_owned();
    scenario.data.batch = 64;
    scenario.host = scenario::Host::mlp([64, 6, 10]);
    scenario.host.sites = vec!["input".to_owned(), "hidden0".to_owned()];
    scenario.train.optimizer = Optimizer::AdamW(Adam { lr: 1e-2, ..Adam::default() });
    scenario.kasmina.train_min_steps = 60;
    scenario.kasmina.train_max_steps = 120;
    scenario.kasmina.graft_steps = 20;
    scenario.kasmina.stabilize_steps = 10;
    scenario.kasmina.verdict_after_steps = 50;
    scenario.kasmina.verdict_extend_steps = 40;
    scenario.kasmina.verdict_max_steps = 130;
    scenario.kasmina.fine_tune_steps = 40;
    scenario.tamiyo.germinate_share = 0.1;
    scenario.tamiyo.germinate_until_share = 0.6;
    scenario.karn.catalogue =
        ["residual_mlp", "low_rank", "squeeze_excite", "norm"].map(str::to_owned).to_vec();
    scenario.tezzeret.latency_ticks = 3;
    scenario.urabrask.latency_ticks = 3;
    scenario.urabrask.bench_repeats = 3;
    scenario
}

/// Runs `scenario` to its end.
pub fn run(scenario: &Scenario) -> Summary {
    RunBuilder::new(scenario.clone()).build().expect("it begins").finish().expect("it ends")
}

/// Weights and journal: everything two equal runs share.
pub fn bits(summary: &Summary) -> (String, String) {
    (summary.weights_digest.to_string(), summary.audit_head.to_string())
}
