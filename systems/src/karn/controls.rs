//! Modules that must not be found useful: they judge the judges.

use esper_engine::{
    graph::{GraphError, Init, NetworkGraph},
    nn::op::Scale,
    world::blueprint::Blueprint,
};
use esper_kernels::cpu::Activation;
use esper_nn::contract::Contract;

use super::{
    chain::Chain,
    family::{Family, everywhere, width},
};

/// Modules that can not help. Left out of `all`: they are in a catalogue only by name.
pub(super) const CONTROLS: [Family; 2] = [
    Family {
        name: "noop",
        intent: "changes nothing, ever",
        basis: Blueprint::CONTROL,
        fits: everywhere,
        draw: noop,
    },
    Family {
        name: "frozen_random",
        intent: "disturbs the host by a random function that never learns; the host may lean on it, and \
                 only its twin shows that it would do as well without",
        basis: Blueprint::CONTROL,
        fits: everywhere,
        draw: frozen_random,
    },
];

/// `f = 0 x`.
fn noop(site: Contract) -> Result<NetworkGraph, GraphError> {
    Chain::input(site)?.then("zero", Scale { factor: 0.0 })?.finish(site)
}

/// Root mean square of the frozen module's output for inputs of unit variance: as large as an incubating seed
/// is held to (`kasmina.rho`).
const FROZEN_RMS: f32 = 0.2;
/// `E[tanh(z)^2]` for `z ~ N(0, 1/3)`, which is what a unit input and PyTorch's initialisation give; by quadrature.
const TANH_SQUARED_MEAN: f32 = 0.212;

/// `f = W2 tanh(W1 x + b1) + b2`, never trained and not an identity at birth.
fn frozen_random(site: Contract) -> Result<NetworkGraph, GraphError> {
    let width = width(site);
    // Uniform in +-bound has variance bound^2 / 3; the output sums `width` of them times tanh, and one alone.
    let variance_sum = width as f32 * TANH_SQUARED_MEAN + 1.0;
    let bound = FROZEN_RMS * (3.0 / variance_sum).sqrt();
    let hidden = Chain::input(site)?.linear("hidden", width)?;
    let hidden = hidden.then("act", Activation::Tanh)?;
    hidden.map("out", width, Init::Uniform(bound))?.finish(site)
}
