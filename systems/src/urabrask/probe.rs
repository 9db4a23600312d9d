//! A module on the bench: a program with memory of its own, run on chosen inputs.

use std::sync::Arc;

use esper_kernels::cpu::{fill_normal, fill_uniform};
use esper_nn::{
    device::Cpu,
    optim::{Optimizer, Sgd},
    program::{GradMask, INPUT_GRADIENT, Program},
    rng::{Purpose, stream_key},
    session::Session,
};

/// Verdicts are about kernels and not about runs: everything drawn here is keyed by this and not by the run's seed.
const PROBE_SEED: u64 = 0;
/// Streams of [`PROBE_SEED`].
const BIRTH: u64 = 0;
const MOVED: u64 = 1;
const INPUTS: u64 = 2;
/// Purposes of [`unit_normal`] from here on are directions.
pub(super) const DIRECTIONS: u64 = 16;

/// Examples of a check: enough that a row is not special, few enough to take no time.
const ROWS_MAX: usize = 32;
/// One of each of the [`extreme_inputs`].
const ROWS_MIN: usize = N_EXTREMES;
/// Work of one pass forward and back, as [`work_of`] counts it: about a millisecond.
const PASS_FLOPS_MAX: u64 = 30_000_000;
/// What it takes to draw a value and look at it, in FLOPs of a kernel: a normal draw takes 12 ns, and a kernel does
/// some 50 FLOPs in a nanosecond.
const VALUE_FLOPS: u64 = 500;

/// Work of an example's pass forward and back: its arithmetic, and what is done to its numbers outside of it.
pub(super) fn work_of(program: &Program) -> u64 {
    let values = program.input_shape.iter().product::<usize>() as u64;
    program.flops_forward() + program.flops_backward(WANTED) + VALUE_FLOPS * values
}

/// Examples of a check of modules that do the work of `program`.
pub(super) fn rows_of(program: &Program) -> usize {
    ((PASS_FLOPS_MAX / work_of(program)) as usize).clamp(ROWS_MIN, ROWS_MAX)
}

/// Every gradient of a module.
pub(super) const WANTED: GradMask = GradMask { params: true, sites: INPUT_GRADIENT };

/// A program with room for `rows` examples.
pub(super) struct Probe<'a> {
    program: &'a Program,
    /// `f32[params_len_elems]`.
    pub params: Vec<f32>,
    session: Session,
}

/// Programs are probed on the processor, which always has room.
const ROOM: &str = "the processor has room for a module";

impl<'a> Probe<'a> {
    /// Parameters as at birth.
    pub fn at_birth(program: &'a Program, rows: usize) -> Self {
        Self::new(program, program.draw_params(PROBE_SEED, Purpose::Probe, BIRTH), rows)
    }

    /// Parameters as after some training: those born zero are drawn as PyTorch would draw them.
    pub fn moved(program: &'a Program, rows: usize) -> Self {
        let mut params = program.draw_params(PROBE_SEED, Purpose::Probe, BIRTH);
        let key = stream_key(PROBE_SEED, Purpose::Probe, MOVED);
        for (place, param) in program.params.iter().enumerate() {
            let values = &mut params[param.range()];
            if values.iter().all(|value| *value == 0.0) {
                let bound = 1.0 / (param.spec.fan_in as f32).sqrt();
                fill_uniform(key, place as u64, -bound, bound, values);
            }
        }
        Self::new(program, params, rows)
    }

    fn new(program: &'a Program, params: Vec<f32>, rows: usize) -> Self {
        let (device, shared) = (Arc::new(Cpu), Arc::new(program.clone()));
        let sgd = Optimizer::Sgd(Sgd::default());
        let session = Session::new(device, shared, &params, rows, sgd).expect(ROOM);
        Self { program, params, session }
    }

    /// The module's output for `x: f32[rows, width]`.
    pub fn forward(&mut self, x: &[f32]) -> Vec<f32> {
        self.session.forward(x).expect(ROOM)
    }

    /// The input's gradient for the output's `dy: f32[rows, width]`; parameters' are [`Self::gradients`].
    pub fn backward(&mut self, dy: &[f32]) -> Vec<f32> {
        assert!(self.program.output_gradient.is_some(), "structure was checked");
        self.session.backward(dy).expect(ROOM)
    }

    /// `f32[params_len_elems]`.
    pub fn gradients(&self) -> Vec<f32> {
        self.session.gradients()
    }
}

/// Values of unit variance: `f32[rows, width]`, a different set for each `purpose`.
pub(super) fn unit_normal(purpose: u64, rows: usize, width: usize) -> Vec<f32> {
    let mut values = vec![0.0; rows * width];
    fill_normal(stream_key(PROBE_SEED, Purpose::Probe, INPUTS), purpose, 0.0, 1.0, &mut values);
    values
}

/// Inputs of `program` and gradients of its output, of unit variance: `f32[rows, input]`, `f32[rows, output]`.
pub(super) fn batch_of(program: &Program, rows: usize) -> (Vec<f32>, Vec<f32>) {
    let width = |shape: &[usize]| shape.iter().product();
    let x = unit_normal(0, rows, width(&program.input_shape));
    (x, unit_normal(1, rows, width(&program.output_shape)))
}

/// Kinds of [`extreme_inputs`].
const N_EXTREMES: usize = 6;

/// What an untidy host might feed a module: nothing, constants, one large feature, very large and very small values.
pub(super) fn extreme_inputs(rows: usize, width: usize) -> Vec<f32> {
    let mut values = unit_normal(2, rows, width);
    for (row, x) in values.chunks_exact_mut(width).enumerate() {
        match row % N_EXTREMES {
            0 => x.fill(0.0),
            1 => x.fill(1.0),
            2 => x.fill(-1e4),
            3 => {
                x.fill(0.0);
                x[row % width] = 1e4;
            }
            4 => x.iter_mut().for_each(|x| *x *= 1e4),
            // Small, and yet its square is no subnormal: those take a processor a hundred times as long.
            _ => x.iter_mut().for_each(|x| *x *= 1e-12),
        }
    }
    values
}

/// L2 norm, summed in `f64`.
pub(super) fn norm(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}
