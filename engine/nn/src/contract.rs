//! Contracts: what a module at a site must keep.

use serde::{Deserialize, Serialize};

/// What a module must keep: the per-example shape at its site.
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

    /// The per-example shape a module must keep.
    pub fn shape(&self) -> Vec<usize> {
        match *self {
            Self::Vector { width } => vec![width as usize],
            Self::Image { channels, height, width } => {
                vec![channels as usize, height as usize, width as usize]
            }
            Self::Sequence { len, width, .. } => vec![len as usize, width as usize],
        }
    }

    /// Whether no position of the site may see a later one.
    pub const fn is_causal(&self) -> bool {
        matches!(self, Self::Sequence { is_causal: true, .. })
    }

    /// Values an example.
    pub fn len_elems(&self) -> usize {
        self.shape().iter().product()
    }
}
