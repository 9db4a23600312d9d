//! Commands: carried out in the order they were written, or refused with a reason.

use bevy_ecs::{
    message::MessageCursor,
    prelude::*,
    system::{SystemParam, SystemState},
};
use esper_engine::{
    ids::{BlueprintId, Index, SeedId},
    stage::Stage,
    world::{
        blueprint::BlueprintStatus,
        components::{Embargo, ModuleContract, SeedModule},
        gate::Gate,
    },
};
use esper_nn::module::Incubation;

use super::{
    budget,
    fossilize::{HostPrograms, fossilize},
    gates::incubation,
    graft,
    lifecycle::{Lifecycle, Seed, SeedData},
    plant::Nursery,
};
use crate::oona::{CommandRefused, Refusal, SeedAction, SeedCommand};

/// What [`StageChanged::reason`](crate::oona::StageChanged::reason) begins with where a command asked for the change.
pub const BY_COMMAND: &str = "command";

/// Why a control ends that has passed.
pub(super) const NEVER_KEPT: &str = "a control is never kept";

/// What a command touches.
#[derive(SystemParam)]
pub(super) struct Access<'w, 's> {
    index: Res<'w, Index<SeedId>>,
    seeds: Query<'w, 's, SeedData>,
    fits: Query<'w, 's, (&'static ModuleContract, &'static BlueprintStatus)>,
    refusals: MessageWriter<'w, CommandRefused>,
    programs: HostPrograms<'w>,
    nursery: Nursery<'w>,
    lifecycle: Lifecycle<'w, 's>,
}

/// Carries out the policy's commands. A policy may ask for the impossible; it is told so, and nothing changes.
///
/// It has the world to itself because each command has to see what those before it did: a second graft on a host is
/// refused although both were asked for in one tick.
pub(super) fn apply_commands(
    world: &mut World,
    mut cursor: Local<MessageCursor<SeedCommand>>,
    access: &mut SystemState<Access>,
) {
    let commands: Vec<SeedCommand> =
        cursor.read(world.resource::<Messages<SeedCommand>>()).copied().collect();
    for SeedCommand { seed, action } in commands {
        let mut at = access.get_mut(world).expect("the plugin added what it takes");
        if let Err(refusal) = at.apply(seed, action) {
            at.refusals.write(CommandRefused { seed, action, refusal });
        }
        access.apply(world);
    }
}

impl Access<'_, '_> {
    fn apply(&mut self, id: SeedId, action: SeedAction) -> Result<(), Refusal> {
        let entity = self.index.entity(id).ok_or(Refusal::UnknownSeed)?;
        let seed = &mut Seed::from(self.seeds.get(entity).expect("it has a seed's name"));
        let (from, to) = (seed.stage, target(action));
        // The one check of what is legal: what is carried out below relies on it.
        if !from.may_become(to) {
            return Err(Refusal::IllegalTransition { from, to });
        }
        match action {
            SeedAction::Germinate { blueprint } => {
                self.must_be_free(seed, blueprint)?;
                self.germinate(seed, blueprint);
            }
            SeedAction::GerminateBeside { blueprint } => {
                self.must_be_free(seed, blueprint)?;
                let mut beside = self.plant_beside(seed)?;
                self.germinate(&mut beside, blueprint);
            }
            SeedAction::Graft => self.graft(seed)?,
            SeedAction::FineTune => self.fine_tune(seed)?,
            SeedAction::Fossilize => {
                must_have_passed(seed, Gate::G5)?;
                if self.lifecycle.config.kasmina.is_control() {
                    graft::cull(&mut self.lifecycle, seed, NEVER_KEPT);
                    return Ok(());
                }
                fossilize(&mut self.lifecycle, &mut self.programs, seed, BY_COMMAND);
            }
            SeedAction::Cull => graft::cull(&mut self.lifecycle, seed, BY_COMMAND),
            SeedAction::Cancel => {
                self.lifecycle.unbind(seed);
                self.lifecycle.enter(seed, to, BY_COMMAND);
            }
        }
        Ok(())
    }

    /// Refuses where the seed's site rests, or the blueprint may not be tried there.
    fn must_be_free(&self, seed: &Seed, blueprint: BlueprintId) -> Result<(), Refusal> {
        let lifecycle = &self.lifecycle;
        if let Some(Embargo { until_step }) = seed.embargo
            && lifecycle.step(seed) < until_step
        {
            return Err(Refusal::Embargoed { until_step });
        }
        let (host, program) =
            (lifecycle.hosts.id(seed.host), lifecycle.hosts.runtime(seed.host).program());
        let wanted = ModuleContract(lifecycle.hosts.sites(seed.host).contract(seed.site, program));
        let (entity, _) = lifecycle.blueprint(blueprint).ok_or(Refusal::UnfitBlueprint)?;
        let fits = self.fits.get(entity).is_ok_and(|(contract, status)| {
            *contract == wanted && *status != BlueprintStatus::Invalid
        });
        if !fits || lifecycle.trials.was_removed(host, seed.site, blueprint) {
            return Err(Refusal::UnfitBlueprint);
        }
        Ok(())
    }

    fn plant_beside(&mut self, seed: &Seed) -> Result<Seed, Refusal> {
        let Lifecycle { hosts, commands, config, .. } = &mut self.lifecycle;
        let planted = self.nursery.plant(config, hosts, commands, (seed.host, seed.site));
        let allowed = config.limits.seeds_max as u64;
        let limit =
            || Refusal::Limit { limit: "seeds_max".to_owned(), found: allowed + 1, allowed };
        planted.ok_or_else(limit)
    }

    fn germinate(&mut self, seed: &mut Seed, blueprint: BlueprintId) {
        let lifecycle = &mut self.lifecycle;
        let module = SeedModule { blueprint, kernel: None };
        (seed.module, seed.embargo) = (Some(module), None);
        lifecycle.commands.entity(seed.entity).insert(module).remove::<Embargo>();
        lifecycle.enter(seed, Stage::Germinated, BY_COMMAND);
    }

    fn graft(&mut self, seed: &mut Seed) -> Result<(), Refusal> {
        let lifecycle = &mut self.lifecycle;
        let n_grafts = u64::from(lifecycle.hosts.twin(seed.host).is_some());
        let allowed = lifecycle.config.limits.grafts_max as u64;
        if n_grafts >= allowed {
            let limit = "grafts_max".to_owned();
            return Err(Refusal::Limit { limit, found: n_grafts + 1, allowed });
        }
        let runtime = lifecycle.hosts.runtime(seed.host);
        if !budget::is_affordable(runtime, &lifecycle.config) {
            let share = budget::evaluation_share(runtime, &lifecycle.config.kasmina);
            let allowed = lifecycle.config.limits.evaluation_share_max;
            return Err(Refusal::EvaluationShare { share, allowed });
        }
        if lifecycle.hosts.is_recompiling(seed.host) {
            return Err(Refusal::HostBusy);
        }
        // Those that incubate exclude each other: only what is grafted is held to the limit together.
        let (found, allowed) = params_with(lifecycle, seed);
        if found > allowed {
            return Err(Refusal::Limit { limit: "params_max".to_owned(), found, allowed });
        }
        if lifecycle.config.kasmina.incubation == Incubation::None {
            incubation::waive(lifecycle, seed);
        } else {
            must_have_passed(seed, Gate::G2)?;
        }
        graft::begin(lifecycle, seed)
            .map_err(|error| Refusal::Device { message: error.to_string() })?;
        lifecycle.enter(seed, Stage::Grafting, BY_COMMAND);
        Ok(())
    }

    fn fine_tune(&mut self, seed: &mut Seed) -> Result<(), Refusal> {
        must_have_passed(seed, Gate::G5)?;
        let lifecycle = &mut self.lifecycle;
        lifecycle.set_training(seed, true);
        lifecycle.enter(seed, Stage::FineTuning, BY_COMMAND);
        let next_step = seed.clock.entered_step + lifecycle.config.kasmina.fine_tune_steps;
        lifecycle.await_gate(seed, next_step);
        Ok(())
    }
}

const fn target(action: SeedAction) -> Stage {
    match action {
        SeedAction::Germinate { .. } | SeedAction::GerminateBeside { .. } => Stage::Germinated,
        SeedAction::Graft => Stage::Grafting,
        SeedAction::FineTune => Stage::FineTuning,
        SeedAction::Fossilize => Stage::Fossilized,
        SeedAction::Cull => Stage::Culled,
        SeedAction::Cancel => Stage::Cancelled,
    }
}

/// Parameters of the seed's host with its module in it, and how many there may be.
fn params_with(lifecycle: &Lifecycle, seed: &Seed) -> (u64, u64) {
    let runtime = lifecycle.hosts.runtime(seed.host);
    let module = runtime.module_program(seed.id).map_or(0, |program| program.params_elems());
    let found = runtime.program().params_elems() + runtime.blended_params_elems() + module;
    (found, lifecycle.config.limits.params_max)
}

fn must_have_passed(seed: &Seed, gate: Gate) -> Result<(), Refusal> {
    if seed.gate_state.has_passed(gate) { Ok(()) } else { Err(Refusal::Gate { gate }) }
}
