//! A snapshot of a host with a million parameters and Adam's moments, and going back to it.

use esper::scenario::{Adam, Optimizer};

use crate::{
    row::Row,
    support::{
        hosts::take_steps,
        setup::Setup,
        timing::{median, seconds},
    },
};

const N_ROUNDS: usize = 101;

pub fn measure() -> Vec<Row> {
    let adam = Optimizer::Adam(Adam::default());
    let mut host = Setup::mlp(&[1000, 1000, 10], 16, adam).host();
    take_steps(&mut host, 1);
    let mut snapshot = host.to_snapshot().expect("there is room");
    let (mut taken, mut restored) = (Vec::new(), Vec::new());
    for _ in 0..N_ROUNDS {
        // Between two snapshots a host trains: neither side is in the cache for the other's sake.
        take_steps(&mut host, 1);
        taken.push(seconds(|| host.update_snapshot(&mut snapshot).expect("there is room")));
        take_steps(&mut host, 1);
        restored.push(seconds(|| host.restore(&snapshot).expect("there is room")));
    }
    let fresh = (0..N_ROUNDS / 4)
        .map(|_| seconds(|| drop(host.to_snapshot().expect("there is room"))))
        .collect();
    let name = format!("{:.2} M parameters with Adam", host.program().params_elems() as f64 / 1e6);
    vec![
        Row::at_most(format!("snapshot, {name}"), median(taken) * 1e3, "ms", 2.0),
        Row::at_most(format!("rollback, {name}"), median(restored) * 1e3, "ms", 2.0),
        Row::shown("  a snapshot into fresh memory", median(fresh) * 1e3, "ms"),
    ]
}
