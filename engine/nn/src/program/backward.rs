//! Reverse-mode differentiation: the forward list read from its end.

use std::collections::BTreeSet;

use esper_kernels::cpu::Activation;

use super::{
    GradMask, Instr, Param, ScheduledInstr, TensorId,
    compile::Lowering,
    instr::{FeatureMap, LinearSpec},
};
use crate::graph::{Features, GraphError, Loss};

pub(super) struct Differentiated {
    pub backward: Vec<ScheduledInstr>,
    pub input_gradient: Option<TensorId>,
    pub output_gradient: Option<TensorId>,
}

/// Writes the backward pass of `lowering.forward`.
///
/// # Errors
///
/// Names a site that no gradient reaches.
pub(super) fn differentiate(
    lowering: &mut Lowering<'_>,
    input: TensorId,
    output: TensorId,
    loss: Option<Loss>,
) -> Result<Differentiated, GraphError> {
    let gradients = vec![None; lowering.info.len()];
    let mut tape = Tape { lowering, gradients, written: BTreeSet::new(), backward: Vec::new() };
    let mut output_gradient = None;
    if loss.is_none() && tape.is_wanted(output) {
        let gradient = tape.new_gradient(output);
        tape.gradients[output.0 as usize] = Some(gradient);
        output_gradient = Some(gradient);
    }
    for at in (0..tape.lowering.forward.len()).rev() {
        let step = tape.lowering.forward[at].clone();
        if let Some(gradient) = tape.reverse(&step)? {
            output_gradient = Some(gradient);
        }
    }
    let input_gradient =
        tape.gradients[input.0 as usize].filter(|_| tape.lowering.options.input_gradient);
    let backward = tape.backward;
    Ok(Differentiated { backward, input_gradient, output_gradient })
}

struct Tape<'a, 'g> {
    lowering: &'a mut Lowering<'g>,
    /// The gradient of each forward tensor, once something has written it.
    gradients: Vec<Option<TensorId>>,
    /// Where weights lie whose gradient has been written: a tied one is written twice.
    written: BTreeSet<usize>,
    backward: Vec<ScheduledInstr>,
}

const PARAMS: GradMask = GradMask { params: true, sites: 0 };

impl Tape<'_, '_> {
    fn elems(&self, id: TensorId) -> u64 {
        self.lowering.info[id.0 as usize].elems as u64
    }

    fn need(&self, id: TensorId) -> GradMask {
        self.lowering.info[id.0 as usize].need
    }

    fn is_wanted(&self, id: TensorId) -> bool {
        self.need(id) != GradMask::default()
    }

    fn new_gradient(&mut self, of: TensorId) -> TensorId {
        let (elems, need) = (self.elems(of) as usize, self.need(of));
        self.lowering.tensor(elems, need)
    }

    fn push(&mut self, instr: Instr, need: GradMask, flops: u64) {
        self.backward.push(ScheduledInstr { instr, mask: need, flops });
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

    /// Pushes what `instr` makes of the target of `x`, if anybody wants it.
    fn push_input(&mut self, x: TensorId, flops: u64, instr: impl FnOnce(TensorId, bool) -> Instr) {
        if let Some((dx, accumulate)) = self.target(x) {
            let extra = if accumulate { self.elems(x) } else { 0 };
            self.push(instr(dx, accumulate), self.need(x), flops + extra);
        }
    }

    /// As [`Self::push_input`], for kernels that write parameters' and input's gradients together: there is always a
    /// place for the latter.
    fn push_both(&mut self, x: TensorId, flops: u64, instr: impl FnOnce(TensorId, bool) -> Instr) {
        let (dx, accumulate) = match self.target(x) {
            Some(target) => target,
            None => (self.new_gradient(x), false),
        };
        let need = GradMask { params: true, ..self.need(x) };
        self.push(instr(dx, accumulate), need, flops);
    }

    /// Whether the gradient of `weight` is there already; from now on it is.
    fn is_written(&mut self, weight: Param) -> bool {
        !self.written.insert(weight.offset)
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
    fn reverse(&mut self, step: &ScheduledInstr) -> Result<Option<TensorId>, GraphError> {
        match step.instr {
            Instr::CrossEntropy { logits: x, gradient, .. }
            | Instr::MeanSquaredError { prediction: x, gradient } => {
                self.gradients[x.0 as usize] = Some(gradient);
                return Ok(Some(gradient));
            }
            Instr::Site { site, x } => self.reverse_site(site, x)?,
            _ => {
                let y = *step.instr.tensors().last().expect("forward instructions write a tensor");
                if let Some(dy) = self.gradients[y.0 as usize] {
                    self.reverse_op(step, y, dy);
                }
            }
        }
        Ok(None)
    }

    fn reverse_site(&mut self, site: usize, x: TensorId) -> Result<(), GraphError> {
        let gradient = self.gradients[x.0 as usize].ok_or_else(|| GraphError::NoGradient {
            site: self.lowering.sites[site].name.clone(),
        })?;
        self.lowering.sites[site].gradient = gradient;
        self.lowering.sites[site].backward_step = self.backward.len();
        let need = GradMask { params: true, sites: self.need(x).sites };
        self.push(Instr::SiteGrad { site, x, gradient }, need, 0);
        Ok(())
    }

    /// Ops with parameters.
    fn reverse_op(&mut self, step: &ScheduledInstr, y: TensorId, dy: TensorId) {
        let width = self.elems(y);
        match step.instr {
            Instr::Linear { spec, x, weight, bias, activation, pre, .. } => {
                self.reverse_epilogue(spec, y, dy, bias, activation, pre);
                let accumulate = self.is_written(weight);
                let instr = Instr::LinearGradWeight { spec, dy, x, weight, accumulate };
                self.push(instr, PARAMS, spec.flops());
                self.push_input(x, spec.flops(), |dx, accumulate| Instr::LinearGradInput {
                    spec,
                    dy,
                    weight,
                    dx,
                    accumulate,
                });
            }
            Instr::Conv2d { spec, x, weight, bias, rectify, .. } => {
                if rectify {
                    let (kind, need) = (Activation::Relu, self.need(y));
                    self.push(Instr::ActivationGrad { kind, saved: y, dy }, need, width);
                }
                if let Some(bias) = bias {
                    let (positions, channels) = (1, spec.out_channels);
                    let inner = width as usize / channels;
                    let spec = Features { positions, width: channels, inner };
                    self.push(Instr::BiasGrad { spec, dy, bias }, PARAMS, width);
                }
                let flops = spec.with_rows(1).flops();
                self.push(Instr::Conv2dGradWeight { spec, dy, x, weight }, PARAMS, flops);
                self.push_input(x, flops, |dx, accumulate| Instr::Conv2dGradInput {
                    spec,
                    dy,
                    weight,
                    dx,
                    accumulate,
                });
            }
            Instr::Embedding { spec, x, weight, .. } => {
                let accumulate = self.is_written(weight);
                let instr = Instr::EmbeddingGrad { spec, dy, x, weight, accumulate };
                self.push(instr, PARAMS, width);
            }
            Instr::Bias { spec, x, bias, .. } => {
                self.push(Instr::BiasGrad { spec, dy, bias }, PARAMS, width);
                self.pass(x, dy, true);
            }
            Instr::FeatureMap { map, spec, x, weight, .. } => {
                let flops = match map {
                    FeatureMap::Scale | FeatureMap::Gate => 3 * width,
                };
                self.push_both(x, flops, |dx, accumulate| Instr::FeatureMapGrad {
                    map,
                    spec,
                    dy,
                    x,
                    weight,
                    dx,
                    accumulate,
                });
            }
            Instr::Activation { kind, x, .. } => {
                let saved = if kind.saves_input() { x } else { y };
                let (need, flops) = (self.need(y), kind.grad_flops_per_elem() * width);
                self.push(Instr::ActivationGrad { kind, saved, dy }, need, flops);
                self.pass(x, dy, true);
            }
            _ => self.reverse_norm(step, y, dy, width),
        }
    }

    fn reverse_norm(&mut self, step: &ScheduledInstr, y: TensorId, dy: TensorId, width: u64) {
        match step.instr {
            Instr::LayerNorm { spec, x, weight, bias, mean, rstd, .. } => {
                self.push_both(x, 14 * width, |dx, accumulate| Instr::LayerNormGrad {
                    spec,
                    dy,
                    x,
                    weight,
                    bias,
                    mean,
                    rstd,
                    dx,
                    accumulate,
                });
            }
            Instr::GroupNorm { spec, groups, x, weight, bias, mean, rstd, .. } => {
                self.push_both(x, 14 * width, |dx, accumulate| Instr::GroupNormGrad {
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
                });
            }
            Instr::BatchNorm { spec, x, weight, bias, rectify, mean, rstd, .. } => {
                let rectified = rectify.then_some(y);
                let flops = (12 + u64::from(rectify)) * width;
                self.push_both(x, flops, |dx, accumulate| Instr::BatchNormGrad {
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
                });
            }
            Instr::RmsNorm { spec, x, weight, rstd, .. } => {
                self.push_both(x, 9 * width, |dx, accumulate| Instr::RmsNormGrad {
                    spec,
                    dy,
                    x,
                    weight,
                    rstd,
                    dx,
                    accumulate,
                });
            }
            _ => self.reverse_join(step, y, dy, width),
        }
    }

    /// Elementwise ops without parameters.
    fn reverse_join(&mut self, step: &ScheduledInstr, y: TensorId, dy: TensorId, width: u64) {
        match step.instr {
            Instr::Add { a, b, .. } => {
                // The second input may take the gradient over only once the first has its copy.
                self.pass(a, dy, !self.is_wanted(b));
                self.pass(b, dy, true);
            }
            Instr::Multiply { a, b, .. } => {
                for (x, other) in [(a, b), (b, a)] {
                    self.push_input(x, width, |dx, accumulate| Instr::MultiplyGrad {
                        dy,
                        other,
                        dx,
                        accumulate,
                    });
                }
            }
            Instr::ChannelMultiply { spec, x, scales, .. } => {
                self.push_input(scales, 2 * width, |dx, accumulate| Instr::ChannelScalesGrad {
                    spec,
                    dy,
                    x,
                    dx,
                    accumulate,
                });
                self.push_input(x, width, |dx, accumulate| Instr::ChannelMultiplyGrad {
                    spec,
                    dy,
                    scales,
                    dx,
                    accumulate,
                });
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
                self.push_input(x, width, |dx, accumulate| Instr::DropoutGrad {
                    dy,
                    p,
                    salt,
                    dx,
                    accumulate,
                });
            }
            Instr::Copy { x, .. } => self.pass(x, dy, true),
            _ => self.reverse_shape(step, y, dy, width),
        }
    }

    /// Ops that mix or move positions.
    fn reverse_shape(&mut self, step: &ScheduledInstr, y: TensorId, dy: TensorId, width: u64) {
        match step.instr {
            Instr::Attention { spec, x, lse, .. } => {
                let flops = spec.with_rows(1).flops_backward();
                self.push_input(x, flops, |dx, accumulate| Instr::AttentionGrad {
                    spec,
                    dy,
                    x,
                    y,
                    lse,
                    dx,
                    accumulate,
                });
            }
            Instr::Patches { spec, x, .. } => self
                .push_input(x, 0, |dx, accumulate| Instr::PatchesGrad { spec, dy, dx, accumulate }),
            Instr::MaxPool { spec, x, .. } => self.push_input(x, step.flops, |dx, accumulate| {
                Instr::MaxPoolGrad { spec, dy, x, y, dx, accumulate }
            }),
            Instr::AvgPool { spec, x, .. } => self.push_input(x, step.flops, |dx, accumulate| {
                Instr::AvgPoolGrad { spec, dy, dx, accumulate }
            }),
            Instr::ChannelMean { spec, x, .. } => self.push_input(x, width, |dx, accumulate| {
                Instr::ChannelMeanGrad { spec, dy, dx, accumulate }
            }),
            Instr::MeanPositions { spec, x, .. } => self.push_input(x, width, |dx, accumulate| {
                Instr::MeanPositionsGrad { spec, dy, dx, accumulate }
            }),
            Instr::CopyColumns { positions, at, x, .. } => {
                self.push_input(x, 0, |dx, accumulate| Instr::TakeColumns {
                    positions,
                    at,
                    dy,
                    dx,
                    accumulate,
                });
            }
            _ => unreachable!("every forward instruction has its reverse"),
        }
    }

    fn scaled(&mut self, x: TensorId, dy: TensorId, factor: f32, width: u64) {
        self.push_input(x, width, |dx, accumulate| Instr::ScaleGrad { dy, factor, dx, accumulate });
    }

    fn reverse_epilogue(
        &mut self,
        spec: LinearSpec,
        y: TensorId,
        dy: TensorId,
        bias: Option<Param>,
        activation: Option<Activation>,
        pre: Option<TensorId>,
    ) {
        let (elems, need) = (self.elems(y), self.need(y));
        let saved = pre.unwrap_or(y);
        let spec = Features { positions: spec.positions, width: spec.outputs, inner: 1 };
        match (activation, bias) {
            (Some(kind), Some(bias)) => {
                let instr = Instr::ActivationBiasGrad { kind, spec, saved, dy, bias };
                self.push(instr, need, (kind.grad_flops_per_elem() + 1) * elems);
            }
            (Some(kind), None) => {
                let flops = kind.grad_flops_per_elem() * elems;
                self.push(Instr::ActivationGrad { kind, saved, dy }, need, flops);
            }
            (None, Some(bias)) => self.push(Instr::BiasGrad { spec, dy, bias }, PARAMS, elems),
            (None, None) => {}
        }
    }
}
