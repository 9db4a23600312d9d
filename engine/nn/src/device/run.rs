//! Plans run in the processor's memory, instruction by instruction, by one [`KernelSet`] or another.

use std::ops::Range;

use esper_kernels::cpu::{AdamConfig, SgdConfig};

use super::{
    ExampleFeatures, ExampleTargets, Examples, ModuleSample, SiteSample, StepMemory, UnitAverage,
    UnitMemory, UnitState, UnitWork,
    kernel_set::KernelSet,
    pass::{Pass, ProgramPass, Targets, Tensors, range_of},
};
use crate::{
    module::Composition,
    optim::Optimizer,
    plan::{
        Fault, GroupArgs, HOST, PlannedUnit, Space, StepArgs, StepInstr, StepOutcome, StepPlan,
        UnitIndex, Variant,
    },
    program::{GradMask, Program, TensorId},
};

/// Runs one list of `plan` with the kernels of `K`.
pub(super) fn run<K: KernelSet>(
    plan: &StepPlan,
    variant: Variant,
    memory: &mut StepMemory,
    examples: Option<&Examples>,
    args: &StepArgs<'_>,
) -> StepOutcome {
    memory.labels.of(K::OWNER);
    let rows = args.batch.indices.len();
    let outcome = StepOutcome::default();
    let mut run = PlanRun { plan, variant, memory, examples, args, rows, outcome };
    for instr in &plan.list(variant).instrs {
        run.execute::<K>(instr);
        if run.outcome.fault.is_some() {
            break;
        }
    }
    if !variant.is_training() {
        run.outcome.loss_sum = run.loss_sum();
    }
    run.outcome
}

/// Why two tensors are never the same memory.
const APART: &str = "the memory plan keeps live tensors apart";
/// Why a module has both of these.
const GRADIENTS: &str = "modules are compiled with the gradients of their input and output";

struct PlanRun<'a> {
    plan: &'a StepPlan,
    variant: Variant,
    memory: &'a mut StepMemory,
    examples: Option<&'a Examples>,
    args: &'a StepArgs<'a>,
    rows: usize,
    outcome: StepOutcome,
}

impl<'a> PlanRun<'a> {
    fn execute<K: KernelSet>(&mut self, instr: &StepInstr) {
        match *instr {
            StepInstr::LoadBatch => self.load_batch::<K>(),
            StepInstr::Forward { unit, space, ref range } => {
                self.forward::<K>(unit, space, range.clone());
            }
            StepInstr::Backward { unit, space, ref range, wanted } => {
                self.backward::<K>(unit, space, range.clone(), wanted);
            }
            StepInstr::Read { unit, space, x } => {
                let input = self.program(unit).input;
                let (x, module, input) = self.host_and_module(space, unit, x, input);
                module.work.workspace.f32_mut()[input].copy_from_slice(x);
            }
            StepInstr::Compose { unit, space, x, composition } => {
                self.compose::<K>(unit, space, x, composition, self.alpha(unit));
            }
            StepInstr::Keep { site } => {
                let StepMemory { units, kept, .. } = &mut *self.memory;
                copy_live(
                    self.plan,
                    site,
                    self.rows,
                    units[0].work.workspace.f32(),
                    kept.f32_mut(),
                );
            }
            StepInstr::PutBack { site } => {
                let StepMemory { units, kept, .. } = &mut *self.memory;
                let workspace = units[0].work.workspace.f32_mut();
                copy_live(self.plan, site, self.rows, kept.f32(), workspace);
            }
            StepInstr::Try { unit, x, composition, alpha } => {
                self.compose::<K>(unit, Space::Host, x, composition, alpha);
            }
            StepInstr::KeepLoss { place } => {
                self.memory.kept_losses[place as usize] = self.loss_sum();
                // What one pass said right is not the next one's.
                self.outcome.n_correct = 0;
            }
            StepInstr::KeepJoined { unit, space, x } => self.keep(unit, space, x),
            StepInstr::KeepForShadow { unit, site } => self.keep_for_shadow(unit, site),
            StepInstr::SampleSite { site, x, gradient } => {
                let sample = SiteSample {
                    x_rms: K::rms(self.host_tensor(x)),
                    gradient_rms: K::rms(self.host_tensor(gradient)),
                };
                self.memory.site_samples[usize::from(site)] = Some(sample);
            }
            StepInstr::SampleModule { unit, x, gradient } => {
                self.sample_module::<K>(unit, x, gradient);
            }
            StepInstr::SampleGradientNorm { unit } => {
                let module = &mut self.memory.units[usize::from(unit)];
                module.sampling.gradient_norm = K::sum_squares(module.work.gradients.f32()).sqrt();
            }
            StepInstr::ProximalGradient { unit, x, gradient } => {
                self.proximal_gradient::<K>(unit, x, gradient);
            }
            StepInstr::Restore { unit, space, x, is_kept } => {
                self.restore(unit, space, x, is_kept);
            }
            StepInstr::SplitGradient { unit, space, gradient, composition } => {
                self.split_gradient::<K>(unit, space, gradient, composition);
            }
            StepInstr::AddInputGradient { unit, space, gradient } => {
                let dx = self.program(unit).input_gradient.expect(GRADIENTS);
                let (gradient, module, dx) = self.host_and_module(space, unit, gradient, dx);
                K::add_assign(gradient, &module.work.workspace.f32()[dx]);
            }
            StepInstr::ObserveLoss => self.observe_loss(),
            StepInstr::ComposeShadow { unit, x } => {
                let ([_, f], x) = (self.output_of(unit), self.host_range(x));
                let UnitWork { shadow, workspace, .. } =
                    &mut self.memory.units[usize::from(unit)].work;
                K::residual_assign(&mut shadow.f32_mut()[x], &workspace.f32()[f], 1.0);
            }
            StepInstr::TakeShadowGradient { unit, gradient } => {
                let ([to, _], gradient) = (self.output_of(unit), self.host_range(gradient));
                let UnitWork { shadow, workspace, .. } =
                    &mut self.memory.units[usize::from(unit)].work;
                workspace.f32_mut()[to].copy_from_slice(&shadow.f32()[gradient]);
            }
            StepInstr::Average { unit } => self.average::<K>(unit),
            StepInstr::CheckGradients { unit } => self.check_gradients::<K>(unit),
            StepInstr::Update { unit, group } => self.update::<K>(unit, group),
        }
    }

    fn unit(&self, unit: UnitIndex) -> &'a PlannedUnit {
        &self.plan.units()[usize::from(unit)]
    }

    fn program(&self, unit: UnitIndex) -> &'a Program {
        &self.unit(unit).program
    }

    fn batch_max(&self) -> usize {
        self.plan.settings.batch_max
    }

    fn host_range(&self, id: TensorId) -> Range<usize> {
        range_of(self.program(HOST), id, self.batch_max(), self.rows)
    }

    fn module_range(&self, unit: UnitIndex, id: TensorId) -> Range<usize> {
        range_of(self.program(unit), id, self.batch_max(), self.rows)
    }

    fn host_tensor(&self, id: TensorId) -> &[f32] {
        &self.memory.units[0].work.workspace.f32()[self.host_range(id)]
    }

    /// The host's tensor `host_id` in `space`, the module, and where its tensor `module_id` lies.
    fn host_and_module(
        &mut self,
        space: Space,
        unit: UnitIndex,
        host_id: TensorId,
        module_id: TensorId,
    ) -> (&mut [f32], &mut UnitMemory, Range<usize>) {
        let (host_range, module_range) =
            (self.host_range(host_id), self.module_range(unit, module_id));
        let owner = match space {
            Space::Host => HOST,
            Space::Shadow(owner) => owner,
        };
        let units = [owner, unit].map(usize::from);
        let [owner, module] = self.memory.units.get_disjoint_mut(units).expect("two networks");
        let workspace = match space {
            Space::Host => &mut owner.work.workspace,
            Space::Shadow(_) => &mut owner.work.shadow,
        };
        (&mut workspace.f32_mut()[host_range], module, module_range)
    }

    /// The gradient of a module's output, for writing, and the output.
    fn output_of(&self, unit: UnitIndex) -> [Range<usize>; 2] {
        let program = self.program(unit);
        [program.output_gradient.expect(GRADIENTS), program.output]
            .map(|id| self.module_range(unit, id))
    }

    fn load_batch<K: KernelSet>(&mut self) {
        let examples = self.examples.expect("a plan over examples is given some");
        let (rows, batch) = (self.rows, &self.args.batch);
        let input = self.host_range(self.program(HOST).input);
        let memory = &mut *self.memory;
        let x = &mut memory.units[0].work.workspace.f32_mut()[input];
        match &examples.features {
            ExampleFeatures::Dense { values, width, augment } => match (augment, batch.augment) {
                (Some(shape), Some((key, epoch))) => {
                    K::augment_images(*shape, key, epoch, values.f32(), batch.indices, x);
                }
                _ => K::gather_rows(*width, values.f32(), batch.indices, x),
            },
            ExampleFeatures::Windows { tokens, part, context } => {
                let (tokens, x) = (&tokens.u32()[part.clone()], bytemuck::cast_slice_mut(x));
                K::gather_windows(*context, batch.shift, tokens, batch.indices, x);
            }
        }
        let n_labels = rows * examples.labels_per_example();
        match (&examples.targets, &examples.features) {
            (ExampleTargets::Classes(labels), _) => {
                let to = &mut memory.labels.u32_mut()[..n_labels];
                K::gather_rows(1, labels.u32(), batch.indices, to);
            }
            (ExampleTargets::NextTokens, ExampleFeatures::Windows { tokens, part, context }) => {
                let (tokens, to) =
                    (&tokens.u32()[part.clone()], &mut memory.labels.u32_mut()[..n_labels]);
                K::gather_windows(*context, batch.shift + 1, tokens, batch.indices, to);
            }
            (ExampleTargets::NextTokens, ExampleFeatures::Dense { .. }) => {
                panic!("only a text has next tokens")
            }
            (ExampleTargets::Values { values, width }, _) => {
                let to = &mut memory.values.f32_mut()[..rows * width];
                K::gather_rows(*width, values.f32(), batch.indices, to);
            }
        }
    }

    fn forward<K: KernelSet>(&mut self, unit: UnitIndex, space: Space, range: Range<u32>) {
        let instrs = &self.program(unit).forward[range.start as usize..range.end as usize];
        let mut n_correct = 0;
        let mut pass = self.pass(unit, space, GradMask::default());
        for scheduled in instrs {
            n_correct += K::forward(&mut pass, &scheduled.instr);
        }
        if space == Space::Host {
            self.outcome.n_correct += n_correct as u64;
        }
    }

    fn backward<K: KernelSet>(
        &mut self,
        unit: UnitIndex,
        space: Space,
        range: Range<u32>,
        wanted: GradMask,
    ) {
        let instrs = &self.program(unit).backward[range.start as usize..range.end as usize];
        let mut pass = self.pass(unit, space, wanted);
        for scheduled in instrs.iter().filter(|it| it.mask.is_met_by(wanted)) {
            K::backward(&mut pass, &scheduled.instr);
        }
    }

    /// Everything a pass of `unit` borrows.
    fn pass(&mut self, unit: UnitIndex, space: Space, wanted: GradMask) -> ProgramPass<'_> {
        let (planned, args, is_training) = (self.unit(unit), self.args, self.variant.is_training());
        let (rows, batch_max) = (self.rows, self.batch_max());
        let StepMemory { units, labels, values, .. } = &mut *self.memory;
        let targets = match planned.program.loss {
            None => Targets::None,
            Some(_) if labels.len_elems() > 0 => {
                Targets::Classes(&labels.u32()[..labels.len_elems() / batch_max * rows])
            }
            Some(_) => Targets::Values(&values.f32()[..values.len_elems() / batch_max * rows]),
        };
        let pass = Pass {
            rows,
            targets,
            is_training,
            updates_buffers: is_training && space == Space::Host,
            dropout_key: args.units[usize::from(unit)].dropout_key,
            step: args.step,
            wanted,
        };
        let (own, shadow) = match space {
            Space::Shadow(owner) if unit == HOST => {
                let pair = units.get_disjoint_mut([0, usize::from(owner)]);
                let [host, owner] = pair.expect("a shadow is a module's");
                (host, Some(&mut owner.work.shadow))
            }
            _ => (&mut units[usize::from(unit)], None),
        };
        let UnitMemory { state: UnitState { params, buffers, .. }, work, .. } = own;
        let UnitWork { gradients, workspace, scratch, losses, .. } = work;
        let len_elems = workspace.len_elems();
        let (workspace, losses) = match shadow {
            // Behind the workspace there is room for losses that are nobody's.
            Some(shadow) => shadow.f32_mut().split_at_mut(len_elems),
            None => (workspace.f32_mut(), losses.f32_mut()),
        };
        let tensors = Tensors {
            params: params.f32(),
            gradients: gradients.f32_mut(),
            buffers: buffers.f32_mut(),
            workspace,
            scratch: scratch.f32_mut(),
            parts_max: planned.parts_max,
            losses,
            batch_max,
        };
        ProgramPass { program: &planned.program, pass, tensors }
    }

    fn compose<K: KernelSet>(
        &mut self,
        unit: UnitIndex,
        space: Space,
        x: TensorId,
        composition: Composition,
        alpha: f32,
    ) {
        let output = self.program(unit).output;
        let (x, module, output) = self.host_and_module(space, unit, x, output);
        let UnitWork { workspace, joined, .. } = &mut module.work;
        let f = &workspace.f32()[output];
        match composition {
            Composition::Residual | Composition::Gate => K::residual_assign(x, f, alpha),
            Composition::Blend => {
                let joined = &mut joined.f32_mut()[..x.len()];
                K::add(x, f, joined);
                K::blend_assign(x, joined, alpha);
            }
        }
    }

    fn keep(&mut self, unit: UnitIndex, space: Space, x: TensorId) {
        let output = self.program(unit).output;
        let (x, module, _) = self.host_and_module(space, unit, x, output);
        module.work.joined.f32_mut()[..x.len()].copy_from_slice(x);
    }

    fn restore(&mut self, unit: UnitIndex, space: Space, x: TensorId, is_kept: bool) {
        let input = self.program(unit).input;
        let (x, module, input) = self.host_and_module(space, unit, x, input);
        let UnitWork { workspace, joined, .. } = &module.work;
        let kept = if is_kept { &joined.f32()[..x.len()] } else { &workspace.f32()[input] };
        x.copy_from_slice(kept);
    }

    fn alpha(&self, unit: UnitIndex) -> f32 {
        self.args.units[usize::from(unit)].alpha
    }

    fn keep_for_shadow(&mut self, unit: UnitIndex, site: u16) {
        let pair = self.memory.units.get_disjoint_mut([0, usize::from(unit)]);
        let [host, module] = pair.expect("a shadow is a module's");
        let (from, to) = (host.work.workspace.f32(), module.work.shadow.f32_mut());
        copy_live(self.plan, site, self.rows, from, to);
    }

    /// Keeps what this step sampled of modules.
    fn keep_samples(&mut self) {
        for module in &mut self.memory.units[1..] {
            module.sample = Some(std::mem::take(&mut module.sampling));
        }
    }

    fn sample_module<K: KernelSet>(&mut self, unit: UnitIndex, x: TensorId, gradient: TensorId) {
        let [_, output] = self.output_of(unit);
        let x_rms = K::rms(self.host_tensor(x));
        let gradient_rms = K::rms(self.host_tensor(gradient));
        let module = &mut self.memory.units[usize::from(unit)];
        let output_rms = K::rms(&module.work.workspace.f32()[output]);
        module.sampling = ModuleSample { x_rms, gradient_rms, output_rms, gradient_norm: 0.0 };
    }

    fn proximal_gradient<K: KernelSet>(
        &mut self,
        unit: UnitIndex,
        x: TensorId,
        gradient: TensorId,
    ) {
        let (x_rms, gradient_rms) =
            (K::rms(self.host_tensor(x)), K::rms(self.host_tensor(gradient)));
        // A site that is silent in this batch gives no scale to hold the module to.
        let rho = self.plan.settings.rho;
        let lambda = if 0.0 < x_rms { gradient_rms / (rho * x_rms) } else { 0.0 };
        let (output, gradient) = (self.output_of(unit), self.host_range(gradient));
        let pair = self.memory.units.get_disjoint_mut([0, usize::from(unit)]);
        let [host, module] = pair.expect("a module is not the host");
        let pair = module.work.workspace.f32_mut().get_disjoint_mut(output);
        let [output_gradient, f] = pair.expect(APART);
        output_gradient.copy_from_slice(&host.work.workspace.f32()[gradient]);
        K::residual_assign(output_gradient, f, lambda);
    }

    fn split_gradient<K: KernelSet>(
        &mut self,
        unit: UnitIndex,
        space: Space,
        gradient: TensorId,
        composition: Composition,
    ) {
        let alpha = self.alpha(unit);
        let to = self.program(unit).output_gradient.expect(GRADIENTS);
        let (gradient, module, to) = self.host_and_module(space, unit, gradient, to);
        let output_gradient = &mut module.work.workspace.f32_mut()[to];
        K::scale(gradient, alpha, output_gradient);
        if composition == Composition::Blend {
            K::scale_assign(gradient, 1.0 - alpha);
            K::add_assign(gradient, output_gradient);
        }
    }

    /// Sum of the losses of the batch's examples, in their order.
    fn loss_sum(&self) -> f64 {
        let losses = &self.memory.units[0].work.losses.f32()[..self.rows];
        losses.iter().map(|loss| f64::from(*loss)).sum()
    }

    fn observe_loss(&mut self) {
        let loss_sum = self.loss_sum();
        self.outcome.loss_sum = loss_sum;
        let loss = (loss_sum / self.rows as f64) as f32;
        let observed = self.memory.monitor.observe(&self.plan.settings.monitor, loss);
        self.outcome.fault = observed.err();
    }

    fn check_gradients<K: KernelSet>(&mut self, unit: UnitIndex) {
        let segments = self.unit(unit).groups.iter().flat_map(|group| &group.segments);
        let network = &mut self.memory.units[usize::from(unit)];
        let gradients = network.work.gradients.f32();
        // What is frozen is in no segment.
        if segments.into_iter().all(|it| K::sum_squares(&gradients[it.clone()]).is_finite()) {
            // No fault can follow.
            if unit == HOST && self.variant == Variant::TrainSampled {
                self.keep_samples();
            }
            return;
        }
        if unit == HOST {
            self.outcome.fault = Some(Fault::NonFiniteGradient);
        } else {
            network.is_finite = false;
        }
    }

    fn average<K: KernelSet>(&mut self, unit: UnitIndex) {
        let rate = self.args.average_rate;
        let UnitMemory { state, average, .. } = &mut self.memory.units[usize::from(unit)];
        let Some(UnitAverage { params, buffers }) = average else { return };
        K::blend_assign(params.f32_mut(), state.params.f32(), rate);
        K::blend_assign(buffers.f32_mut(), state.buffers.f32(), rate);
    }

    fn update<K: KernelSet>(&mut self, unit: UnitIndex, group: u16) {
        let args = match unit {
            HOST => self.args.groups[usize::from(group)],
            module => self.args.groups[self.plan.group_of(module)],
        };
        let planned = &self.unit(unit).groups[usize::from(group)];
        let settings = &self.plan.settings;
        let network = &mut self.memory.units[usize::from(unit)];
        if !network.is_finite {
            return;
        }
        let grads = network.work.gradients.f32();
        let scale = settings.clip_norm.map_or(1.0, |clip_norm| {
            // Parameter by parameter, then over parameters, as PyTorch's `clip_grad_norm_` sums it.
            let squares =
                planned.params.iter().map(|it| f64::from(K::sum_squares(&grads[it.clone()])));
            let norm = squares.sum::<f64>().sqrt();
            (clip_norm / (norm + 1e-6)).min(1.0) as f32
        });
        let UnitState { params, m, v, .. } = &mut network.state;
        let (params, m, v) = (params.f32_mut(), m.f32_mut(), v.f32_mut());
        for range in &planned.segments {
            let v = if v.is_empty() { &mut v[..] } else { &mut v[range.clone()] };
            let numbers = Numbers {
                params: &mut params[range.clone()],
                grads: &grads[range.clone()],
                m: &mut m[range.clone()],
                v,
            };
            apply_rule::<K>(&settings.optimizer, args, scale, numbers);
        }
    }
}

/// Copies what a pass of the host from the site on reads of the pass before it, from one workspace to another.
fn copy_live(plan: &StepPlan, site: u16, rows: usize, from: &[f32], to: &mut [f32]) {
    for region in plan.live_at(site) {
        let start = region.offset * plan.settings.batch_max;
        let range = start..start + region.elems * rows;
        to[range.clone()].copy_from_slice(&from[range]);
    }
}

/// A stretch of parameters and what belongs to it: `f32[n]` each; `v` is empty for SGD.
struct Numbers<'a> {
    params: &'a mut [f32],
    grads: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

fn apply_rule<K: KernelSet>(
    optimizer: &Optimizer,
    GroupArgs { lr, n_updates }: GroupArgs,
    scale: f32,
    Numbers { params, grads, m, v }: Numbers<'_>,
) {
    match optimizer {
        Optimizer::Sgd(sgd) => {
            let config = SgdConfig {
                lr,
                momentum: sgd.momentum,
                dampening: sgd.dampening,
                weight_decay: sgd.weight_decay,
                nesterov: sgd.nesterov,
            };
            K::sgd_step(config, n_updates == 0, scale, params, grads, m);
        }
        Optimizer::Adam(adam) | Optimizer::AdamW(adam) => {
            let config = AdamConfig {
                lr,
                beta1: adam.beta1,
                beta2: adam.beta2,
                eps: adam.eps,
                weight_decay: adam.weight_decay,
                decoupled: matches!(optimizer, Optimizer::AdamW(_)),
            };
            K::adam_step(config, n_updates + 1, scale, params, grads, m, v);
        }
    }
}
