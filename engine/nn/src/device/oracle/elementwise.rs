//! Elementwise instructions, and copies.

use esper_kernels::oracle;

use super::Loops;
use crate::op::{
    ActivationBiasGrad, ActivationForward, ActivationGrad, AddForward, BlendForward, CopyColumns,
    CopyForward, DropoutForward, DropoutGrad, MultiplyForward, MultiplyGrad, PassGrad,
    ResidualForward, ScaleForward, ScaleGrad, SoftplusForward, SoftplusGrad, TakeColumns,
};

impl Loops<'_, '_> {
    pub(super) fn activation(&mut self, it: &ActivationForward) {
        let y = oracle::activation(it.kind, self.read(it.x));
        self.write(it.y, &y, false);
    }

    pub(super) fn activation_grad(&mut self, it: &ActivationGrad) {
        let dx = oracle::activation_grad(it.kind, self.read(it.saved), self.read(it.dy));
        self.write(it.dy, &dx, false);
    }

    pub(super) fn activation_bias_grad(&mut self, it: &ActivationBiasGrad) {
        let (saved, dy) = (self.read(it.saved), self.read(it.dy));
        let [dx, db] = oracle::activation_bias_grad(it.kind, it.shape.channels, saved, dy);
        self.write(it.dy, &dx, false);
        self.write_gradient(it.bias, &db, false);
    }

    pub(super) fn softplus(&mut self, it: &SoftplusForward) {
        let y = oracle::softplus(it.beta, self.read(it.x));
        self.write(it.y, &y, false);
    }

    pub(super) fn softplus_grad(&mut self, it: &SoftplusGrad) {
        let dx = oracle::softplus_grad(it.beta, self.read(it.x), self.read(it.dy));
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn add(&mut self, it: &AddForward) {
        let y = oracle::add(self.read(it.a), self.read(it.b));
        self.write(it.y, &y, false);
    }

    pub(super) fn multiply(&mut self, it: &MultiplyForward) {
        let y = oracle::multiply(self.read(it.a), self.read(it.b));
        self.write(it.y, &y, false);
    }

    pub(super) fn multiply_grad(&mut self, it: &MultiplyGrad) {
        let dx = oracle::multiply_grad(self.read(it.dy), self.read(it.other));
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn residual(&mut self, it: &ResidualForward) {
        let y = oracle::residual(self.read(it.x), self.read(it.f), it.alpha);
        self.write(it.y, &y, false);
    }

    pub(super) fn blend(&mut self, it: &BlendForward) {
        let y = oracle::blend(self.read(it.x), self.read(it.m), it.alpha);
        self.write(it.y, &y, false);
    }

    pub(super) fn scale(&mut self, it: &ScaleForward) {
        let y = oracle::scale(self.read(it.x), it.factor);
        self.write(it.y, &y, false);
    }

    pub(super) fn scale_grad(&mut self, it: &ScaleGrad) {
        let dx = oracle::scale(self.read(it.dy), it.factor);
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn dropout(&mut self, it: &DropoutForward) {
        let (key, step, x) = (self.0.dropout_key(it.salt), self.0.pass.step, self.read(it.x));
        let is_training = self.0.pass.is_training;
        let y = if is_training { oracle::dropout(key, step, it.p, x) } else { x.to_vec() };
        self.write(it.y, &y, false);
    }

    pub(super) fn dropout_grad(&mut self, it: &DropoutGrad) {
        let (key, step) = (self.0.dropout_key(it.salt), self.0.pass.step);
        assert!(self.0.pass.is_training, "only training passes run backward through dropout");
        let dx = oracle::dropout_grad(key, step, it.p, self.read(it.dy));
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn pass_grad(&mut self, it: &PassGrad) {
        let dx = self.read(it.dy).to_vec();
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn copy(&mut self, it: &CopyForward) {
        let y = self.read(it.x).to_vec();
        self.write(it.y, &y, false);
    }

    pub(super) fn copy_columns(&mut self, it: &CopyColumns) {
        let [x_width, y_width] = [it.x, it.y].map(|id| self.0.width(id) / it.positions);
        let (x, y) = (self.read(it.x), self.read(it.y));
        let y = oracle::copy_columns(x_width, y_width, it.at, x, y);
        self.write(it.y, &y, false);
    }

    pub(super) fn take_columns(&mut self, it: &TakeColumns) {
        let [y_width, dx_width] = [it.dy, it.dx].map(|id| self.0.width(id) / it.positions);
        let dx = oracle::take_columns(y_width, it.at, dx_width, self.read(it.dy));
        self.write(it.dx, &dx, it.accumulate);
    }
}
