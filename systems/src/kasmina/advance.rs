//! Stages that end by themselves.

use bevy_ecs::prelude::*;
use esper_engine::{
    stage::Stage,
    world::{
        components::{Active, Alpha},
        gate::Gate,
    },
};
use esper_nn::module::Incubation;

use super::{
    commands::NEVER_KEPT,
    fossilize::{HostPrograms, fossilize},
    gates::settling::{judge_reached, judge_stable},
    graft::{cull, end_withdrawal},
    lifecycle::{Lifecycle, Seed, SeedData},
};

/// Moves every living seed whose stage is over, and ends those a gate has refused.
pub(super) fn advance_stages(
    seeds: Query<SeedData, With<Active>>,
    mut alphas: Query<&mut Alpha>,
    mut programs: HostPrograms,
    mut lifecycle: Lifecycle,
) {
    let mut living: Vec<Seed> = seeds.iter().map(Seed::from).collect();
    living.sort_unstable_by_key(|seed| seed.id);
    for seed in &mut living {
        let runtime = lifecycle.hosts.runtime(seed.host);
        let (step, is_done) = (runtime.state.step, runtime.is_done());
        let alpha = seed.alpha(step);
        if let Ok(mut now) = alphas.get_mut(seed.entity) {
            now.0 = alpha;
        }
        if let Some(withdrawing) = seed.withdrawing {
            let is_back = lifecycle.config.kasmina.graft_steps <= step - withdrawing.since_step;
            if is_back || is_done {
                end_withdrawal(&mut lifecycle, seed);
            }
            continue;
        }
        match seed.stage {
            Stage::Training if seed.gate_state.has_failed(Gate::G2) && !is_done => {
                cull(&mut lifecycle, seed, "G2 failed");
            }
            Stage::Grafting => end_grafting(&mut lifecycle, seed, step),
            Stage::Stabilization => end_stabilization(&mut lifecycle, seed, step),
            Stage::Evaluating | Stage::FineTuning if seed.gate_state.has_failed(Gate::G5) => {
                cull(&mut lifecycle, seed, "G5 failed");
            }
            _ => {}
        }
        if is_done {
            settle(&mut lifecycle, &mut programs, seed);
        }
    }
}

/// At the end of the run what has not proved itself goes: nothing stays that G5 has not passed.
fn settle(lifecycle: &mut Lifecycle, programs: &mut HostPrograms, seed: &mut Seed) {
    match seed.stage {
        Stage::Evaluating | Stage::FineTuning if lifecycle.config.kasmina.is_control() => {
            cull(lifecycle, seed, NEVER_KEPT);
        }
        Stage::FineTuning => {
            fossilize(lifecycle, programs, seed, "the run ended after G5 had passed");
        }
        Stage::Evaluating if seed.gate_state.has_passed(Gate::G5) => {
            fossilize(lifecycle, programs, seed, "the run ended after G5 had passed");
        }
        stage if stage.is_grafted() => cull(lifecycle, seed, "the run ended before a verdict"),
        Stage::Training | Stage::Germinated => {
            lifecycle.unbind(seed);
            lifecycle.enter(seed, Stage::Cancelled, "the run ended");
        }
        _ => {}
    }
}

fn end_grafting(lifecycle: &mut Lifecycle, seed: &mut Seed, step: u64) {
    let alpha = seed.alpha(step);
    let config = &lifecycle.config.kasmina;
    let incubation = config.incubation;
    let blend = seed.blend.expect("a grafted seed is blended in");
    if !blend.ramp.is_over(step) {
        return;
    }
    if !judge_reached(lifecycle, seed, alpha) {
        return cull(lifecycle, seed, "G3 failed");
    }
    // A module that never incubated has to learn with the host: it is not frozen while the host settles.
    if incubation != Incubation::None {
        lifecycle.set_training(seed, false);
    }
    lifecycle.enter(seed, Stage::Stabilization, "alpha reached");
}

fn end_stabilization(lifecycle: &mut Lifecycle, seed: &mut Seed, step: u64) {
    let window_steps = step - seed.clock.entered_step;
    if window_steps < lifecycle.config.kasmina.stabilize_steps {
        return;
    }
    if !judge_stable(lifecycle, seed, window_steps) {
        return cull(lifecycle, seed, "G4 failed");
    }
    lifecycle.enter(seed, Stage::Evaluating, "stable");
    let first_look = seed.grafted_step() + lifecycle.config.kasmina.verdict_after_steps;
    lifecycle.await_gate(seed, first_look.max(step));
}
