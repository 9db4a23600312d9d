//! The backward pass of a program in the making, as forward instructions write it.

use std::collections::BTreeSet;

use super::{Backward, Instruction, Lowering, PassGrad, ScaleGrad};
use crate::{
    error::GraphError,
    schedule::{GradMask, Scheduled},
    tensor::{Param, TensorId},
};

/// An instruction of the forward pass.
pub trait Differentiable: Instruction {
    /// Writes the instructions that compute what its inputs and parameters get of the gradient of what it wrote.
    ///
    /// # Errors
    ///
    /// Names a site that no gradient reaches.
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError>;
}

/// The backward pass so far, while the forward list is read from its end.
#[derive(Debug)]
pub struct Tape<'a> {
    /// The forward pass.
    pub lowering: &'a mut Lowering,
    /// The instructions.
    pub backward: Vec<Scheduled<Backward>>,
    /// The gradient of the output: written by a loss, or by whoever runs a module.
    pub output_gradient: Option<TensorId>,
    /// The gradient of each forward tensor, once something has written it.
    gradients: Vec<Option<TensorId>>,
    /// Where weights lie whose gradient has been written: a tied one is written twice.
    written: BTreeSet<usize>,
}

impl<'a> Tape<'a> {
    /// No gradient yet.
    pub fn new(lowering: &'a mut Lowering) -> Self {
        let gradients = vec![None; lowering.tensors.len()];
        let (backward, written) = (Vec::new(), BTreeSet::new());
        Self { lowering, backward, output_gradient: None, gradients, written }
    }

    /// The gradient of `of`, if something has written it.
    pub fn gradient(&self, of: TensorId) -> Option<TensorId> {
        self.gradients[of.0 as usize]
    }

    /// Says that `gradient` is the gradient of `of`.
    pub fn set_gradient(&mut self, of: TensorId, gradient: TensorId) {
        self.gradients[of.0 as usize] = Some(gradient);
    }

    /// Has `write` write what follows from the gradient of `y`, if there is one.
    ///
    /// # Errors
    ///
    /// None; the signature is that of [`Differentiable::reverse`].
    pub fn from(
        &mut self,
        y: TensorId,
        write: impl FnOnce(&mut Self, TensorId),
    ) -> Result<(), GraphError> {
        if let Some(dy) = self.gradient(y) {
            write(self, dy);
        }
        Ok(())
    }

    /// Values an example of a tensor.
    pub fn elems(&self, id: TensorId) -> usize {
        self.lowering.info(id).elems
    }

    /// Who may want the gradient of a tensor.
    pub fn mask(&self, id: TensorId) -> GradMask {
        self.lowering.info(id).mask
    }

    /// Whether anybody may want the gradient of a tensor.
    pub fn is_wanted(&self, id: TensorId) -> bool {
        self.mask(id) != GradMask::NONE
    }

    /// Appends an instruction that costs `flops` an example.
    pub fn push(&mut self, instr: impl Into<Backward>, mask: GradMask, flops: usize) {
        self.backward.push(Scheduled { instr: instr.into(), mask, flops: flops as u64 });
    }

    /// Appends an instruction that computes nothing but the gradient of `param`; if that ever trains.
    pub fn push_param(&mut self, param: Param, instr: impl Into<Backward>, flops: usize) {
        if self.lowering.trains(param) {
            self.push(instr, GradMask::PARAMS, flops);
        }
    }

    /// Appends what `instr` makes of the place for the gradient of `x`, and of whether something is there to add to; if
    /// anybody wants it.
    pub fn push_input<I: Into<Backward>>(
        &mut self,
        x: TensorId,
        flops: usize,
        instr: impl FnOnce(TensorId, bool) -> I,
    ) {
        if let Some((dx, accumulate)) = self.target(x) {
            let sum = if accumulate { self.elems(x) } else { 0 };
            self.push(instr(dx, accumulate), self.mask(x), flops + sum);
        }
    }

    /// As [`Self::push_input`], for kernels that write the gradients of `params` and of the input together: there is
    /// always a place for the latter. What they write of parameters that never train is read by nobody.
    pub fn push_both<I: Into<Backward>>(
        &mut self,
        params: &[Param],
        x: TensorId,
        flops: usize,
        instr: impl FnOnce(TensorId, bool) -> I,
    ) {
        let params = params.iter().any(|param| self.lowering.trains(*param));
        if !params && !self.is_wanted(x) {
            return;
        }
        let (dx, accumulate) = match self.target(x) {
            Some(target) => target,
            None => (self.new_gradient(x), false),
        };
        let mask = self.mask(x).or(GradMask { params, sites: 0 });
        self.push(instr(dx, accumulate), mask, flops);
    }

    /// Appends the gradient of `y = factor * x`.
    pub fn push_scaled(&mut self, x: TensorId, dy: TensorId, factor: f32) {
        let flops = self.elems(x);
        self.push_input(x, flops, |dx, accumulate| ScaleGrad { dy, factor, dx, accumulate });
    }

    /// Hands the gradient `dy` on to `x`: by name if `x` has none yet and may take it over, else by value.
    pub fn pass(&mut self, x: TensorId, dy: TensorId, may_take: bool) {
        if may_take && self.is_wanted(x) && self.gradient(x).is_none() {
            self.set_gradient(x, dy);
        } else {
            self.push_input(x, 0, |dx, accumulate| PassGrad { dy, dx, accumulate });
        }
    }

    /// Whether the gradient of `weight` is there already; from now on it is.
    pub fn is_written(&mut self, weight: Param) -> bool {
        !self.written.insert(weight.offset)
    }

    /// A tensor for the gradient of `of`.
    pub fn new_gradient(&mut self, of: TensorId) -> TensorId {
        let (elems, mask) = (self.elems(of), self.mask(of));
        self.lowering.tensor(elems, mask)
    }

    /// Where the gradient of `x` goes, and whether something is there to add to. `None` if nobody wants it.
    fn target(&mut self, x: TensorId) -> Option<(TensorId, bool)> {
        if !self.is_wanted(x) {
            return None;
        }
        Some(match self.gradient(x) {
            Some(gradient) => (gradient, true),
            None => {
                let gradient = self.new_gradient(x);
                self.set_gradient(x, gradient);
                (gradient, false)
            }
        })
    }
}
