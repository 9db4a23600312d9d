//! What is done with hosts: seeds planted and grafted, steps taken and counted.

use std::sync::Arc;

use esper::engine::{
    graph::NetworkGraph,
    program::{CompileOptions, Program},
    runtime::{HostRuntime, Ramp, SeedMode, SeedState},
    world::ids::{KernelId, SeedId},
};
use esper::scenario::{Curve, Incubation};
use esper_nn::digest::Digest;

/// The seed that [`plant`] plants.
pub const SEED: SeedId = SeedId(1);

/// Binds a seed with `module` at `site`, in TRAINING by `incubation`.
pub fn plant(host: &mut HostRuntime, site: usize, module: &NetworkGraph, incubation: Incubation) {
    let program = Program::compile(module, CompileOptions::MODULE).expect("a module compiles");
    let state = seed_state(host, site, &program, incubation);
    host.sampled_sites = 1 << site;
    host.bind(state, Arc::new(program));
}

/// A seed of `program` at birth, for `host`.
pub fn seed_state(
    host: &HostRuntime,
    site: usize,
    program: &Program,
    incubation: Incubation,
) -> SeedState {
    let kernel = KernelId(Digest::of(b"bench"));
    SeedState::at_birth(host, SEED, site, kernel, program, incubation, true)
}

/// Moves the seed of `host` to the middle of GRAFTING: half of it acts, and alpha moves too little to matter.
pub fn graft(host: &mut HostRuntime) {
    let start_step = host.state.step;
    let ramp = Ramp { start_step, n_steps: 1 << 40, from: 0.5, to: 1.0, curve: Curve::Linear };
    let seed = host.seed_mut(SEED).expect("a seed was planted");
    seed.state.mode = SeedMode::Blended { ramp, trains: true };
}

/// Takes `n_steps` steps.
pub fn take_steps(host: &mut HostRuntime, n_steps: usize) {
    for _ in 0..n_steps {
        host.step().expect("the data has no fault in it");
    }
}

/// Takes a step and returns its floating-point operations; batches are full, so every step has as many.
pub fn flops_of_step(host: &mut HostRuntime) -> f64 {
    let before = host.state.flops.total();
    take_steps(host, 1);
    (host.state.flops.total() - before) as f64
}
