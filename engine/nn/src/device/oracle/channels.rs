//! Instructions with a value for each feature, and means over pixels and positions.

use esper_kernels::oracle;

use super::Loops;
use crate::op::{
    BiasForward, BiasGrad, ChannelMultiplyForward, ChannelMultiplyGrad, ChannelScalesGrad,
    GateForward, GateGrad, GlobalAvgPoolForward, GlobalAvgPoolGrad, LayerScaleForward,
    LayerScaleGrad, MeanPositionsForward, MeanPositionsGrad,
};

impl Loops<'_, '_> {
    pub(super) fn bias(&mut self, it: &BiasForward) {
        let shape = it.shape.times(self.rows());
        let y = oracle::channel_bias(shape, self.read(it.x), self.param(it.bias));
        self.write(it.y, &y, false);
    }

    pub(super) fn bias_grad(&mut self, it: &BiasGrad) {
        let db = oracle::channel_bias_grad(it.shape.times(self.rows()), self.read(it.dy));
        self.write_gradient(it.bias, &db, false);
    }

    pub(super) fn layer_scale(&mut self, it: &LayerScaleForward) {
        let shape = it.shape.times(self.rows());
        let y = oracle::channel_scale(shape, self.read(it.x), self.param(it.weight));
        self.write(it.y, &y, false);
    }

    pub(super) fn layer_scale_grad(&mut self, it: &LayerScaleGrad) {
        let shape = it.shape.times(self.rows());
        let (dy, x, w) = (self.read(it.dy), self.read(it.x), self.param(it.weight));
        let [dx, dw] = oracle::channel_scale_backward(shape, dy, x, w);
        self.write(it.dx, &dx, it.accumulate);
        self.write_gradient(it.weight, &dw, false);
    }

    pub(super) fn gate(&mut self, it: &GateForward) {
        let shape = it.shape.times(self.rows());
        let y = oracle::channel_gate(shape, self.read(it.x), self.param(it.weight));
        self.write(it.y, &y, false);
    }

    pub(super) fn gate_grad(&mut self, it: &GateGrad) {
        let shape = it.shape.times(self.rows());
        let (dy, x, w) = (self.read(it.dy), self.read(it.x), self.param(it.weight));
        let [dx, dw] = oracle::channel_gate_backward(shape, dy, x, w);
        self.write(it.dx, &dx, it.accumulate);
        self.write_gradient(it.weight, &dw, false);
    }

    pub(super) fn channel_multiply(&mut self, it: &ChannelMultiplyForward) {
        let shape = it.shape.times(self.rows());
        let y = oracle::channel_multiply(shape, self.read(it.x), self.read(it.scales));
        self.write(it.y, &y, false);
    }

    pub(super) fn channel_multiply_grad(&mut self, it: &ChannelMultiplyGrad) {
        let shape = it.shape.times(self.rows());
        let dx = oracle::channel_multiply_grad_x(shape, self.read(it.dy), self.read(it.scales));
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn channel_scales_grad(&mut self, it: &ChannelScalesGrad) {
        let shape = it.shape.times(self.rows());
        let dx = oracle::channel_multiply_grad_s(shape, self.read(it.dy), self.read(it.x));
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn global_avg_pool(&mut self, it: &GlobalAvgPoolForward) {
        let y = oracle::channel_mean(it.shape.times(self.rows()), self.read(it.x));
        self.write(it.y, &y, false);
    }

    pub(super) fn global_avg_pool_grad(&mut self, it: &GlobalAvgPoolGrad) {
        let dx = oracle::channel_mean_grad(it.shape.times(self.rows()), self.read(it.dy));
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn mean_positions(&mut self, it: &MeanPositionsForward) {
        let (len, width) = (it.shape.batch, it.shape.channels);
        let y = oracle::mean_positions(len, width, self.read(it.x));
        self.write(it.y, &y, false);
    }

    pub(super) fn mean_positions_grad(&mut self, it: &MeanPositionsGrad) {
        let (len, width) = (it.shape.batch, it.shape.channels);
        let dx = oracle::mean_positions_grad(len, width, self.read(it.dy));
        self.write(it.dx, &dx, it.accumulate);
    }
}
