//! One scenario, one seed: one world, whatever the threads, the workers and the scheduler do.

use std::time::Duration;

use bevy_ecs::schedule::{ScheduleBuildSettings, Schedules};
use esper::{
    engine::forge::{InjectedDelay, Ticket},
    prelude::*,
};

use crate::support::{Family, bits, brief_of, run};

#[test]
fn a_brief_run_has_a_whole_life_in_it() {
    // Chance is 0.1 for digits; of Hamlet's characters the commonest, the space, is one in six.
    for (family, accuracy) in [(Family::Mlp, 0.8), (Family::Cnn, 0.6), (Family::Transformer, 0.25)]
    {
        let summary = run(&brief_of(family));
        let seeds = summary.seeds;
        let is_whole = seeds.germinated >= 2 && seeds.fossilized >= 1 && seeds.culled >= 1;
        assert!(is_whole, "{family:?}: {seeds:?}");
        assert!(summary.scores.test_accuracy.unwrap() > accuracy, "{family:?}: {summary:?}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for family in Family::ALL {
        let mut scenario = brief_of(family);
        scenario[RUN].replicas = 3;
        let alone = run(&scenario);
        scenario[RUN].threads = 2;
        // The scenario's digest is in the chain, so the weights alone are compared.
        assert_eq!(alone.weights_digest, run(&scenario).weights_digest, "{family:?}");
    }
}

#[test]
fn the_order_of_systems_within_a_phase_changes_nothing() {
    for (family, n_shuffles) in [(Family::Mlp, 32), (Family::Cnn, 4), (Family::Transformer, 4)] {
        let expected = bits(&run(&brief_of(family)));
        for seed in 0..n_shuffles {
            let shuffle = move |engine: &mut Engine| {
                let mut schedules = engine.world_mut().resource_mut::<Schedules>();
                let tick = schedules.get_mut(Tick).expect("the engine has a tick");
                let shuffle_seed = Some(seed);
                let settings = tick.get_build_settings();
                tick.set_build_settings(ScheduleBuildSettings { shuffle_seed, ..settings });
                Ok(())
            };
            let mut run = Run::start(RunOptions::new(brief_of(family)).extend(shuffle)).unwrap();
            let found = bits(&run.finish().unwrap());
            assert_eq!(found, expected, "{family:?} shuffle seed {seed}");
        }
    }
}

#[test]
fn slow_workers_change_nothing() {
    for family in Family::ALL {
        let expected = bits(&run(&brief_of(family)));
        let handicap = |_: &str, Ticket(ticket): Ticket| Duration::from_millis(ticket * 7 % 11);
        let mut run = Run::start(RunOptions::new(brief_of(family)).prepare(move |engine| {
            engine.world_mut().insert_resource(InjectedDelay(handicap));
            Ok(())
        }))
        .unwrap();
        let summary = run.finish().unwrap();
        assert_eq!(bits(&summary), expected, "{family:?}");
        assert!(summary.n_late > 0, "{family:?}: the workers were slow enough to be waited for");
    }
}
