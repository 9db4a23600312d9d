//! The oracle: every instruction in plain loops, slow, there to check every other device.
//!
//! It computes with [`esper_kernels::oracle`]: a fused instruction is the operations it stands for, one after another,
//! and elementary functions are the standard library's, so results agree with [`Cpu`](super::Cpu)'s to rounding. Its
//! buffers are its own: they are refused by every other device, and it refuses theirs, so that whatever reaches for
//! numbers but by upload and download fails.

mod backward;
mod channels;
mod elementwise;
mod forward;
mod losses;
mod matrix;
mod norm;
mod pool;

use std::sync::Arc;

use esper_kernels::{
    cpu::{AdamConfig, AugmentShape, SgdConfig},
    oracle,
};

use super::{
    Buffer, Device, DeviceError, Examples, StepMemory,
    buffer::{Memory, Owner},
    kernel_set::KernelSet,
    pass::ProgramPass,
    run,
};
use crate::{
    op::{Backward, Forward},
    plan::{StepArgs, StepOutcome, StepPlan, Variant},
    tensor::{DType, Param, TensorId},
};

/// Plain loops on one thread, in buffers of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Oracle;

impl Device for Oracle {
    fn name(&self) -> String {
        "oracle".to_owned()
    }

    fn run(
        &self,
        plan: &StepPlan,
        variant: Variant,
        memory: &mut StepMemory,
        examples: Option<&Examples>,
        args: &StepArgs<'_>,
    ) -> Result<StepOutcome, DeviceError> {
        Ok(run::run::<OracleKernels>(plan, variant, memory, examples, args))
    }

    fn alloc(&self, dtype: DType, len_elems: usize) -> Result<Buffer, DeviceError> {
        Ok(Buffer::zeros(Owner::Oracle, dtype, len_elems))
    }

    fn share_f32(&self, values: Arc<[f32]>) -> Result<Buffer, DeviceError> {
        Ok(Buffer::new(Owner::Oracle, Memory::F32(values.to_vec())))
    }

    fn share_u32(&self, values: Arc<[u32]>) -> Result<Buffer, DeviceError> {
        Ok(Buffer::new(Owner::Oracle, Memory::U32(values.to_vec())))
    }

    fn upload_f32(&self, values: &[f32], buffer: &mut Buffer, at: usize) {
        let words = buffer.of_mut(Owner::Oracle).f32_mut();
        words[at..at + values.len()].copy_from_slice(values);
    }

    fn upload_u32(&self, values: &[u32], buffer: &mut Buffer, at: usize) {
        let words = buffer.of_mut(Owner::Oracle).u32_mut();
        words[at..at + values.len()].copy_from_slice(values);
    }

    fn download_f32(&self, buffer: &Buffer, at: usize, values: &mut [f32]) {
        let words = buffer.of(Owner::Oracle).f32();
        values.copy_from_slice(&words[at..at + values.len()]);
    }

    fn copy(&self, from: &Buffer, from_at: usize, to: &mut Buffer, to_at: usize, len_elems: usize) {
        let from = &from.of(Owner::Oracle).f32()[from_at..from_at + len_elems];
        self.upload_f32(from, to, to_at);
    }
}

/// The plain loops.
struct OracleKernels;

impl KernelSet for OracleKernels {
    const OWNER: Owner = Owner::Oracle;

    fn forward(run: &mut ProgramPass<'_>, instr: &Forward) -> usize {
        Loops(run).forward(instr)
    }

    fn backward(run: &mut ProgramPass<'_>, instr: &Backward) {
        Loops(run).backward(instr);
    }

    fn residual_assign(x: &mut [f32], f: &[f32], alpha: f32) {
        let y = oracle::residual(x, f, alpha);
        oracle::write(x, &y, false);
    }

    fn blend_assign(x: &mut [f32], m: &[f32], alpha: f32) {
        let y = oracle::blend(x, m, alpha);
        oracle::write(x, &y, false);
    }

    fn add(a: &[f32], b: &[f32], y: &mut [f32]) {
        oracle::write(y, &oracle::add(a, b), false);
    }

    fn add_assign(y: &mut [f32], x: &[f32]) {
        oracle::write(y, x, true);
    }

    fn scale(x: &[f32], factor: f32, y: &mut [f32]) {
        oracle::write(y, &oracle::scale(x, factor), false);
    }

    fn scale_assign(x: &mut [f32], factor: f32) {
        let y = oracle::scale(x, factor);
        oracle::write(x, &y, false);
    }

    fn rms(x: &[f32]) -> f32 {
        oracle::rms(x)
    }

    fn sum_squares(x: &[f32]) -> f32 {
        oracle::sum_squares(x)
    }

    fn sgd_step(
        config: SgdConfig,
        first_step: bool,
        grad_scale: f32,
        params: &mut [f32],
        grads: &[f32],
        momentum_buf: &mut [f32],
    ) {
        oracle::sgd_step(config, first_step, grad_scale, params, grads, momentum_buf);
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
        oracle::adam_step(config, step, grad_scale, params, grads, m, v);
    }

    fn gather_rows<T: Copy>(width: usize, x: &[T], indices: &[u32], y: &mut [T]) {
        y.copy_from_slice(&oracle::gather_rows(width, x, indices));
    }

    fn gather_windows(
        context: usize,
        shift: usize,
        tokens: &[u32],
        indices: &[u32],
        y: &mut [u32],
    ) {
        y.copy_from_slice(&oracle::gather_windows(context, shift, tokens, indices));
    }

    fn augment_images(
        shape: AugmentShape,
        key: u64,
        epoch: u64,
        x: &[f32],
        indices: &[u32],
        y: &mut [f32],
    ) {
        oracle::write(y, &oracle::augment_images(shape, key, epoch, x, indices), false);
    }
}

/// A pass whose instructions are plain loops.
struct Loops<'r, 'p>(&'r mut ProgramPass<'p>);

impl Loops<'_, '_> {
    fn rows(&self) -> usize {
        self.0.pass.rows
    }

    fn read(&self, id: TensorId) -> &[f32] {
        &self.0.tensors.workspace[self.0.range(id)]
    }

    fn param(&self, param: Param) -> &[f32] {
        &self.0.tensors.params[param.range()]
    }

    fn write(&mut self, id: TensorId, values: &[f32], accumulate: bool) {
        let range = self.0.range(id);
        oracle::write(&mut self.0.tensors.workspace[range], values, accumulate);
    }

    /// Writes the gradient of a parameter, if anybody wants those.
    fn write_gradient(&mut self, param: Param, values: &[f32], accumulate: bool) {
        if self.0.pass.wanted.params {
            let gradient = &mut self.0.tensors.gradients[param.range()];
            oracle::write(gradient, values, accumulate);
        }
    }
}
