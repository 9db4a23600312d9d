//! What hosts and seeds carry: small, plain facts.

use bevy_ecs::{lifecycle::HookContext, prelude::*, world::DeferredWorld};
use esper_nn::{contract::Contract, digest::Digest, plan::Fault};
use serde::{Deserialize, Serialize};

use crate::{
    ids::BlueprintId,
    runtime::{Ramp, RuntimeHandle, Runtimes},
};

/// The host a seed is planted in.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = Seeds)]
pub struct SeedOf(pub Entity);

/// Every seed planted in a host, history included, in the order they were planted.
#[derive(Component, Debug, Default)]
#[relationship_target(relationship = SeedOf, linked_spawn)]
pub struct Seeds(Vec<Entity>);

/// What a blueprint's module must keep.
#[derive(
    Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[component(immutable)]
pub struct ModuleContract(pub Contract);

/// One of the run's hosts, and not a twin.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default)]
pub struct Principal;

/// The host that an entity was forked from when a seed was grafted there; it trains on without that seed.
///
/// A host has at most one: a second would take the place of the first. It goes when its host goes.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = Twin)]
pub struct TwinOf(pub Entity);

/// What a host can become while a seed is grafted: itself, had it not been.
#[derive(Component, Debug)]
#[relationship_target(relationship = TwinOf, linked_spawn)]
pub struct Twin(Entity);

impl Twin {
    /// The twin.
    pub const fn entity(&self) -> Entity {
        self.0
    }
}

/// A host of another pair: forked with the seed when its graft began, and trained on random streams of its own. It has a twin
/// like the host that it was forked from, and goes with the verdict.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = Replicas)]
pub struct ReplicaOf(pub Entity);

/// The hosts of a verdict's other pairs, in the order of their streams.
#[derive(Component, Debug, Default)]
#[relationship_target(relationship = ReplicaOf, linked_spawn)]
pub struct Replicas(Vec<Entity>);

impl Replicas {
    /// The replicas, in the order of their streams.
    pub fn entities(&self) -> &[Entity] {
        &self.0
    }
}

/// What a host ended as.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalModel {
    /// Whether it is the average over the last window; what the last step left, if not.
    pub is_average: bool,
}

/// How many verdicts were begun on a host.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerdictsBegun(pub u64);

/// Takes no steps: a twin that is kept as its host was before a graft.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct Pinned;

/// Met a fault in this tick and takes no step until Tolaria or Kasmina have put it right.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct Faulted(pub Fault);

/// A program of another network was asked for and has not been swapped in; nothing is grafted meanwhile.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default)]
pub struct Recompiling;

/// A host was put back to a snapshot: its seeds have to be as they were then. Tolaria triggers it, Kasmina acts on it.
#[derive(EntityEvent, Clone, Copy, Debug)]
pub struct HostRestored {
    /// The host.
    pub entity: Entity,
}

/// How often a host was rolled back.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rollbacks(pub u64);

/// Steps that a host or twin took in this tick.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepsInTick(pub u64);

/// Owns a host's numbers. Dropping the component frees them.
#[derive(Component, Clone, Copy, Debug)]
#[component(immutable, on_discard = free_runtime)]
#[require(StepsInTick)]
pub struct Runtime(pub RuntimeHandle);

fn free_runtime(mut world: DeferredWorld, context: HookContext) {
    let Runtime(handle) =
        *world.get::<Runtime>(context.entity).expect("the hook runs before removal");
    world.resource_mut::<Runtimes>().remove(handle).expect("a runtime has one owner");
}

/// A living seed: it has left DORMANT and has not ended. Sense and Decide visit these alone.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug)]
pub struct Active;

/// When a seed entered its stage.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageClock {
    /// The tick.
    pub entered_tick: u64,
    /// The host's step count.
    pub entered_step: u64,
    /// The host's step count when the graft began, once it has.
    pub grafted_step: Option<u64>,
}

/// What a seed is growing into.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[component(immutable)]
pub struct SeedModule {
    /// The blueprint chosen for it.
    pub blueprint: BlueprintId,
    /// The kernel that runs it, once bound.
    pub kernel: Option<Digest>,
}

/// How a grafted seed's output joins its host. A seed without it is not part of any pass that the host sees.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Blend {
    /// How far, by step.
    pub ramp: Ramp,
    /// Whether its module's parameters train.
    pub trains: bool,
}

/// A gradient of the seed's module was not finite: it does not train any more.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default)]
pub struct NonFinite;

/// How far a seed is blended into its host, as of the last step.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct Alpha(pub f32);

/// The site rests: nothing germinates here before that step of the host.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Embargo {
    /// The first step at which a seed may germinate here again.
    pub until_step: u64,
}

/// A seed that is being culled without a twin: its alpha ramps back to 0 first.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawing {
    /// The host's step count when the ramp began.
    pub since_step: u64,
}

/// What was measured of a living seed; `None` is "not measured", never zero.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct Telemetry {
    /// Root mean square of the activation at the site.
    pub x_rms: Option<f32>,
    /// Root mean square of the task gradient at the site.
    pub gradient_rms: Option<f32>,
    /// Root mean square of the module's output.
    pub output_rms: Option<f32>,
    /// L2 norm of the module's parameter gradient.
    pub gradient_norm: Option<f32>,
    /// G2: the best drop in validation loss over the scales tried, in nats (or squared units).
    pub counterfactual_gain: Option<f32>,
    /// G2: the scale at which that drop was seen.
    pub counterfactual_scale: Option<f32>,
    /// The gate figure: validation loss with alpha 0 minus loss with alpha at target. Telemetry only.
    pub gate_gain: Option<f32>,
    /// G5: mean drop in validation loss against the twin.
    pub twin_gain: Option<f32>,
    /// G5: lower end of its interval.
    pub twin_gain_low: Option<f32>,
    /// G5: upper end of its interval.
    pub twin_gain_high: Option<f32>,
}
