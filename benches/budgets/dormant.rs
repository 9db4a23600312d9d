//! What a dormant seed costs: bytes in the world, time in a tick.

use std::hint::black_box;

use esper::{engine::world::components::Pinned, prelude::*};

use crate::{
    allocated,
    row::Row,
    support::timing::{median, seconds},
};

pub fn measure() -> Vec<Row> {
    [1_000, 100_000, 1_000_000].into_iter().flat_map(of_seeds).collect()
}

fn of_seeds(n_seeds: u64) -> Vec<Row> {
    let mut bare = resting_world(0).0;
    let (mut full, bytes) = resting_world(n_seeds);
    let n_ticks = 200;
    let mut ticks = || {
        let without = seconds(|| (0..n_ticks).for_each(|_| bare.engine_mut().tick()));
        let with = seconds(|| (0..n_ticks).for_each(|_| full.engine_mut().tick()));
        (with - without) / n_ticks as f64 / n_seeds as f64
    };
    let time = median((0..21).map(|_| ticks()).collect());
    let mut looks = resting_world_with(n_seeds, Box::new(|run| run.policy(LooksAtAll))).0;
    let looked = median((0..11).map(|_| seconds(|| looks.engine_mut().tick())).collect());
    vec![
        Row::at_most(format!("{n_seeds} dormant seeds: memory of one"), bytes, "bytes", 128.0),
        Row::at_most(format!("{n_seeds} dormant seeds: a tick of one"), time * 1e9, "ns", 5.0),
        Row::shown(
            "  a tick of one while the policy looks at all of them",
            looked * 1e9 / n_seeds as f64,
            "ns",
        ),
    ]
}

/// Reads every dormant seed in every tick: what a policy does while it looks for one to germinate.
struct LooksAtAll;

impl Policy for LooksAtAll {
    fn decide(&mut self, view: &Observation<'_>, _: &mut Vec<SeedCommand>) {
        black_box(view.dormant().len());
    }
}

type Change = Box<dyn FnOnce(RunOptions) -> RunOptions>;

fn resting_world(n_seeds: u64) -> (Run, f64) {
    resting_world_with(n_seeds, Box::new(|run| run))
}

/// A world with every subsystem, one host that takes no steps and `n_seeds` dormant seeds more than it has sites;
/// and the bytes that each of those added.
fn resting_world_with(n_seeds: u64, change: Change) -> (Run, f64) {
    let mut scenario = scenario::defaults();
    scenario[RUN].epochs = 1;
    scenario[DATA].source = "digits".into();
    scenario[HOST] = scenario::Host::mlp([64, 8, 10]);
    scenario[HOST].sites = vec!["hidden0".into()];
    let mut run = Run::start(change(RunOptions::new(scenario))).expect("the scenario is sound");
    let world = run.engine_mut().world_mut();
    let host = world.resource::<Index<HostId>>().entity(HostId(0)).expect("it has one host");
    world.entity_mut(host).insert(Pinned);
    // Until the catalogue is compiled the ticks have other work.
    (0..100).for_each(|_| run.engine_mut().tick());
    let world = run.engine_mut().world_mut();
    let first = world.resource::<Index<SeedId>>().last().expect("its site is planted").0 + 1;
    let before = allocated::bytes();
    for id in first..first + n_seeds {
        world.spawn((SeedId(id), SeedOf(host), SiteId(0)));
    }
    let bytes = allocated::bytes() - before;
    run.engine_mut().tick();
    (run, bytes as f64 / n_seeds.max(1) as f64)
}
