//! Grafts: how they begin with a twin of the host, and how they end without a trace.

use esper_engine::{
    runtime::{HostRuntime, Ramp},
    world::{
        components::{Blend, Faulted, Pinned, TwinOf, Withdrawing},
        stage::Stage,
    },
};
use esper_nn::{device::DeviceError, module::Incubation};

use super::{
    config::Counterfactual,
    lifecycle::{Lifecycle, Seed},
};

/// Forks the host and starts to blend the seed in.
///
/// # Errors
///
/// Fails when the device has no room for a twin; nothing changed then.
pub(super) fn begin(lifecycle: &mut Lifecycle, seed: &mut Seed) -> Result<(), DeviceError> {
    let config = &lifecycle.config.kasmina;
    // A module that never incubated is inserted whole: it is an identity, and learns with the host from this step.
    let n_steps = if config.incubation == Incubation::None { 0 } else { config.graft_steps };
    let (to, curve) = (config.alpha_target as f32, config.curve);
    let is_pinned = config.counterfactual == Counterfactual::Gate;
    let start_step = lifecycle.step(seed);
    let twin = lifecycle.hosts.runtime(seed.host).fork(seed.id)?;
    let runtime = lifecycle.hosts.insert(twin);
    let mut twin = lifecycle.commands.spawn((TwinOf(seed.host), runtime));
    if is_pinned {
        twin.insert(Pinned);
    }
    let ramp = Ramp { start_step, n_steps, from: 0.0, to, curve };
    lifecycle.set_blend(seed, Blend { ramp, trains: true });
    Ok(())
}

/// Ends the graft for good: the twin goes, and what it spent is counted as evaluation.
pub(super) fn drop_twin(lifecycle: &mut Lifecycle, seed: &Seed) {
    let Some(twin) = lifecycle.hosts.twin(seed.host) else { return };
    let spent = lifecycle.hosts.runtime(twin).state.flops.total();
    lifecycle.hosts.runtime_mut(seed.host).state.flops.evaluation += spent;
    lifecycle.commands.entity(twin).despawn();
}

/// The host becomes its twin, bit for bit; what both spent stays counted.
pub(super) fn become_twin(lifecycle: &mut Lifecycle, seed: &Seed) {
    let twin = lifecycle.hosts.twin(seed.host).expect("a grafted host has a twin");
    let (runtime, other) = lifecycle.hosts.pair_mut(seed.host).expect("it was just found");
    let host_spent = runtime.state.flops;
    let twin_spent = other.state.flops.total();
    std::mem::swap::<HostRuntime>(runtime, other);
    runtime.state.flops = host_spent;
    runtime.state.flops.evaluation += twin_spent;
    lifecycle.commands.entity(twin).despawn();
    lifecycle.commands.entity(seed.host).remove::<Faulted>();
}

/// Ends a seed that was judged not worth keeping.
///
/// With a twin the host becomes it at once. Without one the blend ramps back to 0 first, and the seed keeps its
/// stage until then.
pub(super) fn cull(lifecycle: &mut Lifecycle, seed: &mut Seed, reason: &str) {
    if !seed.stage.is_grafted() {
        lifecycle.unbind(seed);
    } else if lifecycle.config.kasmina.counterfactual == Counterfactual::Twin {
        become_twin(lifecycle, seed);
    } else {
        if seed.withdrawing.is_none() {
            ramp_back(lifecycle, seed);
        }
        return;
    }
    lifecycle.enter(seed, Stage::Culled, reason);
}

fn ramp_back(lifecycle: &mut Lifecycle, seed: &mut Seed) {
    let config = &lifecycle.config.kasmina;
    let (n_steps, curve) = (config.graft_steps, config.curve);
    let start_step = lifecycle.step(seed);
    let ramp = Ramp { start_step, n_steps, from: seed.alpha(start_step), to: 0.0, curve };
    lifecycle.set_blend(seed, Blend { ramp, trains: false });
    let withdrawing = Withdrawing { since_step: start_step };
    seed.withdrawing = Some(withdrawing);
    lifecycle.commands.entity(seed.entity).insert(withdrawing);
}

/// Culls a seed whose blend has gone back to 0.
pub(super) fn end_withdrawal(lifecycle: &mut Lifecycle, seed: &mut Seed) {
    drop_twin(lifecycle, seed);
    lifecycle.unbind(seed);
    lifecycle.enter(seed, Stage::Culled, "alpha is back at 0");
}
