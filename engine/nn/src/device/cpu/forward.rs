//! Instructions of the forward pass.

use esper_kernels::cpu;

use super::{Run, split::by_examples};
use crate::{
    device::SiteVisitor,
    program::{
        Instr, Param, TensorId,
        instr::{FeatureMap, LinearSpec},
    },
};

impl Run<'_, '_> {
    pub(super) fn forward(&mut self, instr: &Instr, visitor: &mut dyn SiteVisitor) -> usize {
        let (rows, params) = (self.rows, self.tensors.params);
        match *instr {
            Instr::Linear { spec, x, weight, bias, activation, pre, y } => {
                self.linear(spec, [x, y], weight, bias, activation, pre);
            }
            Instr::Conv2d { spec, x, weight, bias, rectify, y } => {
                let n_parts = self.n_parts(spec.with_rows(1).flops());
                let ([x, y], scratch) = self.get_with_scratch([x, y]);
                let bias = bias.map(|bias| &params[bias.range()]);
                let weight = &params[weight.range()];
                by_examples(n_parts, 0..rows, [x], [y], scratch, &|rows, [x], [y], scratch| {
                    cpu::conv2d_forward(
                        spec.with_rows(rows.len()),
                        x,
                        weight,
                        bias,
                        rectify,
                        y,
                        scratch,
                    );
                });
            }
            Instr::Attention { spec, x, lse, y } => {
                let n_parts = self.n_parts(spec.with_rows(1).flops_forward());
                let ([x, lse, y], scratch) = self.get_with_scratch([x, lse, y]);
                by_examples(
                    n_parts,
                    0..rows,
                    [x],
                    [lse, y],
                    scratch,
                    &|rows, [x], [lse, y], scratch| {
                        cpu::attention_forward(spec.with_rows(rows.len()), x, y, lse, scratch);
                    },
                );
            }
            Instr::Embedding { spec, x, weight, y } => {
                let [x, y] = self.get([x, y]);
                cpu::embedding_forward(
                    spec.width,
                    bytemuck::cast_slice(x),
                    &params[weight.range()],
                    y,
                );
            }
            Instr::Bias { spec, x, bias, y } => {
                let [x, y] = self.get([x, y]);
                let bias = &params[bias.range()];
                match spec.inner {
                    1 => cpu::bias_forward(x, bias, y),
                    _ => cpu::channel_bias(spec.channels(rows), x, bias, y),
                }
            }
            Instr::FeatureMap { map, spec, x, weight, y } => {
                let [x, y] = self.get([x, y]);
                let (shape, weight) = (spec.channels(rows), &params[weight.range()]);
                match map {
                    FeatureMap::Scale => cpu::channel_scale(shape, x, weight, y),
                    FeatureMap::Gate => cpu::channel_gate(shape, x, weight, y),
                }
            }
            Instr::Activation { kind, x, y } => {
                let n_parts = self.n_parts(kind.flops_per_elem() * self.width(x) as u64);
                let [x, y] = self.get([x, y]);
                by_examples(n_parts, 0..rows, [x], [y], &mut [], &|_, [x], [y], _| {
                    cpu::activation_forward(kind, x, y);
                });
            }
            Instr::Site { site, x } => {
                let x = self.range(x);
                visitor.forward(site, x, self.tensors.workspace);
            }
            Instr::CrossEntropy { positions, logits, gradient } => {
                return self.cross_entropy(positions, logits, gradient);
            }
            Instr::MeanSquaredError { prediction, gradient } => {
                self.mean_squared_error(prediction, gradient);
            }
            _ => self.normalise(instr),
        }
        0
    }

    fn linear(
        &mut self,
        spec: LinearSpec,
        [x, y]: [TensorId; 2],
        weight: Param,
        bias: Option<Param>,
        activation: Option<cpu::Activation>,
        pre: Option<TensorId>,
    ) {
        let (rows, n_parts) = (self.rows, self.n_parts(spec.flops()));
        let params = self.tensors.params;
        let bias = bias.map(|bias| &params[bias.range()]);
        let weight = &params[weight.range()];
        match pre {
            Some(pre) => {
                let ([x, pre, y], scratch) = self.get_with_scratch([x, pre, y]);
                by_examples(
                    n_parts,
                    0..rows,
                    [x],
                    [pre, y],
                    scratch,
                    &|rows, [x], [pre, y], scratch| {
                        let shape = spec.with_rows(rows.len());
                        cpu::linear_forward(
                            shape,
                            x,
                            weight,
                            bias,
                            activation,
                            Some(pre),
                            y,
                            scratch,
                        );
                    },
                );
            }
            None => {
                let ([x, y], scratch) = self.get_with_scratch([x, y]);
                by_examples(n_parts, 0..rows, [x], [y], scratch, &|rows, [x], [y], scratch| {
                    let shape = spec.with_rows(rows.len());
                    cpu::linear_forward(shape, x, weight, bias, activation, None, y, scratch);
                });
            }
        }
    }

    fn normalise(&mut self, instr: &Instr) {
        let (rows, params) = (self.rows, self.tensors.params);
        match *instr {
            Instr::LayerNorm { spec, x, weight, bias, eps, mean, rstd, y } => {
                let n_parts = self.n_parts_moving(3 * self.width(x));
                let [x, mean, rstd, y] = self.get([x, mean, rstd, y]);
                let (gamma, beta) = (&params[weight.range()], &params[bias.range()]);
                let writes = [mean, rstd, y];
                by_examples(n_parts, 0..rows, [x], writes, &mut [], &|rows, [x], writes, _| {
                    let ([mean, rstd, y], rows) = (writes, spec.rows(rows.len()));
                    cpu::layer_norm_forward(rows, spec.width, eps, x, gamma, beta, mean, rstd, y);
                });
            }
            Instr::RmsNorm { spec, x, weight, eps, rstd, y } => {
                let [x, rstd, y] = self.get([x, rstd, y]);
                let gamma = &params[weight.range()];
                cpu::rms_norm_forward(spec.rows(rows), spec.width, eps, x, gamma, rstd, y);
            }
            Instr::GroupNorm { spec, groups, x, weight, bias, eps, mean, rstd, y } => {
                let [x, mean, rstd, y] = self.get([x, mean, rstd, y]);
                let (gamma, beta) = (&params[weight.range()], &params[bias.range()]);
                let shape = spec.channels(rows);
                cpu::group_norm_forward(shape, groups, eps, x, gamma, beta, mean, rstd, y);
            }
            Instr::BatchNorm {
                spec,
                x,
                weight,
                bias,
                running,
                eps,
                momentum,
                rectify,
                mean,
                rstd,
                y,
            } => self.batch_norm(
                spec,
                [x, mean, rstd, y],
                [weight, bias],
                running,
                [eps, momentum],
                rectify,
            ),
            _ => self.join(instr),
        }
    }

    /// Elementwise instructions without parameters.
    fn join(&mut self, instr: &Instr) {
        let rows = self.rows;
        match *instr {
            Instr::Add { a, b, y } => {
                let n_parts = self.n_parts_moving(3 * self.width(y));
                let [a, b, y] = self.get([a, b, y]);
                by_examples(n_parts, 0..rows, [a, b], [y], &mut [], &|_, [a, b], [y], _| {
                    cpu::add(a, b, y);
                });
            }
            Instr::Multiply { a, b, y } => {
                let [a, b, y] = self.get([a, b, y]);
                cpu::multiply(a, b, y);
            }
            Instr::ChannelMultiply { spec, x, scales, y } => {
                let [x, scales, y] = self.get([x, scales, y]);
                cpu::channel_multiply(spec.channels(rows), x, scales, y);
            }
            Instr::Residual { x, f, alpha, y } => {
                let [x, f, y] = self.get([x, f, y]);
                cpu::residual_forward(x, f, alpha, y);
            }
            Instr::Blend { x, m, alpha, y } => {
                let [x, m, y] = self.get([x, m, y]);
                y.copy_from_slice(x);
                cpu::blend_assign(y, m, alpha);
            }
            Instr::Scale { x, factor, y } => {
                let [x, y] = self.get([x, y]);
                cpu::scale(x, factor, y);
            }
            Instr::Dropout { x, p, salt, y } => {
                let (key, step, is_training) =
                    (self.dropout_key(salt), self.pass.step, self.pass.is_training);
                let [x, y] = self.get([x, y]);
                if is_training {
                    cpu::dropout_forward(key, step, p, x, y);
                } else {
                    y.copy_from_slice(x);
                }
            }
            _ => self.rearrange(instr),
        }
    }

    /// Instructions that move or sum up positions.
    fn rearrange(&mut self, instr: &Instr) {
        let rows = self.rows;
        match *instr {
            Instr::Patches { spec, x, y } => {
                let [x, y] = self.get([x, y]);
                cpu::patches_forward(spec.with_rows(rows), x, y);
            }
            Instr::MaxPool { spec, x, y } => {
                let n_parts = self.n_parts_moving(self.width(x));
                let [x, y] = self.get([x, y]);
                by_examples(n_parts, 0..rows, [x], [y], &mut [], &|rows, [x], [y], _| {
                    cpu::max_pool2d_forward(spec.with_rows(rows.len()), x, y);
                });
            }
            Instr::AvgPool { spec, x, y } => {
                let [x, y] = self.get([x, y]);
                cpu::avg_pool2d_forward(spec.with_rows(rows), x, y);
            }
            Instr::ChannelMean { spec, x, y } => {
                let [x, y] = self.get([x, y]);
                cpu::channel_mean(spec.channels(rows), x, y);
            }
            Instr::MeanPositions { spec, x, y } => {
                let [x, y] = self.get([x, y]);
                cpu::mean_positions(rows, spec.positions, spec.width, x, y);
            }
            Instr::CopyColumns { positions, at, x, y } => {
                let [x_width, y_width] = [x, y].map(|id| self.width(id) / positions);
                let [x, y] = self.get([x, y]);
                cpu::copy_columns(rows * positions, x_width, y_width, at, x, y);
            }
            Instr::Copy { x, y } => {
                let [x, y] = self.get([x, y]);
                y.copy_from_slice(x);
            }
            _ => unreachable!("not an instruction of the forward pass: {instr:?}"),
        }
    }
}
