//! Products with weights: linear maps, convolutions and attention; tables of rows; images cut into squares.

use esper_kernels::{cpu::Activation, oracle};

use super::Loops;
use crate::op::{
    AttentionForward, AttentionGrad, Conv2dForward, Conv2dGradInput, Conv2dGradWeight,
    EmbeddingForward, EmbeddingGrad, LinearForward, LinearGradInput, LinearGradWeight,
    PatchesForward, PatchesGrad,
};

impl Loops<'_, '_> {
    pub(super) fn linear(&mut self, it: &LinearForward) {
        let (shape, bias) = (it.shape.times(self.rows()), it.bias.map(|bias| self.param(bias)));
        let pre = oracle::linear(shape, self.read(it.x), self.param(it.weight), bias);
        if let Some(id) = it.pre {
            self.write(id, &pre, false);
        }
        let y = it.activation.map(|activation| oracle::activation(activation, &pre));
        self.write(it.y, &y.unwrap_or(pre), false);
    }

    pub(super) fn linear_grad_weight(&mut self, it: &LinearGradWeight) {
        let shape = it.shape.times(self.rows());
        let dw = oracle::linear_grad_weight(shape, self.read(it.dy), self.read(it.x));
        self.write_gradient(it.weight, &dw, it.accumulate);
    }

    pub(super) fn linear_grad_input(&mut self, it: &LinearGradInput) {
        let shape = it.shape.times(self.rows());
        let dx = oracle::linear_grad_input(shape, self.read(it.dy), self.param(it.weight));
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn conv2d(&mut self, it: &Conv2dForward) {
        let (shape, bias) = (it.shape.times(self.rows()), it.bias.map(|bias| self.param(bias)));
        let mut y = oracle::conv2d(shape, self.read(it.x), self.param(it.weight), bias);
        if it.rectify {
            y = oracle::activation(Activation::Relu, &y);
        }
        self.write(it.y, &y, false);
    }

    pub(super) fn conv2d_grad_weight(&mut self, it: &Conv2dGradWeight) {
        let shape = it.shape.times(self.rows());
        let dw = oracle::conv2d_grad_weight(shape, self.read(it.dy), self.read(it.x));
        self.write_gradient(it.weight, &dw, false);
    }

    pub(super) fn conv2d_grad_input(&mut self, it: &Conv2dGradInput) {
        let shape = it.shape.times(self.rows());
        let dx = oracle::conv2d_grad_input(shape, self.read(it.dy), self.param(it.weight));
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn attention(&mut self, it: &AttentionForward) {
        let [y, lse] = oracle::attention(it.shape.times(self.rows()), self.read(it.x));
        self.write(it.y, &y, false);
        self.write(it.lse, &lse, false);
    }

    pub(super) fn attention_grad(&mut self, it: &AttentionGrad) {
        let shape = it.shape.times(self.rows());
        let [dy, x, y, lse] = [it.dy, it.x, it.y, it.lse].map(|id| self.read(id));
        let dx = oracle::attention_backward(shape, dy, x, y, lse);
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn embedding(&mut self, it: &EmbeddingForward) {
        let tokens = bytemuck::cast_slice(self.read(it.x));
        let y = oracle::embedding(it.width, tokens, self.param(it.weight));
        self.write(it.y, &y, false);
    }

    pub(super) fn embedding_grad(&mut self, it: &EmbeddingGrad) {
        let tokens = bytemuck::cast_slice(self.read(it.x));
        let zeros = vec![0.0; it.weight.len];
        let dw = oracle::embedding_grad(it.width, tokens, self.read(it.dy), &zeros);
        self.write_gradient(it.weight, &dw, it.accumulate);
    }

    pub(super) fn patches(&mut self, it: &PatchesForward) {
        let y = oracle::patches(it.shape.times(self.rows()), self.read(it.x));
        self.write(it.y, &y, false);
    }

    pub(super) fn patches_grad(&mut self, it: &PatchesGrad) {
        let dx = oracle::patches_grad(it.shape.times(self.rows()), self.read(it.dy));
        self.write(it.dx, &dx, it.accumulate);
    }
}
