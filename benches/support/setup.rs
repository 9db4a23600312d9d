//! The hosts that budgets name: what each is, what it is trained on, and how.

use std::sync::Arc;

use esper::{
    data::{DeviceData, SplitData},
    engine::runtime::HostRuntime,
    nn::{
        device::{Cpu, Device},
        graph::{CnnConfig, CnnForm, Loss, MlpConfig, NetworkGraph, TransformerConfig},
        program::{CompileOptions, Program},
    },
    scenario::{self, Adam, DATA, Optimizer, RUN, Sgd, TRAIN},
    systems::tolaria::host_config,
};

use super::data::{clusters, noise_text};

/// Batches of an epoch. With 10 classes and 16, 64 or 128 examples a batch, every part of the data has as many of each
/// class, and every batch is full.
const N_BATCHES: usize = 15;

/// A host before its birth.
#[derive(Clone)]
pub struct Setup {
    /// Its sizes and how it is trained, such as `64-32-10 b64, SGD`.
    pub name: String,
    /// The network, with sites.
    pub graph: NetworkGraph,
    /// What it is trained on.
    pub data: Arc<SplitData>,
    /// Examples a step.
    pub batch: usize,
    /// How parameters are updated.
    pub optimizer: Optimizer,
    /// The site in its middle.
    pub site: &'static str,
}

impl Setup {
    /// A multilayer perceptron of these widths, at least three, on data of its own.
    pub fn mlp(layers: &[usize], batch: usize, optimizer: Optimizer) -> Self {
        let n_classes = *layers.last().expect("a network has layers");
        let data = clusters(N_BATCHES * batch, &layers[..1], n_classes);
        Self::mlp_on(layers, batch, optimizer, Arc::new(data))
    }

    /// The same on `data`.
    pub fn mlp_on(
        layers: &[usize],
        batch: usize,
        optimizer: Optimizer,
        data: Arc<SplitData>,
    ) -> Self {
        let mut config = MlpConfig { layers: layers.to_vec(), ..MlpConfig::default() };
        config.sites = config.known_sites();
        let graph = NetworkGraph::mlp(&config, Loss::CrossEntropy).expect("the widths are sound");
        let widths: Vec<String> = layers.iter().map(ToString::to_string).collect();
        Self { site: "hidden0", ..Self::new(&widths.join("-"), graph, data, batch, optimizer) }
    }

    /// Two convolutions of 16 and 32 channels on 28x28x1, each with batch norm and a pool after it.
    pub fn cnn() -> Self {
        let config = CnnConfig { form: CnnForm::Vgg, ..CnnConfig::default() };
        Self { site: "stage1.out", ..Self::images("CNN 28x28x1 [16, 32]", config) }
    }

    /// A ResNet of eight layers with weights on 32x32x3.
    pub fn resnet8() -> Self {
        let config = CnnConfig {
            input: [3, 32, 32],
            channels: vec![16, 32, 64],
            blocks: vec![1; 3],
            ..CnnConfig::default()
        };
        Self { site: "stage2.out", ..Self::images("ResNet-8 32x32x3", config) }
    }

    /// Four blocks of width 128 with 4 heads, over 128 of 64 tokens.
    pub fn transformer() -> Self {
        let (vocabulary, context, batch) = (64, 128, 16);
        let mut config = TransformerConfig { vocabulary, context, ..TransformerConfig::default() };
        config.sites = config.default_sites();
        let graph = NetworkGraph::transformer(&config).expect("it is sound");
        let data = Arc::new(noise_text(N_BATCHES * batch, context, vocabulary));
        let adamw = Optimizer::AdamW(Adam::default());
        Self { site: "block1.out", ..Self::new("transformer 4x128", graph, data, batch, adamw) }
    }

    /// Those that can use more than one thread.
    pub fn large() -> [Self; 3] {
        [Self::cnn(), Self::resnet8(), Self::transformer()]
    }

    fn images(name: &str, mut config: CnnConfig) -> Self {
        config.sites = config.default_sites();
        let graph = NetworkGraph::cnn(&config, Loss::CrossEntropy).expect("it is sound");
        let (batch, sgd) = (64, Optimizer::Sgd(Sgd::default()));
        let data = clusters(N_BATCHES * batch, &config.input, config.n_outputs);
        Self::new(name, graph, Arc::new(data), batch, sgd)
    }

    fn new(
        name: &str,
        graph: NetworkGraph,
        data: Arc<SplitData>,
        batch: usize,
        optimizer: Optimizer,
    ) -> Self {
        let rule = match optimizer {
            Optimizer::Sgd(_) => "SGD",
            Optimizer::Adam(_) => "Adam",
            Optimizer::AdamW(_) => "AdamW",
        };
        let name = format!("{name} b{batch}, {rule}");
        Self { name, graph, data, batch, optimizer, site: "input" }
    }

    /// A host at birth, for one thread.
    pub fn host(&self) -> HostRuntime {
        self.host_on(Arc::new(Cpu), 1)
    }

    /// A host at birth, for `n_threads` of `device`.
    pub fn host_on(&self, device: Arc<dyn Device>, n_threads: usize) -> HostRuntime {
        let program = Program::compile(&self.graph, CompileOptions::HOST);
        let mut scenario = scenario::defaults();
        scenario[RUN].epochs = 1_000_000; // Longer than any bench runs: schedules stand still.
        scenario[RUN].threads = n_threads;
        scenario[DATA].batch = self.batch;
        scenario[TRAIN].optimizer = self.optimizer.clone();
        let on_device = DeviceData::new(&self.data, &*device).expect("there is room");
        let on_device = Arc::new(on_device);
        let config = host_config(&scenario, (0, 0), self.data.clone(), device, on_device);
        let program = Arc::new(program.expect("a host compiles"));
        HostRuntime::new(Arc::new(config), Arc::new(self.graph.clone()), program)
            .expect("there is room")
    }
}
