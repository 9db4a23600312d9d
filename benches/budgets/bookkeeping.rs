//! How much of a run on the digits is not the network's steps and validations.

use std::{path::Path, sync::Arc};

use esper::{
    engine::runtime::{FlopsAccount, Split},
    prelude::*,
    scenario::{self, Adam, Optimizer},
};

use crate::{row::Row, support::timing::Pieces};

const N_ROUNDS: usize = 41;

pub fn measure() -> Vec<Row> {
    let data = data::load(&DataConfig::new("digits"), Path::new("."));
    let data = Arc::new(data.expect("digits ship with Esper"));
    let (mut ticks, mut steps) = (Pieces::default(), Pieces::default());
    for _ in 0..N_ROUNDS {
        let run = || Run::start(RunOptions::new(digits()).data(data.clone())).expect("it is sound");
        let (mut whole, mut bare) = (run(), run());
        let steps_per_tick = bare.scenario()[RUN].steps_per_tick;
        let mut runtimes = bare.engine_mut().world_mut().resource_mut::<Runtimes>();
        let host = runtimes.iter_mut().next().expect("it has one host");
        let mut tick = 0;
        while whole.state().expect("it goes well") == RunState::Running {
            ticks.time(tick, || whole.engine_mut().tick());
            steps.time(tick, || train(host, steps_per_tick));
            tick += 1;
        }
        assert!(host.is_done(), "both took the same steps");
    }
    let (ticks, steps) = (ticks.seconds(), steps.seconds());
    // The first tick builds the schedule, once in a process.
    let [whole, bare]: [f64; 2] = [&ticks, &steps].map(|pieces| pieces[1..].iter().sum());
    let per_tick = (whole - bare) / (ticks.len() - 1) as f64;
    vec![
        Row::at_most(
            "ECS and bookkeeping, share of a digits run",
            100.0 * (whole - bare) / whole,
            "%",
            3.0,
        ),
        Row::shown("  the run, 30 epochs without growth", whole * 1e3, "ms"),
        Row::shown("  in a tick of 10 steps", per_tick * 1e6, "us"),
        Row::shown("  in the first tick, which is left out", (ticks[0] - steps[0]) * 1e6, "us"),
    ]
}

/// `scenarios/digits_mlp.toml` without growth.
fn digits() -> Scenario {
    let mut digits = scenario::defaults();
    digits[RUN].epochs = 30;
    digits[RUN].threads = 1;
    digits[DATA].source = "digits".into();
    digits[DATA].batch = 64;
    digits[HOST] = scenario::Host::mlp([64, 8, 10]);
    digits[HOST].sites = vec!["input".into(), "hidden0".into()];
    digits[TRAIN].optimizer = Optimizer::AdamW(Adam { lr: 1e-2, ..Adam::default() });
    digits[TAMIYO].policy = "off".to_owned();
    digits
}

/// What a tick does to a host: its steps, and a validation if they ended an epoch.
fn train(host: &mut HostRuntime, steps_per_tick: u64) {
    host.advance(steps_per_tick);
    if host.steps_in_tick > 0 && host.is_at_epoch_end() {
        host.evaluate(Split::Validation, FlopsAccount::Validation, None, None).expect("no fault");
    }
}
