//! What the subsystems' own tests share.

use esper_engine::{
    device::{Batch, Cpu, Device, NoSeeds, Pass, Targets, Tensors},
    program::{GradMask, INPUT_GRADIENT, Program},
    scenario::{Resolved, Scenario},
};
use esper_kernels::philox::fill_normal;
use esper_nn::rng::Purpose;

/// A scenario of the subsystems' sections as `change` leaves it, which requires nothing to be written.
pub fn scenario(change: impl FnOnce(&mut Scenario)) -> Resolved {
    let mut scenario = crate::sections().scenario();
    change(&mut scenario);
    scenario.resolve().expect("the scenario is sound")
}

/// What a module computes on inputs and output gradients of unit variance.
pub struct Bench {
    /// `f32[rows, width]`.
    pub output: Vec<f32>,
    /// `f32[params_len_elems]`.
    pub gradients: Vec<f32>,
}

impl Bench {
    /// One pass forward and back with the parameters of birth.
    pub fn birth(program: &Program, rows: usize) -> Self {
        let params = program.draw_params(7, Purpose::SeedInit, 3);
        let mut gradients = vec![0.0; program.params_len_elems];
        let mut workspace = vec![0.0; program.workspace_len_elems(rows)];
        let mut buffers = program.initial_buffers();
        let mut scratch = vec![0.0; program.scratch_len_elems(rows)];
        let mut tensors = Tensors {
            params: &params,
            buffers: &mut buffers,
            gradients: &mut gradients,
            workspace: &mut workspace,
            scratch: &mut scratch,
            losses: &mut [],
            parts_max: 1,
            batch_max: rows,
        };
        let pass = Pass {
            batch: Batch { rows, targets: Targets::None },
            is_training: true,
            updates_buffers: true,
            dropout_key: 0,
            step: 0,
            wanted: GradMask { params: true, sites: INPUT_GRADIENT },
        };
        let x = tensors.range(program, program.input, rows);
        fill_normal(1, 0, 0.0, 1.0, &mut tensors.workspace[x]);
        Cpu.forward(program, 0, &mut tensors, pass, &mut NoSeeds);
        let output = tensors.workspace[tensors.range(program, program.output, rows)].to_vec();
        let dy = program.output_gradient.expect("a module has an output gradient");
        let dy = tensors.range(program, dy, rows);
        fill_normal(1, 1, 0.0, 1.0, &mut tensors.workspace[dy]);
        Cpu.backward(program, program.backward.len(), &mut tensors, pass, &mut NoSeeds);
        Self { output, gradients }
    }
}
