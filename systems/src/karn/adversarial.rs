//! Bad blueprints: each breaks one rule, and validation must refuse it for that.

use esper_engine::{
    graph::{GraphError, Init, NetworkGraph},
    nn::op::{LayerScale, Scale},
};
use esper_kernels::cpu::Activation;
use esper_nn::contract::Contract;

use super::{
    chain::Chain,
    config::Karn,
    families::attention,
    family::{BlueprintFamily, Family, everywhere, width},
};

/// The bad family called `name`: one of [`Karn::ADVERSARIAL`].
pub fn adversarial_family(name: &str) -> Option<impl BlueprintFamily + use<>> {
    BAD.into_iter().find(|family| family.name == name)
}

const BASIS: &str = "adversarial: there to be refused";

const BAD: [Family; Karn::ADVERSARIAL.len()] = [
    Family {
        name: "bad_nan",
        intent: "is born with parameters that are no numbers",
        basis: BASIS,
        fits: everywhere,
        draw: nan,
    },
    Family {
        name: "bad_exploding",
        intent: "blows gradients up",
        basis: BASIS,
        fits: everywhere,
        draw: exploding,
    },
    Family {
        name: "bad_shape",
        intent: "does not keep its site's shape",
        basis: BASIS,
        fits: everywhere,
        draw: shape,
    },
    Family {
        name: "bad_dead",
        intent: "can never learn",
        basis: BASIS,
        fits: everywhere,
        draw: dead,
    },
    Family {
        name: "bad_memory",
        intent: "takes more memory than there may be",
        basis: BASIS,
        fits: everywhere,
        draw: memory,
    },
    Family {
        name: "bad_slow",
        intent: "takes more arithmetic than there may be",
        basis: BASIS,
        fits: everywhere,
        draw: slow,
    },
    Family {
        name: "bad_lookahead",
        intent: "sees positions that come later, where it may not",
        basis: BASIS,
        fits: |site| site.is_causal(),
        draw: |site| attention(site, false),
    },
];

/// Hidden features of a small module.
fn hidden(site: Contract) -> usize {
    width(site).max(4)
}

fn nan(site: Contract) -> Result<NetworkGraph, GraphError> {
    let chain = Chain::input(site)?.map("hidden", hidden(site), Init::Constant(f32::NAN))?;
    chain.gelu("act")?.zero("out", width(site))?.finish(site)
}

/// Born an identity, with a gradient; as soon as the last layer has moved, gradients grow 10,000-fold.
fn exploding(site: Contract) -> Result<NetworkGraph, GraphError> {
    let chain = Chain::input(site)?.then("blow_up", Scale { factor: 1e4 })?;
    chain.linear("hidden", hidden(site))?.gelu("act")?.zero("out", width(site))?.finish(site)
}

fn shape(site: Contract) -> Result<NetworkGraph, GraphError> {
    let chain = Chain::input(site)?.linear("hidden", hidden(site))?.gelu("act")?;
    chain.zero("out", width(site) + 1)?.finish(site)
}

/// Zero, then ReLU, then a scale: an identity at birth, and for ever.
fn dead(site: Contract) -> Result<NetworkGraph, GraphError> {
    let chain = Chain::input(site)?.linear("hidden", hidden(site))?.gelu("act")?;
    let relu = chain.zero("zero", width(site))?.then("relu", Activation::Relu)?;
    relu.then("scale", LayerScale { weight: 1.0 })?.finish(site)
}

/// Values of the hidden layer: 16 MiB an example, and 1 GiB a batch of 64.
const HOG_ELEMS: usize = 1 << 22;

/// A hidden layer of [`HOG_ELEMS`] values; positions and pixels share its weights.
fn memory(site: Contract) -> Result<NetworkGraph, GraphError> {
    let chain = Chain::input(site)?.image()?;
    let features = chain.width();
    let n_positions = site.len_elems() / features;
    let hog = chain.linear("hog", HOG_ELEMS.div_ceil(n_positions))?.gelu("act")?;
    hog.zero("out", features)?.finish(site)
}

/// Arithmetic of one example's forward pass: above the default limit by itself, in little memory.
const SLOW_FLOPS: usize = 200_000_000;

/// Wide maps one after another, until the arithmetic is enough.
fn slow(site: Contract) -> Result<NetworkGraph, GraphError> {
    const WIDTH: usize = 1024;
    let chain = Chain::input(site)?.image()?;
    let features = chain.width();
    let flops_a_layer = 2 * WIDTH * WIDTH * (site.len_elems() / features);
    let mut chain = chain.linear("first", WIDTH)?;
    for layer in 0..SLOW_FLOPS.div_ceil(flops_a_layer) {
        chain = chain.linear(format!("layer{layer}"), WIDTH)?;
    }
    chain.gelu("act")?.zero("out", features)?.finish(site)
}
