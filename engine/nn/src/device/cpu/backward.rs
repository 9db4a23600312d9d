//! Instructions of the backward pass.

use esper_kernels::cpu;

use super::{
    DISJOINT, Run,
    split::{by_examples, by_outputs},
};
use crate::{
    device::SiteVisitor,
    program::{Instr, Param, TensorId, instr::FeatureMap},
};

impl Run<'_, '_> {
    pub(super) fn backward(&mut self, instr: &Instr, visitor: &mut dyn SiteVisitor) {
        let (rows, wants_params) = (self.rows, self.pass.wanted.params);
        match *instr {
            Instr::LinearGradWeight { spec, dy, x, weight, accumulate } => {
                let (shape, n_parts) = (spec.with_rows(rows), self.n_parts(spec.flops()));
                let ([dy, x], dw, scratch) = self.get_with_gradient([dy, x], weight);
                let (dy, x) = (&*dy, &*x);
                by_outputs(n_parts, 0..spec.outputs, dw, scratch, &|outputs, dw, scratch| {
                    cpu::linear_grad_weight_outputs(shape, outputs, dy, x, dw, accumulate, scratch);
                });
            }
            Instr::LinearGradInput { spec, dy, weight, dx, accumulate } => {
                let n_parts = self.n_parts(spec.flops());
                let weight = &self.tensors.params[weight.range()];
                let ([dy, dx], scratch) = self.get_with_scratch([dy, dx]);
                by_examples(n_parts, 0..rows, [dy], [dx], scratch, &|rows, [dy], [dx], scratch| {
                    let shape = spec.with_rows(rows.len());
                    cpu::linear_grad_input(shape, dy, weight, dx, accumulate, scratch);
                });
            }
            Instr::Conv2dGradWeight { spec, dy, x, weight } => {
                let shape = spec.with_rows(rows);
                let n_parts = self.n_parts(spec.with_rows(1).flops());
                let ([dy, x], dw, scratch) = self.get_with_gradient([dy, x], weight);
                let (dy, x) = (&*dy, &*x);
                by_outputs(n_parts, 0..spec.out_channels, dw, scratch, &|outputs, dw, scratch| {
                    cpu::conv2d_grad_weight_channels(shape, outputs, dy, x, dw, false, scratch);
                });
            }
            Instr::Conv2dGradInput { spec, dy, weight, dx, accumulate } => {
                let n_parts = self.n_parts(spec.with_rows(1).flops());
                let weight = &self.tensors.params[weight.range()];
                let ([dy, dx], scratch) = self.get_with_scratch([dy, dx]);
                by_examples(n_parts, 0..rows, [dy], [dx], scratch, &|rows, [dy], [dx], scratch| {
                    let shape = spec.with_rows(rows.len());
                    cpu::conv2d_grad_input(shape, dy, weight, dx, accumulate, scratch);
                });
            }
            Instr::AttentionGrad { spec, dy, x, y, lse, dx, accumulate } => {
                let n_parts = self.n_parts(spec.with_rows(1).flops_backward());
                let ([dy, x, y, lse, dx], scratch) = self.get_with_scratch([dy, x, y, lse, dx]);
                let reads = [&*dy, &*x, &*y, &*lse];
                by_examples(
                    n_parts,
                    0..rows,
                    reads,
                    [dx],
                    scratch,
                    &|rows, reads, [dx], scratch| {
                        let ([dy, x, y, lse], shape) = (reads, spec.with_rows(rows.len()));
                        cpu::attention_backward(shape, dy, x, y, lse, dx, accumulate, scratch);
                    },
                );
            }
            Instr::EmbeddingGrad { spec, dy, x, weight, accumulate } => {
                let ([dy, x], dw, _) = self.get_with_gradient([dy, x], weight);
                cpu::embedding_grad(spec.width, bytemuck::cast_slice(x), dy, dw, accumulate);
            }
            Instr::BiasGrad { spec, dy, bias } => {
                let ([dy], db, _) = self.get_with_gradient([dy], bias);
                match spec.inner {
                    1 => cpu::bias_grad(spec.rows(rows), spec.width, dy, db, false),
                    _ => cpu::channel_bias_grad(spec.channels(rows), dy, db),
                }
            }
            Instr::ActivationBiasGrad { kind, spec, saved, dy, bias } if wants_params => {
                let ([saved, dy], db, _) = self.get_with_gradient([saved, dy], bias);
                cpu::activation_bias_grad(kind, spec.rows(rows), spec.width, saved, dy, db);
            }
            Instr::ActivationGrad { kind, saved, dy }
            | Instr::ActivationBiasGrad { kind, saved, dy, .. } => {
                let n_parts = self.n_parts(kind.grad_flops_per_elem() * self.width(dy) as u64);
                let [saved, dy] = self.get([saved, dy]);
                by_examples(n_parts, 0..rows, [saved], [dy], &mut [], &|_, [saved], [dy], _| {
                    cpu::activation_grad(kind, saved, dy);
                });
            }
            Instr::SiteGrad { site, x, gradient } => {
                let (x, gradient) = (self.range(x), self.range(gradient));
                visitor.backward(site, x, gradient, self.tensors.workspace);
            }
            _ => self.normalise_grad(instr, wants_params),
        }
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
    pub(super) fn get_with_gradients<const N: usize>(
        &mut self,
        ids: [TensorId; N],
        params: [Param; 2],
    ) -> ([&mut [f32]; N], [&mut [f32]; 2]) {
        let ranges = ids.map(|id| self.range(id));
        let tensors = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
        let gradients = self.tensors.gradients.get_disjoint_mut(params.map(Param::range));
        (tensors, gradients.expect(DISJOINT))
    }

    fn normalise_grad(&mut self, instr: &Instr, wants_params: bool) {
        let (rows, params) = (self.rows, self.tensors.params);
        match *instr {
            Instr::LayerNormGrad { spec, dy, x, weight, bias, mean, rstd, dx, accumulate } => {
                let gamma = &params[weight.range()];
                let ([dy, x, mean, rstd, dx], [dgamma, dbeta]) =
                    self.get_with_gradients([dy, x, mean, rstd, dx], [weight, bias]);
                let (rows, width) = (spec.rows(rows), spec.width);
                #[rustfmt::skip]
                cpu::layer_norm_backward(
                    rows, width, dy, x, gamma, mean, rstd, dx, dgamma, dbeta, accumulate,
                    wants_params,
                );
            }
            Instr::GroupNormGrad {
                spec,
                groups,
                dy,
                x,
                weight,
                bias,
                mean,
                rstd,
                dx,
                accumulate,
            } => {
                let gamma = &params[weight.range()];
                let ([dy, x, mean, rstd, dx], [dgamma, dbeta]) =
                    self.get_with_gradients([dy, x, mean, rstd, dx], [weight, bias]);
                let shape = spec.channels(rows);
                #[rustfmt::skip]
                cpu::group_norm_backward(
                    shape, groups, dy, x, gamma, mean, rstd, dx, dgamma, dbeta, accumulate,
                    wants_params,
                );
            }
            Instr::BatchNormGrad {
                spec,
                dy,
                x,
                rectified,
                weight,
                bias,
                mean,
                rstd,
                dx,
                accumulate,
            } => {
                let tensors = [dy, x, mean, rstd, dx];
                self.batch_norm_grad(spec, tensors, rectified, [weight, bias], accumulate);
            }
            Instr::RmsNormGrad { spec, dy, x, weight, rstd, dx, accumulate } => {
                let gamma = &params[weight.range()];
                let ([dy, x, rstd, dx], dgamma, _) =
                    self.get_with_gradient([dy, x, rstd, dx], weight);
                let (rows, width) = (spec.rows(rows), spec.width);
                #[rustfmt::skip]
                cpu::rms_norm_backward(
                    rows, width, dy, x, gamma, rstd, dx, dgamma, accumulate, wants_params,
                );
            }
            Instr::FeatureMapGrad { map, spec, dy, x, weight, dx, accumulate } => {
                let w = &params[weight.range()];
                let ([dy, x, dx], dw, _) = self.get_with_gradient([dy, x, dx], weight);
                let backward = match map {
                    FeatureMap::Scale => cpu::channel_scale_backward,
                    FeatureMap::Gate => cpu::channel_gate_backward,
                };
                backward(spec.channels(rows), dy, x, w, dx, dw, accumulate, wants_params);
            }
            _ => self.join_grad(instr),
        }
    }

    /// Gradients of elementwise instructions without parameters.
    fn join_grad(&mut self, instr: &Instr) {
        let rows = self.rows;
        match *instr {
            Instr::PassGrad { dy, dx, accumulate } => {
                let n_parts = self.n_parts_moving(2 * self.width(dx));
                let [dy, dx] = self.get([dy, dx]);
                by_examples(n_parts, 0..rows, [dy], [dx], &mut [], &|_, [dy], [dx], _| {
                    if accumulate {
                        cpu::add_assign(dx, dy);
                    } else {
                        dx.copy_from_slice(dy);
                    }
                });
            }
            Instr::ScaleGrad { dy, factor, dx, accumulate } => {
                let [dy, dx] = self.get([dy, dx]);
                if accumulate {
                    cpu::residual_assign(dx, dy, factor);
                } else {
                    cpu::scale(dy, factor, dx);
                }
            }
            Instr::MultiplyGrad { dy, other, dx, accumulate } => {
                let [dy, other, dx] = self.get([dy, other, dx]);
                cpu::multiply_grad(dy, other, dx, accumulate);
            }
            Instr::ChannelMultiplyGrad { spec, dy, scales, dx, accumulate } => {
                let [dy, scales, dx] = self.get([dy, scales, dx]);
                cpu::channel_multiply_grad_x(spec.channels(rows), dy, scales, dx, accumulate);
            }
            Instr::ChannelScalesGrad { spec, dy, x, dx, accumulate } => {
                let [dy, x, dx] = self.get([dy, x, dx]);
                cpu::channel_multiply_grad_s(spec.channels(rows), dy, x, dx, accumulate);
            }
            Instr::DropoutGrad { dy, p, salt, dx, accumulate } => {
                let (key, step) = (self.dropout_key(salt), self.pass.step);
                let is_training = self.pass.is_training;
                let [dy, dx] = self.get([dy, dx]);
                assert!(is_training, "only training passes run backward through dropout");
                cpu::dropout_grad(key, step, p, dy, dx, accumulate);
            }
            _ => self.rearrange_grad(instr),
        }
    }

    /// Gradients of instructions that move or sum up positions.
    fn rearrange_grad(&mut self, instr: &Instr) {
        let rows = self.rows;
        match *instr {
            Instr::PatchesGrad { spec, dy, dx, accumulate } => {
                let [dy, dx] = self.get([dy, dx]);
                cpu::patches_grad(spec.with_rows(rows), dy, dx, accumulate);
            }
            Instr::MaxPoolGrad { spec, dy, x, y, dx, accumulate } => {
                let n_parts = self.n_parts_moving(2 * self.width(x));
                let [dy, x, y, dx] = self.get([dy, x, y, dx]);
                let reads = [&*dy, &*x, &*y];
                by_examples(n_parts, 0..rows, reads, [dx], &mut [], &|rows, reads, [dx], _| {
                    let ([dy, x, y], shape) = (reads, spec.with_rows(rows.len()));
                    cpu::max_pool2d_grad(shape, dy, x, y, dx, accumulate);
                });
            }
            Instr::AvgPoolGrad { spec, dy, dx, accumulate } => {
                let [dy, dx] = self.get([dy, dx]);
                cpu::avg_pool2d_grad(spec.with_rows(rows), dy, dx, accumulate);
            }
            Instr::ChannelMeanGrad { spec, dy, dx, accumulate } => {
                let [dy, dx] = self.get([dy, dx]);
                cpu::channel_mean_grad(spec.channels(rows), dy, dx, accumulate);
            }
            Instr::MeanPositionsGrad { spec, dy, dx, accumulate } => {
                let [dy, dx] = self.get([dy, dx]);
                cpu::mean_positions_grad(rows, spec.positions, spec.width, dy, dx, accumulate);
            }
            Instr::TakeColumns { positions, at, dy, dx, accumulate } => {
                let [y_width, dx_width] = [dy, dx].map(|id| self.width(id) / positions);
                let [dy, dx] = self.get([dy, dx]);
                cpu::take_columns(rows * positions, y_width, at, dx_width, dy, dx, accumulate);
            }
            _ => unreachable!("not an instruction of the backward pass: {instr:?}"),
        }
    }
}
