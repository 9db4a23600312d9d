//! Contracts: what a module at a site must keep.

use esper_kernels::cpu::Activation;
use serde::{Deserialize, Serialize};

use crate::op::Windows;

/// What a module must keep: the per-example shape at its site, or the pair of them at the sites that it spans.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Contract {
    /// `f32[batch, width]`.
    Vector {
        /// Features an example.
        width: u32,
    },
    /// `f32[batch, channels, height, width]`; a signal has height 1.
    Image {
        /// Channels.
        channels: u32,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
    },
    /// `f32[batch, len, width]`.
    Sequence {
        /// Positions.
        len: u32,
        /// Features a position.
        width: u32,
        /// Whether no position may see a later one.
        is_causal: bool,
    },
    /// From a site to a later one, over a layer of the host.
    Span(SpanContract),
}

/// What a module must keep that reads at one site and writes at a later one.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanContract {
    /// The shape it reads.
    pub read: PortShape,
    /// The shape it writes.
    pub write: PortShape,
    /// Whether no position may see a later one.
    pub is_causal: bool,
    /// What the host has between the two sites.
    pub layer: Layer,
}

/// The per-example shape at one end of a span, of one to three axes: written as a list.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(try_from = "Vec<u32>", into = "Vec<u32>")]
pub struct PortShape([u32; AXES_MAX]);

/// Axes that a site has at most.
const AXES_MAX: usize = 3;

/// The hidden layer that a span goes around.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// A linear map, an activation, and a linear map.
    Linear {
        /// Hidden features.
        width: u32,
        /// What follows the first map.
        activation: Activation,
    },
    /// A convolution, an activation, perhaps a pool, and a convolution, norms after both or neither.
    Conv {
        /// Hidden channels.
        channels: u32,
        /// What follows the first convolution.
        activation: Activation,
        /// Taps of the first.
        first: Taps,
        /// What maximum is taken of the hidden channels.
        pool: Option<Taps>,
        /// Taps of the last.
        last: Taps,
    },
}

/// [`Windows`] in few bytes: contracts are copied, compared and stored. Pairs are vertical, then horizontal.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taps {
    /// Extent of a window.
    pub kernel: [u16; 2],
    /// Step between windows.
    pub stride: [u16; 2],
    /// Rows and columns added at each end.
    pub padding: [u16; 2],
}

impl Taps {
    /// Those windows, unless they are wider than 65,535.
    pub fn of(windows: Windows) -> Option<Self> {
        let pair = |[a, b]: [usize; 2]| Some([u16::try_from(a).ok()?, u16::try_from(b).ok()?]);
        let Windows { kernel, stride, padding } = windows;
        Some(Self { kernel: pair(kernel)?, stride: pair(stride)?, padding: pair(padding)? })
    }

    /// As an op has them.
    pub fn windows(self) -> Windows {
        let pair = |it: [u16; 2]| it.map(usize::from);
        let Self { kernel, stride, padding } = self;
        Windows { kernel: pair(kernel), stride: pair(stride), padding: pair(padding) }
    }
}

impl PortShape {
    /// That shape.
    ///
    /// # Panics
    ///
    /// If it has no axis, more than three, or an empty one.
    pub fn of(shape: &[usize]) -> Self {
        assert!((1..=AXES_MAX).contains(&shape.len()), "a site has one to three axes");
        let mut axes = [0; AXES_MAX];
        for (to, len) in axes.iter_mut().zip(shape) {
            assert!(0 < *len, "a tensor has elements");
            *to = u32::try_from(*len).expect("a tensor has fewer than 2^32 elements");
        }
        Self(axes)
    }

    /// The shape, axis by axis.
    pub fn shape(&self) -> Vec<usize> {
        self.0.iter().take_while(|len| 0 < **len).map(|len| *len as usize).collect()
    }
}

impl From<PortShape> for Vec<u32> {
    fn from(shape: PortShape) -> Self {
        shape.0.into_iter().take_while(|len| 0 < *len).collect()
    }
}

impl TryFrom<Vec<u32>> for PortShape {
    type Error = String;

    fn try_from(axes: Vec<u32>) -> Result<Self, String> {
        if !(1..=AXES_MAX).contains(&axes.len()) || axes.contains(&0) {
            return Err(format!("{axes:?} is no shape of one to three axes"));
        }
        let mut shape = [0; AXES_MAX];
        shape[..axes.len()].copy_from_slice(&axes);
        Ok(Self(shape))
    }
}

impl Contract {
    /// The contract of a site of `shape`, in a host that does or does not say something at each position.
    ///
    /// # Panics
    ///
    /// If the shape has no axis or more than three.
    pub fn of(shape: &[usize], is_causal: bool) -> Self {
        let axis =
            |at: usize| u32::try_from(shape[at]).expect("a tensor has fewer than 2^32 elements");
        match shape.len() {
            1 => Self::Vector { width: axis(0) },
            2 => Self::Sequence { len: axis(0), width: axis(1), is_causal },
            3 => Self::Image { channels: axis(0), height: axis(1), width: axis(2) },
            n => panic!("a site has one to three axes, not {n}"),
        }
    }

    /// The per-example shape that a module reads, and at a single site keeps.
    pub fn shape(&self) -> Vec<usize> {
        match *self {
            Self::Vector { width } => vec![width as usize],
            Self::Image { channels, height, width } => {
                vec![channels as usize, height as usize, width as usize]
            }
            Self::Sequence { len, width, .. } => vec![len as usize, width as usize],
            Self::Span(span) => span.read.shape(),
        }
    }

    /// The per-example shape that a module writes.
    pub fn output_shape(&self) -> Vec<usize> {
        match self {
            Self::Span(span) => span.write.shape(),
            _ => self.shape(),
        }
    }

    /// What lies between the sites of a span; nothing, at a single site.
    pub const fn layer(&self) -> Option<Layer> {
        match self {
            Self::Span(span) => Some(span.layer),
            _ => None,
        }
    }

    /// Whether no position of the site may see a later one.
    pub const fn is_causal(&self) -> bool {
        matches!(
            self,
            Self::Sequence { is_causal: true, .. }
                | Self::Span(SpanContract { is_causal: true, .. })
        )
    }

    /// Values an example that a module reads.
    pub fn len_elems(&self) -> usize {
        self.shape().iter().product()
    }
}
