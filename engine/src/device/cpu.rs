//! The processor: always there, and right by definition.

use std::ops::Range;

use esper_kernels::cpu::{self, LinearShape};

use super::{Device, Pass, SiteVisitor, Tensors};
use crate::{
    program::{Instr, Param, Program, Region, TensorId},
    runtime::Targets,
};

/// One thread of the processor; kernels choose the widest vector unit it has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl Device for Cpu {
    fn name(&self) -> String {
        "cpu".to_owned()
    }

    fn forward(
        &self,
        program: &Program,
        from: usize,
        tensors: &mut Tensors<'_>,
        pass: Pass<'_>,
        visitor: &mut dyn SiteVisitor,
    ) -> usize {
        let mut run = Run { program, pass, rows: pass.batch.rows, tensors };
        let mut n_correct = 0;
        for step in &program.forward[from..] {
            n_correct += run.forward(&step.instr, visitor);
        }
        n_correct
    }

    fn backward(
        &self,
        program: &Program,
        until: usize,
        tensors: &mut Tensors<'_>,
        pass: Pass<'_>,
        visitor: &mut dyn SiteVisitor,
    ) {
        let mut run = Run { program, pass, rows: pass.batch.rows, tensors };
        for step in &program.backward[..until] {
            if step.need.is_met_by(pass.wanted) {
                run.backward(&step.instr, visitor);
            }
        }
    }
}

struct Run<'a, 't> {
    program: &'a Program,
    pass: Pass<'a>,
    rows: usize,
    tensors: &'a mut Tensors<'t>,
}

const DISJOINT: &str = "the plan gives live tensors memory of their own";

impl Run<'_, '_> {
    fn range(&self, id: TensorId) -> Range<usize> {
        self.tensors.range(self.program, id, self.rows)
    }

    fn region(&self, id: TensorId) -> Region {
        self.program.regions[id.0 as usize]
    }

    fn width(&self, id: TensorId) -> usize {
        self.region(id).elems
    }

    /// The tensors `ids`, all distinct, for reading and writing.
    fn get<const N: usize>(&mut self, ids: [TensorId; N]) -> [&mut [f32]; N] {
        let ranges = ids.map(|id| self.range(id));
        self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT)
    }

    fn shape(&self, x: TensorId, y: TensorId) -> LinearShape {
        LinearShape { rows: self.rows, inputs: self.width(x), outputs: self.width(y) }
    }

    fn dropout_key(&self, salt: u64) -> u64 {
        self.pass.dropout_key ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn forward(&mut self, instr: &Instr, visitor: &mut dyn SiteVisitor) -> usize {
        let rows = self.rows;
        match *instr {
            Instr::Linear { x, weight, bias, activation, pre, y } => {
                self.linear(x, weight, bias, activation, pre, y);
            }
            Instr::Bias { x, bias, y } => {
                let params = self.tensors.params;
                let [x, y] = self.get([x, y]);
                cpu::bias_forward(x, &params[bias.range()], y);
            }
            Instr::Activation { kind, x, y } => {
                let [x, y] = self.get([x, y]);
                cpu::activation_forward(kind, x, y);
            }
            Instr::LayerNorm { x, weight, bias, eps, mean, rstd, y } => {
                let (width, params) = (self.width(x), self.tensors.params);
                let [x, mean, rstd, y] = self.get([x, mean, rstd, y]);
                let (gamma, beta) = (&params[weight.range()], &params[bias.range()]);
                cpu::layer_norm_forward(rows, width, eps, x, gamma, beta, mean, rstd, y);
            }
            Instr::RmsNorm { x, weight, eps, rstd, y } => {
                let (width, params) = (self.width(x), self.tensors.params);
                let [x, rstd, y] = self.get([x, rstd, y]);
                cpu::rms_norm_forward(rows, width, eps, x, &params[weight.range()], rstd, y);
            }
            Instr::LayerScale { x, weight, y } => {
                let (width, params) = (self.width(x), self.tensors.params);
                let [x, y] = self.get([x, y]);
                cpu::layer_scale_forward(rows, width, x, &params[weight.range()], y);
            }
            Instr::Gate { x, weight, y } => {
                let (width, params) = (self.width(x), self.tensors.params);
                let [x, y] = self.get([x, y]);
                cpu::gate_forward(rows, width, x, &params[weight.range()], y);
            }
            Instr::Conv1d { spec, x, weight, bias, y } => {
                let params = self.tensors.params;
                let ranges = [self.range(x), self.range(y)];
                let [x, y] = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
                let bias = bias.map(|bias| &params[bias.range()]);
                let (shape, scratch) = (spec.with_rows(rows), &mut *self.tensors.scratch);
                cpu::conv1d_forward(shape, x, &params[weight.range()], bias, y, scratch);
            }
            Instr::Site { site, x } => {
                let x = self.range(x);
                visitor.forward(site, x, self.tensors.workspace);
            }
            Instr::CrossEntropy { logits, gradient } => {
                return self.cross_entropy(logits, gradient);
            }
            Instr::MeanSquaredError { prediction, gradient } => {
                self.mean_squared_error(prediction, gradient);
            }
            _ => self.forward_elementwise(instr),
        }
        0
    }

    fn forward_elementwise(&mut self, instr: &Instr) {
        match *instr {
            Instr::Add { a, b, y } => {
                let [a, b, y] = self.get([a, b, y]);
                cpu::add(a, b, y);
            }
            Instr::Multiply { a, b, y } => {
                let [a, b, y] = self.get([a, b, y]);
                cpu::multiply(a, b, y);
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
            Instr::Copy { x, y } => {
                let [x, y] = self.get([x, y]);
                y.copy_from_slice(x);
            }
            _ => unreachable!("not an instruction of the forward pass: {instr:?}"),
        }
    }

    fn linear(
        &mut self,
        x: TensorId,
        weight: Param,
        bias: Option<Param>,
        activation: Option<cpu::Activation>,
        pre: Option<TensorId>,
        y: TensorId,
    ) {
        let shape = self.shape(x, y);
        let ranges = (self.range(x), pre.map(|pre| self.range(pre)), self.range(y));
        let params = self.tensors.params;
        let bias = bias.map(|bias| &params[bias.range()]);
        let weight = &params[weight.range()];
        let (workspace, scratch) = (&mut *self.tensors.workspace, &mut *self.tensors.scratch);
        match ranges {
            (x, Some(pre), y) => {
                let [x, pre, y] = workspace.get_disjoint_mut([x, pre, y]).expect(DISJOINT);
                cpu::linear_forward(shape, x, weight, bias, activation, Some(pre), y, scratch);
            }
            (x, None, y) => {
                let [x, y] = workspace.get_disjoint_mut([x, y]).expect(DISJOINT);
                cpu::linear_forward(shape, x, weight, bias, activation, None, y, scratch);
            }
        }
    }

    fn cross_entropy(&mut self, logits: TensorId, gradient: TensorId) -> usize {
        let (rows, classes, is_training) = (self.rows, self.width(logits), self.pass.is_training);
        let Targets::Classes(labels) = self.pass.batch.targets else {
            panic!("cross-entropy needs classes");
        };
        let ranges = [self.range(logits), self.range(gradient)];
        let [logits, gradient] = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
        let losses = &mut self.tensors.losses[..rows];
        let gradient = is_training.then_some(gradient);
        cpu::softmax_cross_entropy(rows, classes, logits, labels, losses, gradient)
    }

    fn mean_squared_error(&mut self, prediction: TensorId, gradient: TensorId) {
        let (rows, width, is_training) = (self.rows, self.width(prediction), self.pass.is_training);
        let Targets::Values(values) = self.pass.batch.targets else {
            panic!("mean squared error needs values");
        };
        let ranges = [self.range(prediction), self.range(gradient)];
        let [prediction, gradient] =
            self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
        let losses = &mut self.tensors.losses[..rows];
        let gradient = is_training.then_some(gradient);
        cpu::mean_squared_error(rows, width, prediction, values, losses, gradient);
    }

    fn backward(&mut self, instr: &Instr, visitor: &mut dyn SiteVisitor) {
        let wants_params = self.pass.wanted.params;
        match *instr {
            Instr::LinearGradWeight { dy, x, weight } => {
                let shape = self.shape(x, dy);
                let ranges = [self.range(dy), self.range(x)];
                let [dy, x] = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
                let dw = &mut self.tensors.gradients[weight.range()];
                cpu::linear_grad_weight(shape, dy, x, dw, false, self.tensors.scratch);
            }
            Instr::LinearGradInput { dy, weight, dx, accumulate } => {
                let shape = self.shape(dx, dy);
                let ranges = [self.range(dy), self.range(dx)];
                let [dy, dx] = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
                let weight = &self.tensors.params[weight.range()];
                cpu::linear_grad_input(shape, dy, weight, dx, accumulate, self.tensors.scratch);
            }
            Instr::BiasGrad { dy, bias } => {
                let (width, dy) = (self.width(dy), self.range(dy));
                let db = &mut self.tensors.gradients[bias.range()];
                cpu::bias_grad(self.rows, width, &self.tensors.workspace[dy], db, false);
            }
            Instr::ActivationBiasGrad { kind, saved, dy, bias } if wants_params => {
                let (rows, width) = (self.rows, self.width(dy));
                let ranges = [self.range(saved), self.range(dy)];
                let [saved, dy] = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
                let db = &mut self.tensors.gradients[bias.range()];
                cpu::activation_bias_grad(kind, rows, width, saved, dy, db);
            }
            Instr::ActivationGrad { kind, saved, dy }
            | Instr::ActivationBiasGrad { kind, saved, dy, .. } => {
                let [saved, dy] = self.get([saved, dy]);
                cpu::activation_grad(kind, saved, dy);
            }
            Instr::SiteGrad { site, x, gradient } => {
                let (x, gradient) = (self.range(x), self.range(gradient));
                visitor.backward(site, x, gradient, self.tensors.workspace);
            }
            Instr::Conv1dGradWeight { spec, dy, x, weight, bias } => {
                self.conv1d_grad_weight(spec.with_rows(self.rows), dy, x, weight, bias);
            }
            Instr::Conv1dGradInput { spec, dy, weight, dx, accumulate } => {
                let ranges = [self.range(dy), self.range(dx)];
                let [dy, dx] = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
                let weight = &self.tensors.params[weight.range()];
                let (shape, scratch) = (spec.with_rows(self.rows), &mut *self.tensors.scratch);
                cpu::conv1d_grad_input(shape, dy, weight, dx, accumulate, scratch);
            }
            _ => self.backward_rest(instr, wants_params),
        }
    }

    fn conv1d_grad_weight(
        &mut self,
        shape: cpu::Conv1dShape,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        bias: Option<Param>,
    ) {
        let ranges = [self.range(dy), self.range(x)];
        let [dy, x] = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
        let gradients = &mut *self.tensors.gradients;
        let dw = &mut gradients[weight.range()];
        cpu::conv1d_grad_weight(shape, dy, x, dw, false, self.tensors.scratch);
        if let Some(bias) = bias {
            cpu::conv1d_bias_grad(shape, dy, &mut gradients[bias.range()], false);
        }
    }

    fn backward_rest(&mut self, instr: &Instr, wants_params: bool) {
        let rows = self.rows;
        let params = self.tensors.params;
        match *instr {
            Instr::LayerNormGrad { dy, x, weight, bias, mean, rstd, dx, accumulate } => {
                let width = self.width(x);
                let ranges = [dy, x, mean, rstd, dx].map(|id| self.range(id));
                let [dy, x, mean, rstd, dx] =
                    self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
                let [dgamma, dbeta] = self
                    .tensors
                    .gradients
                    .get_disjoint_mut([weight.range(), bias.range()])
                    .expect(DISJOINT);
                let gamma = &params[weight.range()];
                cpu::layer_norm_backward(
                    rows,
                    width,
                    dy,
                    x,
                    gamma,
                    mean,
                    rstd,
                    dx,
                    dgamma,
                    dbeta,
                    accumulate,
                    wants_params,
                );
            }
            Instr::RmsNormGrad { dy, x, weight, rstd, dx, accumulate } => {
                let width = self.width(x);
                let ranges = [dy, x, rstd, dx].map(|id| self.range(id));
                let [dy, x, rstd, dx] =
                    self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
                let dgamma = &mut self.tensors.gradients[weight.range()];
                let gamma = &params[weight.range()];
                cpu::rms_norm_backward(
                    rows,
                    width,
                    dy,
                    x,
                    gamma,
                    rstd,
                    dx,
                    dgamma,
                    accumulate,
                    wants_params,
                );
            }
            Instr::LayerScaleGrad { dy, x, weight, dx, accumulate } => {
                let width = self.width(x);
                let ranges = [dy, x, dx].map(|id| self.range(id));
                let [dy, x, dx] = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
                let dgamma = &mut self.tensors.gradients[weight.range()];
                let gamma = &params[weight.range()];
                cpu::layer_scale_backward(
                    rows,
                    width,
                    dy,
                    x,
                    gamma,
                    dx,
                    dgamma,
                    accumulate,
                    wants_params,
                );
            }
            Instr::GateGrad { dy, x, weight, dx, accumulate } => {
                let width = self.width(x);
                let ranges = [dy, x, dx].map(|id| self.range(id));
                let [dy, x, dx] = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
                let dw = &mut self.tensors.gradients[weight.range()];
                let w = &params[weight.range()];
                cpu::gate_backward(rows, width, dy, x, w, dx, dw, accumulate, wants_params);
            }
            Instr::PassGrad { dy, dx, accumulate } => {
                let [dy, dx] = self.get([dy, dx]);
                if accumulate {
                    cpu::add_assign(dx, dy);
                } else {
                    dx.copy_from_slice(dy);
                }
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
            Instr::DropoutGrad { dy, p, salt, dx, accumulate } => {
                let (key, step) = (self.dropout_key(salt), self.pass.step);
                let is_training = self.pass.is_training;
                let [dy, dx] = self.get([dy, dx]);
                assert!(is_training, "only training passes run backward through dropout");
                cpu::dropout_grad(key, step, p, dy, dx, accumulate);
            }
            _ => unreachable!("not an instruction of the backward pass: {instr:?}"),
        }
    }
}
