//! Commands: obeyed in the order they were written, or refused with a reason.

use bevy_ecs::{message::MessageCursor, prelude::*};
use esper_engine::{
    runtime::Runtimes,
    scenario::{Counterfactual, Incubation},
    world::{
        blueprint::{Blueprint, BlueprintStatus},
        components::{
            Active, Embargo, Fork, HostRole, ModuleContract, Runtime, SeedModule, SeedOf, Site,
        },
        gate::{Gate, GateState, GateVerdict},
        ids::{BlueprintId, HostId, Index, SeedId},
        program_change::HostRecompiles,
        stage::Stage,
    },
};

use super::{
    components::Tried, config::KasminaConfig, diagnostics::judge, graft, stages,
    transition::transition,
};
use crate::oona::{CommandRefused, Refusal, SeedAction, SeedCommand};

/// Carries out the policy's commands. A policy may ask for the impossible; it is told so, and nothing changes.
pub(super) fn apply_commands(world: &mut World, mut cursor: Local<MessageCursor<SeedCommand>>) {
    let commands: Vec<SeedCommand> =
        cursor.read(world.resource::<Messages<SeedCommand>>()).copied().collect();
    for SeedCommand { seed, action } in commands {
        if let Err(refusal) = apply_command(world, seed, action) {
            world.write_message(CommandRefused { seed, action, refusal });
        }
    }
}

fn apply_command(world: &mut World, id: SeedId, action: SeedAction) -> Result<(), Refusal> {
    let entity = world.resource::<Index<SeedId>>().entity(id).ok_or(Refusal::UnknownSeed)?;
    let from = *world.get::<Stage>(entity).expect("every seed has a stage");
    let to = target(action);
    if !from.may_become(to) {
        return Err(Refusal::IllegalTransition { from, to });
    }
    match action {
        SeedAction::Germinate { blueprint } => germinate(world, entity, blueprint),
        SeedAction::Graft => begin_graft(world, entity),
        SeedAction::FineTune => fine_tune(world, entity),
        SeedAction::Fossilize => fossilize(world, entity),
        SeedAction::Cull => {
            graft::cull(world, entity, "command");
            Ok(())
        }
        SeedAction::Cancel => {
            graft::unbind(world, entity);
            transition_by_command(world, entity, Stage::Cancelled, "command")
        }
    }
}

const fn target(action: SeedAction) -> Stage {
    match action {
        SeedAction::Germinate { .. } => Stage::Germinated,
        SeedAction::Graft => Stage::Grafting,
        SeedAction::FineTune => Stage::FineTuning,
        SeedAction::Fossilize => Stage::Fossilized,
        SeedAction::Cull => Stage::Culled,
        SeedAction::Cancel => Stage::Cancelled,
    }
}

fn transition_by_command(
    world: &mut World,
    seed: Entity,
    to: Stage,
    reason: &str,
) -> Result<(), Refusal> {
    transition(world, seed, to, reason)
        .map_err(|illegal| Refusal::IllegalTransition { from: illegal.from, to: illegal.to })
}

fn germinate(world: &mut World, seed: Entity, blueprint: BlueprintId) -> Result<(), Refusal> {
    let SeedOf(host) = *world.get::<SeedOf>(seed).expect("every seed has a host");
    let host_id = *world.get::<HostId>(host).expect("every host has a name");
    let Site(site) = *world.get::<Site>(seed).expect("every seed has a site");
    let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
    let runtime = world.resource::<Runtimes>().get(handle).expect("the handle is live");
    let (at, contract) = (runtime.state.step, runtime.program.contract(usize::from(site)));
    if let Some(&Embargo { until_step }) = world.get::<Embargo>(seed)
        && at < until_step
    {
        return Err(Refusal::Embargoed { until_step });
    }
    let entity = world.resource::<Index<BlueprintId>>().entity(blueprint);
    let entity = entity.ok_or(Refusal::UnfitBlueprint)?;
    let fits = world.get::<ModuleContract>(entity) == Some(&ModuleContract(contract))
        && world.get::<BlueprintStatus>(entity) != Some(&BlueprintStatus::Invalid)
        && !world.resource::<Tried>().0.contains(&(host_id, site, blueprint));
    if !fits || world.get::<Blueprint>(entity).is_none() {
        return Err(Refusal::UnfitBlueprint);
    }
    world.entity_mut(seed).insert(SeedModule { blueprint, kernel: None }).remove::<Embargo>();
    transition_by_command(world, seed, Stage::Germinated, "command")
}

fn begin_graft(world: &mut World, seed: Entity) -> Result<(), Refusal> {
    let SeedOf(host) = *world.get::<SeedOf>(seed).expect("every seed has a host");
    let config = world.resource::<KasminaConfig>().clone();
    let n_grafts = u64::from(world.get::<Fork>(host).is_some());
    let allowed = config.limits.grafts_max as u64;
    if n_grafts >= allowed {
        let limit = "grafts_max".to_owned();
        return Err(Refusal::Limit { limit, found: n_grafts + 1, allowed });
    }
    let host_id = *world.get::<HostId>(host).expect("every host has a name");
    if world.resource::<HostRecompiles>().is_pending(host_id) {
        return Err(Refusal::HostBusy);
    }
    let gate_state = *world.get::<GateState>(seed).expect("an active seed has a gate_state");
    if config.kasmina.incubation == Incubation::None {
        judge(world, seed, Gate::G2, GateVerdict::Waived, &[("incubation", 0.0)], 0);
    } else if !gate_state.has_passed(Gate::G2) {
        return Err(Refusal::Gate { gate: Gate::G2 });
    }
    let role = match config.kasmina.counterfactual {
        Counterfactual::Twin => HostRole::Twin { of: host_id },
        Counterfactual::Gate => HostRole::Pinned { of: host_id },
    };
    graft::begin(world, seed, host, role);
    transition_by_command(world, seed, Stage::Grafting, "command")
}

fn fine_tune(world: &mut World, seed: Entity) -> Result<(), Refusal> {
    if !world.get::<GateState>(seed).is_some_and(|gate_state| gate_state.has_passed(Gate::G5)) {
        return Err(Refusal::Gate { gate: Gate::G5 });
    }
    graft::set_training(world, seed, true);
    transition_by_command(world, seed, Stage::FineTuning, "command")?;
    let n_steps = world.resource::<KasminaConfig>().kasmina.fine_tune_steps;
    let at = world.get::<esper_engine::world::components::StageClock>(seed);
    let next_step = at.expect("an active seed has a clock").entered_step + n_steps;
    world.entity_mut(seed).insert(GateState { next_step, ..GateState::default() });
    Ok(())
}

fn fossilize(world: &mut World, seed: Entity) -> Result<(), Refusal> {
    debug_assert!(world.get::<Active>(seed).is_some());
    if !world.get::<GateState>(seed).is_some_and(|gate_state| gate_state.has_passed(Gate::G5)) {
        return Err(Refusal::Gate { gate: Gate::G5 });
    }
    stages::fossilize(world, seed, "command");
    Ok(())
}
