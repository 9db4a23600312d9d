//! Hosts of any shape on data that is made up, and what grows in them.

use std::sync::Arc;

use esper::{
    engine::{
        data::{self, DataConfig, Dataset, ExampleNames, SplitData, Standardize, Targets},
        device::Cpu,
        graph::{Init, Loss, MlpConfig, NetworkGraph, Op},
        program::{CompileOptions, Program},
        runtime::{HostConfig, HostRuntime, Ramp, SeedMode, SeedState},
        scenario::{Curve, Incubation, Optimizer, Scenario},
        world::{
            digest::Digest,
            ids::{KernelId, SeedId},
        },
    },
    kernels::{cpu::Activation, philox::fill_normal},
};

/// The seed that [`plant`] plants.
pub const SEED: SeedId = SeedId(1);

/// A multilayer perceptron and how it is trained.
#[derive(Clone)]
pub struct Shape {
    /// Widths from input to output.
    pub layers: Vec<usize>,
    /// Examples a step.
    pub batch: usize,
    /// How parameters are updated.
    pub optimizer: Optimizer,
}

impl Shape {
    /// `layers` on batches of `batch` examples.
    pub fn new(layers: &[usize], batch: usize, optimizer: Optimizer) -> Self {
        Self { layers: layers.to_vec(), batch, optimizer }
    }

    /// Its widths as text, such as `64-32-10`.
    pub fn name(&self) -> String {
        let widths: Vec<String> = self.layers.iter().map(ToString::to_string).collect();
        widths.join("-")
    }

    /// A host of this shape on `n_batches` batches of its own data, at birth, with every site it can have.
    pub fn host(&self, n_batches: usize) -> HostRuntime {
        let n_classes = *self.layers.last().expect("a network has layers");
        let data = clusters(n_batches * self.batch, self.layers[0], n_classes);
        self.host_on(Arc::new(data))
    }

    /// A host of this shape on `data`, at birth, with every site it can have.
    pub fn host_on(&self, data: Arc<SplitData>) -> HostRuntime {
        let mut mlp = MlpConfig { layers: self.layers.clone(), ..MlpConfig::default() };
        mlp.sites = mlp.known_sites();
        let graph = NetworkGraph::mlp(&mlp, Loss::CrossEntropy).expect("the widths are sound");
        let program = Program::compile(&graph, CompileOptions::HOST).expect("a host compiles");
        let mut scenario = Scenario::default();
        scenario.run.epochs = 1_000_000; // Longer than any bench runs: schedules stand still.
        scenario.data.batch = self.batch;
        scenario.train.optimizer = self.optimizer.clone();
        let config = HostConfig::new(&scenario, 0, data, Arc::new(Cpu));
        HostRuntime::new(Arc::new(config), Arc::new(graph), Arc::new(program))
    }
}

/// Examples around one centre a class: any host learns them, and none of its faults strike. The training part has
/// `n_train` examples.
pub fn clusters(n_train: usize, elems: usize, n_classes: usize) -> SplitData {
    let n = n_train * 4 / 3;
    let mut centres = vec![0.0; n_classes * elems];
    fill_normal(1, 0, 0.0, 1.0, &mut centres);
    let mut features = vec![0.0; n * elems];
    fill_normal(1, 1, 0.0, 1.0, &mut features);
    let labels: Vec<u32> = (0..n).map(|i| (i % n_classes) as u32).collect();
    for (row, label) in features.chunks_exact_mut(elems).zip(&labels) {
        let centre = &centres[*label as usize * elems..][..elems];
        row.iter_mut().zip(centre).for_each(|(x, c)| *x += c);
    }
    let targets = Targets::Classes { labels: labels.into(), n_classes };
    let examples = Dataset::new(features, vec![elems], targets).expect("the examples are sound");
    let config = DataConfig {
        validation_share: 0.125,
        test_share: 0.125,
        standardize: Standardize::Off,
        ..DataConfig::new("clusters")
    };
    data::prepare(&config, examples, None, ExampleNames::default()).expect("it splits")
}

/// `x -> W2 gelu(W1 x)`, an identity at birth: Karn's `residual_mlp` family.
pub fn residual_mlp(width: usize, hidden: usize) -> NetworkGraph {
    let mut graph = NetworkGraph::new();
    let down = Op::Linear { outputs: width, bias: true, init: Init::ZERO };
    let nodes = [
        ("x", Op::Input { shape: vec![width] }),
        ("up", Op::linear(hidden)),
        ("act", Op::Activation(Activation::Gelu)),
        ("down", down),
    ];
    let mut last = None;
    for (name, op) in nodes {
        last = Some(graph.add(name, op, last.as_slice()).expect("the module is sound"));
    }
    graph
}

/// Binds a seed with `module` at `site`, in TRAINING by `incubation`.
pub fn plant(host: &mut HostRuntime, site: usize, module: &NetworkGraph, incubation: Incubation) {
    let program = Program::compile(module, CompileOptions::MODULE).expect("a module compiles");
    let state = seed_state(host, site, &program, incubation);
    host.watched_sites = 1 << site;
    host.bind(state, Arc::new(program));
}

/// A seed of `program` at birth, for `host`.
pub fn seed_state(
    host: &HostRuntime,
    site: usize,
    program: &Program,
    incubation: Incubation,
) -> SeedState {
    let kernel = KernelId(Digest::of(b"bench"));
    SeedState::at_birth(host, SEED, site, kernel, program, incubation, true)
}

/// Moves the seed of `host` to the middle of GRAFTING: half of it acts, and alpha moves too little to matter.
pub fn graft(host: &mut HostRuntime) {
    let start_step = host.state.step;
    let ramp = Ramp { start_step, n_steps: 1 << 40, from: 0.5, to: 1.0, curve: Curve::Linear };
    let seed = host.seed_mut(SEED).expect("a seed was planted");
    seed.state.mode = SeedMode::Blended { ramp, trains: true };
}

/// Takes `n_steps` steps.
pub fn take_steps(host: &mut HostRuntime, n_steps: usize) {
    for _ in 0..n_steps {
        host.step().expect("the data has no fault in it");
    }
}

/// Floating-point operations of one step of `host`, the mean over `n_steps` of them.
pub fn flops_per_step(host: &mut HostRuntime, n_steps: usize) -> f64 {
    let before = host.state.flops.total();
    take_steps(host, n_steps);
    (host.state.flops.total() - before) as f64 / n_steps as f64
}
