//! A host without some of its modules: what it would say, and how it would score.

use std::{collections::BTreeMap, sync::Arc};

use esper_data::{Draw, Order, Targets};
use esper_nn::{
    device::DeviceError,
    graph::{
        Ablation, GraphError, NetworkGraph, ablate, fossilize_span, with_statistics_of_last_batch,
    },
    module::Composition,
    op::{self, Op},
    program::{CompileOptions, PlacedParam, Program},
    rng::{Purpose, stream_key},
    side_by_side::{Network, SideBySide},
};

use super::{
    config::HostConfig,
    evaluate::Split,
    host::HostRuntime,
    module::{module_prefix, seed_of_prefix},
    progress::Evaluation,
};
use crate::ids::SeedId;

/// Networks that are evaluated in one pass over the data, at most: each takes a workspace.
pub const TOGETHER_MAX: usize = 8;

/// Modules of a host that can be told apart, at most: a set of them is a mask of 64 bits.
pub const MODULES_MAX: usize = 64;

/// Why a host can not be looked at without some of its modules.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AblationError {
    /// The network of a module that acts in the host is not known.
    #[error("the network of the module of {seed} is not known")]
    UnknownModule {
        /// The seed it is of.
        seed: SeedId,
    },
    /// More modules act in the host than can be told apart.
    #[error("{found} modules act in the host, of which {MODULES_MAX} can be told apart")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// What is left is no network.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The device has no room, or has failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// A host as one network, with every module that acts in it joined: the fossils, and those that are grafted, at the
/// blend at which the last step left them.
#[derive(Clone)]
pub struct JoinedHost {
    config: Arc<HostConfig>,
    graph: NetworkGraph,
    /// Parameters and running statistics by name.
    values: BTreeMap<String, Vec<f32>>,
    seeds: Vec<SeedId>,
    epoch: u64,
}

/// A host without some of its modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variation {
    /// Which are ablated: bit `i` is the module of the seed [`JoinedHost::seeds`]`[i]`.
    pub without: u64,
    /// What stands in their places.
    pub ablation: Ablation,
    /// Of how many training batches the running statistics are estimated anew; `None` leaves them as they are.
    pub n_batches: Option<usize>,
}

/// How a host scores without some of its modules.
#[derive(Clone, Debug, PartialEq)]
pub struct Ablated {
    /// The scores.
    pub evaluation: Evaluation,
    /// The loss of each example, in order.
    pub losses: Vec<f32>,
}

impl HostRuntime {
    /// The host as one network, bound modules that are blended in joined to it as [`merge`](Self::merge) would;
    /// `networks` has theirs, by seed.
    ///
    /// # Errors
    ///
    /// Fails when a network is missing or does not fit, or there are more than [`MODULES_MAX`] modules.
    pub fn to_joined(
        &self,
        networks: &BTreeMap<SeedId, Arc<NetworkGraph>>,
    ) -> Result<JoinedHost, AblationError> {
        let mut graph = (*self.graph).clone();
        let fossils = self.state.groups.iter().filter_map(|group| seed_of_prefix(&group.prefix));
        let mut seeds: Vec<SeedId> = fossils.collect();
        let mut values = BTreeMap::new();
        put(&mut values, "", self.program(), &self.weights());
        let grafted: Vec<SeedId> = self.blended().collect();
        for seed in grafted {
            let module = &self.modules[self.place_of(seed).expect("it is blended")];
            let binding = self.binding(seed).expect("it is bound");
            let ends = [binding.read, binding.write]
                .map(|site| self.program().sites[usize::from(site)].name.as_str());
            // Between steps a blend stands where the last step left it.
            let alpha = module.ramp.at(self.state.step.saturating_sub(1));
            let join = match self.config.composition {
                Composition::Blend => Op::Blend(op::Blend { alpha }),
                Composition::Residual | Composition::Gate => Op::Residual(op::Residual { alpha }),
            };
            let network = networks.get(&seed).ok_or(AblationError::UnknownModule { seed })?;
            let prefix = module_prefix(seed);
            graph = fossilize_span(&graph, ends, network, join, &prefix)?;
            let program = self.module_program(seed).expect("it is bound");
            let weights = self.module_weights(seed).expect("it is bound");
            put(&mut values, &prefix, program, &weights);
            seeds.push(seed);
        }
        if seeds.len() > MODULES_MAX {
            return Err(AblationError::TooMany { found: seeds.len() });
        }
        seeds.sort_unstable();
        Ok(JoinedHost {
            config: self.config.clone(),
            graph,
            values,
            seeds,
            epoch: self.state.epoch,
        })
    }
}

fn put(
    values: &mut BTreeMap<String, Vec<f32>>,
    prefix: &str,
    program: &Program,
    [params, buffers]: &[Vec<f32>; 2],
) {
    for (placed, block) in [(&program.params, params), (&program.buffers, buffers)] {
        for it in placed {
            values.insert(format!("{prefix}{}", it.spec.name), block[it.range()].to_vec());
        }
    }
}

impl JoinedHost {
    /// The seeds whose modules act in the host, sorted.
    pub fn seeds(&self) -> &[SeedId] {
        &self.seeds
    }

    /// The network, with the modules joined to it.
    pub fn graph(&self) -> &NetworkGraph {
        &self.graph
    }

    /// How far the module of that seed is blended in; `None` if it does not act in the host.
    pub fn alpha(&self, seed: SeedId) -> Option<f32> {
        match self.join(seed)? {
            Op::Residual(join) => Some(join.alpha),
            Op::Blend(join) => Some(join.alpha),
            _ => None,
        }
    }

    /// Whether any module is joined by [`Op::Blend`]: without one, a gate at zero is a bypass.
    pub fn has_blend(&self) -> bool {
        self.seeds.iter().any(|seed| matches!(self.join(*seed), Some(Op::Blend(_))))
    }

    fn join(&self, seed: SeedId) -> Option<&Op> {
        let join = self.graph.find(&format!("{}join", module_prefix(seed)))?;
        Some(&self.graph.node(join).op)
    }

    /// Whether the host has running statistics that can be estimated anew.
    pub fn has_running_statistics(&self) -> bool {
        self.graph.nodes().any(|(_, node)| matches!(node.op, Op::BatchNorm(_)))
    }

    /// Training batches of one pass, in the host's own size.
    pub fn n_train_batches(&self) -> usize {
        self.config.data.train.len().div_ceil(self.config.batch)
    }

    /// The network without the modules of `without`.
    ///
    /// # Errors
    ///
    /// Fails when one of them is no part of it.
    pub fn ablated(&self, without: u64, ablation: Ablation) -> Result<NetworkGraph, GraphError> {
        let place = |(place, seed): (usize, &SeedId)| (without >> place & 1 == 1).then_some(*seed);
        let seeds = self.seeds.iter().enumerate().filter_map(place);
        seeds
            .map(module_prefix)
            .try_fold(self.graph.clone(), |graph, prefix| ablate(&graph, &prefix, ablation))
    }

    /// How the host scores in each of `variations`, in their order: up to [`TOGETHER_MAX`] in one pass over the data. A
    /// variation without ablation gives, bit for bit, what [`HostRuntime::evaluate`] gives.
    ///
    /// # Errors
    ///
    /// Fails when what is left is no network, or when the device does.
    pub fn evaluate(
        &self,
        split: Split,
        variations: &[Variation],
    ) -> Result<Vec<Ablated>, AblationError> {
        let mut found = Vec::with_capacity(variations.len());
        for together in variations.chunks(TOGETHER_MAX) {
            found.extend(self.evaluate_together(split, together)?);
        }
        Ok(found)
    }

    fn evaluate_together(
        &self,
        split: Split,
        variations: &[Variation],
    ) -> Result<Vec<Ablated>, AblationError> {
        let networks = variations.iter().map(|it| {
            let graph = self.ablated(it.without, it.ablation)?;
            let mut network = self.network(&graph)?;
            if let Some(n_batches) = it.n_batches {
                network.buffers = self.recalibrated(&graph, n_batches)?;
            }
            Ok(network)
        });
        let networks = networks.collect::<Result<Vec<Network>, AblationError>>()?;
        let config = &*self.config;
        let (examples, on_device) = match split {
            Split::Train => (&config.data.train, &config.on_device.train),
            Split::Validation => (&config.data.validation, &config.on_device.validation),
            Split::Test => (&config.data.test, &config.on_device.test),
        };
        let mut networks = self.side_by_side(networks)?;
        let draw = self.draw(false);
        let mut sums = vec![(0.0, 0, Vec::with_capacity(examples.len())); variations.len()];
        // In the batches of the host's own evaluation: sums of losses are the same, bit for bit.
        for start in (0..examples.len()).step_by(config.batch) {
            let rows = config.batch.min(examples.len() - start);
            let indices: Vec<u32> = (start as u32..(start + rows) as u32).collect();
            let outcomes = networks.evaluate(on_device, examples.batch(&indices, draw))?;
            for (network, outcome) in outcomes.into_iter().enumerate() {
                let (loss_sum, n_correct, losses) = &mut sums[network];
                *loss_sum += outcome.loss_sum;
                *n_correct += outcome.n_correct;
                losses.extend(networks.losses(network, rows));
            }
        }
        let n_examples = examples.len();
        let n_labels = (n_examples * examples.labels_per_example()) as f64;
        let ablated = |(loss_sum, n_correct, losses): (f64, u64, Vec<f32>)| {
            let accuracy = match examples.targets {
                Targets::Classes { .. } | Targets::NextTokens(_) => {
                    Some(n_correct as f64 / n_labels)
                }
                Targets::Values { .. } => None,
            };
            let loss = loss_sum / n_examples as f64;
            Ablated { evaluation: Evaluation { loss, accuracy, n_examples }, losses }
        };
        Ok(sums.into_iter().map(ablated).collect())
    }

    fn network(&self, graph: &NetworkGraph) -> Result<Network, AblationError> {
        let program = Arc::new(Program::compile(graph, CompileOptions::HOST)?);
        let block = |placed: &[PlacedParam], len_elems: usize| {
            let mut block = vec![0.0; len_elems];
            for it in placed {
                let values = self.values.get(&it.spec.name);
                let values = values.expect("an ablated network has no parameter of its own");
                block[it.range()].copy_from_slice(values);
            }
            block
        };
        let params = block(&program.params, program.params_len_elems);
        let buffers = block(&program.buffers, program.buffers_len_elems);
        let parts_max = self.config.parts_max(&program);
        Ok(Network { program, params, buffers, parts_max })
    }

    fn side_by_side(&self, networks: Vec<Network>) -> Result<SideBySide, DeviceError> {
        let examples = &self.config.on_device.train;
        let targets = [examples.labels_per_example(), examples.values_per_example()];
        SideBySide::new(self.config.device.clone(), networks, self.config.batch, targets)
    }

    /// The running statistics of `graph` over its first `n_batches` training batches of the epoch: the mean of the means,
    /// and of the unbiased variances, of the batches.
    ///
    /// That is the cumulative average of `torch.nn.BatchNorm2d(momentum=None)`, which
    /// `torch.optim.swa_utils.update_bn` sets for the same purpose; batches are varied and masked as in training.
    fn recalibrated(
        &self,
        graph: &NetworkGraph,
        n_batches: usize,
    ) -> Result<Vec<f32>, AblationError> {
        let config = &*self.config;
        let network = self.network(&with_statistics_of_last_batch(graph))?;
        let mut sums = vec![0.0_f64; network.buffers.len()];
        let mut network = self.side_by_side(vec![network])?;
        let mut order = Order::new(config.run_seed, config.stream, config.data.train.len());
        order.reseek(self.epoch, 0).expect("an epoch has a beginning");
        let dropout_key = stream_key(config.run_seed, Purpose::Dropout, config.stream);
        let n_batches = n_batches.clamp(1, self.n_train_batches());
        for step in 0..n_batches as u64 {
            let batch = config.data.train.batch(order.next_batch(config.batch), self.draw(true));
            network.forward(&config.on_device.train, batch, dropout_key, step)?;
            let of_batch = network.buffers(0);
            sums.iter_mut().zip(of_batch).for_each(|(sum, value)| *sum += f64::from(value));
        }
        Ok(sums.into_iter().map(|sum| (sum / n_batches as f64) as f32).collect())
    }

    fn draw(&self, is_training: bool) -> Draw {
        let HostConfig { run_seed, stream, .. } = *self.config;
        Draw { run_seed, stream, epoch: self.epoch, is_training }
    }
}
