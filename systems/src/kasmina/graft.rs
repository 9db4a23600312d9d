//! Grafts: how they begin with a twin of the host, and how they end without a trace.

use esper_engine::{
    runtime::{HostRuntime, Ramp},
    stage::Stage,
    world::components::{Blend, Faulted, Pinned, ReplicaOf, TwinOf, VerdictsBegun, Withdrawing},
};
use esper_nn::{device::DeviceError, module::Incubation};

use super::{
    config::Counterfactual,
    lifecycle::{Lifecycle, Seed},
};

/// Which random streams the copies of a host draw from: `copy` 0 is the host's own.
///
/// A host's own number is far below the first bit that a copy sets.
const fn stream_of(host_stream: u64, copy: u64) -> u64 {
    host_stream ^ (copy << 40)
}

/// A host with the seed and one without, forked from one network.
struct Pair {
    host: HostRuntime,
    twin: HostRuntime,
}

/// Forks the host and starts to blend the seed in.
///
/// # Errors
///
/// Fails when the device has no room for the copies; nothing changed then.
pub(super) fn begin(lifecycle: &mut Lifecycle, seed: &mut Seed) -> Result<(), DeviceError> {
    let config = &lifecycle.config.kasmina;
    // A module that never incubated is inserted whole: it is an identity, and learns with the host from this step.
    let n_steps = if config.incubation == Incubation::None { 0 } else { config.graft_steps };
    let (to, curve) = (config.alpha_target as f32, config.curve);
    let (counterfactual, n_pairs) = (config.counterfactual, config.n_pairs());
    let ramp = Ramp { start_step: lifecycle.step(seed), n_steps, from: 0.0, to, curve };
    let is_control = counterfactual == Counterfactual::OtherStream;
    let runtime = lifecycle.hosts.runtime_mut(seed.host);
    let stream = runtime.config.stream;
    let mut twin = runtime.fork(seed.id)?;
    let others = (1..n_pairs).map(|pair| fork_pair(runtime, seed, ramp, pair, is_control));
    let others: Vec<Pair> = others.collect::<Result<_, _>>()?;
    if is_control {
        twin.set_stream(stream_of(stream, 1));
    }
    twin.begin_averages(None)?;
    runtime.begin_averages((!is_control).then_some(seed.id))?;
    let twin = lifecycle.hosts.insert(twin);
    let mut twin = lifecycle.commands.spawn((TwinOf(seed.host), twin));
    if counterfactual == Counterfactual::Gate {
        twin.insert(Pinned);
    }
    for Pair { host, twin } in others {
        let (host, twin) = (lifecycle.hosts.insert(host), lifecycle.hosts.insert(twin));
        let host = lifecycle.commands.spawn((ReplicaOf(seed.host), host)).id();
        lifecycle.commands.spawn((TwinOf(host), twin));
    }
    let verdicts = VerdictsBegun(lifecycle.verdicts_begun(seed.host) + 1);
    lifecycle.commands.entity(seed.host).insert(verdicts);
    lifecycle.set_blend(seed, Blend { ramp, trains: true });
    Ok(())
}

/// Pair `pair` of the verdict, averaged from here on.
fn fork_pair(
    host: &HostRuntime,
    seed: &Seed,
    ramp: Ramp,
    pair: u64,
    is_control: bool,
) -> Result<Pair, DeviceError> {
    let (stream, own) = (host.config.stream, 2 * pair);
    let twin_stream = stream_of(stream, if is_control { own + 1 } else { own });
    let mut twin = host.replicate(twin_stream, None)?;
    twin.begin_averages(None)?;
    let joining = (!is_control).then_some(seed.id);
    let mut with = host.replicate(stream_of(stream, own), joining)?;
    if !is_control {
        with.set_blend(seed.id, ramp, true);
    }
    with.begin_averages(None)?;
    Ok(Pair { host: with, twin })
}

/// Ends the graft for good: what was forked goes, and what it spent is counted as evaluation.
pub(super) fn drop_twin(lifecycle: &mut Lifecycle, seed: &Seed) {
    let Some(twin) = lifecycle.hosts.twin(seed.host) else { return };
    let spent = lifecycle.hosts.runtime(twin).state.flops.total();
    lifecycle.commands.entity(twin).despawn();
    end_verdict(lifecycle, seed, spent);
}

/// The host becomes its twin, bit for bit; what both spent stays counted.
pub(super) fn become_twin(lifecycle: &mut Lifecycle, seed: &Seed) {
    let twin = lifecycle.hosts.twin(seed.host).expect("a grafted host has a twin");
    let (runtime, other) = lifecycle.hosts.pair_mut(seed.host).expect("it was just found");
    let host_spent = runtime.state.flops;
    let twin_spent = other.state.flops.total();
    std::mem::swap::<HostRuntime>(runtime, other);
    runtime.state.flops = host_spent;
    lifecycle.commands.entity(twin).despawn();
    lifecycle.commands.entity(seed.host).remove::<Faulted>();
    end_verdict(lifecycle, seed, twin_spent);
}

/// Drops the other pairs and the host's averages. `spent` is what its twin has cost.
fn end_verdict(lifecycle: &mut Lifecycle, seed: &Seed, mut spent: u64) {
    let replicas = lifecycle.hosts.replicas(seed.host).to_vec();
    for replica in replicas {
        for copy in lifecycle.hosts.with_twin(replica) {
            spent += lifecycle.hosts.runtime(copy).state.flops.total();
        }
        lifecycle.commands.entity(replica).despawn();
    }
    let runtime = lifecycle.hosts.runtime_mut(seed.host);
    runtime.end_averages();
    runtime.state.flops.evaluation += spent;
}

/// Ends a seed that was judged not worth keeping.
///
/// With a twin the host becomes it at once. Without one the blend ramps back to 0 first, and the seed keeps its
/// stage until then.
pub(super) fn cull(lifecycle: &mut Lifecycle, seed: &mut Seed, reason: &str) {
    if !seed.stage.is_grafted() {
        lifecycle.unbind(seed);
        return lifecycle.enter(seed, Stage::Culled, reason);
    }
    match lifecycle.config.kasmina.counterfactual {
        Counterfactual::Twin => become_twin(lifecycle, seed),
        // The seed was never part of the host, and the twin went another way by chance alone.
        Counterfactual::OtherStream => {
            drop_twin(lifecycle, seed);
            lifecycle.unbind(seed);
        }
        Counterfactual::Gate => {
            if seed.withdrawing.is_none() {
                ramp_back(lifecycle, seed);
            }
            return;
        }
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
