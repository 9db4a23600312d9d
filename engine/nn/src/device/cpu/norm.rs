//! Norms.

use esper_kernels::cpu;

use super::split::by_examples;
use crate::{
    device::pass::ProgramPass,
    op::{
        GroupNormForward, GroupNormGrad, LayerNormForward, LayerNormGrad, RmsNormForward,
        RmsNormGrad,
    },
};

impl ProgramPass<'_> {
    pub(super) fn layer_norm(&mut self, it: &LayerNormForward) {
        let LayerNormForward { shape, x, weight, bias, eps, mean, rstd, y } = *it;
        let (rows, n_parts) = (self.pass.rows, self.n_parts_moving(3 * self.width(x)));
        let params = self.tensors.params;
        let (gamma, beta) = (&params[weight.range()], &params[bias.range()]);
        let [x, mean, rstd, y] = self.get([x, mean, rstd, y]);
        let writes = [mean, rstd, y];
        by_examples(n_parts, 0..rows, [x], writes, &mut [], &|rows, [x], writes, _| {
            let ([mean, rstd, y], shape) = (writes, shape.times(rows.len()));
            let (rows, width) = (shape.batch, shape.channels);
            cpu::layer_norm_forward(rows, width, eps, x, gamma, beta, mean, rstd, y);
        });
    }

    pub(super) fn layer_norm_grad(&mut self, it: &LayerNormGrad) {
        let LayerNormGrad { shape, dy, x, weight, bias, mean, rstd, dx, accumulate } = *it;
        let (shape, wants_params) = (shape.times(self.pass.rows), self.pass.wanted.params);
        let gamma = &self.tensors.params[weight.range()];
        let ([dy, x, mean, rstd, dx], [dgamma, dbeta]) =
            self.get_with_gradients([dy, x, mean, rstd, dx], [weight, bias]);
        let (rows, width) = (shape.batch, shape.channels);
        #[rustfmt::skip]
        cpu::layer_norm_backward(
            rows, width, dy, x, gamma, mean, rstd, dx, dgamma, dbeta, accumulate, wants_params,
        );
    }

    pub(super) fn rms_norm(&mut self, it: &RmsNormForward) {
        let RmsNormForward { shape, x, weight, eps, rstd, y } = *it;
        let (shape, gamma) = (shape.times(self.pass.rows), &self.tensors.params[weight.range()]);
        let [x, rstd, y] = self.get([x, rstd, y]);
        cpu::rms_norm_forward(shape.batch, shape.channels, eps, x, gamma, rstd, y);
    }

    pub(super) fn rms_norm_grad(&mut self, it: &RmsNormGrad) {
        let RmsNormGrad { shape, dy, x, weight, rstd, dx, accumulate } = *it;
        let (shape, wants_params) = (shape.times(self.pass.rows), self.pass.wanted.params);
        let gamma = &self.tensors.params[weight.range()];
        let ([dy, x, rstd, dx], dgamma, _) = self.get_with_gradient([dy, x, rstd, dx], weight);
        let (rows, width) = (shape.batch, shape.channels);
        #[rustfmt::skip]
        cpu::rms_norm_backward(
            rows, width, dy, x, gamma, rstd, dx, dgamma, accumulate, wants_params,
        );
    }

    pub(super) fn group_norm(&mut self, it: &GroupNormForward) {
        let GroupNormForward { shape, groups, x, weight, bias, eps, mean, rstd, y } = *it;
        let (shape, params) = (shape.times(self.pass.rows), self.tensors.params);
        let (gamma, beta) = (&params[weight.range()], &params[bias.range()]);
        let [x, mean, rstd, y] = self.get([x, mean, rstd, y]);
        cpu::group_norm_forward(shape, groups, eps, x, gamma, beta, mean, rstd, y);
    }

    pub(super) fn group_norm_grad(&mut self, it: &GroupNormGrad) {
        let GroupNormGrad { shape, groups, dy, x, weight, bias, mean, rstd, dx, accumulate } = *it;
        let (shape, wants_params) = (shape.times(self.pass.rows), self.pass.wanted.params);
        let gamma = &self.tensors.params[weight.range()];
        let ([dy, x, mean, rstd, dx], [dgamma, dbeta]) =
            self.get_with_gradients([dy, x, mean, rstd, dx], [weight, bias]);
        #[rustfmt::skip]
        cpu::group_norm_backward(
            shape, groups, dy, x, gamma, mean, rstd, dx, dgamma, dbeta, accumulate, wants_params,
        );
    }
}
