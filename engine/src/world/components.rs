//! What hosts and seeds carry: small, plain facts.

use bevy_ecs::{lifecycle::HookContext, prelude::*, world::DeferredWorld};
use esper_nn::contract::Contract;
use serde::{Deserialize, Serialize};

use super::ids::{BlueprintId, HostId};
use crate::runtime::{RuntimeHandle, Runtimes};
use esper_nn::digest::Digest;

/// The host a seed is planted in.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = Seeds)]
pub struct SeedOf(pub Entity);

/// Every seed planted in a host, history included, in the order they were planted.
#[derive(Component, Debug, Default)]
#[relationship_target(relationship = SeedOf, linked_spawn)]
pub struct Seeds(Vec<Entity>);

/// The site a seed is planted at: its place in [`crate::program::Program::sites`].
#[derive(
    Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[component(immutable)]
pub struct Site(pub u16);

/// What a blueprint's module must keep.
#[derive(
    Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[component(immutable)]
pub struct ModuleContract(pub Contract);

/// Whether a host is one of the run's own or another host's twin.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[component(immutable)]
pub enum HostRole {
    /// One of the run's hosts.
    Principal,
    /// A fork of a host that trains on without the seed being grafted there.
    Twin {
        /// The host it was forked from.
        of: HostId,
    },
    /// A fork that takes no steps: the host as it was before a graft, where no twin is kept.
    Pinned {
        /// The host it was forked from.
        of: HostId,
    },
}

/// The fork a host can become while a seed is grafted: its twin, or its pinned state.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[component(immutable)]
pub struct Fork(pub HostId);

/// A host that was put back to a snapshot in this tick; its seeds have yet to be reconciled with it.
#[derive(Component, Clone, Copy, Debug)]
pub struct Restored;

/// How often a host was rolled back.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rollbacks(pub u64);

/// Owns a host's numbers. Dropping the component frees them.
#[derive(Component, Clone, Copy, Debug)]
#[component(immutable, on_discard = free_runtime)]
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
