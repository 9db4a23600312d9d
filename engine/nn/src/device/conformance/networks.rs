//! Small networks that together have every instruction, and examples for them.

use std::sync::Arc;

use esper_kernels::cpu::{AugmentShape, fill_normal};

use super::super::{Device, ExampleFeatures, ExampleTargets, Examples};
use crate::{
    graph::{
        CnnConfig, CnnForm, GraphError, ImageNorm, Loss, MlpConfig, NetworkGraph, NodeIndex,
        NormKind, TransformerConfig, VitConfig,
    },
    op::{
        Activation, Attention, AvgPool2d, Bias, Blend, Branch, ChannelMultiply, Concat, Conv2d,
        Dropout, Gate, GlobalAvgPool, GroupNorm, Input, LayerNorm, LayerScale, Linear, MaxPool2d,
        Multiply, Op, Residual, RmsNorm, Scale, Softplus, Windows,
    },
    program::{CompileOptions, Program},
    rng::draw_below,
    tensor::Init,
};

pub(super) const N_EXAMPLES: usize = 20;
pub(super) const CONTEXT: usize = 6;
const N_CLASSES: usize = 5;
const VOCABULARY: usize = 11;
const WIDTH: usize = 7;
const IMAGE: [usize; 3] = [2, 6, 4];
const N_HEADS: usize = 2;
const DROPOUT: f32 = 0.2;
const EPS: f32 = 1e-3;

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// A perceptron that says classes.
    Perceptron,
    /// A perceptron that says values.
    Regression,
    /// A convolutional network with shortcuts and batch norms.
    ResNet,
    /// A convolutional network with pools.
    Vgg,
    /// A transformer of images.
    VisionTransformer,
    /// A transformer of text.
    Transformer,
}

impl Host {
    pub(super) const ALL: [Self; 6] = [
        Self::Perceptron,
        Self::Regression,
        Self::ResNet,
        Self::Vgg,
        Self::VisionTransformer,
        Self::Transformer,
    ];

    pub(super) fn program(self) -> Arc<Program> {
        let graph = match self {
            Self::Perceptron => perceptron(NormKind::Rms, Activation::Relu, Loss::CrossEntropy),
            Self::Regression => {
                perceptron(NormKind::None, Activation::Gelu, Loss::MeanSquaredError)
            }
            Self::ResNet => convolutional(CnnForm::ResNet, ImageNorm::Batch),
            Self::Vgg => convolutional(CnnForm::Vgg, ImageNorm::None),
            Self::VisionTransformer => vision_transformer(),
            Self::Transformer => transformer(),
        };
        let graph = graph.expect("the sizes are sound");
        Arc::new(Program::compile(&graph, CompileOptions::HOST).expect("a host compiles"))
    }

    pub(super) fn examples(self, device: &dyn Device) -> Examples {
        let augment = |crop_padding| {
            let [channels, height, width] = IMAGE;
            AugmentShape { channels, height, width, crop_padding, flip: true, cutout: 2 }
        };
        let (width, augment) = match self {
            Self::Perceptron | Self::Regression => (WIDTH, None),
            Self::ResNet | Self::VisionTransformer => (IMAGE.iter().product(), Some(augment(1))),
            Self::Vgg => (IMAGE.iter().product(), None),
            Self::Transformer => return text(device),
        };
        let values = device.share_f32(normal(1, N_EXAMPLES * width).into());
        let values = values.expect("there is room");
        let features = ExampleFeatures::Dense { values, width, augment };
        let targets = if self == Self::Regression {
            let values = device.share_f32(normal(2, N_EXAMPLES * N_CLASSES).into());
            ExampleTargets::Values { values: values.expect("there is room"), width: N_CLASSES }
        } else {
            let labels = device.share_u32(integers(3, N_EXAMPLES, N_CLASSES).into());
            ExampleTargets::Classes(labels.expect("there is room"))
        };
        Examples { features, targets }
    }
}

fn normal(stream: u64, len_elems: usize) -> Vec<f32> {
    let mut values = vec![0.0; len_elems];
    fill_normal(1, stream, 0.0, 1.0, &mut values);
    values
}

fn integers(stream: u64, len_elems: usize, bound: usize) -> Vec<u32> {
    (0..len_elems).map(|at| draw_below(stream, at as u64, bound as u64) as u32).collect()
}

fn text(device: &dyn Device) -> Examples {
    let n_tokens = (N_EXAMPLES + 1) * CONTEXT;
    let tokens = device.share_u32(integers(4, n_tokens, VOCABULARY).into());
    let tokens = tokens.expect("there is room");
    Examples {
        features: ExampleFeatures::Windows { tokens, part: 0..n_tokens, context: CONTEXT },
        targets: ExampleTargets::NextTokens,
    }
}

fn perceptron(
    norm: NormKind,
    activation: Activation,
    loss: Loss,
) -> Result<NetworkGraph, GraphError> {
    let layers = vec![WIDTH, 9, 8, N_CLASSES];
    let mut config =
        MlpConfig { layers, norm, activation, dropout: DROPOUT, ..MlpConfig::default() };
    config.sites = config.known_sites();
    NetworkGraph::mlp(&config, loss)
}

fn convolutional(form: CnnForm, norm: ImageNorm) -> Result<NetworkGraph, GraphError> {
    let mut config = CnnConfig {
        input: IMAGE,
        n_outputs: N_CLASSES,
        form,
        norm,
        channels: vec![3, 4],
        dropout: DROPOUT,
        ..CnnConfig::default()
    };
    config.sites = config.default_sites();
    NetworkGraph::cnn(&config, Loss::CrossEntropy)
}

fn vision_transformer() -> Result<NetworkGraph, GraphError> {
    let mut config = VitConfig {
        input: IMAGE,
        n_outputs: N_CLASSES,
        patch: 2,
        layers: 1,
        width: 8,
        heads: N_HEADS,
        mlp_width: 12,
        dropout: DROPOUT,
        ..VitConfig::default()
    };
    config.sites = config.known_sites();
    NetworkGraph::vit(&config, Loss::CrossEntropy)
}

fn transformer() -> Result<NetworkGraph, GraphError> {
    let mut config = TransformerConfig {
        vocabulary: VOCABULARY,
        context: CONTEXT,
        layers: 2,
        width: 8,
        heads: N_HEADS,
        mlp_width: 12,
        dropout: DROPOUT,
        ..TransformerConfig::default()
    };
    config.sites = config.default_sites();
    NetworkGraph::transformer(&config)
}

/// A module that keeps `shape`, and is no identity at birth.
pub(super) fn module_of(shape: &[usize]) -> Arc<Program> {
    let mut module = Module(NetworkGraph::new());
    let x = module.add(Input { shape: shape.to_vec() }, &[]);
    match *shape {
        [width] => of_vectors(&mut module, x, width),
        [_, width] => of_sequences(&mut module, x, width),
        [channels, ..] => of_images(&mut module, x, channels),
        [] => unreachable!("a site has axes"),
    }
    Arc::new(Program::compile(&module.0, CompileOptions::MODULE).expect("a module compiles"))
}

/// A module that maps `read` to `write`, and is not zero at birth.
pub(super) fn span_of(read: &[usize], write: &[usize]) -> Arc<Program> {
    let mut module = Module(NetworkGraph::new());
    let x = module.add(Input { shape: read.to_vec() }, &[]);
    match (read, write) {
        ([.., _], [_] | [_, _]) => {
            let width = write[write.len() - 1];
            let ops = [Linear::new(5).into(), Activation::Gelu.into(), Linear::new(width).into()];
            module.chain(x, ops);
        }
        ([_, height, width], [channels, rows, columns]) => {
            let stride = [height / rows, width / columns];
            let conv = Conv2d { stride, ..Conv2d::same(4, [3, 3], Init::FanIn) };
            let last = Conv2d::same(*channels, [1, 1], Init::FanIn);
            module.chain(x, [conv.into(), Activation::Relu.into(), last.into()]);
        }
        _ => unreachable!("both ends have as many axes"),
    }
    Arc::new(Program::compile(&module.0, CompileOptions::MODULE).expect("a module compiles"))
}

struct Module(NetworkGraph);

impl Module {
    fn add(&mut self, op: impl Into<Op>, inputs: &[NodeIndex]) -> NodeIndex {
        self.0.add(format!("op{}", self.0.len()), op, inputs).expect("it fits")
    }

    fn chain(&mut self, x: NodeIndex, ops: impl IntoIterator<Item = Op>) -> NodeIndex {
        ops.into_iter().fold(x, |x, op| self.add(op, &[x]))
    }
}

fn of_vectors(module: &mut Module, x: NodeIndex, width: usize) {
    let hidden = module.chain(
        x,
        [
            Linear::new(width).into(),
            Activation::Silu.into(),
            RmsNorm { eps: EPS, weight: 1.0 }.into(),
            Softplus { beta: 1.5 }.into(),
            Dropout { p: DROPOUT }.into(),
        ],
    );
    let product = module.add(Multiply, &[x, hidden]);
    let both = module.add(Concat, &[product, hidden]);
    let narrow = module.add(Linear::new(width), &[both]);
    let scaled = module.add(Scale { factor: 0.7 }, &[narrow]);
    let blended = module.add(Blend { alpha: 0.4 }, &[hidden, scaled]);
    module.add(Residual { alpha: 0.5 }, &[narrow, blended]);
}

fn of_sequences(module: &mut Module, x: NodeIndex, width: usize) {
    module.chain(
        x,
        [
            LayerNorm { eps: EPS, weight: 1.0 }.into(),
            Linear::new(3 * width).into(),
            Attention { heads: N_HEADS, is_causal: true }.into(),
            Linear::new(width).into(),
            Activation::Tanh.into(),
            Bias.into(),
            Gate.into(),
        ],
    );
}

fn of_images(module: &mut Module, x: NodeIndex, channels: usize) {
    let windows = Windows { kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
    let features = module.chain(
        x,
        [
            Branch.into(),
            GroupNorm { groups: 1, eps: EPS, weight: 1.0 }.into(),
            Conv2d::same(4, [3, 3], Init::FanIn).into(),
            Activation::Relu.into(),
            MaxPool2d(windows).into(),
            AvgPool2d(windows).into(),
        ],
    );
    let squeezed = module
        .chain(features, [GlobalAvgPool.into(), Linear::new(4).into(), Activation::Sigmoid.into()]);
    let excited = module.add(ChannelMultiply, &[features, squeezed]);
    module.chain(
        excited,
        [Conv2d::same(channels, [1, 1], Init::FanIn).into(), LayerScale { weight: 0.8 }.into()],
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::op::{Backward, Forward};

    #[test]
    fn together_they_have_every_instruction() {
        let hosts = Host::ALL.map(Host::program);
        let sites = hosts.iter().flat_map(|host| &host.sites);
        let modules: Vec<Arc<Program>> = sites.map(|site| module_of(&site.shape)).collect();
        let all = || hosts.iter().chain(&modules);
        let forward: BTreeSet<&str> =
            all().flat_map(|it| it.forward.iter().map(|it| it.instr.name())).collect();
        assert_eq!(forward, Forward::NAMES.iter().copied().collect());
        let backward: BTreeSet<&str> =
            all().flat_map(|it| it.backward.iter().map(|it| it.instr.name())).collect();
        assert_eq!(backward, Backward::NAMES.iter().copied().collect());
    }
}
