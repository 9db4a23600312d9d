//! Norms.

use esper_kernels::{cpu::Activation, oracle};

use super::Loops;
use crate::{
    op::{
        BatchNormForward, BatchNormGrad, GroupNormForward, GroupNormGrad, LayerNormForward,
        LayerNormGrad, RmsNormForward, RmsNormGrad,
    },
    tensor::{Param, TensorId},
};

impl Loops<'_, '_> {
    pub(super) fn layer_norm(&mut self, it: &LayerNormForward) {
        let (width, eps, x) = (it.shape.channels, f64::from(it.eps), self.read(it.x));
        let statistics = oracle::layer_norm_statistics(width, eps, x);
        let y = oracle::layer_norm(width, eps, x, self.param(it.weight), self.param(it.bias));
        self.write_statistics([it.mean, it.rstd], &statistics);
        self.write(it.y, &y, false);
    }

    pub(super) fn layer_norm_grad(&mut self, it: &LayerNormGrad) {
        let (dy, x, gamma) = (self.read(it.dy), self.read(it.x), self.param(it.weight));
        let (mean, rstd) = (self.read(it.mean), self.read(it.rstd));
        let gradients = oracle::layer_norm_backward(it.shape.channels, dy, x, gamma, mean, rstd);
        self.write_gradients(it.dx, it.accumulate, [it.weight, it.bias], &gradients);
    }

    pub(super) fn rms_norm(&mut self, it: &RmsNormForward) {
        let (width, eps, x) = (it.shape.channels, f64::from(it.eps), self.read(it.x));
        let rstd = oracle::rms_norm_statistics(width, eps, x);
        let y = oracle::rms_norm(width, eps, x, self.param(it.weight));
        self.write(it.rstd, &rstd, false);
        self.write(it.y, &y, false);
    }

    pub(super) fn rms_norm_grad(&mut self, it: &RmsNormGrad) {
        let (dy, x, gamma) = (self.read(it.dy), self.read(it.x), self.param(it.weight));
        let rstd = self.read(it.rstd);
        let [dx, dgamma] = oracle::rms_norm_backward(it.shape.channels, dy, x, gamma, rstd);
        self.write(it.dx, &dx, it.accumulate);
        self.write_gradient(it.weight, &dgamma, false);
    }

    pub(super) fn group_norm(&mut self, it: &GroupNormForward) {
        let (shape, eps, x) = (it.shape.times(self.rows()), f64::from(it.eps), self.read(it.x));
        let (gamma, beta) = (self.param(it.weight), self.param(it.bias));
        let statistics = oracle::group_norm_statistics(shape, it.groups, eps, x);
        let y = oracle::group_norm(shape, it.groups, eps, x, gamma, beta);
        self.write_statistics([it.mean, it.rstd], &statistics);
        self.write(it.y, &y, false);
    }

    pub(super) fn group_norm_grad(&mut self, it: &GroupNormGrad) {
        let shape = it.shape.times(self.rows());
        let (dy, x, gamma) = (self.read(it.dy), self.read(it.x), self.param(it.weight));
        let (mean, rstd) = (self.read(it.mean), self.read(it.rstd));
        let gradients = oracle::group_norm_backward(shape, it.groups, dy, x, gamma, mean, rstd);
        self.write_gradients(it.dx, it.accumulate, [it.weight, it.bias], &gradients);
    }

    pub(super) fn batch_norm(&mut self, it: &BatchNormForward) {
        let (shape, eps, x) = (it.shape.times(self.rows()), f64::from(it.eps), self.read(it.x));
        let (gamma, beta) = (self.param(it.weight), self.param(it.bias));
        let rectify = |y: Vec<f32>| {
            if it.rectify { oracle::activation(Activation::Relu, &y) } else { y }
        };
        let [mean, var] =
            [it.running.mean, it.running.var].map(|id| &self.0.tensors.buffers[id.range()]);
        if !self.0.pass.is_training {
            let y = oracle::batch_norm_inference(shape, eps, x, gamma, beta, mean, var);
            return self.write(it.y, &rectify(y), false);
        }
        let momentum = f64::from(it.momentum);
        let running = oracle::running_statistics(shape, momentum, x, [mean, var]);
        let statistics = oracle::batch_norm_statistics(shape, eps, x);
        let y = rectify(oracle::batch_norm(shape, eps, x, gamma, beta));
        self.write_statistics([it.mean, it.rstd], &statistics);
        self.write(it.y, &y, false);
        if self.0.pass.updates_buffers {
            let buffers = &mut self.0.tensors.buffers;
            for (place, values) in [it.running.mean, it.running.var].into_iter().zip(&running) {
                oracle::write(&mut buffers[place.range()], values, false);
            }
            oracle::write(&mut buffers[it.running.batches.range()], &[1.0], true);
        }
    }

    pub(super) fn batch_norm_grad(&mut self, it: &BatchNormGrad) {
        let shape = it.shape.times(self.rows());
        let (dy, x, gamma) = (self.read(it.dy), self.read(it.x), self.param(it.weight));
        let (mean, rstd) = (self.read(it.mean), self.read(it.rstd));
        let rectified = it.rectified.map(|y| self.read(y));
        let gradients = oracle::batch_norm_backward(shape, dy, x, gamma, mean, rstd, rectified);
        self.write_gradients(it.dx, it.accumulate, [it.weight, it.bias], &gradients);
    }

    /// Writes a mean and a deviation for each row, group or channel, at the start of their regions.
    fn write_statistics(&mut self, ids: [TensorId; 2], statistics: &[Vec<f32>; 2]) {
        for (id, values) in ids.into_iter().zip(statistics) {
            let start = self.0.range(id).start;
            oracle::write(
                &mut self.0.tensors.workspace[start..start + values.len()],
                values,
                false,
            );
        }
    }

    fn write_gradients(
        &mut self,
        dx: TensorId,
        accumulate: bool,
        params: [Param; 2],
        [slopes, dgamma, dbeta]: &[Vec<f32>; 3],
    ) {
        self.write(dx, slopes, accumulate);
        for (param, gradient) in params.into_iter().zip([dgamma, dbeta]) {
            self.write_gradient(param, gradient, false);
        }
    }
}
