//! Hosts as a checkpoint keeps them: tensors under PyTorch's names, the rest as plain data.

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::prelude::Resource;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{
    config::HostConfig,
    exchange::StateDict,
    host::{HostRuntime, HostState},
    seed::{SeedRuntime, SeedSample, SeedState, SiteSample},
};
use crate::{
    graph::{GraphError, NetworkGraph},
    program::{CompileOptions, PARAM_ALIGN_ELEMS, PlacedParam, Program},
};

/// Named `f32` tensors; what a safetensors file holds. It is a resource while a checkpoint is saved or loaded.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct TensorMap(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

/// Everything of a host but its tensors.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct SavedHost {
    stream: u64,
    state: HostState,
    graph: NetworkGraph,
    seeds: Vec<SavedSeed>,
    sampled_sites: u64,
    site_samples: Vec<Option<SiteSample>>,
}

#[derive(Serialize, Deserialize, Clone, Debug)]
struct SavedSeed {
    state: SeedState,
    program: Program,
    sample: Option<SeedSample>,
}

/// Why a saved host can not be had back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadHostError {
    /// The tensor file can not be read.
    #[error("the tensors can not be read: {0}")]
    Tensors(#[from] safetensors::SafeTensorError),
    /// A tensor is missing, or is not what the program asks for.
    #[error("tensor `{name}`: expected f32{shape:?}")]
    Tensor {
        /// Its name.
        name: String,
        /// The shape it should have.
        shape: Vec<usize>,
    },
    /// The saved graph does not compile.
    #[error("the saved graph does not compile: {0}")]
    Graph(#[from] GraphError),
    /// The cursor does not fit the data.
    #[error("the data is not what this run began with: {0}")]
    Data(#[from] crate::data::PositionError),
}

impl TensorMap {
    /// The tensors as the bytes of a safetensors file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let views = self.0.iter().map(|(name, (shape, values))| {
            let bytes: &[u8] = bytemuck::cast_slice(values);
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (name.clone(), view.expect("shape and length agree"))
        });
        safetensors::serialize(views, None).expect("names are distinct")
    }

    /// Reads the bytes of a safetensors file.
    ///
    /// # Errors
    ///
    /// Fails when they are damaged or a tensor is not `f32`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadHostError> {
        let file = SafeTensors::deserialize(bytes)?;
        let mut book = BTreeMap::new();
        for (name, view) in file.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(LoadHostError::Tensor { name, shape: view.shape().to_vec() });
            }
            let values = view.data().as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it));
            book.insert(name, (view.shape().to_vec(), values.collect()));
        }
        Ok(Self(book))
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the tensors of `block`, placed by `params`, in under `<owner><parameter><suffix>`.
    fn put(&mut self, params: &[PlacedParam], block: &[f32], owner: &str, suffix: &str) {
        if block.is_empty() {
            return; // SGD keeps no second moments.
        }
        for param in params {
            let name = format!("{owner}{}{suffix}", param.spec.name);
            let values = block[param.range()].to_vec();
            let previous = self.0.insert(name, (param.spec.shape.clone(), values));
            assert!(previous.is_none(), "`{}` is saved twice", param.spec.name);
        }
    }

    fn take(
        &self,
        params: &[PlacedParam],
        len_elems: usize,
        owner: &str,
        suffix: &str,
    ) -> Result<Vec<f32>, LoadHostError> {
        let mut block = vec![0.0; len_elems];
        for param in params {
            let name = format!("{owner}{}{suffix}", param.spec.name);
            match self.0.get(&name) {
                Some((shape, values)) if *shape == param.spec.shape => {
                    block[param.range()].copy_from_slice(values);
                }
                _ => {
                    return Err(LoadHostError::Tensor { name, shape: param.spec.shape.clone() });
                }
            }
        }
        debug_assert!(block.len().is_multiple_of(PARAM_ALIGN_ELEMS));
        Ok(block)
    }

    fn put_all(
        &mut self,
        program: &Program,
        owner: &str,
        params: &[f32],
        buffers: &[f32],
        m: &[f32],
        v: &[f32],
    ) {
        self.put(&program.params, params, owner, "");
        self.put(&program.buffers, buffers, owner, "");
        self.put(&program.params, m, owner, FIRST);
        self.put(&program.params, v, owner, SECOND);
    }

    /// Parameters, buffers, first and second moments.
    fn take_all(
        &self,
        program: &Program,
        owner: &str,
        has_second: bool,
    ) -> Result<[Vec<f32>; 4], LoadHostError> {
        let take = |suffix| self.take(&program.params, program.params_len_elems, owner, suffix);
        let buffers = self.take(&program.buffers, program.buffers_len_elems, owner, "")?;
        let second = if has_second { take(SECOND)? } else { Vec::new() };
        Ok([take("")?, buffers, take(FIRST)?, second])
    }
}

/// Suffixes of the moments, as `torch.optim.Adam` calls them.
const FIRST: &str = ".exp_avg";
const SECOND: &str = ".exp_avg_sq";

impl HostRuntime {
    /// The host as plain data; its tensors go into `book` under `owner`.
    pub fn save(&self, owner: &str, book: &mut TensorMap) -> SavedHost {
        let state = &self.state;
        book.put_all(&self.program, owner, &state.params, &state.buffers, &state.m, &state.v);
        let seeds = self.seeds.iter().map(|seed| {
            let owner = format!("{owner}{}/", seed.state.id);
            let state = &seed.state;
            book.put_all(&seed.program, &owner, &state.params, &state.buffers, &state.m, &state.v);
            SavedSeed {
                state: seed.state.clone(),
                program: (*seed.program).clone(),
                sample: seed.sample,
            }
        });
        SavedHost {
            stream: self.config.stream,
            seeds: seeds.collect(),
            state: self.state.clone(),
            graph: (*self.graph).clone(),
            sampled_sites: self.sampled_sites,
            site_samples: self.site_samples.clone(),
        }
    }

    /// The host that [`HostRuntime::save`] wrote, bit for bit.
    ///
    /// # Errors
    ///
    /// Fails when tensors are missing or the graph does not compile.
    pub fn load(
        config: Arc<HostConfig>,
        saved: SavedHost,
        owner: &str,
        book: &TensorMap,
    ) -> Result<Self, LoadHostError> {
        let program = Program::compile(&saved.graph, CompileOptions::HOST)?;
        let has_second = super::has_second_moment(&config.train.optimizer);
        let mut state = saved.state;
        [state.params, state.buffers, state.m, state.v] =
            book.take_all(&program, owner, has_second)?;
        let mut seeds = Vec::with_capacity(saved.seeds.len());
        for SavedSeed { mut state, program, sample } in saved.seeds {
            let owner = format!("{owner}{}/", state.id);
            [state.params, state.buffers, state.m, state.v] =
                book.take_all(&program, &owner, has_second)?;
            let mut seed = SeedRuntime::new(state, Arc::new(program), &config);
            seed.sample = sample;
            seeds.push(seed);
        }
        let (run_seed, stream) = (config.run_seed, config.stream);
        let mut order = crate::data::Order::new(run_seed, stream, config.data.train.len());
        order.reseek(state.epoch, state.position)?;
        let mut host =
            Self::from_state(config, Arc::new(saved.graph), Arc::new(program), state, seeds);
        host.sampled_sites = saved.sampled_sites;
        host.site_samples = saved.site_samples;
        Ok(host)
    }
}

impl SavedHost {
    /// Which of the run's random streams are this host's.
    pub const fn stream(&self) -> u64 {
        self.stream
    }

    /// Optimizer steps taken.
    pub const fn step(&self) -> u64 {
        self.state.step
    }

    /// The network, fossilised modules included.
    pub const fn graph(&self) -> &NetworkGraph {
        &self.graph
    }

    /// Seeds that are bound to it and not part of it yet.
    pub const fn n_seeds(&self) -> usize {
        self.seeds.len()
    }

    /// What [`HostRuntime::state_dict`] gave when the host was saved; its tensors lie in `book` under `owner`.
    ///
    /// # Errors
    ///
    /// Fails when tensors are missing or the graph does not compile.
    pub fn state_dict(&self, owner: &str, book: &TensorMap) -> Result<StateDict, LoadHostError> {
        let program = Program::compile(&self.graph, CompileOptions::HOST)?;
        let params = book.take(&program.params, program.params_len_elems, owner, "")?;
        let buffers = book.take(&program.buffers, program.buffers_len_elems, owner, "")?;
        Ok(StateDict::of(&self.graph, &program, &params, &buffers))
    }
}
