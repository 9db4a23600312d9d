//! How the lists of a plan are made: the host's program cut at its sites, and what modules do there.

use std::{collections::BTreeSet, ops::Range};

use super::{
    Binding, BindingMode, HOST, InstrList, PlannedUnit, Space, StepInstr, StepPlan, UnitIndex,
    Variant,
};
use crate::{
    module::Incubation,
    optim::Optimizer,
    program::{Backward, GradMask, INPUT_GRADIENT, Program, SiteInfo},
};

impl StepPlan {
    /// Makes every list anew. In the steady state nothing is allocated: lists keep their room.
    pub(super) fn rebuild(&mut self) {
        for variant in Variant::ALL {
            if !matches!(variant, Variant::Trial | Variant::Rank) {
                self.rebuild_list(variant, None, Ranked::default());
            }
        }
        self.list_mut(Variant::Trial).instrs.clear();
        self.list_mut(Variant::Rank).instrs.clear();
    }

    /// Makes the list of [`Variant::Trial`] anew, in which module `unit` acts whether it is blended in or not.
    pub fn rebuild_trial(&mut self, unit: UnitIndex) {
        self.rebuild_list(Variant::Trial, Some(unit), Ranked::default());
    }

    /// Makes the list of [`Variant::Rank`] anew. The host comes by each site once, and each module runs once; from its
    /// site on there is a pass for each scale. The loss of module `i` at scale `j` is kept at `i * scales.len() + j`, and
    /// the outcome's is that of the host as it is.
    pub fn rebuild_ranking(&mut self, units: &[UnitIndex], scales: &[f32]) {
        self.rebuild_list(Variant::Rank, None, Ranked { units, scales });
    }

    fn list_mut(&mut self, variant: Variant) -> &mut InstrList {
        &mut self.lists[variant as usize]
    }

    fn rebuild_list(&mut self, variant: Variant, tried: Option<UnitIndex>, ranked: Ranked<'_>) {
        let mut list = std::mem::take(self.list_mut(variant));
        list.instrs.clear();
        list.flops = Default::default();
        let mut builder = Builder { plan: self, variant, tried, ranked, list };
        builder.build();
        let list = builder.list;
        *self.list_mut(variant) = list;
    }
}

/// Floating-point operations of one parameter's update; a root or a division counts one.
pub fn update_flops_per_param(optimizer: &Optimizer) -> u64 {
    match optimizer {
        Optimizer::Sgd(sgd) if sgd.momentum > 0.0 => 6,
        Optimizer::Sgd(_) => 4,
        Optimizer::Adam(_) | Optimizer::AdamW(_) => 14,
    }
}

/// Floating-point operations of one number's average: two multiply-adds.
const AVERAGE_FLOPS: u64 = 4;

const PARAMS: GradMask = GradMask { params: true, sites: 0 };

/// Modules that are compared, and the scales at which they are.
#[derive(Clone, Copy, Default)]
struct Ranked<'a> {
    units: &'a [UnitIndex],
    scales: &'a [f32],
}

struct Builder<'a> {
    plan: &'a StepPlan,
    variant: Variant,
    /// The module that acts beside those that are blended in.
    tried: Option<UnitIndex>,
    ranked: Ranked<'a>,
    list: InstrList,
}

impl<'a> Builder<'a> {
    fn build(&mut self) {
        match self.variant {
            Variant::Train | Variant::TrainSampled => {
                self.push(StepInstr::LoadBatch);
                self.forward(Space::Host, 0..self.host().forward.len());
                self.train();
            }
            Variant::Evaluate | Variant::Trial => {
                self.push(StepInstr::LoadBatch);
                self.forward(Space::Host, 0..self.host().forward.len());
            }
            Variant::Rank => {
                self.push(StepInstr::LoadBatch);
                self.rank();
            }
            Variant::Infer | Variant::Forward => {
                let host = self.host();
                let (n_instrs, flops) = (host.forward.len(), host.flops_forward());
                self.push_forward(HOST, Space::Host, 0..n_instrs);
                self.list.flops.host_per_example += flops;
            }
            Variant::Backward => {
                let host = self.host();
                let sites = if host.input_gradient.is_some() { INPUT_GRADIENT } else { 0 };
                let wanted = GradMask { params: true, sites };
                let (n_instrs, flops) = (host.backward.len(), host.flops_backward(wanted));
                self.push_backward(HOST, Space::Host, 0..n_instrs, wanted);
                self.list.flops.host_per_example += flops;
            }
        }
    }

    /// What follows the forward pass of a training step.
    fn train(&mut self) {
        let host = self.host();
        let plain = host.flops_backward(PARAMS);
        let mut wanted = PARAMS;
        wanted.sites = if self.is_sampled() { self.plan.sampled_sites } else { 0 };
        for binding in &self.plan.bindings {
            wanted.sites |= 1 << binding.write;
        }
        self.list.flops.host_per_example += plain;
        self.list.flops.modules_per_example += host.flops_backward(wanted) - plain;
        self.backward(Space::Host, wanted, host.backward.len());
        if self.is_sampled() {
            for unit in self.modules() {
                self.push(StepInstr::SampleGradientNorm { unit });
            }
        }
        self.push(StepInstr::ObserveLoss);
        // From the end on: those that begin behind the read port of a span find its output as the host's pass left it.
        for site in (0..self.host().sites.len() as u16).rev() {
            for unit in self.modules() {
                let Binding { write, mode, trains, .. } = self.binding(unit);
                let is_shadow = mode == BindingMode::Incubating(Incubation::Shadow);
                if write == site && is_shadow && trains {
                    self.shadow_pass(unit);
                }
            }
        }
        self.updates();
        self.averages();
    }

    fn push(&mut self, instr: StepInstr) {
        self.list.instrs.push(instr);
    }

    fn is_sampled(&self) -> bool {
        self.variant == Variant::TrainSampled
    }

    fn host(&self) -> &'a Program {
        &self.plan.units[HOST as usize].program
    }

    fn unit(&self, unit: UnitIndex) -> &'a PlannedUnit {
        &self.plan.units[unit as usize]
    }

    fn binding(&self, unit: UnitIndex) -> Binding {
        self.plan.bindings[unit as usize - 1]
    }

    fn modules(&self) -> impl DoubleEndedIterator<Item = UnitIndex> + use<> {
        1..self.plan.units.len() as UnitIndex
    }

    fn site(&self, site: u16) -> &'a SiteInfo {
        &self.host().sites[usize::from(site)]
    }

    /// Whether the module is part of this list's forward passes.
    fn acts(&self, unit: UnitIndex) -> bool {
        self.binding(unit).mode == BindingMode::Blended || self.tried == Some(unit)
    }

    /// Whether it learns beside the host in this list.
    fn incubates(&self, unit: UnitIndex) -> bool {
        let Binding { mode, trains, .. } = self.binding(unit);
        let learns = matches!(mode, BindingMode::Incubating(how) if how != Incubation::None);
        self.variant.is_training() && learns && trains
    }

    /// Whether it has anything to do in a forward pass there.
    fn is_busy(&self, space: Space, unit: UnitIndex) -> bool {
        self.acts(unit) || (space == Space::Host && self.incubates(unit))
    }

    /// Spans that read at `site`.
    fn spans_from(&self, site: u16) -> impl DoubleEndedIterator<Item = UnitIndex> + '_ {
        self.modules().filter(move |unit| {
            let binding = self.binding(*unit);
            binding.is_span() && binding.read == site
        })
    }

    /// Whether a pass in `space` comes by the read port: a shadow begins at the write port of the module it is of.
    fn is_read_in(&self, space: Space, binding: Binding) -> bool {
        match space {
            Space::Host => true,
            Space::Shadow(owner) => self.binding(owner).write <= binding.read,
        }
    }

    /// Whether a backward pass that wants `wanted` writes the gradient at `site`.
    fn has_gradient(&self, site: u16, wanted: GradMask) -> bool {
        let SiteInfo { gradient, backward_step, .. } = *self.site(site);
        let mut before = self.host().backward[..backward_step].iter();
        let is_site = |instr: &Backward| matches!(instr, Backward::Site(_));
        // What the loss wrote in the forward pass is there whoever wants it.
        self.host().output_gradient == Some(gradient)
            || before.any(|it| {
                it.mask.is_met_by(wanted)
                    && !is_site(&it.instr)
                    && it.instr.tensors().contains(&gradient)
            })
    }

    fn modules_at(&self, site: u16) -> impl DoubleEndedIterator<Item = UnitIndex> + '_ {
        self.modules().filter(move |unit| self.binding(*unit).write == site)
    }

    fn n_elems(&self, site: u16) -> u64 {
        self.host().elems(self.site(site).x) as u64
    }

    /// The host's forward pass, and on the way those of the modules that are ranked.
    fn rank(&mut self) {
        let Ranked { units, scales } = self.ranked;
        let host = self.host();
        let end_of = |site: u16| host.sites[usize::from(site)].forward_step + 1;
        let ports = |unit: &UnitIndex| [self.binding(*unit).read, self.binding(*unit).write];
        let ends: BTreeSet<usize> = units.iter().flat_map(ports).map(end_of).collect();
        let n_instrs = host.forward.len();
        let mut from = 0;
        for end in ends {
            self.forward(Space::Host, from..end);
            from = end;
            for unit in units {
                let binding = self.binding(*unit);
                if binding.is_span() && end_of(binding.read) == end {
                    self.read(Space::Host, *unit);
                }
            }
            for (place, unit) in units.iter().enumerate() {
                if end_of(self.binding(*unit).write) == end {
                    self.try_scales(*unit, (place * scales.len()) as u32);
                }
            }
        }
        self.forward(Space::Host, from..n_instrs);
    }

    /// Runs module `unit` at its write port, and the host from there on once for each scale; losses are kept from `place`
    /// on.
    fn try_scales(&mut self, unit: UnitIndex, place: u32) {
        let site = self.binding(unit).write;
        let (x, composition) = (self.site(site).x, self.plan.settings.composition);
        self.push(StepInstr::Keep { site });
        self.run_module(Space::Host, unit);
        for (n, alpha) in self.ranked.scales.iter().enumerate() {
            self.push(StepInstr::Try { unit, x, composition, alpha: *alpha });
            self.list.flops.modules_per_example += 2 * self.n_elems(site);
            self.forward(Space::Host, self.site(site).forward_step + 1..self.host().forward.len());
            self.push(StepInstr::KeepLoss { place: place + n as u32 });
            self.push(StepInstr::PutBack { site });
        }
    }

    /// Instructions `range` of the host's forward pass, and what modules do when it comes by their sites.
    fn forward(&mut self, space: Space, range: Range<usize>) {
        let plan = self.plan;
        let host = &plan.units[HOST as usize].program;
        let mut start = range.start;
        // Sites come in the order of the forward pass.
        for (place, site) in host.sites.iter().enumerate() {
            let (place, end) = (place as u16, site.forward_step + 1);
            if end <= range.start || range.end < end {
                continue;
            }
            if !self.modules_at(place).any(|unit| self.is_busy(space, unit))
                && !self.spans_from(place).any(|unit| self.is_busy(space, unit))
            {
                continue;
            }
            self.push_forward(HOST, space, start..end);
            start = end;
            for unit in self.modules() {
                if self.binding(unit).write == place && self.acts(unit) {
                    self.join(space, unit);
                }
            }
            self.read_spans(space, place);
            for unit in self.modules() {
                if self.binding(unit).write == place
                    && space == Space::Host
                    && !self.acts(unit)
                    && self.incubates(unit)
                {
                    self.incubate(unit);
                }
            }
        }
        self.push_forward(HOST, space, start..range.end);
        let flops: u64 = host.forward[range].iter().map(|instr| instr.flops).sum();
        match space {
            Space::Host => self.list.flops.host_per_example += flops,
            Space::Shadow(_) => self.list.flops.modules_per_example += flops,
        }
    }

    fn push_forward(&mut self, unit: UnitIndex, space: Space, range: Range<usize>) {
        if !range.is_empty() {
            let range = range.start as u32..range.end as u32;
            self.push(StepInstr::Forward { unit, space, range });
        }
    }

    fn read(&mut self, space: Space, unit: UnitIndex) {
        let x = self.site(self.binding(unit).read).x;
        self.push(StepInstr::Read { unit, space, x });
    }

    /// Spans take a copy of what the site at their read port hands on, once all that joins the host there has.
    fn read_spans(&mut self, space: Space, place: u16) {
        for unit in self.modules() {
            let binding = self.binding(unit);
            if binding.is_span() && binding.read == place && self.is_busy(space, unit) {
                self.read(space, unit);
            }
        }
    }

    /// Runs a module at its write port. The input of a span is there already.
    fn run_module(&mut self, space: Space, unit: UnitIndex) {
        if !self.binding(unit).is_span() {
            self.read(space, unit);
        }
        let program = &self.plan.units[unit as usize].program;
        self.push_forward(unit, space, 0..program.forward.len());
        self.list.flops.modules_per_example += program.flops_forward();
    }

    fn join(&mut self, space: Space, unit: UnitIndex) {
        let binding = self.binding(unit);
        let site = binding.write;
        // What a shadow begins behind is as the host's own pass left it: the input of a span that reads there, and so
        // its output.
        if self.is_read_in(space, binding) {
            self.run_module(space, unit);
        }
        if binding.is_span() && self.variant.is_training() {
            // The input of a one-port module is this copy.
            self.push(StepInstr::KeepJoined { unit, space, x: self.site(site).x });
        }
        let (x, composition) = (self.site(site).x, self.plan.settings.composition);
        self.push(StepInstr::Compose { unit, space, x, composition });
        self.list.flops.modules_per_example += 2 * self.n_elems(site);
    }

    fn incubate(&mut self, unit: UnitIndex) {
        self.run_module(Space::Host, unit);
        let Binding { mode, write, .. } = self.binding(unit);
        if mode == BindingMode::Incubating(Incubation::Shadow) {
            self.push(StepInstr::KeepForShadow { unit, site: write });
        }
    }

    /// The host's backward pass up to and not including instruction `until`, and what modules do on the way.
    fn backward(&mut self, space: Space, wanted: GradMask, until: usize) {
        let plan = self.plan;
        let host = &plan.units[HOST as usize].program;
        let mut start = 0;
        for (place, site) in host.sites.iter().enumerate().rev() {
            let (place, end) = (place as u16, site.backward_step + 1);
            if until < end || !host.backward[site.backward_step].mask.is_met_by(wanted) {
                continue;
            }
            let is_sampled = space == Space::Host
                && self.is_sampled()
                && self.plan.sampled_sites >> place & 1 == 1;
            let gives_back = self.spans_from(place).any(|unit| self.acts(unit));
            if !is_sampled
                && !gives_back
                && !self.modules_at(place).any(|unit| self.is_busy(space, unit))
            {
                continue;
            }
            self.push_backward(HOST, space, start..end, wanted);
            start = end;
            self.give_back_spans(space, place, wanted);
            if is_sampled {
                let (x, gradient) = (site.x, site.gradient);
                self.push(StepInstr::SampleSite { site: place, x, gradient });
            }
            if space == Space::Host {
                for unit in self.modules() {
                    if self.binding(unit).write == place && !self.acts(unit) && self.incubates(unit)
                    {
                        self.learn(unit);
                    }
                }
            }
            for unit in self.modules().rev() {
                if self.binding(unit).write == place && self.acts(unit) {
                    self.part(space, unit, wanted);
                }
            }
        }
        self.push_backward(HOST, space, start..until, wanted);
    }

    /// The host's gradient at `place` takes in what the spans that read there owe it since the pass came by their write
    /// ports.
    fn give_back_spans(&mut self, space: Space, place: u16, wanted: GradMask) {
        if !self.has_gradient(place, wanted) {
            return;
        }
        let gradient = self.site(place).gradient;
        for unit in self.modules() {
            let binding = self.binding(unit);
            if binding.is_span() && binding.read == place && self.acts(unit) {
                self.push(StepInstr::AddInputGradient { unit, space, gradient });
                self.list.flops.modules_per_example += self.n_elems(place);
            }
        }
    }

    fn push_backward(
        &mut self,
        unit: UnitIndex,
        space: Space,
        range: Range<usize>,
        wanted: GradMask,
    ) {
        if !range.is_empty() {
            let range = range.start as u32..range.end as u32;
            self.push(StepInstr::Backward { unit, space, range, wanted });
        }
    }

    fn run_module_backward(&mut self, space: Space, unit: UnitIndex, wanted: GradMask) {
        if wanted == GradMask::default() {
            return;
        }
        let program = &self.plan.units[unit as usize].program;
        self.push_backward(unit, space, 0..program.backward.len(), wanted);
        self.list.flops.modules_per_example += program.flops_backward(wanted);
    }

    /// An incubating module takes its gradient; one that incubates in shadow learns after the host's pass.
    fn learn(&mut self, unit: UnitIndex) {
        let Binding { mode, write, .. } = self.binding(unit);
        let SiteInfo { x, gradient, .. } = *self.site(write);
        if self.is_sampled() {
            self.push(StepInstr::SampleModule { unit, x, gradient });
        }
        if mode == BindingMode::Incubating(Incubation::StraightThrough) {
            self.push(StepInstr::ProximalGradient { unit, x, gradient });
            self.run_module_backward(Space::Host, unit, PARAMS);
            self.list.flops.modules_per_example += 6 * self.n_elems(write);
        }
    }

    /// A module that is blended in parts from the host on the way back, in a pass that wants `wanted`. What a span owes the
    /// host at its read port stays in its memory until the pass comes by there.
    fn part(&mut self, space: Space, unit: UnitIndex, wanted: GradMask) {
        let binding = self.binding(unit);
        let Binding { write, read, trains, .. } = binding;
        let SiteInfo { x, gradient, .. } = *self.site(write);
        let (composition, is_kept) = (self.plan.settings.composition, binding.is_span());
        self.push(StepInstr::Restore { unit, space, x, is_kept });
        if self.is_sampled() && space == Space::Host {
            self.push(StepInstr::SampleModule { unit, x, gradient });
        }
        let params = trains && space == Space::Host;
        let is_owed = if binding.is_span() {
            self.is_read_in(space, binding) && self.has_gradient(read, wanted)
        } else {
            self.is_gradient_needed(unit, wanted)
        };
        let wanted = GradMask { params, sites: if is_owed { INPUT_GRADIENT } else { 0 } };
        if wanted == GradMask::NONE {
            return;
        }
        self.push(StepInstr::SplitGradient { unit, space, gradient, composition });
        self.run_module_backward(space, unit, wanted);
        self.list.flops.modules_per_example += self.n_elems(write);
        if is_owed && !binding.is_span() {
            let gradient = self.site(read).gradient;
            self.push(StepInstr::AddInputGradient { unit, space, gradient });
            self.list.flops.modules_per_example += self.n_elems(read);
        }
    }

    /// Whether anything before blended module `unit` of one port wants the gradient of what the module reads: the host
    /// where it trains or is wanted `wanted`, or another module at the site.
    fn is_gradient_needed(&self, unit: UnitIndex, wanted: GradMask) -> bool {
        let site = self.binding(unit).read;
        let before = &self.host().backward[self.site(site).backward_step + 1..];
        before.iter().any(|instr| instr.mask.is_met_by(wanted))
            || self.modules_at(site).any(|other| other < unit && self.acts(other))
    }

    /// The second pass of the host from a module's site on, with the module in it: its true gradient.
    fn shadow_pass(&mut self, unit: UnitIndex) {
        let site = self.binding(unit).write;
        let SiteInfo { x, gradient, forward_step, backward_step, .. } = *self.site(site);
        let space = Space::Shadow(unit);
        self.push(StepInstr::ComposeShadow { unit, x });
        self.read_spans(space, site);
        self.forward(space, forward_step + 1..self.host().forward.len());
        let wanted = GradMask { params: false, sites: 1 << site };
        self.backward(space, wanted, backward_step);
        self.give_back_spans(space, site, wanted);
        let tail = self.host().backward[..backward_step].iter();
        let tail = tail.filter(|instr| instr.mask.is_met_by(wanted));
        self.list.flops.modules_per_example += tail.map(|instr| instr.flops).sum::<u64>();
        self.push(StepInstr::TakeShadowGradient { unit, gradient });
        self.run_module_backward(Space::Host, unit, PARAMS);
    }

    fn updates(&mut self) {
        let per_param = update_flops_per_param(&self.plan.settings.optimizer);
        self.push(StepInstr::CheckGradients { unit: HOST });
        for (group, planned) in self.unit(HOST).groups.iter().enumerate() {
            if planned.is_trainable && !planned.segments.is_empty() {
                let n_params: usize = planned.segments.iter().map(ExactSizeIterator::len).sum();
                self.list.flops.host_per_step += n_params as u64 * per_param;
                self.list.instrs.push(StepInstr::Update { unit: HOST, group: group as u16 });
            }
        }
        for unit in self.modules() {
            let trains = match self.binding(unit).mode {
                BindingMode::Blended => self.binding(unit).trains,
                BindingMode::Incubating(_) => self.incubates(unit),
            };
            if trains {
                self.push(StepInstr::CheckGradients { unit });
                self.push(StepInstr::Update { unit, group: 0 });
                let n_params = self.unit(unit).program.params_len_elems;
                self.list.flops.modules_per_step += n_params as u64 * per_param;
            }
        }
    }

    /// The host's average and those of the modules that are blended in.
    fn averages(&mut self) {
        if !self.plan.averages {
            return;
        }
        for unit in 0..self.plan.units.len() as UnitIndex {
            if unit != HOST && self.binding(unit).mode != BindingMode::Blended {
                continue;
            }
            self.push(StepInstr::Average { unit });
            let program = &self.unit(unit).program;
            let n_elems = program.params_len_elems + program.buffers_len_elems;
            self.list.flops.averages_per_step += n_elems as u64 * AVERAGE_FLOPS;
        }
    }
}
