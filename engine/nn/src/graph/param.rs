//! Parameters and buffers: what they are called, how they are shaped and drawn.

use serde::{Deserialize, Serialize};

use super::{Op, op::features};

/// How a parameter is drawn at birth.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub enum Init {
    /// PyTorch's for linear and convolution: uniform in +-1/sqrt(fan in) (He et al. 2015 with `a = sqrt(5)`).
    #[default]
    FanIn,
    /// Every value the same.
    Constant(f32),
    /// Uniform in +-bound.
    Uniform(f32),
    /// Weights normal with mean zero and this standard deviation, biases zero (Radford et al. 2019, section 2.3, and
    /// the code published with it).
    Normal(f32),
}

impl Init {
    /// All zeros: with it a module's last layer makes the module an identity at birth.
    pub const ZERO: Self = Self::Constant(0.0);
}

/// One parameter or buffer tensor.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Full name, PyTorch's: `<node>.weight`, `<node>.bias`, `<node>.running_mean`.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// How it is drawn.
    pub init: Init,
    /// Inputs that feed one output: scales [`Init::FanIn`].
    pub fan_in: usize,
}

impl ParamSpec {
    /// Values in it.
    pub fn len_elems(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Op {
    /// The op's parameters, named after `node`, for inputs of `shapes`.
    pub fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        let param = |suffix: &str, shape: Vec<usize>, init, fan_in| ParamSpec {
            name: format!("{node}.{suffix}"),
            shape,
            init,
            fan_in,
        };
        let with_bias = |shape: Vec<usize>, bias: bool, init| {
            let (outputs, fan_in) = (shape[0], shape[1..].iter().product());
            let mut params = vec![param("weight", shape, init, fan_in)];
            let init = if let Init::Normal(_) = init { Init::ZERO } else { init };
            params.extend(bias.then(|| param("bias", vec![outputs], init, fan_in)));
            params
        };
        let per_feature = |suffix, init| param(suffix, vec![features(shapes[0]).width], init, 1);
        match self {
            Self::Linear { outputs, bias, init } => {
                with_bias(vec![*outputs, features(shapes[0]).width], *bias, *init)
            }
            Self::Conv2d { outputs, kernel, groups, bias, init, .. } => {
                let shape = vec![*outputs, shapes[0][0] / groups, kernel[0], kernel[1]];
                with_bias(shape, *bias, *init)
            }
            Self::PatchEmbed { outputs, patch } => {
                with_bias(vec![*outputs, shapes[0][0], *patch, *patch], true, Init::FanIn)
            }
            Self::Embedding { vocabulary, width, init } => {
                vec![param("weight", vec![*vocabulary, *width], *init, 1)]
            }
            Self::Positions { init } => vec![param("weight", shapes[0].to_vec(), *init, 1)],
            Self::Bias => vec![per_feature("bias", Init::ZERO)],
            Self::LayerNorm { weight, .. }
            | Self::BatchNorm { weight, .. }
            | Self::GroupNorm { weight, .. } => vec![
                per_feature("weight", Init::Constant(*weight)),
                per_feature("bias", Init::ZERO),
            ],
            Self::RmsNorm { weight, .. } | Self::LayerScale { weight } => {
                vec![per_feature("weight", Init::Constant(*weight))]
            }
            Self::Gate => vec![per_feature("weight", Init::ZERO)],
            _ => Vec::new(),
        }
    }

    /// What the op carries from step to step and no gradient reaches, named after `node`.
    pub fn buffers(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        let Self::BatchNorm { .. } = self else { return Vec::new() };
        let width = features(shapes[0]).width;
        let buffer = |suffix: &str, shape: Vec<usize>, value: f32| ParamSpec {
            name: format!("{node}.{suffix}"),
            shape,
            init: Init::Constant(value),
            fan_in: 1,
        };
        vec![
            buffer("running_mean", vec![width], 0.0),
            buffer("running_var", vec![width], 1.0),
            buffer("num_batches_tracked", Vec::new(), 0.0),
        ]
    }
}
