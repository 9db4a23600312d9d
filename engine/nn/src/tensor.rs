//! Tensors and parameters: their shapes, names and places.

use esper_kernels::cpu::ChannelShape;
use serde::{Deserialize, Serialize};

/// A per-example shape; the batch is not part of it.
///
/// `[width]` is a vector (or the tokens of a text, before their embedding), `[len, width]` a sequence,
/// `[channels, height, width]` an image.
pub type Shape = Vec<usize>;

/// Values an example may have in any one tensor.
pub const ELEMS_MAX: usize = 1 << 24;

/// Parameters begin at multiples of this, one cache line of `f32`.
pub const PARAM_ALIGN_ELEMS: usize = 16;

/// An example of `shape` as `[positions, features, pixels]`: what an op with parameters for each feature sees.
///
/// The batch of the result is the positions of one example: those of a sequence, else 1. Features are the only axis of
/// a vector, the last of a sequence, the channels of an image.
pub fn channel_shape(shape: &[usize]) -> ChannelShape {
    match *shape {
        [positions, channels] => ChannelShape { batch: positions, channels, len: 1 },
        [channels, ref pixels @ ..] => {
            ChannelShape { batch: 1, channels, len: pixels.iter().product() }
        }
        [] => ChannelShape { batch: 1, channels: 1, len: 1 },
    }
}

/// What the 32-bit words of a buffer or a tensor are.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum DType {
    /// IEEE 754 binary32.
    #[default]
    F32,
    /// Unsigned integers: tokens, labels, indices. A workspace of `f32` holds their bit patterns.
    U32,
}

/// A tensor of a program: its place in the program's list of regions.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(pub u32);

/// Where a tensor lies: `offset .. offset + elems` an example, both times the batch capacity.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// First value, an example.
    pub offset: usize,
    /// Values an example.
    pub elems: usize,
}

/// A parameter or buffer in its block: `offset .. offset + len`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// First value.
    pub offset: usize,
    /// Values.
    pub len: usize,
}

impl Param {
    /// Where its values lie.
    pub fn range(self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len
    }
}

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
    /// The parameter `<node>.<suffix>`.
    pub fn new(node: &str, suffix: &str, shape: Vec<usize>, init: Init, fan_in: usize) -> Self {
        Self { name: format!("{node}.{suffix}"), shape, init, fan_in }
    }

    /// `<node>.weight: f32[outputs, ..]`, and `<node>.bias: f32[outputs]` where there is one.
    pub fn weight_and_bias(node: &str, shape: Vec<usize>, has_bias: bool, init: Init) -> Vec<Self> {
        let (outputs, fan_in) = (shape[0], shape[1..].iter().product());
        let mut params = vec![Self::new(node, "weight", shape, init, fan_in)];
        let init = if let Init::Normal(_) = init { Init::ZERO } else { init };
        params.extend(has_bias.then(|| Self::new(node, "bias", vec![outputs], init, fan_in)));
        params
    }

    /// One value for each feature of an example of `shape`.
    pub fn per_feature(node: &str, suffix: &str, shape: &[usize], init: Init) -> Self {
        Self::new(node, suffix, vec![channel_shape(shape).channels], init, 1)
    }

    /// Values in it.
    pub fn len_elems(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A parameter and where it lies in the block.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PlacedParam {
    /// What it is.
    pub spec: ParamSpec,
    /// Its first value in the parameter block.
    pub offset: usize,
}

impl PlacedParam {
    /// Where its values lie in the parameter block.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.spec.len_elems()
    }
}

/// Parameters or buffers, one after another.
#[derive(Clone, Debug, Default)]
pub struct ParamBlock {
    /// What lies in it.
    pub placed: Vec<PlacedParam>,
    /// Its length, alignment included.
    pub len_elems: usize,
}

impl ParamBlock {
    /// Appends `specs`, each aligned to [`PARAM_ALIGN_ELEMS`], and returns where they lie.
    pub fn place(&mut self, specs: Vec<ParamSpec>) -> Vec<Param> {
        let mut places = Vec::with_capacity(specs.len());
        for spec in specs {
            let (offset, len) = (self.len_elems, spec.len_elems());
            self.len_elems += len.next_multiple_of(PARAM_ALIGN_ELEMS);
            self.placed.push(PlacedParam { spec, offset });
            places.push(Param { offset, len });
        }
        places
    }

    /// Where the parameter of that full name lies.
    pub fn find(&self, name: &str) -> Option<Param> {
        let placed = self.placed.iter().find(|param| param.spec.name == name)?;
        Some(Param { offset: placed.offset, len: placed.spec.len_elems() })
    }
}
