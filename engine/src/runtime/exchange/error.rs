//! Why weights can not be taken on.

use std::fmt;

use safetensors::{Dtype, SafeTensorError};

use esper_nn::suggest::nearest;

use crate::run_dir::FileError;

/// Why a file of weights can not be had, or is not of this host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is too large.
    #[error("it has more than {len_max_bytes} bytes")]
    TooLarge {
        /// What it may have.
        len_max_bytes: u64,
    },
    /// The bytes are damaged, or something else.
    #[error("it is not a safetensors file: {0}; write one with `safetensors.torch.save_file`")]
    Format(#[from] SafeTensorError),
    /// A tensor is not of floats.
    #[error("tensor {} is {dtype:?}; weights are F32, F64, F16 or BF16", shown(name))]
    Dtype {
        /// Its name.
        name: String,
        /// What it is of.
        dtype: Dtype,
    },
    /// A tensor has an infinity or a NaN, at least as an `f32`.
    #[error("tensor {} has a value that is not finite", shown(name))]
    NotFinite {
        /// Its name.
        name: String,
    },
    /// The tensors are another network's.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

/// All in which weights differ from what a network asks for; there is something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch(pub Vec<Unfit>);

/// One tensor that is not as the network asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfit {
    /// The network has it, the file does not.
    Missing {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// What the file has in excess that is called almost the same.
        nearest: Option<String>,
    },
    /// The file has it, the network does not.
    Extra {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Both have it, in different shapes.
    Shape {
        /// Its name.
        name: String,
        /// The network's.
        expected: Vec<usize>,
        /// The file's.
        found: Vec<usize>,
    },
    /// A tied head that is not its embedding.
    Untied {
        /// The head's weight.
        name: String,
        /// The embedding's.
        embedding: String,
    },
}

/// Tensors that a message lists.
const LISTED_MAX: usize = 20;
/// Names that a missing one is compared with.
const COMPARED_MAX: usize = 1000;

impl Mismatch {
    /// Finds near misses among `unfit`.
    pub(super) fn of(mut unfit: Vec<Unfit>) -> Result<(), Self> {
        let extra: Vec<String> = unfit
            .iter()
            .filter_map(|it| match it {
                Unfit::Extra { name, .. } => Some(name.clone()),
                _ => None,
            })
            .take(COMPARED_MAX)
            .collect();
        for it in unfit.iter_mut().take(LISTED_MAX) {
            if let Unfit::Missing { name, nearest: near, .. } = it {
                *near = nearest(name, extra.iter().map(String::as_str)).map(str::to_owned);
            }
        }
        if unfit.is_empty() { Ok(()) } else { Err(Self(unfit)) }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the weights are not this host's:")?;
        for it in self.0.iter().take(LISTED_MAX) {
            write!(f, "\n  {it}")?;
        }
        match self.0.len().checked_sub(LISTED_MAX) {
            None | Some(0) => Ok(()),
            Some(n_more) => write!(f, "\n  and {n_more} more"),
        }
    }
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, shape, nearest } => {
                write!(f, "missing: {} {shape:?}", shown(name))?;
                nearest.as_ref().map_or(Ok(()), |near| write!(f, "; the file has {}", shown(near)))
            }
            Self::Extra { name, shape } => {
                write!(f, "not in the host: {} {shape:?}", shown(name))
            }
            Self::Shape { name, expected, found } => {
                write!(f, "{} is {found:?}, the host's is {expected:?}", shown(name))
            }
            Self::Untied { name, embedding } => {
                write!(f, "{} is not {}, to which the host ties it", shown(name), shown(embedding))
            }
        }
    }
}

/// A name from a file, which may be anything, as a message shows it.
fn shown(name: &str) -> String {
    const LEN_MAX_CHARS: usize = 80;
    let clipped: String = name.chars().take(LEN_MAX_CHARS).flat_map(char::escape_debug).collect();
    let rest = if name.chars().nth(LEN_MAX_CHARS).is_some() { "..." } else { "" };
    format!("`{clipped}{rest}`")
}
