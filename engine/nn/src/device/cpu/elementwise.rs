//! Elementwise instructions, and copies.

use esper_kernels::cpu;

use super::split::by_examples;
use crate::{
    device::pass::ProgramPass,
    op::{
        ActivationBiasGrad, ActivationForward, ActivationGrad, AddForward, BlendForward,
        CopyColumns, CopyForward, DropoutForward, DropoutGrad, MultiplyForward, MultiplyGrad,
        PassGrad, ResidualForward, ScaleForward, ScaleGrad, SoftplusForward, SoftplusGrad,
        TakeColumns,
    },
};

impl ProgramPass<'_> {
    pub(super) fn activation(&mut self, it: &ActivationForward) {
        let ActivationForward { kind, x, y } = *it;
        let flops = kind.flops_per_elem() * self.width(x) as u64;
        let (rows, n_parts) = (self.pass.rows, self.n_parts(flops));
        let [x, y] = self.get([x, y]);
        by_examples(n_parts, 0..rows, [x], [y], &mut [], &|_, [x], [y], _| {
            cpu::activation_forward(kind, x, y);
        });
    }

    pub(super) fn activation_grad(&mut self, it: &ActivationGrad) {
        let ActivationGrad { kind, saved, dy } = *it;
        let flops = kind.grad_flops_per_elem() * self.width(dy) as u64;
        let (rows, n_parts) = (self.pass.rows, self.n_parts(flops));
        let [saved, dy] = self.get([saved, dy]);
        by_examples(n_parts, 0..rows, [saved], [dy], &mut [], &|_, [saved], [dy], _| {
            cpu::activation_grad(kind, saved, dy);
        });
    }

    /// The activation's part alone where nobody wants the gradients of parameters.
    pub(super) fn activation_bias_grad(&mut self, it: &ActivationBiasGrad) {
        let ActivationBiasGrad { kind, shape, saved, dy, bias } = *it;
        if !self.pass.wanted.params {
            return self.activation_grad(&ActivationGrad { kind, saved, dy });
        }
        let shape = shape.times(self.pass.rows);
        let ([saved, dy], db, _) = self.get_with_gradient([saved, dy], bias);
        cpu::activation_bias_grad(kind, shape.batch, shape.channels, saved, dy, db);
    }

    pub(super) fn softplus(&mut self, it: &SoftplusForward) {
        let SoftplusForward { beta, x, y } = *it;
        let flops = cpu::SOFTPLUS_FLOPS_PER_ELEM * self.width(x) as u64;
        let (rows, n_parts) = (self.pass.rows, self.n_parts(flops));
        let [x, y] = self.get([x, y]);
        by_examples(n_parts, 0..rows, [x], [y], &mut [], &|_, [x], [y], _| {
            cpu::softplus_forward(beta, x, y);
        });
    }

    pub(super) fn softplus_grad(&mut self, it: &SoftplusGrad) {
        let SoftplusGrad { beta, dy, x, dx, accumulate } = *it;
        let flops = cpu::SOFTPLUS_GRAD_FLOPS_PER_ELEM * self.width(x) as u64;
        let (rows, n_parts) = (self.pass.rows, self.n_parts(flops));
        let [dy, x, dx] = self.get([dy, x, dx]);
        by_examples(n_parts, 0..rows, [dy, x], [dx], &mut [], &|_, [dy, x], [dx], _| {
            cpu::softplus_grad(beta, x, dy, dx, accumulate);
        });
    }

    pub(super) fn add(&mut self, it: &AddForward) {
        let (rows, n_parts) = (self.pass.rows, self.n_parts_moving(3 * self.width(it.y)));
        let [a, b, y] = self.get([it.a, it.b, it.y]);
        by_examples(n_parts, 0..rows, [a, b], [y], &mut [], &|_, [a, b], [y], _| {
            cpu::add(a, b, y);
        });
    }

    pub(super) fn multiply(&mut self, it: &MultiplyForward) {
        let [a, b, y] = self.get([it.a, it.b, it.y]);
        cpu::multiply(a, b, y);
    }

    pub(super) fn multiply_grad(&mut self, it: &MultiplyGrad) {
        let [dy, other, dx] = self.get([it.dy, it.other, it.dx]);
        cpu::multiply_grad(dy, other, dx, it.accumulate);
    }

    pub(super) fn residual(&mut self, it: &ResidualForward) {
        let [x, f, y] = self.get([it.x, it.f, it.y]);
        cpu::residual_forward(x, f, it.alpha, y);
    }

    pub(super) fn blend(&mut self, it: &BlendForward) {
        let [x, m, y] = self.get([it.x, it.m, it.y]);
        y.copy_from_slice(x);
        cpu::blend_assign(y, m, it.alpha);
    }

    pub(super) fn scale(&mut self, it: &ScaleForward) {
        let [x, y] = self.get([it.x, it.y]);
        cpu::scale(x, it.factor, y);
    }

    pub(super) fn scale_grad(&mut self, it: &ScaleGrad) {
        let [dy, dx] = self.get([it.dy, it.dx]);
        if it.accumulate {
            cpu::residual_assign(dx, dy, it.factor);
        } else {
            cpu::scale(dy, it.factor, dx);
        }
    }

    pub(super) fn dropout(&mut self, it: &DropoutForward) {
        let (key, step) = (self.dropout_key(it.salt), self.pass.step);
        let is_training = self.pass.is_training;
        let [x, y] = self.get([it.x, it.y]);
        if is_training {
            cpu::dropout_forward(key, step, it.p, x, y);
        } else {
            y.copy_from_slice(x);
        }
    }

    pub(super) fn dropout_grad(&mut self, it: &DropoutGrad) {
        let (key, step) = (self.dropout_key(it.salt), self.pass.step);
        assert!(self.pass.is_training, "only training passes run backward through dropout");
        let [dy, dx] = self.get([it.dy, it.dx]);
        cpu::dropout_grad(key, step, it.p, dy, dx, it.accumulate);
    }

    pub(super) fn pass_grad(&mut self, it: &PassGrad) {
        let accumulate = it.accumulate;
        let (rows, n_parts) = (self.pass.rows, self.n_parts_moving(2 * self.width(it.dx)));
        let [dy, dx] = self.get([it.dy, it.dx]);
        by_examples(n_parts, 0..rows, [dy], [dx], &mut [], &|_, [dy], [dx], _| {
            if accumulate {
                cpu::add_assign(dx, dy);
            } else {
                dx.copy_from_slice(dy);
            }
        });
    }

    pub(super) fn copy(&mut self, it: &CopyForward) {
        let [x, y] = self.get([it.x, it.y]);
        y.copy_from_slice(x);
    }

    pub(super) fn copy_columns(&mut self, it: &CopyColumns) {
        let rows = self.pass.rows * it.positions;
        let [x_width, y_width] = [it.x, it.y].map(|id| self.width(id) / it.positions);
        let [x, y] = self.get([it.x, it.y]);
        cpu::copy_columns(rows, x_width, y_width, it.at, x, y);
    }

    pub(super) fn take_columns(&mut self, it: &TakeColumns) {
        let rows = self.pass.rows * it.positions;
        let [y_width, dx_width] = [it.dy, it.dx].map(|id| self.width(id) / it.positions);
        let [dy, dx] = self.get([it.dy, it.dx]);
        cpu::take_columns(rows, y_width, it.at, dx_width, dy, dx, it.accumulate);
    }
}
