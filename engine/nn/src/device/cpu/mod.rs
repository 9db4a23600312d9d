//! The processor: always there, and what every other device is compared with.

mod backward;
mod batch_norm;
mod channels;
mod elementwise;
mod forward;
mod losses;
mod matrix;
mod norm;
mod pool;
mod split;

use std::ops::Range;

use esper_kernels::cpu::{self, AdamConfig, AugmentShape, SgdConfig};

use super::{
    Device, DeviceError, Examples, StepMemory,
    kernel_set::KernelSet,
    pass::{ProgramPass, range_of},
    run,
};
use crate::{
    op::{Backward, Forward},
    plan::{StepArgs, StepOutcome, StepPlan, Variant},
    tensor::{Param, TensorId},
};

/// The processor: kernels choose the widest vector unit it has, and large instructions use every thread of the pool that
/// they are called in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl Device for Cpu {
    fn name(&self) -> String {
        "cpu".to_owned()
    }

    fn run(
        &self,
        plan: &StepPlan,
        variant: Variant,
        memory: &mut StepMemory,
        examples: Option<&Examples>,
        args: &StepArgs<'_>,
    ) -> Result<StepOutcome, DeviceError> {
        Ok(run::run::<CpuKernels>(plan, variant, memory, examples, args))
    }
}

/// The fast kernels.
struct CpuKernels;

impl KernelSet for CpuKernels {
    fn forward(run: &mut ProgramPass<'_>, instr: &Forward) -> usize {
        run.forward(instr)
    }

    fn backward(run: &mut ProgramPass<'_>, instr: &Backward) {
        run.backward(instr);
    }

    fn residual_assign(x: &mut [f32], f: &[f32], alpha: f32) {
        cpu::residual_assign(x, f, alpha);
    }

    fn blend_assign(x: &mut [f32], m: &[f32], alpha: f32) {
        cpu::blend_assign(x, m, alpha);
    }

    fn add(a: &[f32], b: &[f32], y: &mut [f32]) {
        cpu::add(a, b, y);
    }

    fn add_assign(y: &mut [f32], x: &[f32]) {
        cpu::add_assign(y, x);
    }

    fn scale(x: &[f32], factor: f32, y: &mut [f32]) {
        cpu::scale(x, factor, y);
    }

    fn scale_assign(x: &mut [f32], factor: f32) {
        cpu::scale_assign(x, factor);
    }

    fn rms(x: &[f32]) -> f32 {
        cpu::rms(x)
    }

    fn sum_squares(x: &[f32]) -> f32 {
        cpu::sum_squares(x)
    }

    fn sgd_step(
        config: SgdConfig,
        first_step: bool,
        grad_scale: f32,
        params: &mut [f32],
        grads: &[f32],
        momentum_buf: &mut [f32],
    ) {
        cpu::sgd_step(config, first_step, grad_scale, params, grads, momentum_buf);
    }

    fn adam_step(
        config: AdamConfig,
        step: u64,
        grad_scale: f32,
        params: &mut [f32],
        grads: &[f32],
        m: &mut [f32],
        v: &mut [f32],
    ) {
        cpu::adam_step(config, step, grad_scale, params, grads, m, v);
    }

    fn gather_rows<T: Copy>(width: usize, x: &[T], indices: &[u32], y: &mut [T]) {
        cpu::gather_rows(width, x, indices, y);
    }

    fn gather_windows(
        context: usize,
        shift: usize,
        tokens: &[u32],
        indices: &[u32],
        y: &mut [u32],
    ) {
        cpu::gather_windows(context, shift, tokens, indices, y);
    }

    fn augment_images(
        shape: AugmentShape,
        key: u64,
        epoch: u64,
        x: &[f32],
        indices: &[u32],
        y: &mut [f32],
    ) {
        cpu::augment_images(shape, key, epoch, x, indices, y);
    }
}

const DISJOINT: &str = "the plan gives live tensors memory of their own";

impl ProgramPass<'_> {
    fn range(&self, id: TensorId) -> Range<usize> {
        range_of(self.program, id, self.tensors.batch_max, self.pass.rows)
    }

    fn width(&self, id: TensorId) -> usize {
        self.program.elems(id)
    }

    /// The tensors `ids`, all distinct, for reading and writing.
    fn get<const N: usize>(&mut self, ids: [TensorId; N]) -> [&mut [f32]; N] {
        let ranges = ids.map(|id| self.range(id));
        self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT)
    }

    /// The tensors `ids`, all distinct, and the scratch.
    fn get_with_scratch<const N: usize>(
        &mut self,
        ids: [TensorId; N],
    ) -> ([&mut [f32]; N], &mut [f32]) {
        let ranges = ids.map(|id| self.range(id));
        let tensors = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
        (tensors, self.tensors.scratch)
    }

    /// The tensors `ids`, all distinct, the gradient of `param`, and the scratch.
    fn get_with_gradient<const N: usize>(
        &mut self,
        ids: [TensorId; N],
        param: Param,
    ) -> ([&mut [f32]; N], &mut [f32], &mut [f32]) {
        let ranges = ids.map(|id| self.range(id));
        let tensors = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
        (tensors, &mut self.tensors.gradients[param.range()], self.tensors.scratch)
    }

    /// The tensors `ids`, all distinct, and the gradients of `params`.
    fn get_with_gradients<const N: usize>(
        &mut self,
        ids: [TensorId; N],
        params: [Param; 2],
    ) -> ([&mut [f32]; N], [&mut [f32]; 2]) {
        let ranges = ids.map(|id| self.range(id));
        let tensors = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
        let gradients = self.tensors.gradients.get_disjoint_mut(params.map(Param::range));
        (tensors, gradients.expect(DISJOINT))
    }

    fn dropout_key(&self, salt: u64) -> u64 {
        self.pass.dropout_key ^ salt.wrapping_mul(esper_kernels::random::GAMMA)
    }
}
