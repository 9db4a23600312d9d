//! A seed's facts, and the one function that changes its stage.

use bevy_ecs::{prelude::*, query::QueryData, system::SystemParam};
use esper_engine::{
    ids::{BlueprintId, Index, SeedId, SiteId},
    stage::Stage,
    world::{
        blueprint::Blueprint,
        components::{
            Active, Alpha, Blend, Embargo, NonFinite, SeedModule, SeedOf, StageClock, Telemetry,
            VerdictsBegun, Withdrawing,
        },
        gate::{Gate, GateEvidence, GateState, GateVerdict},
        hosts::HostsMut,
        plugin::{Clock, RunStatus},
        trials::TrialHistory,
    },
};
use esper_nn::device::DeviceError;

use super::config::{Counterfactual, KasminaConfig};
use crate::oona::{GateJudged, StageChanged};

/// Seeds that ended in this tick and whose sites get a new one before it is over.
#[derive(Resource, Clone, Debug, Default)]
pub(super) struct EndedSeeds(pub Vec<Entity>);

/// What is read of a seed.
#[derive(QueryData)]
pub(super) struct SeedData {
    entity: Entity,
    id: &'static SeedId,
    site: &'static SiteId,
    pub of: &'static SeedOf,
    pub stage: &'static Stage,
    clock: Option<&'static StageClock>,
    gate_state: Option<&'static GateState>,
    module: Option<&'static SeedModule>,
    blend: Option<&'static Blend>,
    embargo: Option<&'static Embargo>,
    withdrawing: Option<&'static Withdrawing>,
    is_broken: Has<NonFinite>,
}

/// A seed's facts, with the changes that a system has made so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed {
    pub entity: Entity,
    pub id: SeedId,
    pub host: Entity,
    pub site: SiteId,
    pub stage: Stage,
    pub clock: StageClock,
    pub gate_state: GateState,
    pub module: Option<SeedModule>,
    pub blend: Option<Blend>,
    pub embargo: Option<Embargo>,
    pub withdrawing: Option<Withdrawing>,
    pub is_finite: bool,
}

impl From<SeedDataItem<'_, '_>> for Seed {
    fn from(data: SeedDataItem<'_, '_>) -> Self {
        Self {
            entity: data.entity,
            id: *data.id,
            host: data.of.0,
            site: *data.site,
            stage: *data.stage,
            clock: data.clock.copied().unwrap_or_default(),
            gate_state: data.gate_state.copied().unwrap_or_default(),
            module: data.module.copied(),
            blend: data.blend.copied(),
            embargo: data.embargo.copied(),
            withdrawing: data.withdrawing.copied(),
            is_finite: !data.is_broken,
        }
    }
}

impl Seed {
    /// A seed that was planted just now.
    pub fn planted(entity: Entity, id: SeedId, host: Entity, site: SiteId) -> Self {
        Self {
            entity,
            id,
            host,
            site,
            stage: Stage::Dormant,
            clock: StageClock::default(),
            gate_state: GateState::default(),
            module: None,
            blend: None,
            embargo: None,
            withdrawing: None,
            is_finite: true,
        }
    }

    /// The step at which the graft began.
    pub fn grafted_step(&self) -> u64 {
        self.clock.grafted_step.expect("a grafted seed knows when that began")
    }

    /// The blueprint that grows.
    pub fn module(&self) -> SeedModule {
        self.module.expect("a seed that is not dormant has a blueprint")
    }

    /// How far it was blended in by the last of the host's `step` steps.
    pub fn alpha(&self, step: u64) -> f32 {
        self.blend.map_or(0.0, |blend| blend.ramp.at(step.saturating_sub(1)))
    }
}

/// What a system needs to move seeds through their stages.
#[derive(SystemParam)]
pub(super) struct Lifecycle<'w, 's> {
    pub hosts: HostsMut<'w, 's>,
    pub commands: Commands<'w, 's>,
    pub config: Res<'w, KasminaConfig>,
    pub trials: ResMut<'w, TrialHistory>,
    clock: Res<'w, Clock>,
    ended: ResMut<'w, EndedSeeds>,
    blueprint_index: Res<'w, Index<BlueprintId>>,
    blueprints: Query<'w, 's, &'static Blueprint>,
    verdicts_begun: Query<'w, 's, &'static VerdictsBegun>,
    changes: MessageWriter<'w, StageChanged>,
    verdicts: MessageWriter<'w, GateJudged>,
}

impl Lifecycle<'_, '_> {
    /// Moves a seed to stage `to` and says why in the journal; nothing else changes a stage.
    ///
    /// Germination makes a seed active; a terminal stage ends that, and has its site replanted.
    ///
    /// # Panics
    ///
    /// If the step is not in the table of legal ones: what a policy asks is checked before it is carried out.
    pub fn enter(&mut self, seed: &mut Seed, to: Stage, reason: impl Into<String>) {
        let from = seed.stage;
        assert!(from.may_become(to), "{} in {from} may not become {to}", seed.id);
        let (host, step) = (self.hosts.id(seed.host), self.step(seed));
        let grafted_step = if to == Stage::Grafting { Some(step) } else { seed.clock.grafted_step };
        seed.stage = to;
        seed.clock = StageClock { entered_tick: self.clock.0, entered_step: step, grafted_step };
        seed.gate_state = GateState { next_step: step, ..GateState::default() };
        let mut entity = self.commands.entity(seed.entity);
        entity.insert((to, seed.clock, seed.gate_state));
        if to == Stage::Germinated {
            entity.insert((Active, Alpha(0.0), Telemetry::default()));
        }
        if to.is_terminal() {
            entity.remove::<(Active, Withdrawing)>();
            seed.withdrawing = None;
            // A fossil stays blended in until its host's program has been swapped.
            if to != Stage::Fossilized {
                entity.remove::<Blend>();
                seed.blend = None;
            }
            self.ended.0.push(seed.entity);
            if let Some(module) = seed.module {
                self.trials.observe(host, seed.site, module.blueprint, to, None);
            }
        }
        self.changes.write(StageChanged {
            seed: seed.id,
            host,
            site_id: seed.site,
            site: self.hosts.sites(seed.host).name(seed.site).to_owned(),
            from,
            to,
            step,
            family: seed.module.and_then(|module| self.family(module.blueprint)),
            blueprint: seed.module.map(|module| module.blueprint),
            reason: reason.into(),
        });
    }

    /// Keeps a verdict on the seed and writes it to the journal; the gate looks again from the host's `next_step` on.
    pub fn judge(
        &mut self,
        seed: &mut Seed,
        verdict: GateVerdict,
        evidence: GateEvidence,
        next_step: u64,
    ) {
        let n_looks = match evidence {
            GateEvidence::G5(seen) => seen.look,
            _ => 0,
        };
        let last = Some((evidence.gate(), verdict));
        self.set_gate_state(seed, GateState { last, next_step, n_looks });
        let (host, step) = (self.hosts.id(seed.host), self.step(seed));
        self.verdicts.write(GateJudged { seed: seed.id, host, verdict, step, evidence });
    }

    /// Has what the gate before the seed's next stage asks count as fulfilled.
    pub fn waive(&mut self, seed: &mut Seed, gate: Gate) {
        let last = Some((gate, GateVerdict::Waived));
        self.set_gate_state(seed, GateState { last, ..seed.gate_state });
    }

    /// Has the seed's next gate look first at the host's `next_step`.
    pub fn await_gate(&mut self, seed: &mut Seed, next_step: u64) {
        self.set_gate_state(seed, GateState { next_step, ..GateState::default() });
    }

    fn set_gate_state(&mut self, seed: &mut Seed, gate_state: GateState) {
        seed.gate_state = gate_state;
        self.commands.entity(seed.entity).insert(gate_state);
    }

    /// Has the seed act on its host as `blend` says, from the next step on.
    pub fn set_blend(&mut self, seed: &mut Seed, blend: Blend) {
        seed.blend = Some(blend);
        self.commands.entity(seed.entity).insert(blend);
        let Blend { ramp, trains } = blend;
        if self.config.kasmina.counterfactual == Counterfactual::OtherStream {
            return; // What is compared there are two hosts without a seed.
        }
        let mut hosts = vec![seed.host];
        hosts.extend_from_slice(self.hosts.replicas(seed.host));
        for host in hosts {
            let is_bound = self.hosts.runtime_mut(host).set_blend(seed.id, ramp, trains);
            assert!(is_bound, "a seed is bound before it is grafted");
        }
    }

    /// Verdicts that were begun on the host.
    pub fn verdicts_begun(&self, host: Entity) -> u64 {
        self.verdicts_begun.get(host).map_or(0, |begun| begun.0)
    }

    /// The drop in loss that the seed's module has to be worth, where its twin's loss is `twin_loss`.
    pub fn worth(&self, seed: &Seed, twin_loss: f64) -> f64 {
        let program = self.hosts.runtime(seed.host).module_program(seed.id);
        let program = program.expect("a grafted module is bound");
        let config = &self.config.kasmina;
        let (params, flops) = (program.params_elems() as f64, program.flops_forward() as f64);
        config.delta * twin_loss + config.price_per_param * params + config.price_per_flop * flops
    }

    /// Whether a grafted seed's parameters train from the next step on.
    pub fn set_training(&mut self, seed: &mut Seed, trains: bool) {
        let blend = seed.blend.expect("a grafted seed is blended in");
        self.set_blend(seed, Blend { trains, ..blend });
    }

    /// Takes a seed that is not blended in off its site, in the host and in its twin.
    pub fn unbind(&mut self, seed: &Seed) {
        for entity in self.hosts.with_twin(seed.host) {
            self.hosts.runtime_mut(entity).unbind(seed.id);
        }
    }

    /// Ends the run: a device has failed.
    pub fn fail_run(&mut self, error: &DeviceError) {
        RunStatus::fail_later(&mut self.commands, error.to_string());
    }

    /// The steps that the seed's host has taken.
    pub fn step(&self, seed: &Seed) -> u64 {
        self.hosts.runtime(seed.host).state.step
    }

    /// The blueprint of that name, while it lives.
    pub fn blueprint(&self, id: BlueprintId) -> Option<(Entity, &Blueprint)> {
        let entity = self.blueprint_index.entity(id)?;
        Some((entity, self.blueprints.get(entity).ok()?))
    }

    fn family(&self, id: BlueprintId) -> Option<String> {
        self.blueprint(id).map(|(_, blueprint)| blueprint.family.clone())
    }
}
