//! What is done with hosts: seeds planted and grafted, steps taken and counted.

use std::sync::Arc;

use esper::{
    engine::{
        ids::SeedId,
        runtime::{HostRuntime, NewModule, Ramp},
    },
    nn::{
        graph::NetworkGraph,
        plan::Ports,
        program::{CompileOptions, Program},
    },
    scenario::{Curve, Incubation},
};

/// The seed that [`plant`] plants.
pub const SEED: SeedId = SeedId(1);

/// Binds a seed with `module` at `site`, in TRAINING by `incubation`.
pub fn plant(host: &mut HostRuntime, site: usize, module: &NetworkGraph, incubation: Incubation) {
    let program = Program::compile(module, CompileOptions::MODULE).expect("a module compiles");
    host.set_sampled_sites(1 << site);
    bind(host, site, &Arc::new(program), incubation);
}

/// Binds a seed of `program` at birth.
pub fn bind(host: &mut HostRuntime, site: usize, program: &Arc<Program>, incubation: Incubation) {
    let params = host.draw_module_params(SEED, program);
    let (ports, birth_step) = (Ports::at(site as u16), host.state.step);
    let module = NewModule { seed: SEED, ports, incubation, is_trainable: true, birth_step };
    host.bind(module, program.clone(), &params).expect("there is room");
}

/// Moves the seed of `host` to the middle of GRAFTING: half of it acts, and alpha moves too little to matter.
pub fn graft(host: &mut HostRuntime) {
    let start_step = host.state.step;
    let ramp = Ramp { start_step, n_steps: 1 << 40, from: 0.5, to: 1.0, curve: Curve::Linear };
    assert!(host.set_blend(SEED, ramp, true));
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
