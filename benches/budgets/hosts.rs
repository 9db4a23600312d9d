//! 64 different small hosts in one world, against what each does alone.

use std::{sync::Arc, thread::available_parallelism};

use esper::{
    engine::{
        runtime::{FlopsAccount, Split},
        world::hosts::spawn_host,
    },
    prelude::*,
    scenario::{self, Adam, Optimizer},
};

use crate::{
    row::Row,
    support::{
        data::clusters,
        setup::Setup,
        timing::{median, seconds},
    },
};

const N_HOSTS: usize = 64;
const N_ROUNDS: usize = 11;
const N_STEPS: u64 = 400;

pub fn measure() -> Vec<Row> {
    let n_cores = available_parallelism().map_or(1, usize::from);
    let usual = scenario::defaults()[RUN].steps_per_tick;
    let name = format!("{N_HOSTS} hosts in a world / sum of single speeds");
    vec![
        Row::at_least(format!("{name} x {n_cores} cores"), share(n_cores, usual), "x", 0.9),
        Row::shown("  on one thread", share(1, usual), "x"),
        // A host's numbers come into the core's cache anew in every tick.
        Row::shown("  on one thread, 5 times the steps a tick", share(1, 5 * usual), "x"),
    ]
}

/// Speed of all hosts together, as a share of what `n_threads` threads would do at the speed that each has alone.
fn share(n_threads: usize, steps_per_tick: u64) -> f64 {
    let mut alone = hosts();
    let mut world = world_of(n_threads, steps_per_tick);
    let n_ticks = N_STEPS / steps_per_tick;
    let shares = (0..N_ROUNDS).map(|_| {
        let train = |host: &mut HostRuntime| (0..n_ticks).for_each(|_| tick(host, steps_per_tick));
        let single: f64 = alone.iter_mut().map(|host| seconds(|| train(host))).sum();
        let together = seconds(|| (0..n_ticks).for_each(|_| world.engine_mut().tick()));
        single / n_threads as f64 / together
    });
    median(shares.collect())
}

/// 64 shapes, one and two hidden layers of 8 to 39 units, on the same data.
fn hosts() -> Vec<HostRuntime> {
    let data = Arc::new(clusters(100 * 64, &[64], 10));
    let of_shape = |i: usize| {
        let width = 8 + i / 2;
        let hidden = if i.is_multiple_of(2) { vec![width] } else { vec![width, width] };
        let layers: Vec<usize> = [vec![64], hidden, vec![10]].concat();
        Setup::mlp_on(&layers, 64, Optimizer::AdamW(Adam::default()), data.clone()).host()
    };
    (0..N_HOSTS).map(of_shape).collect()
}

/// A world of every subsystem and the 64 hosts.
fn world_of(n_threads: usize, steps_per_tick: u64) -> Run {
    let mut scenario = scenario::defaults();
    scenario[RUN].epochs = 1_000_000;
    scenario[RUN].threads = n_threads;
    scenario[RUN].steps_per_tick = steps_per_tick;
    scenario[DATA].source = "digits".into();
    scenario[HOST] = scenario::Host::mlp([64, 8, 10]);
    scenario[TAMIYO].policy = "off".to_owned();
    let mut run = Run::start(scenario).expect("the scenario is sound");
    let world = run.engine_mut().world_mut();
    let digits = world.resource::<Index<HostId>>().entity(HostId(0)).expect("it has one host");
    world.despawn(digits);
    for (id, host) in (0..).zip(hosts()) {
        spawn_host(world, HostId(id), host);
    }
    run
}

/// What a tick does to a host: its steps, and a validation if they ended an epoch.
fn tick(host: &mut HostRuntime, steps_per_tick: u64) {
    host.advance(steps_per_tick);
    if host.is_at_epoch_end() {
        host.evaluate(Split::Validation, FlopsAccount::Validation, None, None).expect("no fault");
    }
}
