//! One scenario, one seed: one world, whatever the threads, the workers and the scheduler do.

use std::time::Duration;

use bevy_ecs::schedule::{ScheduleBuildSettings, Schedules};
use esper::{
    engine::world::forge::{Handicap, Ticket},
    prelude::*,
};

use crate::support::{bits, brief, run};

#[test]
fn a_brief_run_has_a_whole_life_in_it() {
    let summary = run(&brief());
    let seeds = summary.seeds;
    assert!(seeds.germinated >= 2 && seeds.fossilized + seeds.culled >= 2, "{seeds:?}");
    assert!(summary.scores.test_accuracy.unwrap() > 0.8, "{summary:?}");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let mut scenario = brief();
    scenario.run.replicas = 3;
    let alone = run(&scenario);
    scenario.run.threads = 2;
    // The scenario's digest is in the chain, so the weights alone are compared.
    assert_eq!(alone.weights_digest, run(&scenario).weights_digest);
}

#[test]
fn the_order_of_systems_within_a_phase_changes_nothing() {
    let expected = bits(&run(&brief()));
    for seed in 0..32 {
        let shuffle = move |engine: &mut Engine| {
            let mut schedules = engine.world_mut().resource_mut::<Schedules>();
            let tick = schedules.get_mut(Tick).expect("the engine has a tick");
            let settings = tick.get_build_settings();
            tick.set_build_settings(ScheduleBuildSettings { shuffle_seed: Some(seed), ..settings });
            Ok(())
        };
        let mut run = RunBuilder::new(brief()).extend(shuffle).build().unwrap();
        assert_eq!(bits(&run.finish().unwrap()), expected, "shuffle seed {seed}");
    }
}

#[test]
fn slow_workers_change_nothing() {
    let expected = bits(&run(&brief()));
    let handicap = |_: &str, Ticket(ticket): Ticket| Duration::from_millis(ticket * 7 % 11);
    let mut run = RunBuilder::new(brief())
        .prepare(move |engine| {
            engine.world_mut().insert_resource(Handicap(handicap));
            Ok(())
        })
        .build()
        .unwrap();
    let summary = run.finish().unwrap();
    assert_eq!(bits(&summary), expected);
    assert!(summary.n_late > 0, "the workers were slow enough to be waited for");
}
