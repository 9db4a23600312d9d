//! Hosts as a checkpoint keeps them: tensors under PyTorch's names, the rest as plain data.

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::prelude::Resource;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use esper_nn::{
    device::{Device, DeviceError, SiteSample, UnitAverage, UnitMemory, UnitState},
    graph::{GraphError, NetworkGraph},
    program::{CompileOptions, PARAM_ALIGN_ELEMS, PlacedParam, Program},
};

use super::{
    config::HostConfig,
    exchange::StateDict,
    fork::{HostSnapshot, ModuleSnapshot},
    host::HostRuntime,
    module::ModuleRecord,
    progress::{Averaging, Progress},
    training::{TrainPlan, order_at},
};
use crate::ids::SeedId;

/// Named `f32` tensors; what a safetensors file holds. It is a resource while a checkpoint is saved or loaded.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct TensorMap(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

/// Everything of a host but its tensors.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct SavedHost {
    stream: u64,
    state: Progress,
    graph: NetworkGraph,
    modules: Vec<SavedModule>,
    /// Examples that a pass of its order visits.
    n_examples: usize,
    /// Whether second moments were saved.
    has_second_moment: bool,
    /// What the averages that were saved are for, of the host and of what is blended in.
    averaging: Option<Averaging>,
    sampled_sites: u64,
    site_samples: Vec<Option<SiteSample>>,
}

#[derive(Serialize, Deserialize, Clone, Debug)]
struct SavedModule {
    record: ModuleRecord,
    program: Program,
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
    Data(#[from] esper_data::PositionError),
    /// The device has no room.
    #[error(transparent)]
    Device(#[from] DeviceError),
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
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(LoadHostError::Tensor { name, shape: view.shape().to_vec() });
            }
            let values = view.data().as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it));
            tensors.insert(name, (view.shape().to_vec(), values.collect()));
        }
        Ok(Self(tensors))
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

    fn put_all(&mut self, program: &Program, owner: &str, blocks: &[Vec<f32>; 4]) {
        let [params, buffers, m, v] = blocks;
        self.put(&program.params, params, owner, "");
        self.put(&program.buffers, buffers, owner, "");
        self.put(&program.params, m, owner, FIRST);
        self.put(&program.params, v, owner, SECOND);
    }

    /// The average of a network, if it has one.
    fn put_average(
        &mut self,
        device: &dyn Device,
        program: &Program,
        owner: &str,
        of: &UnitMemory,
    ) {
        let Some(UnitAverage { params, buffers }) = &of.average else { return };
        self.put(&program.params, &device.to_vec(params), owner, AVERAGE);
        self.put(&program.buffers, &device.to_vec(buffers), owner, AVERAGE);
    }

    fn take_average(
        &self,
        program: &Program,
        owner: &str,
        device: &dyn Device,
    ) -> Result<UnitAverage, LoadHostError> {
        let params = self.take(&program.params, program.params_len_elems, owner, AVERAGE)?;
        let buffers = self.take(&program.buffers, program.buffers_len_elems, owner, AVERAGE)?;
        Ok(UnitAverage::of_values(device, &params, &buffers)?)
    }

    /// Parameters, buffers, first and second moments.
    fn take_all(
        &self,
        program: &Program,
        owner: &str,
        device: &dyn Device,
        has_second_moment: bool,
    ) -> Result<UnitState, LoadHostError> {
        let take = |suffix| self.take(&program.params, program.params_len_elems, owner, suffix);
        let buffers = self.take(&program.buffers, program.buffers_len_elems, owner, "")?;
        let second = if has_second_moment { take(SECOND)? } else { Vec::new() };
        let (params, first) = (take("")?, take(FIRST)?);
        Ok(UnitState::of_values(device, &params, &buffers, &first, &second)?)
    }
}

/// Suffixes of the moments, as `torch.optim.Adam` calls them.
const FIRST: &str = ".exp_avg";
const SECOND: &str = ".exp_avg_sq";
/// Suffix of averages.
const AVERAGE: &str = ".average";

impl HostRuntime {
    /// The host as plain data; its tensors go into `tensors` under `owner`.
    pub fn save(&self, owner: &str, tensors: &mut TensorMap) -> SavedHost {
        let device = &*self.config.device;
        let read = |state: &UnitState| state.all().map(|buffer| device.to_vec(buffer));
        tensors.put_all(self.program(), owner, &read(self.numbers()));
        tensors.put_average(device, self.program(), owner, &self.memory.units[0]);
        let modules = self.modules.iter().enumerate().map(|(place, module)| {
            let program = &self.plan.units()[place + 1].program;
            let (memory, owner) = (&self.memory.units[place + 1], module_owner(owner, module.seed));
            tensors.put_all(program, &owner, &read(&memory.state));
            tensors.put_average(device, program, &owner, memory);
            SavedModule { record: self.record_of(place), program: (**program).clone() }
        });
        SavedHost {
            stream: self.config.stream,
            modules: modules.collect(),
            state: self.state.clone(),
            graph: (*self.graph).clone(),
            n_examples: self.order.n_examples(),
            has_second_moment: self.numbers().has_second_moment(),
            averaging: self.averaging,
            sampled_sites: self.plan.sampled_sites(),
            site_samples: self.memory.site_samples.clone(),
        }
    }

    /// The host that [`HostRuntime::save`] wrote, bit for bit. What it is trained by and on are components, which are saved
    /// apart and given to it afterwards.
    ///
    /// # Errors
    ///
    /// Fails when tensors are missing, the graph does not compile or the device has no room.
    pub fn load(
        config: Arc<HostConfig>,
        saved: SavedHost,
        owner: &str,
        tensors: &TensorMap,
    ) -> Result<Self, LoadHostError> {
        let freeze = &config.train.freeze;
        let program = Program::compile_frozen(&saved.graph, CompileOptions::HOST, freeze)?;
        let program = Arc::new(program);
        let (device, has_second) = (config.device.clone(), saved.has_second_moment);
        let config = config.with_stream(saved.stream);
        let take =
            |program: &Program, owner: &str| tensors.take_all(program, owner, &*device, has_second);
        let (numbers, state) = (take(&program, owner)?, saved.state);
        let order = order_at(&config, &state, saved.n_examples)?;
        let network = (Arc::new(saved.graph), program);
        let train = TrainPlan(config.train.clone());
        let mut host = Self::assemble(config, train, network, state, numbers, order)?;
        for SavedModule { record, program } in saved.modules {
            let numbers = take(&program, &module_owner(owner, record.module.seed))?;
            host.bind_state(record, Arc::new(program), numbers)?;
        }
        host.plan.set_sampled_sites(saved.sampled_sites);
        host.memory.site_samples = saved.site_samples;
        if let Some(averaging) = saved.averaging {
            host.load_averages(averaging, owner, tensors)?;
        }
        Ok(host)
    }
}

impl HostRuntime {
    fn load_averages(
        &mut self,
        averaging: Averaging,
        owner: &str,
        tensors: &TensorMap,
    ) -> Result<(), LoadHostError> {
        let device = self.config.device.clone();
        for unit in self.averaged_units() {
            let program = &self.plan.units()[unit].program;
            let average = match unit.checked_sub(1) {
                None => tensors.take_average(program, owner, &*device)?,
                Some(place) => {
                    let owner = module_owner(owner, self.modules[place].seed);
                    tensors.take_average(program, &owner, &*device)?
                }
            };
            self.memory.units[unit].average = Some(average);
        }
        self.averaging = Some(averaging);
        self.plan.set_averages(true);
        Ok(device.prepare(&self.plan)?)
    }
}

impl HostSnapshot {
    /// The snapshot as plain data; its tensors go into `tensors` under `owner`.
    pub fn save(&self, config: &HostConfig, owner: &str, tensors: &mut TensorMap) -> SavedHost {
        let device = &*config.device;
        let read = |state: &UnitState| state.all().map(|buffer| device.to_vec(buffer));
        tensors.put_all(&self.program, owner, &read(&self.numbers));
        let modules = self.modules.iter().map(|ModuleSnapshot { record, program, numbers }| {
            let owner = module_owner(owner, record.module.seed);
            tensors.put_all(program, &owner, &read(numbers));
            SavedModule { record: record.clone(), program: (**program).clone() }
        });
        SavedHost {
            stream: config.stream,
            modules: modules.collect(),
            state: self.state.clone(),
            graph: (*self.graph).clone(),
            n_examples: self.order.n_examples(),
            has_second_moment: self.numbers.has_second_moment(),
            averaging: None,
            sampled_sites: self.sampled_sites,
            site_samples: self.site_samples.clone(),
        }
    }
}

/// What the names of a bound module's tensors begin with.
fn module_owner(owner: &str, seed: SeedId) -> String {
    format!("{owner}{seed}/")
}

impl SavedHost {
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
        self.modules.len()
    }

    /// What [`HostRuntime::state_dict`] gave when the host was saved; its tensors lie in `tensors` under `owner`.
    ///
    /// # Errors
    ///
    /// Fails when tensors are missing or the graph does not compile.
    pub fn state_dict(&self, owner: &str, tensors: &TensorMap) -> Result<StateDict, LoadHostError> {
        let program = Program::compile(&self.graph, CompileOptions::HOST)?;
        let params = tensors.take(&program.params, program.params_len_elems, owner, "")?;
        let buffers = tensors.take(&program.buffers, program.buffers_len_elems, owner, "")?;
        Ok(StateDict::of(&self.graph, &program, &params, &buffers))
    }
}
