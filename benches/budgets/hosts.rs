//! 64 different small hosts in one world, against what each does alone.

use std::thread::available_parallelism;

use esper::{
    engine::{
        runtime::{Bucket, Part},
        scenario::{self, Adam, Optimizer},
    },
    prelude::*,
};

use crate::{
    row::Row,
    support::{
        hosts::Shape,
        timing::{median, seconds},
    },
};

const N_HOSTS: usize = 64;
const N_ROUNDS: usize = 11;
const N_TICKS: usize = 40;

pub fn measure() -> Vec<Row> {
    let n_cores = available_parallelism().map_or(1, usize::from);
    let mut alone = hosts();
    let mut worlds = [1, n_cores].map(|n_threads| (n_threads, world_of(n_threads)));
    let steps_per_tick = worlds[0].1.scenario().run.steps_per_tick;
    let mut shares = [Vec::new(), Vec::new()];
    for _ in 0..N_ROUNDS {
        let single: f64 =
            alone.iter_mut().map(|host| seconds(|| train(host, steps_per_tick))).sum();
        for ((n_threads, world), shares) in worlds.iter_mut().zip(&mut shares) {
            let together = seconds(|| (0..N_TICKS).for_each(|_| world.engine_mut().tick()));
            shares.push(single / *n_threads as f64 / together);
        }
    }
    let [one, all] = shares.map(median);
    let name = format!("{N_HOSTS} hosts, one world, against the sum of their single speeds");
    vec![
        Row::at_least(format!("{name} x {n_cores} cores"), all, "x", 0.9),
        Row::shown("  on one thread", one, "x"),
    ]
}

/// 64 shapes: one and two hidden layers of 8 to 39 units.
fn hosts() -> Vec<HostRuntime> {
    let of_shape = |i: usize| {
        let width = 8 + i / 2;
        let hidden = if i.is_multiple_of(2) { vec![width] } else { vec![width, width] };
        let layers: Vec<usize> = [vec![64], hidden, vec![10]].concat();
        Shape::new(&layers, 64, Optimizer::AdamW(Adam::default())).host(16)
    };
    (0..N_HOSTS).map(of_shape).collect()
}

/// A world of every subsystem and the 64 hosts.
fn world_of(n_threads: usize) -> Run {
    let mut scenario = Scenario::default();
    scenario.run.epochs = 1_000_000;
    scenario.run.threads = n_threads;
    scenario.data.source = "digits".into();
    scenario.host.layers = vec![64, 8, 10];
    scenario.tamiyo.policy = scenario::Policy::Off;
    let mut run = RunBuilder::new(scenario).build().expect("the scenario is sound");
    let world = run.engine_mut().world_mut();
    let digits = world.resource::<Index<HostId>>().entity(HostId(0)).expect("it has one host");
    world.despawn(digits);
    for (id, host) in (0..).zip(hosts()) {
        let handle = world.resource_mut::<Runtimes>().insert(host);
        world.spawn((HostId(id), HostRole::Principal, Runtime(handle)));
    }
    run
}

/// What the world does with a host in [`N_TICKS`] ticks, without the world.
fn train(host: &mut HostRuntime, steps_per_tick: u64) {
    for _ in 0..N_TICKS {
        host.advance(steps_per_tick);
        if host.is_at_epoch_end() {
            host.evaluate(Part::Validation, Bucket::Validation, None, None);
        }
    }
}
