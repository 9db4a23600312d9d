//! Weights as PyTorch keeps them: a `state_dict`, parameters and buffers under their names, in a safetensors file.
//!
//! Names and layouts are the graph's, which are PyTorch's; `PYTORCH.md` lists them for every family of hosts. Two
//! things are not parameters here and are in a `state_dict` all the same: a tied head is its embedding once more, under
//! the head's name, and `num_batches_tracked` is an `i64`.

mod decode;
mod error;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::host::HostRuntime;
use crate::run_dir::FileError;
use esper_nn::{
    digest::Digest,
    glob,
    graph::{NetworkGraph, Op, ParamSpec},
    op::TiedLinear,
    program::{PlacedParam, Program},
};

pub use error::{ExchangeError, Mismatch, Unfit};

/// Bytes of a weights file: more than the parameters of any host, in `f64`.
pub const WEIGHTS_LEN_MAX_BYTES: u64 = 4 << 30;

/// What the name of batch norm's count ends with; the count is an `i64` in files and an `f32` here.
const COUNT: &str = ".num_batches_tracked";

/// A network's parameters and buffers by name, as `torch.nn.Module.state_dict` gives them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDict(BTreeMap<String, StateTensor>);

/// A tensor of a [`StateDict`].
#[derive(Clone, Debug, PartialEq)]
pub struct StateTensor {
    /// Its extents, row-major.
    pub shape: Vec<usize>,
    /// `f32[shape...]`.
    pub values: Vec<f32>,
}

impl StateTensor {
    /// Whether both are the same bit for bit; a number that is not finite equals itself.
    fn is_same(&self, other: &Self) -> bool {
        let bits =
            |tensor: &Self| tensor.values.iter().map(|it| it.to_bits()).collect::<Vec<u32>>();
        self.shape == other.shape && bits(self) == bits(other)
    }
}

impl StateDict {
    /// Names the values of `program`, which was compiled from `graph`: `params` is `f32[params_len_elems]`, `buffers` is
    /// `f32[buffers_len_elems]`.
    pub fn of(graph: &NetworkGraph, program: &Program, params: &[f32], buffers: &[f32]) -> Self {
        let mut tensors = BTreeMap::new();
        for (placed, is_param) in placed(program) {
            let block = if is_param { params } else { buffers };
            let values = block[placed.range()].to_vec();
            let tensor = StateTensor { shape: placed.spec.shape.clone(), values };
            tensors.insert(placed.spec.name.clone(), tensor);
        }
        for (head, embedding) in tied_heads(graph) {
            let tensor = tensors[&embedding].clone();
            tensors.insert(head, tensor);
        }
        Self(tensors)
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    ///
    /// As [`StateDict::from_bytes`], and when the file can not be read or is larger than [`WEIGHTS_LEN_MAX_BYTES`].
    pub fn read(path: &Path) -> Result<Self, ExchangeError> {
        let failed = || FileError::at(path, "read the weights");
        let metadata = fs::metadata(path).map_err(failed())?;
        if !metadata.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a file");
            return Err(failed()(error).into());
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed())?;
        file.take(WEIGHTS_LEN_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed())?;
        if WEIGHTS_LEN_MAX_BYTES < bytes.len() as u64 {
            return Err(ExchangeError::TooLarge { len_max_bytes: WEIGHTS_LEN_MAX_BYTES });
        }
        Self::from_bytes(&bytes)
    }

    /// Reads the bytes of a safetensors file. `F64`, `F16` and `BF16` become `f32`, as does the `I64` of a count.
    ///
    /// # Errors
    ///
    /// Fails when the bytes are damaged, or a tensor is of another dtype or not finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ExchangeError> {
        let file = SafeTensors::deserialize(bytes)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let is_count = view.dtype() == Dtype::I64 && name.ends_with(COUNT);
            let values = if is_count {
                decode::counts(view.data())
            } else {
                match decode::floats(view.dtype(), view.data()) {
                    Some(values) => values,
                    None => return Err(ExchangeError::Dtype { name, dtype: view.dtype() }),
                }
            };
            if !values.iter().all(|value| value.is_finite()) {
                return Err(ExchangeError::NotFinite { name });
            }
            tensors.insert(name, StateTensor { shape: view.shape().to_vec(), values });
        }
        Ok(Self(tensors))
    }

    /// The bytes of a safetensors file that `safetensors.torch.load_file` reads; equal tensors give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes_of = |name: &str, values: &[f32]| match dtype_of(name) {
            Dtype::I64 => values.iter().flat_map(|value| (*value as i64).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>(),
        };
        let tensors: Vec<(&str, &[usize], Vec<u8>)> = self
            .iter()
            .map(|(name, tensor)| (name, &tensor.shape[..], bytes_of(name, &tensor.values)))
            .collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(dtype_of(name), shape.to_vec(), bytes);
            (name, view.expect("shape and length agree"))
        });
        // Readers of the Hugging Face family refuse a file that does not say whose layout it is.
        let metadata = [("format".to_owned(), "pt".to_owned())];
        safetensors::serialize(views, Some(metadata.into())).expect("names are distinct")
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&StateTensor> {
        self.0.get(name)
    }

    /// The tensors whose names none of `patterns` stands for.
    #[must_use]
    pub fn without(mut self, patterns: &[String]) -> Self {
        self.0.retain(|name, _| !glob::is_any_match(patterns, name));
        self
    }

    /// Every tensor, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &StateTensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// BLAKE3 of [`StateDict::to_bytes`]: what names and values are, however the file was written.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Whether these are the weights of `program`, which was compiled from `graph`: every tensor of it and no other.
    ///
    /// A tied head may be left out, and if it is there it has to be its embedding. `num_batches_tracked` may be left
    /// out, as in files from before PyTorch 0.4.1.
    ///
    /// # Errors
    ///
    /// Lists all that is missing, superfluous or of another shape.
    pub fn check(&self, graph: &NetworkGraph, program: &Program) -> Result<(), Mismatch> {
        self.check_but(graph, program, &[])
    }

    /// As [`StateDict::check`], but for tensors whose names one of the patterns `skip` stands for: those may be missing.
    ///
    /// # Errors
    ///
    /// As [`StateDict::check`].
    pub fn check_but(
        &self,
        graph: &NetworkGraph,
        program: &Program,
        skip: &[String],
    ) -> Result<(), Mismatch> {
        let mut unfit = Vec::new();
        for (PlacedParam { spec, .. }, _) in placed(program) {
            match self.get(&spec.name) {
                Some(tensor) if tensor.shape != spec.shape => unfit.push(Unfit::Shape {
                    name: spec.name.clone(),
                    expected: spec.shape.clone(),
                    found: tensor.shape.clone(),
                }),
                None if !is_count(spec) && !glob::is_any_match(skip, &spec.name) => {
                    unfit.push(Unfit::Missing {
                        name: spec.name.clone(),
                        shape: spec.shape.clone(),
                        nearest: None,
                    })
                }
                _ => {}
            }
        }
        let tied: BTreeMap<String, String> = tied_heads(graph).collect();
        let known: BTreeSet<&str> = placed(program).map(|(it, _)| it.spec.name.as_str()).collect();
        for (name, tensor) in self.iter() {
            match tied.get(name) {
                Some(embedding) if !self.get(embedding).is_some_and(|it| it.is_same(tensor)) => {
                    unfit.push(Unfit::Untied {
                        name: name.to_owned(),
                        embedding: embedding.clone(),
                    });
                }
                None if !known.contains(name) => {
                    unfit.push(Unfit::Extra { name: name.to_owned(), shape: tensor.shape.clone() });
                }
                _ => {}
            }
        }
        Mismatch::of(unfit)
    }
}

impl HostRuntime {
    /// The host's parameters and buffers, and those of its fossilised modules; no moments, no seeds that are still on
    /// trial.
    pub fn state_dict(&self) -> StateDict {
        let [params, buffers] = self.weights();
        StateDict::of(&self.graph, self.program(), &params, &buffers)
    }

    /// Takes on the weights of `dict`, all or none; moments and step counts stay, as in PyTorch.
    ///
    /// # Errors
    ///
    /// As [`StateDict::check`].
    pub fn load_state_dict(&mut self, dict: &StateDict) -> Result<(), Mismatch> {
        self.load_state_dict_but(dict, &[])
    }

    /// As [`HostRuntime::load_state_dict`]; tensors that are missing and whose names one of the patterns `skip` stands for
    /// stay as they are.
    ///
    /// # Errors
    ///
    /// As [`StateDict::check_but`].
    pub fn load_state_dict_but(
        &mut self,
        dict: &StateDict,
        skip: &[String],
    ) -> Result<(), Mismatch> {
        dict.check_but(&self.graph, self.program(), skip)?;
        let (device, program) = (self.config.device.clone(), self.program().clone());
        for (placed, is_param) in placed(&program) {
            let state = self.numbers_mut();
            let block = if is_param { &mut state.params } else { &mut state.buffers };
            // What may be missing goes on from where it is.
            if let Some(tensor) = dict.get(&placed.spec.name) {
                device.upload_f32(&tensor.values, block, placed.offset);
            }
        }
        Ok(())
    }
}

/// Parameters, then buffers; each with whether it is a parameter.
fn placed(program: &Program) -> impl Iterator<Item = (&PlacedParam, bool)> {
    let buffers = program.buffers.iter().map(|it| (it, false));
    program.params.iter().map(|it| (it, true)).chain(buffers)
}

/// The weights of tied heads, each with the embedding's weight that it is.
fn tied_heads(graph: &NetworkGraph) -> impl Iterator<Item = (String, String)> {
    graph.nodes().filter_map(|(_, node)| match &node.op {
        Op::TiedLinear(TiedLinear { embedding }) => {
            Some((format!("{}.weight", node.name), format!("{embedding}.weight")))
        }
        _ => None,
    })
}

fn is_count(spec: &ParamSpec) -> bool {
    spec.name.ends_with(COUNT)
}

fn dtype_of(name: &str) -> Dtype {
    if name.ends_with(COUNT) { Dtype::I64 } else { Dtype::F32 }
}

#[cfg(test)]
mod tests;
