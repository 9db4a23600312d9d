//! The processor: always there, and right by definition.

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

use super::{Device, Pass, SiteVisitor, Tensors};
use crate::program::{Param, Program, TensorId};

/// The processor: kernels choose the widest vector unit it has, and large instructions use every thread of the pool that
/// they are called in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl Device for Cpu {
    fn name(&self) -> String {
        "cpu".to_owned()
    }

    fn forward(
        &self,
        program: &Program,
        from: usize,
        tensors: &mut Tensors<'_>,
        pass: Pass<'_>,
        visitor: &mut dyn SiteVisitor,
    ) -> usize {
        let mut run = Run { program, pass, rows: pass.batch.rows, tensors };
        let mut n_correct = 0;
        for step in &program.forward[from..] {
            n_correct += run.forward(&step.instr, visitor);
        }
        n_correct
    }

    fn backward(
        &self,
        program: &Program,
        until: usize,
        tensors: &mut Tensors<'_>,
        pass: Pass<'_>,
        visitor: &mut dyn SiteVisitor,
    ) {
        let mut run = Run { program, pass, rows: pass.batch.rows, tensors };
        for step in &program.backward[..until] {
            if step.mask.is_met_by(pass.wanted) {
                run.backward(&step.instr, visitor);
            }
        }
    }
}

struct Run<'a, 't> {
    program: &'a Program,
    pass: Pass<'a>,
    rows: usize,
    tensors: &'a mut Tensors<'t>,
}

const DISJOINT: &str = "the plan gives live tensors memory of their own";

impl Run<'_, '_> {
    fn range(&self, id: TensorId) -> Range<usize> {
        self.tensors.range(self.program, id, self.rows)
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
