//! Stages that end by themselves, and the swap of a host's program.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use esper_engine::{
    graph::{self, Op},
    runtime::{Runtimes, module_prefix},
    scenario::{Composition, Counterfactual, Incubation},
    world::{
        catalog::{Blueprint, HostRecompile, HostRecompiles},
        components::{Active, Alpha, Runtime, SeedModule, SeedOf, Site, StageClock, Withdrawing},
        gate::{Gate, GateState, GateVerdict},
        ids::{BlueprintId, HostId, Index, SeedId},
        plugin::RunStatus,
        stage::Stage,
    },
};

use super::{
    bind::fork_of,
    config::KasminaConfig,
    diagnostics::judge,
    graft::{cull, drop_fork, set_training},
    transition::transition,
};
use crate::oona::HostSwapped;

/// Moves every living seed whose stage is over, and ends those a gate has refused.
pub(super) fn advance_stages(
    world: &mut World,
    seeds: &mut QueryState<(Entity, &SeedId, &Stage), With<Active>>,
) {
    let mut living: Vec<(SeedId, Entity, Stage)> =
        seeds.iter(world).map(|(entity, id, stage)| (*id, entity, *stage)).collect();
    living.sort_unstable_by_key(|(id, ..)| *id);
    for (id, seed, stage) in living {
        let SeedOf(host) = *world.get::<SeedOf>(seed).expect("every seed has a host");
        let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
        let runtime = world.resource::<Runtimes>().get(handle).expect("the handle is live");
        let (step, is_done) = (runtime.state.step, runtime.is_done());
        let alpha = runtime.seed(id).map_or(0.0, |seed| seed.alpha(step.saturating_sub(1)));
        if let Some(mut now) = world.get_mut::<Alpha>(seed) {
            now.0 = alpha;
        }
        if let Some(&Withdrawing { since_step }) = world.get::<Withdrawing>(seed) {
            finish_withdrawal(world, seed, host, step - since_step, is_done);
            continue;
        }
        match stage {
            Stage::Training => end_failed_training(world, seed, is_done),
            Stage::Grafting => end_grafting(world, seed, host, step, alpha),
            Stage::Stabilization => end_stabilization(world, seed, host, step),
            Stage::Evaluating | Stage::FineTuning => end_refused(world, seed),
            _ => {}
        }
        if is_done {
            settle(world, seed);
        }
    }
}

/// At the end of the run what has not proved itself goes: nothing stays that G5 has not passed.
fn settle(world: &mut World, seed: Entity) {
    let stage = *world.get::<Stage>(seed).expect("every seed has a stage");
    let has_passed =
        world.get::<GateState>(seed).is_some_and(|gate_state| gate_state.has_passed(Gate::G5));
    match stage {
        Stage::Evaluating | Stage::FineTuning if has_passed => {
            fossilize(world, seed, "the run ended after G5 had passed");
        }
        stage if stage.is_grafted() => cull(world, seed, "the run ended before a verdict"),
        Stage::Training | Stage::Germinated => {
            super::graft::unbind(world, seed);
            transition(world, seed, Stage::Cancelled, "the run ended")
                .expect("it never touched the host");
        }
        _ => {}
    }
}

fn finish_withdrawal(world: &mut World, seed: Entity, host: Entity, steps: u64, is_done: bool) {
    let n_steps = world.resource::<KasminaConfig>().kasmina.graft_steps;
    if steps < n_steps && !is_done {
        return;
    }
    drop_fork(world, host);
    super::graft::unbind(world, seed);
    transition(world, seed, Stage::Culled, "alpha is back at 0")
        .expect("a grafted seed may be culled");
}

fn end_failed_training(world: &mut World, seed: Entity, is_done: bool) {
    let gate_state = *world.get::<GateState>(seed).expect("an active seed has a gate_state");
    if gate_state.has_failed(Gate::G2) && !is_done {
        cull(world, seed, "G2 failed");
    }
}

/// G3: alpha reached, and the host's loss not harmed against what it would be without the seed.
fn end_grafting(world: &mut World, seed: Entity, host: Entity, step: u64, alpha: f32) {
    let config = world.resource::<KasminaConfig>().kasmina.clone();
    if alpha < config.alpha_target as f32 {
        return;
    }
    let (loss, reference) = loss_and_reference(world, host);
    let is_harmed = f64::from(loss) > config.harm_ratio * f64::from(reference);
    let verdict = if is_harmed { GateVerdict::Failed } else { GateVerdict::Passed };
    let numbers = [
        ("alpha", f64::from(alpha)),
        ("loss_mean", f64::from(loss)),
        ("reference_loss_mean", f64::from(reference)),
    ];
    judge(world, seed, Gate::G3, verdict, &numbers, step);
    if is_harmed {
        return cull(world, seed, "G3 failed");
    }
    // A module that never incubated has to learn with the host: it is not frozen while the host settles.
    if config.incubation != Incubation::None {
        set_training(world, seed, false);
    }
    transition(world, seed, Stage::Stabilization, "alpha reached")
        .expect("a grafting seed may settle");
}

/// The host's smoothed loss, and that of its twin (or of itself before the graft).
fn loss_and_reference(world: &World, host: Entity) -> (f32, f32) {
    let loss_mean = |entity: Entity| {
        let Runtime(handle) = *world.get::<Runtime>(entity).expect("every host has numbers");
        let runtime = world.resource::<Runtimes>().get(handle).expect("the handle is live");
        runtime.state.watch.mean.unwrap_or(f32::INFINITY)
    };
    (loss_mean(host), loss_mean(fork_of(world, host).expect("a grafted host has a fork")))
}

/// G4: over the window the smoothed loss stays within the harm ratio of its reference and is finite.
fn end_stabilization(world: &mut World, seed: Entity, host: Entity, step: u64) {
    let config = world.resource::<KasminaConfig>().kasmina.clone();
    let clock = *world.get::<StageClock>(seed).expect("an active seed has a clock");
    if step - clock.entered_step < config.stabilize_steps {
        return;
    }
    let (loss, reference) = loss_and_reference(world, host);
    let is_stable = loss.is_finite() && f64::from(loss) <= config.harm_ratio * f64::from(reference);
    let verdict = if is_stable { GateVerdict::Passed } else { GateVerdict::Failed };
    let numbers = [
        ("loss_mean", f64::from(loss)),
        ("reference_loss_mean", f64::from(reference)),
        ("window_steps", (step - clock.entered_step) as f64),
    ];
    judge(world, seed, Gate::G4, verdict, &numbers, step);
    if !is_stable {
        return cull(world, seed, "G4 failed");
    }
    transition(world, seed, Stage::Evaluating, "stable").expect("a settled seed may be evaluated");
    let began = clock.grafted_step.expect("a grafted seed knows when");
    let next_step = (began + config.verdict_after_steps).max(step);
    world.entity_mut(seed).insert(GateState { next_step, ..GateState::default() });
}

fn end_refused(world: &mut World, seed: Entity) {
    if world.get::<GateState>(seed).is_some_and(|gate_state| gate_state.has_failed(Gate::G5)) {
        cull(world, seed, "G5 failed");
    }
}

/// The seed becomes part of its host: its fork goes, and a program with its module in it is asked for.
///
/// Until that program is swapped in, the bound module goes on doing the same arithmetic.
pub(super) fn fossilize(world: &mut World, seed: Entity, reason: &str) {
    let id = *world.get::<SeedId>(seed).expect("every seed has a name");
    let SeedOf(host) = *world.get::<SeedOf>(seed).expect("every seed has a host");
    let Site(site) = *world.get::<Site>(seed).expect("every seed has a site");
    let seed_module = *world.get::<SeedModule>(seed).expect("an active seed has a blueprint");
    let host_id = *world.get::<HostId>(host).expect("every host has a name");
    set_training(world, seed, true);
    drop_fork(world, host);
    let config = world.resource::<KasminaConfig>().kasmina.clone();
    let alpha = config.alpha_target as f32;
    let join = match config.composition {
        Composition::Blend => Op::Blend { alpha },
        Composition::Residual | Composition::Gate => Op::Residual { alpha },
    };
    let blueprint = world.resource::<Index<BlueprintId>>().entity(seed_module.blueprint);
    let module = world.get::<Blueprint>(blueprint.expect("a bound blueprint lives"));
    let module = module.expect("it is a blueprint").graph.clone();
    let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
    let runtime = world.resource::<Runtimes>().get(handle).expect("the handle is live");
    let name = &runtime.program.sites[site as usize].name;
    let graph = graph::fossilize(&runtime.graph, name, &module, join, &module_prefix(id))
        .expect("G0 checked the contract");
    let request = HostRecompile { host: host_id, seed: id, graph: Arc::new(graph) };
    world.resource_mut::<HostRecompiles>().requests.push_back(request);
    let note = if config.counterfactual == Counterfactual::Gate {
        " (judged by gate, not by twin)"
    } else {
        ""
    };
    transition(world, seed, Stage::Fossilized, format!("{reason}{note}"))
        .expect("the caller checked the step");
}

/// Swaps in every host program that came back from the workers.
pub(super) fn swap_hosts(world: &mut World) {
    if world.resource::<HostRecompiles>().done.is_empty() {
        return;
    }
    let done = std::mem::take(&mut world.resource_mut::<HostRecompiles>().done);
    for (HostRecompile { host: host_id, seed, graph }, outcome) in done {
        let program = match outcome {
            Ok(program) => program,
            Err(reason) => {
                let reason = format!("{host_id} with {seed} in it: {reason}");
                world.resource_mut::<RunStatus>().fail(reason);
                return;
            }
        };
        let Some(host) = world.resource::<Index<HostId>>().entity(host_id) else { continue };
        let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
        let mut runtimes = world.resource_mut::<Runtimes>();
        let runtime = runtimes.get_mut(handle).expect("the handle is live");
        if runtime.seed(seed).is_none() {
            continue; // Rolled back behind the fossil: there is nothing to take in.
        }
        runtime.merge(seed, graph, program);
        let (step, params_elems) = (runtime.state.step, runtime.program.params_elems());
        world.write_message(HostSwapped { host: host_id, seed, step, params_elems });
    }
}
