//! Harm is undone: parameters, moments, random streams and data cursor, bit for bit.

use bevy_ecs::prelude::*;
use esper::{
    engine::runtime::StateDict,
    prelude::*,
    systems::oona::{FaultReported, HostRolledBack, RollbackTo},
};
use esper_nn::digest::Digest;

use crate::support::{Family, brief_of, state_digest};

/// Does harm to a host's parameters, once, when a condition is met.
#[derive(Resource)]
struct Saboteur {
    factor: f32,
    /// Only while a seed is grafted, or only while none is.
    in_graft: bool,
    after_step: u64,
    is_done: bool,
}

#[derive(Resource, Default)]
struct Seen {
    faults: Vec<FaultReported>,
    rollbacks: Vec<HostRolledBack>,
    stages: Vec<StageChanged>,
    digests: Vec<(u64, Digest)>,
}

fn sabotage(mut hosts: HostsMut, mut saboteur: ResMut<Saboteur>) {
    let principals: Vec<Entity> = hosts.principals().map(|(_, host)| host).collect();
    for host in principals {
        let is_grafted = hosts.twin(host).is_some();
        let host = hosts.runtime_mut(host);
        let is_time = host.state.step >= saboteur.after_step && is_grafted == saboteur.in_graft;
        if is_time && !saboteur.is_done {
            saboteur.is_done = true;
            let [mut params, buffers] = host.weights();
            params.iter_mut().for_each(|value| *value *= saboteur.factor);
            let weights = StateDict::of(&host.graph, host.program(), &params, &buffers);
            host.load_state_dict(&weights).expect("they are its own");
        }
    }
}

fn watch(
    mut faults: MessageReader<FaultReported>,
    mut rollbacks: MessageReader<HostRolledBack>,
    mut stages: MessageReader<StageChanged>,
    hosts: Hosts,
    mut seen: ResMut<Seen>,
) {
    seen.faults.extend(faults.read());
    seen.rollbacks.extend(rollbacks.read().cloned());
    seen.stages.extend(stages.read().cloned());
    for (_, host) in hosts.principals() {
        let host = hosts.runtime(host);
        seen.digests.push((host.state.step, state_digest(host)));
    }
}

fn run_with(scenario: Scenario, saboteur: Saboteur) -> (Run, Result<Summary, RunError>) {
    let mut run = Run::start(RunOptions::new(scenario).extend(move |engine| {
        engine.world_mut().insert_resource(saboteur);
        engine.world_mut().init_resource::<Seen>();
        engine.add_systems(
            Tick,
            (
                sabotage.after(TickSystems::Admit).before(TickSystems::Train),
                watch.in_set(TickSystems::Record),
            ),
        );
        Ok(())
    }))
    .unwrap();
    let summary = run.finish();
    (run, summary)
}

fn undisturbed(scenario: &Scenario) -> Vec<(u64, Digest)> {
    let nobody = Saboteur { factor: 1.0, in_graft: false, after_step: u64::MAX, is_done: true };
    let (run, _) = run_with(scenario.clone(), nobody);
    run.engine().world().resource::<Seen>().digests.clone()
}

#[test]
fn a_nan_in_the_middle_of_a_graft_makes_the_host_its_twin() {
    for family in Family::ALL {
        harm_in_a_graft(family, f32::NAN, "non_finite_loss");
    }
}

#[test]
fn a_divergence_in_the_middle_of_a_graft_makes_the_host_its_twin() {
    for family in Family::ALL {
        harm_in_a_graft(family, 30.0, "divergence");
    }
}

fn harm_in_a_graft(family: Family, factor: f32, fault: &str) {
    let scenario = brief_of(family);
    let mut off = scenario.clone();
    off[TAMIYO].policy = "off".to_owned();
    let alone = undisturbed(&off);
    let saboteur = Saboteur { factor, in_graft: true, after_step: 0, is_done: false };
    let (run, summary) = run_with(scenario, saboteur);
    let summary = summary.expect("the run goes on");
    assert_eq!(summary.seeds.rolled_back, 1, "{family:?}");
    let seen = run.engine().world().resource::<Seen>();
    assert_eq!(seen.faults[0].fault.name(), fault, "{family:?}");
    assert_eq!(seen.rollbacks[0].to, RollbackTo::Twin, "{family:?}");
    let rolled_back = seen.stages.iter().find(|it| it.to == Stage::RolledBack).unwrap();
    assert_eq!(rolled_back.reason, fault);
    // From there on, until the next graft, the host is the one that never grafted.
    let next_graft = seen.stages.iter().skip_while(|it| it.to != Stage::RolledBack);
    let next_graft = next_graft.filter(|it| it.to == Stage::Grafting).map(|it| it.step).next();
    let until = next_graft.unwrap_or(u64::MAX);
    let mut n_compared = 0;
    for (step, digest) in &seen.digests {
        if rolled_back.step <= *step && *step <= until {
            let (_, expected) = alone.iter().find(|(at, _)| at == step).unwrap();
            assert_eq!(digest, expected, "{family:?} step {step}");
            n_compared += 1;
        }
    }
    assert!(n_compared > 0, "{family:?}: something was compared");
}

#[test]
fn a_host_alone_goes_back_to_its_snapshot_bit_for_bit() {
    for family in Family::ALL {
        let mut scenario = brief_of(family);
        scenario[TAMIYO].policy = "off".to_owned();
        scenario[GOVERNOR].snapshot_every_steps = 40;
        scenario[GOVERNOR].lr_backoff = 1.0;
        let alone = undisturbed(&scenario);
        let saboteur =
            Saboteur { factor: f32::NAN, in_graft: false, after_step: 150, is_done: false };
        let (run, summary) = run_with(scenario, saboteur);
        let summary = summary.expect("the run goes on");
        let seen = run.engine().world().resource::<Seen>();
        let rollback = &seen.rollbacks[0];
        assert_eq!(rollback.to, RollbackTo::Snapshot, "{family:?}");
        let (from, to) = (rollback.from_step, rollback.to_step);
        assert!(to < from && from - to <= 44, "{family:?}: {from} to {to}");
        // With an unchanged learning rate it repeats what an undisturbed run does, to the last step.
        assert_eq!(seen.digests.last(), alone.last(), "{family:?}");
        assert_eq!(summary.steps, alone.last().unwrap().0, "{family:?}");
    }
}

#[test]
fn a_host_that_keeps_failing_ends_its_run_with_a_reason() {
    for family in Family::ALL {
        let mut scenario = brief_of(family);
        // A norm forgives weights of any size; a decay that overshoots makes them grow without end.
        scenario[TRAIN].optimizer = scenario::Optimizer::Sgd(scenario::Sgd {
            lr: 900.0,
            weight_decay: 0.1,
            ..Default::default()
        });
        scenario[GOVERNOR].rollbacks_max = 2;
        let error = Run::start(scenario).unwrap().finish().unwrap_err();
        let text = error.to_string();
        let is_clear = text.contains("rollbacks") && text.contains("train.optimizer.lr");
        assert!(is_clear, "{family:?}: {text}");
        assert!(!error.is_usage());
    }
}
