//! Several networks over the same batches: each batch is loaded once and handed to all of them.

use std::sync::Arc;

use crate::{
    device::{Device, DeviceError, Examples, StepMemory, UnitMemory, UnitState},
    module::Composition,
    optim::{Optimizer, Sgd},
    plan::{
        BatchArgs, HOST, LossMonitorConfig, PlannedGroup, PlannedUnit, Space, StepArgs, StepInstr,
        StepOutcome, StepPlan, StepSettings, UnitArgs, UnitIndex, Variant,
    },
    program::Program,
};

/// A network and its numbers.
#[derive(Clone, Debug)]
pub struct Network {
    /// The network, compiled, its loss included.
    pub program: Arc<Program>,
    /// `f32[params_len_elems]`.
    pub params: Vec<f32>,
    /// Running statistics: `f32[buffers_len_elems]`.
    pub buffers: Vec<f32>,
    /// Into how many parts its instructions may be cut for threads.
    pub parts_max: usize,
}

/// Networks of one input and one kind of target, on a device. What one computes does not depend on the others: its bits
/// are those it has alone.
pub struct SideBySide {
    device: Arc<dyn Device>,
    /// Loads a batch and hands it to every network.
    load: StepPlan,
    /// Runs one network over what it was handed.
    passes: Vec<StepPlan>,
    memory: StepMemory,
    args: Vec<UnitArgs>,
}

impl SideBySide {
    /// `networks` with room for batches of `batch_max` examples, each with so many labels and so many values to predict.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    ///
    /// # Panics
    ///
    /// If there is no network, or numbers are not those of their program.
    pub fn new(
        device: Arc<dyn Device>,
        networks: Vec<Network>,
        batch_max: usize,
        targets: [usize; 2],
    ) -> Result<Self, DeviceError> {
        let settings = StepSettings {
            batch_max,
            optimizer: Optimizer::Sgd(Sgd::default()),
            clip_norm: None,
            monitor: LossMonitorConfig::OFF,
            composition: Composition::Residual,
            rho: 1.0,
        };
        let (mut units, mut states) = (Vec::new(), Vec::new());
        for Network { program, params, buffers, parts_max } in networks {
            states.push(UnitState::of_values(&*device, &params, &buffers, &[], &[])?);
            let groups = vec![PlannedGroup::whole(&program, false)];
            units.push(PlannedUnit { program, groups, parts_max });
        }
        let mut states = states.into_iter();
        let first = states.next().expect("there is a network");
        let mut memory =
            StepMemory::new(&*device, &units[usize::from(HOST)], &settings, first, targets)?;
        for (unit, state) in units[1..].iter().zip(states) {
            memory.units.push(UnitMemory::new(&*device, unit, &settings, state)?);
        }
        let args = vec![UnitArgs::default(); units.len()];
        let load = StepPlan::side_by_side(units, settings);
        device.prepare(&load)?;
        let passes = (0..args.len()).map(|unit| {
            let (unit, n_instrs) = (unit as UnitIndex, load.units()[unit].program.forward.len());
            let range = 0..n_instrs as u32;
            let forward = StepInstr::Forward { unit, space: Space::Host, range };
            let plan = [Variant::Evaluate, Variant::Forward]
                .into_iter()
                .fold(load.clone(), |plan, it| plan.with_instrs(it, vec![forward.clone()]));
            device.prepare(&plan)?;
            Ok(plan)
        });
        let passes = passes.collect::<Result<_, DeviceError>>()?;
        Ok(Self { device, load, passes, memory, args })
    }

    /// Evaluates every network on a batch of `examples`; a sum of losses adds them up in the batch's order.
    ///
    /// # Errors
    ///
    /// Fails when the device does.
    pub fn evaluate(
        &mut self,
        examples: &Examples,
        batch: BatchArgs<'_>,
    ) -> Result<Vec<StepOutcome>, DeviceError> {
        let mut outcomes = self.run(Variant::Evaluate, examples, batch, 0)?;
        for (network, outcome) in outcomes.iter_mut().enumerate() {
            let losses = self.losses(network, batch.indices.len());
            outcome.loss_sum = losses.into_iter().map(f64::from).sum();
        }
        Ok(outcomes)
    }

    /// Runs every network forward over a batch of `examples` as training does, and no further: running statistics follow,
    /// and masks of dropout are drawn from `dropout_key` at `step`. Labels change nothing.
    ///
    /// # Errors
    ///
    /// Fails when the device does.
    pub fn forward(
        &mut self,
        examples: &Examples,
        batch: BatchArgs<'_>,
        dropout_key: u64,
        step: u64,
    ) -> Result<(), DeviceError> {
        self.args.iter_mut().for_each(|args| args.dropout_key = dropout_key);
        self.run(Variant::Forward, examples, batch, step).map(|_| ())
    }

    fn run(
        &mut self,
        variant: Variant,
        examples: &Examples,
        batch: BatchArgs<'_>,
        step: u64,
    ) -> Result<Vec<StepOutcome>, DeviceError> {
        let args = StepArgs { step, average_rate: 0.0, batch, units: &self.args, groups: &[] };
        let (device, memory) = (&self.device, &mut self.memory);
        device.run(&self.load, variant, memory, Some(examples), &args)?;
        self.passes.iter().map(|plan| device.run(plan, variant, memory, None, &args)).collect()
    }

    /// The loss of each of the first `rows` examples of the last batch.
    pub fn losses(&self, network: usize, rows: usize) -> Vec<f32> {
        let mut losses = vec![0.0; rows];
        self.device.download_f32(&self.memory.units[network].work.losses, 0, &mut losses);
        losses
    }

    /// The running statistics of a network: `f32[buffers_len_elems]`.
    pub fn buffers(&self, network: usize) -> Vec<f32> {
        self.device.to_vec(&self.memory.units[network].state.buffers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::Cpu,
        graph::{Loss, MlpConfig, NetworkGraph},
        program::CompileOptions,
        rng::Purpose,
        session::Session,
    };

    const N_EXAMPLES: usize = 64;
    const N_FEATURES: usize = 64;

    fn network(width: usize, parts_max: usize) -> Network {
        let config = MlpConfig { layers: vec![N_FEATURES, width, 4], ..MlpConfig::default() };
        let graph = NetworkGraph::mlp(&config, Loss::CrossEntropy).unwrap();
        let program = Arc::new(Program::compile(&graph, CompileOptions::HOST).unwrap());
        let params = program.draw_params(3, Purpose::HostInit, width as u64);
        Network { buffers: program.initial_buffers(), program, params, parts_max }
    }

    fn examples() -> Examples {
        let values = (0..N_EXAMPLES * N_FEATURES).map(|at| (at as f32 * 0.7).sin());
        let labels = (0..N_EXAMPLES as u32).map(|at| at % 4);
        Examples::classes(&Cpu, values.collect(), labels.collect()).unwrap()
    }

    fn check(parts_max: usize) {
        let device: Arc<dyn Device> = Arc::new(Cpu);
        let examples = examples();
        let indices: Vec<u32> = (0..N_EXAMPLES as u32).rev().collect();
        // The widest is worth several threads.
        let widths = [40, 7, 40, 1500];
        let networks = widths.map(|width| network(width, parts_max)).to_vec();
        let mut together = SideBySide::new(device.clone(), networks, N_EXAMPLES, [1, 0]).unwrap();
        // A smaller batch last, in which what a larger one left must play no part.
        for rows in [N_EXAMPLES, 5] {
            let batch = BatchArgs { indices: &indices[..rows], shift: 0, augment: None };
            let found = together.evaluate(&examples, batch).unwrap();
            for (place, (width, found)) in widths.iter().zip(found).enumerate() {
                let Network { program, params, .. } = network(*width, 1);
                let rule = Optimizer::Sgd(Sgd::default());
                let mut alone =
                    Session::new(device.clone(), program, &params, N_EXAMPLES, rule).unwrap();
                let expected = alone.evaluate(&examples, &indices[..rows]).unwrap();
                assert_eq!(found, expected, "{width} in {parts_max} parts");
                assert_eq!(together.losses(place, rows), alone.losses(rows));
            }
        }
    }

    #[test]
    fn each_network_says_what_it_says_alone_whatever_the_others_and_the_threads() {
        for n_threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| check(n_threads));
        }
    }
}
