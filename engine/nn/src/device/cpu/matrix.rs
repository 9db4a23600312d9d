//! Products with weights: linear maps, convolutions and attention; tables of rows; images cut into squares.

use esper_kernels::cpu;

use super::split::{by_examples, by_outputs};
use crate::{
    device::pass::ProgramPass,
    op::{
        AttentionForward, AttentionGrad, Conv2dForward, Conv2dGradInput, Conv2dGradWeight,
        EmbeddingForward, EmbeddingGrad, LinearForward, LinearGradInput, LinearGradWeight,
        PatchesForward, PatchesGrad,
    },
};

impl ProgramPass<'_> {
    pub(super) fn linear(&mut self, it: &LinearForward) {
        let LinearForward { shape, x, weight, bias, activation, pre, y } = *it;
        let (rows, n_parts) = (self.pass.rows, self.n_parts(shape.flops()));
        let params = self.tensors.params;
        let bias = bias.map(|bias| &params[bias.range()]);
        let weight = &params[weight.range()];
        let Some(pre) = pre else {
            let ([x, y], scratch) = self.get_with_scratch([x, y]);
            by_examples(n_parts, 0..rows, [x], [y], scratch, &|rows, [x], [y], scratch| {
                let shape = shape.times(rows.len());
                cpu::linear_forward(shape, x, weight, bias, activation, None, y, scratch);
            });
            return;
        };
        let ([x, pre, y], scratch) = self.get_with_scratch([x, pre, y]);
        let writes = [pre, y];
        by_examples(n_parts, 0..rows, [x], writes, scratch, &|rows, [x], [pre, y], scratch| {
            let shape = shape.times(rows.len());
            cpu::linear_forward(shape, x, weight, bias, activation, Some(pre), y, scratch);
        });
    }

    pub(super) fn linear_grad_weight(&mut self, it: &LinearGradWeight) {
        let LinearGradWeight { shape, dy, x, weight, accumulate } = *it;
        let (n_parts, shape) = (self.n_parts(shape.flops()), shape.times(self.pass.rows));
        let ([dy, x], dw, scratch) = self.get_with_gradient([dy, x], weight);
        let (dy, x) = (&*dy, &*x);
        by_outputs(n_parts, 0..shape.outputs, dw, scratch, &|outputs, dw, scratch| {
            cpu::linear_grad_weight_outputs(shape, outputs, dy, x, dw, accumulate, scratch);
        });
    }

    pub(super) fn linear_grad_input(&mut self, it: &LinearGradInput) {
        let LinearGradInput { shape, dy, weight, dx, accumulate } = *it;
        let (rows, n_parts) = (self.pass.rows, self.n_parts(shape.flops()));
        let weight = &self.tensors.params[weight.range()];
        let ([dy, dx], scratch) = self.get_with_scratch([dy, dx]);
        by_examples(n_parts, 0..rows, [dy], [dx], scratch, &|rows, [dy], [dx], scratch| {
            let shape = shape.times(rows.len());
            cpu::linear_grad_input(shape, dy, weight, dx, accumulate, scratch);
        });
    }

    pub(super) fn conv2d(&mut self, it: &Conv2dForward) {
        let Conv2dForward { shape, x, weight, bias, rectify, y } = *it;
        let (rows, n_parts, params) =
            (self.pass.rows, self.n_parts(shape.flops()), self.tensors.params);
        let ([x, y], scratch) = self.get_with_scratch([x, y]);
        let bias = bias.map(|bias| &params[bias.range()]);
        let weight = &params[weight.range()];
        by_examples(n_parts, 0..rows, [x], [y], scratch, &|rows, [x], [y], scratch| {
            let shape = shape.times(rows.len());
            cpu::conv2d_forward(shape, x, weight, bias, rectify, y, scratch);
        });
    }

    pub(super) fn conv2d_grad_weight(&mut self, it: &Conv2dGradWeight) {
        let Conv2dGradWeight { shape, dy, x, weight } = *it;
        let (n_parts, shape) = (self.n_parts(shape.flops()), shape.times(self.pass.rows));
        let ([dy, x], dw, scratch) = self.get_with_gradient([dy, x], weight);
        let (dy, x) = (&*dy, &*x);
        by_outputs(n_parts, 0..shape.out_channels, dw, scratch, &|outputs, dw, scratch| {
            cpu::conv2d_grad_weight_channels(shape, outputs, dy, x, dw, false, scratch);
        });
    }

    pub(super) fn conv2d_grad_input(&mut self, it: &Conv2dGradInput) {
        let Conv2dGradInput { shape, dy, weight, dx, accumulate } = *it;
        let (rows, n_parts) = (self.pass.rows, self.n_parts(shape.flops()));
        let weight = &self.tensors.params[weight.range()];
        let ([dy, dx], scratch) = self.get_with_scratch([dy, dx]);
        by_examples(n_parts, 0..rows, [dy], [dx], scratch, &|rows, [dy], [dx], scratch| {
            let shape = shape.times(rows.len());
            cpu::conv2d_grad_input(shape, dy, weight, dx, accumulate, scratch);
        });
    }

    pub(super) fn attention(&mut self, it: &AttentionForward) {
        let AttentionForward { shape, x, lse, y } = *it;
        let (rows, n_parts) = (self.pass.rows, self.n_parts(shape.flops_forward()));
        let ([x, lse, y], scratch) = self.get_with_scratch([x, lse, y]);
        let writes = [lse, y];
        by_examples(n_parts, 0..rows, [x], writes, scratch, &|rows, [x], [lse, y], scratch| {
            cpu::attention_forward(shape.times(rows.len()), x, y, lse, scratch);
        });
    }

    pub(super) fn attention_grad(&mut self, it: &AttentionGrad) {
        let AttentionGrad { shape, dy, x, y, lse, dx, accumulate } = *it;
        let (rows, n_parts) = (self.pass.rows, self.n_parts(shape.flops_backward()));
        let ([dy, x, y, lse, dx], scratch) = self.get_with_scratch([dy, x, y, lse, dx]);
        let reads = [&*dy, &*x, &*y, &*lse];
        by_examples(n_parts, 0..rows, reads, [dx], scratch, &|rows, reads, [dx], scratch| {
            let ([dy, x, y, lse], shape) = (reads, shape.times(rows.len()));
            cpu::attention_backward(shape, dy, x, y, lse, dx, accumulate, scratch);
        });
    }

    pub(super) fn embedding(&mut self, it: &EmbeddingForward) {
        let weight = &self.tensors.params[it.weight.range()];
        let [x, y] = self.get([it.x, it.y]);
        cpu::embedding_forward(it.width, bytemuck::cast_slice(x), weight, y);
    }

    pub(super) fn embedding_grad(&mut self, it: &EmbeddingGrad) {
        let ([dy, x], dw, _) = self.get_with_gradient([it.dy, it.x], it.weight);
        cpu::embedding_grad(it.width, bytemuck::cast_slice(x), dy, dw, it.accumulate);
    }

    pub(super) fn patches(&mut self, it: &PatchesForward) {
        let shape = it.shape.times(self.pass.rows);
        let [x, y] = self.get([it.x, it.y]);
        cpu::patches_forward(shape, x, y);
    }

    pub(super) fn patches_grad(&mut self, it: &PatchesGrad) {
        let shape = it.shape.times(self.pass.rows);
        let [dy, dx] = self.get([it.dy, it.dx]);
        cpu::patches_grad(shape, dy, dx, it.accumulate);
    }
}
