//! The test body that every device passes: whole training steps of the three families, with modules that incubate, are
//! grafted and are culled.
//!
//! What a device computes agrees with [`Cpu`] to a stated bound, for kernels may sum in another order. What it promises
//! by design is exact on the device itself: a module that incubates changes no bit of its host, and a twin is the host
//! that never had the module.

use std::sync::Arc;

use esper_kernels::cpu::{AugmentShape, fill_normal};

use super::{
    Cpu, Device, ExampleFeatures, ExampleTargets, Examples, StepMemory, UnitMemory, UnitState,
};
use crate::{
    graph::{
        CnnConfig, Init, Loss, MlpConfig, NetworkGraph, Op, TransformerConfig,
    },
    module::{Composition, Incubation},
    optim::{Adam, Optimizer},
    plan::{
        BatchArgs, Binding, BindingMode, GroupArgs, LossMonitorConfig, PlannedGroup, PlannedUnit,
        StepArgs, StepPlan, StepSettings, UnitArgs, UnitIndex, Variant,
    },
    program::{CompileOptions, Program},
    rng::{Purpose, draw_below},
};

/// Largest difference of a parameter from [`Cpu`]'s after [`N_STEPS`] steps of [`LR`], as a share of what Adam may have
/// moved it by: rounding decides the direction of a step where a gradient is next to nothing, and no more.
const TOLERANCE: f32 = 0.05;
const N_STEPS: u64 = 8;
const LR: f64 = 1e-3;
const BATCH: usize = 6;
const N_EXAMPLES: usize = 20;
const N_CLASSES: usize = 5;
const VOCABULARY: usize = 11;
const CONTEXT: usize = 6;

/// Holds `device` to the processor, and to its own promises.
///
/// # Panics
///
/// Says what differs, in which family and at which step.
pub fn check(device: &Arc<dyn Device>) {
    for family in Family::ALL {
        for composition in [Composition::Residual, Composition::Blend] {
            agrees_with_the_processor(device, family, composition);
        }
        leaves_its_host_alone(device, family);
        has_twins(device, family);
    }
}

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Mlp,
    Cnn,
    Transformer,
}

impl Family {
    const ALL: [Self; 3] = [Self::Mlp, Self::Cnn, Self::Transformer];

    fn program(self) -> Arc<Program> {
        let graph = match self {
            Self::Mlp => {
                let layers = vec![7, 9, 8, N_CLASSES];
                let mut config = MlpConfig { layers, dropout: 0.2, ..MlpConfig::default() };
                config.sites = config.known_sites();
                NetworkGraph::mlp(&config, Loss::CrossEntropy)
            }
            Self::Cnn => {
                let mut config = CnnConfig {
                    input: [2, 6, 5],
                    n_outputs: N_CLASSES,
                    channels: vec![3, 4],
                    dropout: 0.2,
                    ..CnnConfig::default()
                };
                config.sites = config.default_sites();
                NetworkGraph::cnn(&config, Loss::CrossEntropy)
            }
            Self::Transformer => {
                let mut config = TransformerConfig {
                    vocabulary: VOCABULARY,
                    context: CONTEXT,
                    layers: 2,
                    width: 8,
                    heads: 2,
                    mlp_width: 12,
                    dropout: 0.2,
                    ..TransformerConfig::default()
                };
                config.sites = config.default_sites();
                NetworkGraph::transformer(&config)
            }
        };
        let graph = graph.expect("the sizes are sound");
        Arc::new(Program::compile(&graph, CompileOptions::HOST).expect("a host compiles"))
    }

    fn examples(self, device: &dyn Device) -> Examples {
        let shape = match self {
            Self::Mlp => [1, 1, 7],
            Self::Cnn => [2, 6, 5],
            Self::Transformer => return text(device),
        };
        let width = shape.iter().product::<usize>();
        let mut values = vec![0.0; N_EXAMPLES * width];
        fill_normal(1, 0, 0.0, 1.0, &mut values);
        let label = |at| draw_below(2, at as u64, N_CLASSES as u64) as u32;
        let labels: Vec<u32> = (0..N_EXAMPLES).map(label).collect();
        let [channels, height, width_of_image] = shape;
        let augment = (self == Self::Cnn).then_some(AugmentShape {
            channels,
            height,
            width: width_of_image,
            crop_padding: 1,
            flip: true,
            cutout: 2,
        });
        let values = device.share_f32(values.into()).expect("there is room");
        let labels = device.share_u32(labels.into()).expect("there is room");
        Examples {
            features: ExampleFeatures::Dense { values, width, augment },
            targets: ExampleTargets::Classes(labels),
        }
    }
}

fn text(device: &dyn Device) -> Examples {
    let n_tokens = (N_EXAMPLES + 1) * CONTEXT;
    let token = |at| draw_below(3, at as u64, VOCABULARY as u64) as u32;
    let tokens: Vec<u32> = (0..n_tokens).map(token).collect();
    let tokens = device.share_u32(tokens.into()).expect("there is room");
    Examples {
        features: ExampleFeatures::Windows { tokens, part: 0..n_tokens, context: CONTEXT },
        targets: ExampleTargets::NextTokens,
    }
}

/// A module that keeps `shape`, with a norm, an activation and a branch that is live from birth.
fn module_of(shape: &[usize]) -> Arc<Program> {
    let mut graph = NetworkGraph::new();
    let mut last = graph.add("x", Op::input(shape), &[]).expect("a shape");
    let ops = match *shape {
        [width] => vec![Op::linear(6), Op::linear(width)],
        [_, width] => vec![Op::linear(3 * width), Op::causal_attention(2), Op::linear(width)],
        [channels, ..] => vec![
            Op::same_conv2d(4, [3, 3], Init::FanIn),
            Op::same_conv2d(channels, [1, 1], Init::FanIn),
        ],
        [] => unreachable!("a site has axes"),
    };
    for (at, op) in ops.into_iter().enumerate() {
        last = graph.add(format!("op{at}"), op, &[last]).expect("it fits");
    }
    Arc::new(Program::compile(&graph, CompileOptions::MODULE).expect("a module compiles"))
}

/// A host and its modules on a device.
struct Trained {
    device: Arc<dyn Device>,
    examples: Arc<Examples>,
    plan: StepPlan,
    memory: StepMemory,
    alphas: Vec<f32>,
    step: u64,
    born_at: Vec<u64>,
}

impl Trained {
    fn new(device: &Arc<dyn Device>, family: Family, composition: Composition) -> Self {
        let program = family.program();
        let params = program.draw_params(5, Purpose::HostInit, 0);
        let settings = StepSettings {
            batch_max: BATCH,
            optimizer: Optimizer::AdamW(Adam { lr: LR, ..Adam::default() }),
            clip_norm: Some(1.0),
            monitor: LossMonitorConfig::OFF,
            composition,
            rho: 0.2,
        };
        let state = UnitState::at_birth(&**device, &program, &params, true).expect("there is room");
        let groups = vec![PlannedGroup::whole(&program, true)];
        let host = PlannedUnit { program, groups, parts_max: 1 };
        let examples = Arc::new(family.examples(&**device));
        let targets = [examples.labels_per_example(), examples.values_per_example()];
        let memory = StepMemory::new(&**device, &host, &settings, state, targets);
        let plan = StepPlan::new(host, settings);
        device.prepare(&plan).expect("the device runs every instruction");
        let memory = memory.expect("there is room");
        let device = device.clone();
        Self { device, examples, plan, memory, alphas: vec![0.0], step: 0, born_at: vec![0] }
    }

    /// Binds a module at site `site` as unit `unit`.
    fn bind(&mut self, unit: UnitIndex, site: u16, how: Incubation) {
        let shape = &self.plan.units()[0].program.sites[usize::from(site)].shape;
        let program = module_of(shape);
        let params = program.draw_params(5, Purpose::SeedInit, u64::from(unit));
        let device = self.device.clone();
        let state = UnitState::at_birth(&*device, &program, &params, true).expect("there is room");
        let groups = vec![PlannedGroup::whole(&program, true)];
        let planned = PlannedUnit { program, groups, parts_max: 1 };
        let memory = UnitMemory::new(&*device, &planned, &self.plan.settings, state);
        self.memory.units.insert(usize::from(unit), memory.expect("there is room"));
        self.memory.make_shadow_room(&*device, unit).expect("there is room");
        let mode = BindingMode::Incubating(how);
        self.plan.bind(unit, planned, Binding { read: site, write: site, mode, trains: true });
        self.plan.set_sampled_sites(self.plan.sampled_sites() | 1 << site);
        self.alphas.push(0.0);
        self.born_at.push(self.step);
        device.prepare(&self.plan).expect("the device runs every instruction");
    }

    fn graft(&mut self, unit: UnitIndex) {
        let binding = self.plan.bindings()[usize::from(unit) - 1];
        self.plan.set_binding(unit, Binding { mode: BindingMode::Blended, ..binding });
        self.device.prepare(&self.plan).expect("the device runs every instruction");
    }

    fn unbind(&mut self, unit: UnitIndex) {
        self.plan.unbind(unit);
        self.memory.units.remove(usize::from(unit));
        self.alphas.remove(usize::from(unit));
        self.born_at.remove(usize::from(unit));
    }

    fn run(&mut self, variant: Variant, indices: &[u32]) -> f64 {
        let unit = |(at, alpha): (usize, &f32)| UnitArgs { dropout_key: at as u64, alpha: *alpha };
        let units: Vec<UnitArgs> = self.alphas.iter().enumerate().map(unit).collect();
        let group = |born_at: &u64| GroupArgs { lr: LR, n_updates: self.step - born_at };
        let groups: Vec<GroupArgs> = self.born_at.iter().map(group).collect();
        let is_training = variant.is_training();
        let batch = BatchArgs {
            indices,
            shift: usize::from(is_training) * (self.step as usize % CONTEXT),
            augment: is_training.then_some((9, self.step)),
        };
        let args = StepArgs { step: self.step, batch, units: &units, groups: &groups };
        let (memory, examples) = (&mut self.memory, Some(&*self.examples));
        let outcome = self.device.run(&self.plan, variant, memory, examples, &args);
        let outcome = outcome.expect("the device runs it");
        assert_eq!(outcome.fault, None);
        outcome.loss_sum
    }

    /// Takes a step; every second one is sampled, and the last batch of an epoch is smaller.
    fn take_step(&mut self) -> f64 {
        let rows = if self.step % 3 == 2 { BATCH - 2 } else { BATCH };
        let at = |row| ((self.step as usize * BATCH + row) % N_EXAMPLES) as u32;
        let indices: Vec<u32> = (0..rows).map(at).collect();
        let variant =
            if self.step.is_multiple_of(2) { Variant::TrainSampled } else { Variant::Train };
        let loss = self.run(variant, &indices);
        self.step += 1;
        loss
    }

    fn take_steps(&mut self) -> Vec<f64> {
        (0..N_STEPS).map(|_| self.take_step()).collect()
    }

    fn evaluate(&mut self, variant: Variant) -> f64 {
        self.run(variant, &(0..BATCH as u32).collect::<Vec<_>>())
    }

    fn numbers(&self, unit: UnitIndex) -> Vec<Vec<f32>> {
        let state = &self.memory.units[usize::from(unit)].state;
        state.all().into_iter().map(|buffer| self.device.to_vec(buffer)).collect()
    }

    fn params(&self, unit: UnitIndex) -> Vec<f32> {
        self.numbers(unit).swap_remove(0)
    }
}

fn agrees_with_the_processor(device: &Arc<dyn Device>, family: Family, composition: Composition) {
    let cpu: Arc<dyn Device> = Arc::new(Cpu);
    let mut both = [device, &cpu].map(|device| Trained::new(device, family, composition));
    let last_site = both[0].plan.units()[0].program.sites.len() as u16 - 1;
    let compare = |both: &mut [Trained; 2], what: &str| {
        let name = device.name();
        let what = format!("{name}, {family:?} {composition:?}, {what}");
        let [found, expected] = both.each_mut().map(Trained::take_steps);
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let is_close = (found - expected).abs() <= 1e-2 * expected.abs();
            assert!(is_close, "{what}, step {step}: loss {found}, the processor's is {expected}");
        }
        let bound = TOLERANCE * both[0].step as f32 * LR as f32;
        for unit in 0..both[0].memory.units.len() as UnitIndex {
            let [found, expected] = both.each_ref().map(|trained| trained.params(unit));
            for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let is_close = (found - expected).abs() <= bound;
                assert!(
                    is_close,
                    "{what}, network {unit}, parameter {at}: {found}, not {expected}"
                );
            }
        }
        let [found, expected] = both.each_mut().map(|it| it.evaluate(Variant::Evaluate));
        assert!((found - expected).abs() <= 1e-2 * expected, "{what}: {found}, not {expected}");
    };
    compare(&mut both, "alone");
    both.iter_mut().for_each(|it| it.bind(1, 0, Incubation::StraightThrough));
    both.iter_mut().for_each(|it| it.bind(2, last_site, Incubation::Shadow));
    compare(&mut both, "incubating");
    both.iter_mut().for_each(|it| {
        it.graft(2);
        it.alphas[2] = 0.5;
    });
    compare(&mut both, "grafted");
    let tried = both.each_mut().map(|it| {
        it.plan.rebuild_trial(1);
        it.device.prepare(&it.plan).expect("the device runs every instruction");
        it.alphas[1] = 0.3;
        let loss = it.evaluate(Variant::Trial);
        it.alphas[1] = 0.0;
        loss
    });
    assert!((tried[0] - tried[1]).abs() <= 1e-2 * tried[1], "{tried:?}: a module tried");
    both.iter_mut().for_each(|it| it.unbind(2));
    compare(&mut both, "culled");
}

fn leaves_its_host_alone(device: &Arc<dyn Device>, family: Family) {
    for how in [Incubation::StraightThrough, Incubation::Shadow] {
        let mut alone = Trained::new(device, family, Composition::Residual);
        let mut watched = Trained::new(device, family, Composition::Residual);
        watched.bind(1, 0, how);
        let at_birth = watched.params(1);
        for step in 0..N_STEPS {
            alone.take_step();
            watched.take_step();
            let is_same = alone.numbers(0) == watched.numbers(0);
            assert!(is_same, "{}, {family:?} {how:?}: step {step} differs", device.name());
        }
        assert_ne!(watched.params(1), at_birth, "{family:?} {how:?}: the module learnt");
    }
}

fn has_twins(device: &Arc<dyn Device>, family: Family) {
    let mut alone = Trained::new(device, family, Composition::Residual);
    let mut host = Trained::new(device, family, Composition::Residual);
    host.bind(1, 0, Incubation::StraightThrough);
    alone.take_steps();
    host.take_steps();
    let mut twin = Trained::new(device, family, Composition::Residual);
    let numbers = host.memory.units[0].state.duplicate(&**device).expect("there is room");
    twin.memory.units[0].state = numbers;
    twin.step = host.step;
    host.graft(1);
    host.alphas[1] = 0.7;
    for _ in 0..N_STEPS {
        alone.take_step();
        twin.take_step();
        host.take_step();
        assert!(alone.numbers(0) == twin.numbers(0), "{}, {family:?}: a twin", device.name());
    }
    assert_ne!(host.params(0), twin.params(0), "{family:?}: the graft acts");
}
