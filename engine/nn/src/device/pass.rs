//! One pass of one program over memory of the processor.

use std::ops::Range;

use crate::program::{GradMask, Program, TensorId};

/// The numbers a program works on, borrowed for one pass.
pub(super) struct Tensors<'a> {
    /// `f32[params_len_elems]`.
    pub params: &'a [f32],
    /// `f32[params_len_elems]`; parameter gradients are overwritten, not added to.
    pub gradients: &'a mut [f32],
    /// `f32[buffers_len_elems]`; read in evaluation, written in a pass that [updates](Pass::updates_buffers) them.
    pub buffers: &'a mut [f32],
    /// `f32[workspace_len_elems(batch_max)]`.
    pub workspace: &'a mut [f32],
    /// Room for kernels: `f32[parts_max * scratch_len_elems(batch_max)]`.
    pub scratch: &'a mut [f32],
    /// Into how many parts an instruction may be cut for threads.
    pub parts_max: usize,
    /// Loss of each example: `f32[batch_max]`.
    pub losses: &'a mut [f32],
    /// Examples the workspace was made for.
    pub batch_max: usize,
}

/// What one pass is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass<'a> {
    /// Examples.
    pub rows: usize,
    /// What the network should say; a module's pass has no targets.
    pub targets: Targets<'a>,
    /// Whether this is a training step: dropout acts, and the loss writes its gradient.
    pub is_training: bool,
    /// Whether running statistics take this batch in: once a step, and not in a second pass over the same batch.
    pub updates_buffers: bool,
    /// Key of the dropout stream.
    pub dropout_key: u64,
    /// Step of the dropout stream.
    pub step: u64,
    /// Which gradients are wanted.
    pub wanted: GradMask,
}

/// Targets of one pass.
#[derive(Clone, Copy, Debug)]
pub(super) enum Targets<'a> {
    /// A module's pass has none.
    None,
    /// `u32[rows, labels_per_example]`.
    Classes(&'a [u32]),
    /// `f32[rows, width]`.
    Values(&'a [f32]),
}

/// A program, its numbers, and what the pass is about: what an instruction is run on.
pub(super) struct ProgramPass<'a> {
    pub program: &'a Program,
    pub pass: Pass<'a>,
    pub tensors: Tensors<'a>,
}

/// Where the first `rows` examples of tensor `id` lie in a workspace for `batch_max`.
pub(super) fn range_of(
    program: &Program,
    id: TensorId,
    batch_max: usize,
    rows: usize,
) -> Range<usize> {
    let region = program.regions[id.0 as usize];
    let start = region.offset * batch_max;
    start..start + region.elems * rows
}
