//! How much of a run on the digits is not the network's steps and validations.

use std::sync::Arc;

use esper::{
    engine::{
        runtime::{Bucket, Part},
        scenario,
    },
    prelude::*,
};

use crate::{
    row::Row,
    support::timing::{median, seconds},
};

const N_ROUNDS: usize = 41;

pub fn measure() -> Vec<Row> {
    let source = DataConfig::new("digits");
    let data = data::load(&source, std::path::Path::new(".")).expect("digits ship with Esper");
    let data = Arc::new(data);
    let mut shares = Vec::new();
    let (mut ticked, mut trained) = (Vec::new(), Vec::new());
    for _ in 0..N_ROUNDS {
        let run = || RunBuilder::new(digits()).data(data.clone()).build().expect("it is sound");
        let (mut whole, mut bare) = (run(), run());
        let whole_time = seconds(|| {
            while whole.is_running() {
                whole.engine_mut().tick()
            }
        });
        let world = bare.engine_mut().world_mut();
        let mut runtimes = world.resource_mut::<Runtimes>();
        let host = runtimes.iter_mut().next().expect("it has one host");
        let bare_time = seconds(|| train(host));
        shares.push((whole_time - bare_time) / whole_time);
        ticked.push(whole_time);
        trained.push(bare_time);
    }
    vec![
        Row::at_most(
            "ECS and bookkeeping, share of a digits run",
            100.0 * median(shares),
            "%",
            3.0,
        ),
        Row::shown("  the run, 30 epochs", median(ticked) * 1e3, "ms"),
        Row::shown("  its steps and validations alone", median(trained) * 1e3, "ms"),
    ]
}

fn digits() -> Scenario {
    let mut digits = Scenario::default();
    digits.run.epochs = 30;
    digits.run.threads = 1;
    digits.data.source = "digits".into();
    digits.data.batch = 64;
    digits.host.layers = vec![64, 8, 10];
    digits.tamiyo.policy = scenario::Policy::Off;
    digits
}

/// All of a host's steps, and a validation after each epoch.
fn train(host: &mut HostRuntime) {
    while !host.is_done() {
        host.step().expect("digits have no fault in them");
        if host.is_at_epoch_end() {
            host.evaluate(Part::Validation, Bucket::Validation, None, None);
        }
    }
}
