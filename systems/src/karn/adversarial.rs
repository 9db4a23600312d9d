//! Bad blueprints: each breaks one rule, and validation must refuse it for that.

use esper_engine::{
    graph::{GraphError, Init, NetworkGraph, Op},
    scenario::Karn,
    world::{catalog::Blueprint, components::Contract},
};
use esper_kernels::cpu::Activation;

use super::{catalogue::BlueprintFamily, chain::Chain, families::VectorFamily};

/// The bad family called `name`: one of [`Karn::ADVERSARIAL`].
pub fn adversarial_family(name: &str) -> Option<impl BlueprintFamily + use<>> {
    BAD.iter().find(|family| family.name == name).map(Adversary)
}

struct Adversary(&'static VectorFamily);

impl BlueprintFamily for Adversary {
    fn name(&self) -> &str {
        self.0.name
    }

    fn design(&self, contract: &Contract) -> Result<Option<Blueprint>, GraphError> {
        self.0.design(contract)
    }
}

const BASIS: &str = "adversarial: there to be refused";

static BAD: [VectorFamily; Karn::ADVERSARIAL.len()] = [
    VectorFamily {
        name: "bad_nan",
        intent: "is born with parameters that are no numbers",
        basis: BASIS,
        draw: nan,
    },
    VectorFamily {
        name: "bad_exploding",
        intent: "blows gradients up",
        basis: BASIS,
        draw: exploding,
    },
    VectorFamily {
        name: "bad_shape",
        intent: "does not keep its site's shape",
        basis: BASIS,
        draw: shape,
    },
    VectorFamily { name: "bad_dead", intent: "can never learn", basis: BASIS, draw: dead },
    VectorFamily {
        name: "bad_memory",
        intent: "takes more memory than there may be",
        basis: BASIS,
        draw: memory,
    },
    VectorFamily {
        name: "bad_slow",
        intent: "takes more arithmetic than there may be",
        basis: BASIS,
        draw: slow,
    },
];

fn nan(width: usize) -> Result<NetworkGraph, GraphError> {
    let hidden = Op::Linear { outputs: width.max(4), bias: true, init: Init::Constant(f32::NAN) };
    Ok(Chain::input(width)?.then("hidden", hidden)?.gelu("act")?.zero("out", width)?.finish())
}

/// Born an identity, with a gradient; as soon as the last layer has moved, gradients grow 10,000-fold.
fn exploding(width: usize) -> Result<NetworkGraph, GraphError> {
    let hidden = Chain::input(width)?.then("blow_up", Op::Scale { factor: 1e4 })?;
    Ok(hidden.linear("hidden", width.max(4))?.gelu("act")?.zero("out", width)?.finish())
}

fn shape(width: usize) -> Result<NetworkGraph, GraphError> {
    Ok(Chain::input(width)?
        .linear("hidden", width.max(4))?
        .gelu("act")?
        .zero("out", width + 1)?
        .finish())
}

/// Zero, then ReLU, then a norm without bias: an identity at birth, and for ever.
fn dead(width: usize) -> Result<NetworkGraph, GraphError> {
    let hidden =
        Chain::input(width)?.linear("hidden", width.max(4))?.gelu("act")?.zero("zero", width)?;
    let relu = hidden.then("relu", Op::Activation(Activation::Relu))?;
    Ok(relu.then("norm", Op::RmsNorm { eps: 1e-5, weight: 1.0 })?.finish())
}

/// Values of the hidden layer: 16 MiB an example, and 1 GiB a batch of 64.
const HOG_ELEMS: usize = 1 << 22;

/// A hidden layer of [`HOG_ELEMS`] values; little arithmetic, as kernels of one tap share their weights.
fn memory(width: usize) -> Result<NetworkGraph, GraphError> {
    let hog = Op::same_conv2d(HOG_ELEMS.div_ceil(width), [1, 1], Init::FanIn);
    Ok(Chain::sequence(width)?.then("hog", hog)?.gelu("act")?.zero_conv(1, width)?.finish())
}

/// Arithmetic of one example's forward pass: above the default limit by itself, in little memory.
const SLOW_FLOPS: usize = 200_000_000;

/// Wide convolutions one after another, until the arithmetic is enough.
fn slow(width: usize) -> Result<NetworkGraph, GraphError> {
    const CHANNELS: usize = 256;
    const TAPS: usize = 5;
    let flops_a_layer = 2 * CHANNELS * CHANNELS * TAPS * width;
    let mut chain =
        Chain::sequence(width)?.then("first", Op::same_conv2d(CHANNELS, [1, 1], Init::FanIn))?;
    for layer in 0..SLOW_FLOPS.div_ceil(flops_a_layer) {
        chain = chain
            .then(format!("layer{layer}"), Op::same_conv2d(CHANNELS, [1, TAPS], Init::FanIn))?;
    }
    Ok(chain.gelu("act")?.zero_conv(1, width)?.finish())
}
