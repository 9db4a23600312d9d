//! What a device that works in the processor's memory computes with: fast kernels, or the oracles they are held to.

use esper_kernels::cpu::{AdamConfig, AugmentShape, SgdConfig};

use super::pass::ProgramPass;
use crate::op::{Backward, Forward};

/// One implementation of everything a [plan](crate::plan::StepPlan) computes.
///
/// Operands mean what they mean in [`esper_kernels::cpu`].
pub(super) trait KernelSet: 'static {
    /// Runs one instruction of a forward pass and returns how many labels were said right.
    fn forward(run: &mut ProgramPass<'_>, instr: &Forward) -> usize;
    /// Runs one instruction of a backward pass.
    fn backward(run: &mut ProgramPass<'_>, instr: &Backward);

    /// `x <- x + alpha f`.
    fn residual_assign(x: &mut [f32], f: &[f32], alpha: f32);
    /// `x <- (1 - alpha) x + alpha m`.
    fn blend_assign(x: &mut [f32], m: &[f32], alpha: f32);
    /// `y = a + b`.
    fn add(a: &[f32], b: &[f32], y: &mut [f32]);
    /// `y <- y + x`.
    fn add_assign(y: &mut [f32], x: &[f32]);
    /// `y = factor * x`.
    fn scale(x: &[f32], factor: f32, y: &mut [f32]);
    /// `x <- factor * x`.
    fn scale_assign(x: &mut [f32], factor: f32);
    /// Root mean square.
    fn rms(x: &[f32]) -> f32;
    /// Sum of squares.
    fn sum_squares(x: &[f32]) -> f32;

    /// One step of stochastic gradient descent.
    fn sgd_step(
        config: SgdConfig,
        first_step: bool,
        grad_scale: f32,
        params: &mut [f32],
        grads: &[f32],
        momentum_buf: &mut [f32],
    );
    /// One step of Adam or AdamW.
    #[expect(clippy::too_many_arguments, reason = "one kernel call's operands")]
    fn adam_step(
        config: AdamConfig,
        step: u64,
        grad_scale: f32,
        params: &mut [f32],
        grads: &[f32],
        m: &mut [f32],
        v: &mut [f32],
    );

    /// Rows of a matrix in the order of `indices`.
    fn gather_rows<T: Copy>(width: usize, x: &[T], indices: &[u32], y: &mut [T]);
    /// Windows of a text in the order of `indices`.
    fn gather_windows(context: usize, shift: usize, tokens: &[u32], indices: &[u32], y: &mut [u32]);
    /// Images in the order of `indices`, varied.
    fn augment_images(
        shape: AugmentShape,
        key: u64,
        epoch: u64,
        x: &[f32],
        indices: &[u32],
        y: &mut [f32],
    );
}
