//! Reverse-mode differentiation: the forward list read from its end.

use super::{Instr, Need, Step, TensorId, compile::Lowering};
use crate::graph::Loss;

pub(super) struct Differentiated {
    pub backward: Vec<Step>,
    pub input_gradient: Option<TensorId>,
    pub output_gradient: Option<TensorId>,
}

/// Writes the backward pass of `lowering.forward`.
pub(super) fn differentiate(
    lowering: &mut Lowering<'_>,
    input: TensorId,
    output: TensorId,
    loss: Option<Loss>,
) -> Differentiated {
    let mut tape = Tape { lowering, gradients: Vec::new(), backward: Vec::new() };
    tape.gradients.resize(tape.lowering.info.len(), None);
    let mut output_gradient = None;
    if loss.is_none() && tape.is_wanted(output) {
        let gradient = tape.new_gradient(output);
        tape.gradients[output.0 as usize] = Some(gradient);
        output_gradient = Some(gradient);
    }
    for at in (0..tape.lowering.forward.len()).rev() {
        let step = tape.lowering.forward[at].clone();
        if let Some(gradient) = tape.reverse(&step) {
            output_gradient = Some(gradient);
        }
    }
    let input_gradient =
        tape.gradients[input.0 as usize].filter(|_| tape.lowering.options.input_gradient);
    let backward = tape.backward;
    Differentiated { backward, input_gradient, output_gradient }
}

struct Tape<'a, 'g> {
    lowering: &'a mut Lowering<'g>,
    /// The gradient of each forward tensor, once something has written it.
    gradients: Vec<Option<TensorId>>,
    backward: Vec<Step>,
}

const PARAMS: Need = Need { params: true, sites: 0 };

impl Tape<'_, '_> {
    fn elems(&self, id: TensorId) -> u64 {
        self.lowering.info[id.0 as usize].elems as u64
    }

    fn need(&self, id: TensorId) -> Need {
        self.lowering.info[id.0 as usize].need
    }

    fn is_wanted(&self, id: TensorId) -> bool {
        self.need(id) != Need::default()
    }

    fn new_gradient(&mut self, of: TensorId) -> TensorId {
        let (elems, need) = (self.elems(of) as usize, self.need(of));
        self.lowering.tensor(elems, need)
    }

    fn push(&mut self, instr: Instr, need: Need, flops: u64) {
        self.backward.push(Step { instr, need, flops });
    }

    /// Where the gradient of `x` goes, and whether something is there to add to. `None` if nobody wants it.
    fn target(&mut self, x: TensorId) -> Option<(TensorId, bool)> {
        if !self.is_wanted(x) {
            return None;
        }
        Some(match self.gradients[x.0 as usize] {
            Some(gradient) => (gradient, true),
            None => (self.fresh(x), false),
        })
    }

    fn fresh(&mut self, x: TensorId) -> TensorId {
        let gradient = self.new_gradient(x);
        self.gradients[x.0 as usize] = Some(gradient);
        gradient
    }

    /// Hands the gradient `dy` on to `x`: by name if `x` has none yet and may take it over, else by value.
    fn pass(&mut self, x: TensorId, dy: TensorId, may_take: bool) {
        if may_take && self.is_wanted(x) && self.gradients[x.0 as usize].is_none() {
            self.gradients[x.0 as usize] = Some(dy);
        } else if let Some((dx, accumulate)) = self.target(x) {
            let flops = if accumulate { self.elems(x) } else { 0 };
            self.push(Instr::PassGrad { dy, dx, accumulate }, self.need(x), flops);
        }
    }

    /// Writes the backward instructions of one forward step; returns the loss's gradient if it is the loss.
    fn reverse(&mut self, step: &Step) -> Option<TensorId> {
        match step.instr {
            Instr::CrossEntropy { logits, gradient } => {
                self.gradients[logits.0 as usize] = Some(gradient);
                return Some(gradient);
            }
            Instr::MeanSquaredError { prediction, gradient } => {
                self.gradients[prediction.0 as usize] = Some(gradient);
                return Some(gradient);
            }
            Instr::Site { site, x } => self.reverse_site(site, x),
            _ => {
                let y = *step.instr.tensors().last().expect("forward instructions write a tensor");
                if let Some(dy) = self.gradients[y.0 as usize] {
                    self.reverse_op(step, y, dy);
                }
            }
        }
        None
    }

    fn reverse_site(&mut self, site: usize, x: TensorId) {
        let gradient =
            self.gradients[x.0 as usize].expect("what a live site feeds leads to the output");
        self.lowering.sites[site].gradient = gradient;
        self.lowering.sites[site].backward_step = self.backward.len();
        let need = Need { params: true, sites: self.need(x).sites };
        self.push(Instr::SiteGrad { site, x, gradient }, need, 0);
    }

    fn reverse_op(&mut self, step: &Step, y: TensorId, dy: TensorId) {
        let (width, need_y) = (self.elems(y), self.need(y));
        match step.instr {
            Instr::Linear { x, weight, bias, activation, pre, .. } => {
                self.reverse_epilogue(y, dy, bias, activation, pre);
                let flops = 2 * self.elems(x) * width;
                self.push(Instr::LinearGradWeight { dy, x, weight }, PARAMS, flops);
                if let Some((dx, accumulate)) = self.target(x) {
                    let extra = if accumulate { self.elems(x) } else { 0 };
                    let instr = Instr::LinearGradInput { dy, weight, dx, accumulate };
                    self.push(instr, self.need(x), flops + extra);
                }
            }
            Instr::Conv1d { spec, x, weight, bias, .. } => {
                let flops = 2 * (spec.in_channels * spec.kernel) as u64 * width;
                let bias_flops = if bias.is_some() { width } else { 0 };
                let instr = Instr::Conv1dGradWeight { spec, dy, x, weight, bias };
                self.push(instr, PARAMS, flops + bias_flops);
                if let Some((dx, accumulate)) = self.target(x) {
                    let instr = Instr::Conv1dGradInput { spec, dy, weight, dx, accumulate };
                    self.push(instr, self.need(x), flops);
                }
            }
            Instr::Bias { x, bias, .. } => {
                self.push(Instr::BiasGrad { dy, bias }, PARAMS, width);
                self.pass(x, dy, true);
            }
            Instr::Activation { kind, x, .. } => {
                let saved = if kind.saves_input() { x } else { y };
                let flops = kind.grad_flops_per_elem() * width;
                self.push(Instr::ActivationGrad { kind, saved, dy }, need_y, flops);
                self.pass(x, dy, true);
            }
            Instr::LayerNorm { x, weight, bias, mean, rstd, .. } => {
                let (dx, accumulate) = self.target_or_fresh(x);
                let need = Need { params: true, ..self.need(x) };
                let instr =
                    Instr::LayerNormGrad { dy, x, weight, bias, mean, rstd, dx, accumulate };
                self.push(instr, need, 14 * width);
            }
            Instr::RmsNorm { x, weight, rstd, .. } => {
                let (dx, accumulate) = self.target_or_fresh(x);
                let need = Need { params: true, ..self.need(x) };
                let instr = Instr::RmsNormGrad { dy, x, weight, rstd, dx, accumulate };
                self.push(instr, need, 9 * width);
            }
            Instr::LayerScale { x, weight, .. } => {
                let (dx, accumulate) = self.target_or_fresh(x);
                let need = Need { params: true, ..self.need(x) };
                self.push(Instr::LayerScaleGrad { dy, x, weight, dx, accumulate }, need, 3 * width);
            }
            Instr::Gate { x, weight, .. } => {
                let (dx, accumulate) = self.target_or_fresh(x);
                let need = Need { params: true, ..self.need(x) };
                self.push(Instr::GateGrad { dy, x, weight, dx, accumulate }, need, 3 * width);
            }
            _ => self.reverse_join(step, dy, width),
        }
    }

    /// Ops without parameters.
    fn reverse_join(&mut self, step: &Step, dy: TensorId, width: u64) {
        match step.instr {
            Instr::Add { a, b, .. } => {
                // The second input may take the gradient over only once the first has its copy.
                self.pass(a, dy, !self.is_wanted(b));
                self.pass(b, dy, true);
            }
            Instr::Multiply { a, b, .. } => {
                for (x, other) in [(a, b), (b, a)] {
                    if let Some((dx, accumulate)) = self.target(x) {
                        let instr = Instr::MultiplyGrad { dy, other, dx, accumulate };
                        self.push(instr, self.need(x), 2 * width);
                    }
                }
            }
            Instr::Residual { x, f, alpha, .. } => {
                self.scaled(f, dy, alpha, width);
                self.pass(x, dy, true);
            }
            Instr::Blend { x, m, alpha, .. } => {
                self.scaled(m, dy, alpha, width);
                self.scaled(x, dy, 1.0 - alpha, width);
            }
            Instr::Scale { x, factor, .. } => self.scaled(x, dy, factor, width),
            Instr::Dropout { x, p, salt, .. } => {
                if let Some((dx, accumulate)) = self.target(x) {
                    let instr = Instr::DropoutGrad { dy, p, salt, dx, accumulate };
                    self.push(instr, self.need(x), width);
                }
            }
            Instr::Copy { x, .. } => self.pass(x, dy, true),
            _ => unreachable!("every forward instruction has its reverse"),
        }
    }

    fn scaled(&mut self, x: TensorId, dy: TensorId, factor: f32, width: u64) {
        if let Some((dx, accumulate)) = self.target(x) {
            let instr = Instr::ScaleGrad { dy, factor, dx, accumulate };
            self.push(instr, self.need(x), (1 + u64::from(accumulate)) * width);
        }
    }

    /// Norms and scales write parameters' and input's gradients together, so there is always a place for the latter.
    fn target_or_fresh(&mut self, x: TensorId) -> (TensorId, bool) {
        match self.target(x) {
            Some(target) => target,
            None => (self.new_gradient(x), false),
        }
    }

    fn reverse_epilogue(
        &mut self,
        y: TensorId,
        dy: TensorId,
        bias: Option<super::Param>,
        activation: Option<esper_kernels::cpu::Activation>,
        pre: Option<TensorId>,
    ) {
        let (width, need) = (self.elems(y), self.need(y));
        let saved = pre.unwrap_or(y);
        match (activation, bias) {
            (Some(kind), Some(bias)) => {
                let instr = Instr::ActivationBiasGrad { kind, saved, dy, bias };
                self.push(instr, need, (kind.grad_flops_per_elem() + 1) * width);
            }
            (Some(kind), None) => {
                let flops = kind.grad_flops_per_elem() * width;
                self.push(Instr::ActivationGrad { kind, saved, dy }, need, flops);
            }
            (None, Some(bias)) => self.push(Instr::BiasGrad { dy, bias }, PARAMS, width),
            (None, None) => {}
        }
    }
}
