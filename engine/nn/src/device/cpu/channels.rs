//! Instructions with a value for each feature, and means over pixels and positions.

use esper_kernels::cpu;

use crate::{
    device::pass::ProgramPass,
    op::{
        BiasForward, BiasGrad, ChannelMultiplyForward, ChannelMultiplyGrad, ChannelScalesGrad,
        GateForward, GateGrad, GlobalAvgPoolForward, GlobalAvgPoolGrad, LayerScaleForward,
        LayerScaleGrad, MeanPositionsForward, MeanPositionsGrad,
    },
};

impl ProgramPass<'_> {
    pub(super) fn bias(&mut self, it: &BiasForward) {
        let (shape, bias) = (it.shape.times(self.pass.rows), &self.tensors.params[it.bias.range()]);
        let [x, y] = self.get([it.x, it.y]);
        match shape.len {
            1 => cpu::bias_forward(x, bias, y),
            _ => cpu::channel_bias(shape, x, bias, y),
        }
    }

    pub(super) fn bias_grad(&mut self, it: &BiasGrad) {
        let shape = it.shape.times(self.pass.rows);
        let ([dy], db, _) = self.get_with_gradient([it.dy], it.bias);
        match shape.len {
            1 => cpu::bias_grad(shape.batch, shape.channels, dy, db, false),
            _ => cpu::channel_bias_grad(shape, dy, db),
        }
    }

    pub(super) fn layer_scale(&mut self, it: &LayerScaleForward) {
        let (shape, weight) =
            (it.shape.times(self.pass.rows), &self.tensors.params[it.weight.range()]);
        let [x, y] = self.get([it.x, it.y]);
        cpu::channel_scale(shape, x, weight, y);
    }

    pub(super) fn layer_scale_grad(&mut self, it: &LayerScaleGrad) {
        let LayerScaleGrad { shape, dy, x, weight, dx, accumulate } = *it;
        let (shape, wants_params) = (shape.times(self.pass.rows), self.pass.wanted.params);
        let w = &self.tensors.params[weight.range()];
        let ([dy, x, dx], dw, _) = self.get_with_gradient([dy, x, dx], weight);
        cpu::channel_scale_backward(shape, dy, x, w, dx, dw, accumulate, wants_params);
    }

    pub(super) fn gate(&mut self, it: &GateForward) {
        let (shape, weight) =
            (it.shape.times(self.pass.rows), &self.tensors.params[it.weight.range()]);
        let [x, y] = self.get([it.x, it.y]);
        cpu::channel_gate(shape, x, weight, y);
    }

    pub(super) fn gate_grad(&mut self, it: &GateGrad) {
        let GateGrad { shape, dy, x, weight, dx, accumulate } = *it;
        let (shape, wants_params) = (shape.times(self.pass.rows), self.pass.wanted.params);
        let w = &self.tensors.params[weight.range()];
        let ([dy, x, dx], dw, _) = self.get_with_gradient([dy, x, dx], weight);
        cpu::channel_gate_backward(shape, dy, x, w, dx, dw, accumulate, wants_params);
    }

    pub(super) fn channel_multiply(&mut self, it: &ChannelMultiplyForward) {
        let shape = it.shape.times(self.pass.rows);
        let [x, scales, y] = self.get([it.x, it.scales, it.y]);
        cpu::channel_multiply(shape, x, scales, y);
    }

    pub(super) fn channel_multiply_grad(&mut self, it: &ChannelMultiplyGrad) {
        let shape = it.shape.times(self.pass.rows);
        let [dy, scales, dx] = self.get([it.dy, it.scales, it.dx]);
        cpu::channel_multiply_grad_x(shape, dy, scales, dx, it.accumulate);
    }

    pub(super) fn channel_scales_grad(&mut self, it: &ChannelScalesGrad) {
        let shape = it.shape.times(self.pass.rows);
        let [dy, x, dx] = self.get([it.dy, it.x, it.dx]);
        cpu::channel_multiply_grad_s(shape, dy, x, dx, it.accumulate);
    }

    pub(super) fn global_avg_pool(&mut self, it: &GlobalAvgPoolForward) {
        let shape = it.shape.times(self.pass.rows);
        let [x, y] = self.get([it.x, it.y]);
        cpu::channel_mean(shape, x, y);
    }

    pub(super) fn global_avg_pool_grad(&mut self, it: &GlobalAvgPoolGrad) {
        let shape = it.shape.times(self.pass.rows);
        let [dy, dx] = self.get([it.dy, it.dx]);
        cpu::channel_mean_grad(shape, dy, dx, it.accumulate);
    }

    pub(super) fn mean_positions(&mut self, it: &MeanPositionsForward) {
        let (rows, len, width) = (self.pass.rows, it.shape.batch, it.shape.channels);
        let [x, y] = self.get([it.x, it.y]);
        cpu::mean_positions(rows, len, width, x, y);
    }

    pub(super) fn mean_positions_grad(&mut self, it: &MeanPositionsGrad) {
        let (rows, len, width) = (self.pass.rows, it.shape.batch, it.shape.channels);
        let [dy, dx] = self.get([it.dy, it.dx]);
        cpu::mean_positions_grad(rows, len, width, dy, dx, it.accumulate);
    }
}
