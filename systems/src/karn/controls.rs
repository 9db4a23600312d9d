//! Modules that must not be found useful: they judge the judges.

use esper_engine::{
    graph::{GraphError, Init, NetworkGraph, Op},
    world::{catalog::Blueprint, components::Contract},
};
use esper_kernels::cpu::Activation;

use super::{catalogue::BlueprintFamily, chain::Chain};

/// A module that can not help. Left out of `all`: it is in a catalogue only by name.
pub(super) struct Control {
    pub name: &'static str,
    intent: &'static str,
    draw: fn(width: usize) -> Result<NetworkGraph, GraphError>,
}

pub(super) const CONTROLS: [Control; 2] = [
    Control { name: "noop", intent: "changes nothing, ever", draw: noop },
    Control {
        name: "frozen_random",
        intent: "disturbs the host by a random function that never learns; the host may lean on it, and \
                 only its twin shows that it would do as well without",
        draw: frozen_random,
    },
];

impl BlueprintFamily for Control {
    fn name(&self) -> &str {
        self.name
    }

    fn design(&self, contract: &Contract) -> Result<Option<Blueprint>, GraphError> {
        match contract {
            Contract::Vector { width } => {
                let graph = (self.draw)(*width as usize)?;
                let blueprint = Blueprint::new(self.name, graph, self.intent, Blueprint::CONTROL)?;
                Ok(Some(Blueprint { is_trainable: false, ..blueprint }))
            }
            _ => Ok(None),
        }
    }
}

/// `f = 0 x`.
fn noop(width: usize) -> Result<NetworkGraph, GraphError> {
    Ok(Chain::input(width)?.then("zero", Op::Scale { factor: 0.0 })?.finish())
}

/// Root mean square of the frozen module's output for inputs of unit variance: as large as an incubating seed
/// is held to (`rho`, DESIGN section 5).
const FROZEN_RMS: f32 = 0.2;
/// `E[tanh(z)^2]` for `z ~ N(0, 1/3)`, which is what a unit input and PyTorch's initialisation give; by quadrature.
const TANH_SQUARED_MEAN: f32 = 0.212;

/// `f = W2 tanh(W1 x + b1) + b2`, never trained and not an identity at birth.
fn frozen_random(width: usize) -> Result<NetworkGraph, GraphError> {
    // Uniform in +-bound has variance bound^2 / 3; the output sums `width` of them times tanh, and one alone.
    let variance_sum = width as f32 * TANH_SQUARED_MEAN + 1.0;
    let bound = FROZEN_RMS * (3.0 / variance_sum).sqrt();
    let out = Op::Linear { outputs: width, bias: true, init: Init::Uniform(bound) };
    let hidden = Chain::input(width)?.linear("hidden", width)?;
    Ok(hidden.then("act", Op::Activation(Activation::Tanh))?.then("out", out)?.finish())
}
