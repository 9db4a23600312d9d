//! Hosts and modules that the tests share: one small host of each family.

use std::{path::Path, sync::Arc};

use esper_data::{DataConfig, DeviceData, SplitData, load};
use esper_engine::{
    ids::SeedId,
    runtime::{HostConfig, HostRuntime, NewModule},
};
use esper_kernels::cpu::Activation;
use esper_nn::{
    device::Cpu,
    graph::{
        CnnConfig, CnnForm, ImageNorm, Init, Loss, MlpConfig, NetworkGraph, Op, TransformerConfig,
    },
    module::{Composition, Incubation},
    op::{Attention, BatchNorm, Conv2d, Dropout, Input},
    optim::{Adam, Optimizer, Train},
    plan::{LossMonitorConfig, Ports},
    program::{CompileOptions, Program},
};

/// What people train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    Mlp,
    Cnn,
    Transformer,
}

/// Tokens that the transformer sees.
const CONTEXT: usize = 16;

impl Family {
    pub const ALL: [Self; 3] = [Self::Mlp, Self::Cnn, Self::Transformer];

    /// The examples its hosts are trained on.
    pub fn data(self) -> Arc<SplitData> {
        let mut config = match self {
            Self::Mlp | Self::Cnn => DataConfig::new("digits"),
            Self::Transformer => DataConfig { context: CONTEXT, ..DataConfig::new("hamlet") },
        };
        if self == Self::Cnn {
            config.augment.crop_padding = 1;
        }
        let mut data = load(&config, Path::new(".")).expect("it ships with Esper");
        if self == Self::Transformer {
            // A text is long, and these tests are not about what is learnt from it.
            data.validation = data.test.clone();
        }
        Arc::new(data)
    }

    /// A host with dropout, norms and several sites.
    pub fn graph(self, dropout: f32) -> NetworkGraph {
        self.graph_of_width(dropout, 1)
    }

    /// The same, `factor` times as wide.
    pub fn graph_of_width(self, dropout: f32, factor: usize) -> NetworkGraph {
        match self {
            Self::Mlp => {
                let sites = vec!["input".into(), "hidden0".into()];
                let layers = vec![64, 8 * factor, 7 * factor, 10];
                let config = MlpConfig { layers, sites, dropout, ..MlpConfig::default() };
                NetworkGraph::mlp(&config, Loss::CrossEntropy)
            }
            Self::Cnn => {
                let mut config = CnnConfig {
                    input: [1, 8, 8],
                    n_outputs: 10,
                    form: CnnForm::ResNet,
                    channels: vec![4 * factor, 6 * factor],
                    blocks: vec![1, 1],
                    norm: ImageNorm::Batch,
                    dropout,
                    ..CnnConfig::default()
                };
                config.sites = config.default_sites();
                NetworkGraph::cnn(&config, Loss::CrossEntropy)
            }
            Self::Transformer => {
                let mut config = TransformerConfig {
                    vocabulary: 64,
                    context: CONTEXT,
                    layers: 2,
                    width: 16 * factor,
                    heads: 2,
                    mlp_width: 24 * factor,
                    dropout,
                    tied: true,
                    ..TransformerConfig::default()
                };
                config.sites = config.default_sites();
                NetworkGraph::transformer(&config)
            }
        }
        .expect("a sound host")
    }

    pub fn host(self, settings: &Settings, data: &Arc<SplitData>) -> HostRuntime {
        host_of(settings, self.graph(0.1), data.clone())
    }
}

/// What the tests vary of a host.
pub struct Settings {
    /// Threads that it may use.
    pub threads: usize,
    /// How a module's output joins it.
    pub composition: Composition,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threads: 2, composition: Composition::Residual }
    }
}

pub fn host_of(settings: &Settings, graph: NetworkGraph, data: Arc<SplitData>) -> HostRuntime {
    let program = Program::compile(&graph, CompileOptions::HOST).expect("it compiles");
    let optimizer = Optimizer::AdamW(Adam { lr: 1e-2, ..Adam::default() });
    let train = Train { optimizer, ..Train::default() };
    let monitor = LossMonitorConfig {
        is_enabled: true,
        window_checks: 100,
        divergence_sd: 6.0,
        divergence_ratio: 3.0,
        divergence_checks: 3,
        collapse_checks: 100,
        chance_loss: None,
    };
    let device = Arc::new(Cpu);
    let on_device = Arc::new(DeviceData::new(&data, &*device).unwrap());
    let config = HostConfig {
        threads: settings.threads,
        composition: settings.composition,
        ..HostConfig::new(data, 64, 4, train, monitor, device, on_device)
    };
    HostRuntime::new(Arc::new(config), Arc::new(graph), Arc::new(program)).unwrap()
}

/// A module for a site of `shape`, an identity at birth, with a batch norm or dropout of its own.
pub fn module(shape: &[usize]) -> NetworkGraph {
    let mut graph = NetworkGraph::new();
    let mut x = graph.add("x", Input { shape: shape.to_vec() }, &[]).unwrap();
    let norm = Op::BatchNorm(BatchNorm { eps: 1e-5, momentum: 0.1, weight: 1.0 });
    let gelu = Op::Activation(Activation::Gelu);
    let mut then = |name: &str, op: Op| x = graph.add(name, op, &[x]).unwrap();
    match *shape {
        [width] => {
            then("up", Op::linear(8));
            then("norm", norm);
            then("act", gelu);
            then("down", Op::zero_linear(width));
        }
        [_, width] => {
            then("qkv", Op::linear(3 * width));
            then("attention", Attention { heads: 2, is_causal: true }.into());
            then("dropout", Dropout { p: 0.2 }.into());
            then("proj", Op::zero_linear(width));
        }
        [channels, ..] => {
            then("up", Op::same_conv2d(5, [3, 3], Init::FanIn));
            then("norm", norm);
            then("act", gelu);
            then("down", Op::same_conv2d(channels, [1, 1], Init::ZERO));
        }
        [] => unreachable!("sites have axes"),
    }
    graph
}

/// A module that maps `read` to `write`, zero at birth, with a norm or dropout of its own.
pub fn span_module(read: &[usize], write: &[usize]) -> NetworkGraph {
    let mut graph = NetworkGraph::new();
    let mut x = graph.add("x", Input { shape: read.to_vec() }, &[]).unwrap();
    let mut then = |name: &str, op: Op| x = graph.add(name, op, &[x]).unwrap();
    match (read, write) {
        ([_, height, width], [channels, rows, columns]) => {
            let stride = [height / rows, width / columns];
            let up = Conv2d { stride, ..Conv2d::same(5, [3, 3], Init::FanIn) };
            then("up", up.into());
            then("act", Op::Activation(Activation::Relu));
            then("down", Op::same_conv2d(*channels, [1, 1], Init::ZERO));
        }
        _ => {
            then("up", Op::linear(6));
            then("act", Op::Activation(Activation::Gelu));
            then("down", Op::zero_linear(write[write.len() - 1]));
        }
    }
    graph
}

/// Binds a module that fits the site.
pub fn bind(host: &mut HostRuntime, id: u64, site: usize, how: Incubation) -> NetworkGraph {
    let graph = module(&host.program().sites[site].shape);
    bind_graph(host, id, Ports::at(site as u16), how, &graph);
    graph
}

/// Binds a module from the host's first site to its last.
pub fn bind_span(host: &mut HostRuntime, id: u64, how: Incubation) -> NetworkGraph {
    let sites = &host.program().sites;
    let ports = Ports { read: 0, write: sites.len() as u16 - 1 };
    let graph = span_module(&sites[0].shape, &sites[sites.len() - 1].shape);
    bind_graph(host, id, ports, how, &graph);
    graph
}

fn bind_graph(
    host: &mut HostRuntime,
    id: u64,
    ports: Ports,
    how: Incubation,
    graph: &NetworkGraph,
) {
    let program = Arc::new(Program::compile(graph, CompileOptions::MODULE).unwrap());
    let params = host.draw_module_params(SeedId(id), &program);
    let module = NewModule {
        seed: SeedId(id),
        ports,
        incubation: how,
        is_trainable: true,
        birth_step: host.state.step,
    };
    host.bind(module, program, &params).unwrap();
}
