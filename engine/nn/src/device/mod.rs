//! Where programs run.

mod cpu;

pub use cpu::Cpu;

use crate::program::{GradMask, Program, TensorId};

/// Examples of one pass.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// How many.
    pub rows: usize,
    /// What they should give.
    pub targets: Targets<'a>,
}

/// Targets of one pass.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// A module's pass has none.
    None,
    /// `u32[rows]`.
    Classes(&'a [u32]),
    /// `f32[rows, width]`.
    Values(&'a [f32]),
}

/// The numbers a program works on, borrowed for one pass.
pub struct Tensors<'a> {
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
    /// Loss of each example: `f32[batch_max]`; empty for a module.
    pub losses: &'a mut [f32],
    /// Examples the workspace was made for.
    pub batch_max: usize,
}

/// What one pass is about.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// Examples and their targets; a module's pass has no targets.
    pub batch: Batch<'a>,
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

/// What happens at a program's sites. The workspace is handed over whole.
pub trait SiteVisitor {
    /// The forward pass has written `x` and has read nothing after it.
    fn forward(&mut self, site: usize, x: std::ops::Range<usize>, workspace: &mut [f32]);

    /// The backward pass has written the gradient at the site and has read nothing before it.
    fn backward(
        &mut self,
        site: usize,
        x: std::ops::Range<usize>,
        gradient: std::ops::Range<usize>,
        workspace: &mut [f32],
    );
}

/// A program without seeds.
pub struct NoSeeds;

impl SiteVisitor for NoSeeds {
    fn forward(&mut self, _: usize, _: std::ops::Range<usize>, _: &mut [f32]) {}

    fn backward(
        &mut self,
        _: usize,
        _: std::ops::Range<usize>,
        _: std::ops::Range<usize>,
        _: &mut [f32],
    ) {
    }
}

/// Something that can run every instruction of a [`Program`].
pub trait Device: Send + Sync + 'static {
    /// A short name, such as `cpu`; part of every kernel's name.
    fn name(&self) -> String;

    /// Runs the forward pass from instruction `from` on and returns how many examples were classified right.
    fn forward(
        &self,
        program: &Program,
        from: usize,
        tensors: &mut Tensors<'_>,
        pass: Pass<'_>,
        visitor: &mut dyn SiteVisitor,
    ) -> usize;

    /// Runs the backward pass up to and not including instruction `until`.
    fn backward(
        &self,
        program: &Program,
        until: usize,
        tensors: &mut Tensors<'_>,
        pass: Pass<'_>,
        visitor: &mut dyn SiteVisitor,
    );
}

impl Tensors<'_> {
    /// Where the first `rows` examples of tensor `id` lie in the workspace.
    pub fn range(&self, program: &Program, id: TensorId, rows: usize) -> std::ops::Range<usize> {
        let region = program.regions[id.0 as usize];
        let start = region.offset * self.batch_max;
        start..start + region.elems * rows
    }
}
