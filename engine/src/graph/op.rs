//! The ops, their shape rules and their parameters.

use esper_kernels::cpu::Activation;
use serde::{Deserialize, Serialize};

use super::{GraphError, Shape};

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
}

impl Init {
    /// All zeros: with it a module's last layer makes the module an identity at birth.
    pub const ZERO: Self = Self::Constant(0.0);
}

/// One parameter tensor.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Full name, PyTorch's: `<node>.weight` or `<node>.bias`.
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

/// What a host is trained to lower.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Softmax cross-entropy with integer classes, in nats, mean over the batch.
    CrossEntropy,
    /// Mean squared error over features and batch.
    MeanSquaredError,
}

/// What a node computes. `x` is its first input; shapes leave out the batch.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// The batch.
    Input {
        /// Its per-example shape.
        shape: Shape,
    },
    /// `y = x W^T (+ b)`, `W: f32[outputs, inputs]`.
    Linear {
        /// Features out.
        outputs: usize,
        /// Whether a bias is added.
        bias: bool,
        /// How `W` and `b` are drawn.
        init: Init,
    },
    /// `y = x + b`, `b: f32[width]`, drawn as zeros.
    Bias,
    /// Elementwise.
    Activation(Activation),
    /// `(x - mean) / sqrt(var + eps) * weight + bias` over an example (Ba et al. 2016, equation 4).
    LayerNorm {
        /// Added to the variance.
        eps: f32,
        /// What `weight` is at birth; PyTorch's is 1.
        weight: f32,
    },
    /// `x / sqrt(mean(x^2) + eps) * weight` over an example (Zhang and Sennrich 2019, equation 4).
    RmsNorm {
        /// Added to the mean square.
        eps: f32,
        /// What `weight` is at birth; PyTorch's is 1.
        weight: f32,
    },
    /// `y = a + b`.
    Add,
    /// `y = a * b`, elementwise.
    Multiply,
    /// `y = fma(alpha, f, x)` with inputs `x` and `f`: how a grafted module joins its host.
    Residual {
        /// The blend.
        alpha: f32,
    },
    /// `y = (1 - alpha) x + alpha m` with inputs `x` and `m`, exact at both ends.
    Blend {
        /// The blend.
        alpha: f32,
    },
    /// `y = factor * x`.
    Scale {
        /// The factor.
        factor: f32,
    },
    /// `y = weight * x`, `weight: f32[width]` (`LayerScale`, Touvron et al. 2021, equation 4).
    LayerScale {
        /// What `weight` is at birth.
        weight: f32,
    },
    /// `y = sigmoid(weight) * x`, `weight: f32[width]`, drawn as zeros.
    Gate,
    /// Inverted dropout: while training, zero with probability `p`, else scaled by `1 / (1 - p)`.
    Dropout {
        /// Probability of zero.
        p: f32,
    },
    /// Cross-correlation over `[channels, length]`, weight `f32[out, in, kernel]`.
    Conv1d {
        /// Channels out.
        outputs: usize,
        /// Taps.
        kernel: usize,
        /// Step between outputs.
        stride: usize,
        /// Zeros added at each end.
        padding: usize,
        /// Whether a bias is added.
        bias: bool,
        /// How weight and bias are drawn.
        init: Init,
    },
    /// The same values in another shape.
    Reshape {
        /// The new per-example shape.
        shape: Shape,
    },
    /// The same values; gradients of what reads it are summed before they join those of its input.
    Fork,
    /// A named place where seeds may be planted: `y = x` until one is grafted.
    Site,
    /// The loss of the logits or predictions it is fed.
    Loss(Loss),
}

impl Op {
    /// A linear layer with bias and PyTorch's initialisation.
    pub fn linear(outputs: usize) -> Self {
        Self::Linear { outputs, bias: true, init: Init::FanIn }
    }

    /// A linear layer of zeros.
    pub fn zero_linear(outputs: usize) -> Self {
        Self::Linear { outputs, bias: true, init: Init::ZERO }
    }

    /// A convolution that keeps the length: stride 1, `kernel` odd, padded by half of it.
    pub fn same_conv1d(outputs: usize, kernel: usize, init: Init) -> Self {
        Self::Conv1d { outputs, kernel, stride: 1, padding: kernel / 2, bias: true, init }
    }

    /// The op's output shape for inputs of `shapes`.
    ///
    /// # Errors
    ///
    /// Names `node` when the inputs' number or shapes do not fit.
    pub fn infer_shape(&self, node: &str, shapes: &[&[usize]]) -> Result<Shape, GraphError> {
        let expected = match self {
            Self::Input { .. } => 0,
            Self::Add | Self::Multiply | Self::Residual { .. } | Self::Blend { .. } => 2,
            _ => 1,
        };
        let name = || node.to_owned();
        if shapes.len() != expected {
            return Err(GraphError::Arity { node: name(), expected, found: shapes.len() });
        }
        self.check_settings(node)?;
        let shape_error = |what, expected: Shape, found: &[usize]| {
            Err(GraphError::Shape { node: name(), what, expected, found: found.to_vec() })
        };
        match self {
            Self::Input { shape } => Ok(shape.clone()),
            Self::Linear { outputs, .. } => match shapes[0] {
                [_] => Ok(vec![*outputs]),
                other => shape_error("input", vec![other.iter().product()], other),
            },
            Self::Conv1d { outputs, kernel, stride, padding, .. } => match shapes[0] {
                [_, len] if *kernel <= len + 2 * padding => {
                    Ok(vec![*outputs, (len + 2 * padding - kernel) / stride + 1])
                }
                other => shape_error("input", vec![1, *kernel], other),
            },
            Self::Add | Self::Multiply | Self::Residual { .. } | Self::Blend { .. } => {
                if shapes[0] == shapes[1] {
                    Ok(shapes[0].to_vec())
                } else {
                    shape_error("second input", shapes[0].to_vec(), shapes[1])
                }
            }
            Self::Reshape { shape } => {
                if shape.iter().product::<usize>() == shapes[0].iter().product::<usize>() {
                    Ok(shape.clone())
                } else {
                    shape_error("reshape", shape.clone(), shapes[0])
                }
            }
            Self::Loss(_) => Ok(vec![1]),
            _ => Ok(shapes[0].to_vec()),
        }
    }

    fn check_settings(&self, node: &str) -> Result<(), GraphError> {
        let refuse = |what| Err(GraphError::Setting { node: node.to_owned(), what });
        match self {
            Self::Dropout { p } if !(0.0..1.0).contains(p) => refuse("dropout's p is in [0, 1)"),
            Self::Conv1d { kernel, stride, .. } if *kernel == 0 || *stride == 0 => {
                refuse("kernel and stride are at least 1")
            }
            Self::LayerNorm { eps, .. } | Self::RmsNorm { eps, .. }
                if !(0.0 < *eps && eps.is_finite()) =>
            {
                refuse("eps is finite and above 0")
            }
            Self::Residual { alpha } | Self::Blend { alpha } if !(0.0..=1.0).contains(alpha) => {
                refuse("alpha is in [0, 1]")
            }
            _ => Ok(()),
        }
    }

    /// The op's parameters, named after `node`, for inputs of `shapes`.
    pub fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        let param = |suffix: &str, shape: Vec<usize>, init, fan_in| ParamSpec {
            name: format!("{node}.{suffix}"),
            shape,
            init,
            fan_in,
        };
        let elems = || shapes[0].iter().product::<usize>();
        match self {
            Self::Linear { outputs, bias, init } => {
                let fan_in = shapes[0][0];
                let mut params = vec![param("weight", vec![*outputs, fan_in], *init, fan_in)];
                params.extend(bias.then(|| param("bias", vec![*outputs], *init, fan_in)));
                params
            }
            Self::Conv1d { outputs, kernel, bias, init, .. } => {
                let fan_in = shapes[0][0] * kernel;
                let shape = vec![*outputs, shapes[0][0], *kernel];
                let mut params = vec![param("weight", shape, *init, fan_in)];
                params.extend(bias.then(|| param("bias", vec![*outputs], *init, fan_in)));
                params
            }
            Self::Bias => vec![param("bias", vec![elems()], Init::ZERO, 1)],
            Self::LayerNorm { weight, .. } => vec![
                param("weight", vec![elems()], Init::Constant(*weight), 1),
                param("bias", vec![elems()], Init::ZERO, 1),
            ],
            Self::RmsNorm { weight, .. } | Self::LayerScale { weight } => {
                vec![param("weight", vec![elems()], Init::Constant(*weight), 1)]
            }
            Self::Gate => vec![param("weight", vec![elems()], Init::ZERO, 1)],
            _ => Vec::new(),
        }
    }
}
