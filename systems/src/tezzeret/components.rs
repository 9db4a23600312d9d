//! What Tezzeret puts on the entities it makes.

use bevy_ecs::prelude::*;
use esper_engine::world::{
    catalog::{DeploymentCount, Kernel, KernelOf, KernelStatus},
    ids::KernelId,
};

/// The device that kernels are compiled for.
pub const DEVICE: &str = "cpu";

/// A kernel at birth.
pub(super) fn kernel_bundle(id: KernelId, kernel: Kernel, blueprint: Entity) -> impl Bundle {
    (id, kernel, KernelStatus::PendingBenchmarking, KernelOf(blueprint), DeploymentCount::default())
}
