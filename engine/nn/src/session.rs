//! A network of its own on a device: for training without a world, and for looking at what a network computes.

use std::sync::Arc;

use crate::{
    device::{Device, DeviceError, Examples, StepMemory, UnitState, UnitWork},
    module::Composition,
    optim::Optimizer,
    plan::{
        BatchArgs, GroupArgs, HOST, LossMonitorConfig, PlannedGroup, PlannedUnit, StepArgs,
        StepOutcome, StepPlan, StepSettings, UnitArgs, Variant,
    },
    program::{Program, TensorId},
};

/// Numbers for a network: what it reads, or what it should say.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Features, or values to predict.
    F32(&'a [f32]),
    /// Tokens, or labels.
    U32(&'a [u32]),
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a [u32]> for Values<'a> {
    fn from(values: &'a [u32]) -> Self {
        Self::U32(values)
    }
}

impl<'a> Values<'a> {
    /// The 32-bit words that lie in a workspace.
    fn words(self) -> &'a [f32] {
        match self {
            Self::F32(values) => values,
            Self::U32(values) => bytemuck::cast_slice(values),
        }
    }
}

/// A program with memory of its own.
pub struct Session {
    device: Arc<dyn Device>,
    plan: StepPlan,
    memory: StepMemory,
    /// Key of the stream of dropout masks.
    pub dropout_key: u64,
    /// Optimizer steps taken.
    n_updates: u64,
    /// The numbers of the examples of a batch without examples: how many there are is all that is read of it.
    indices: Vec<u32>,
}

impl Session {
    /// `program` on `device` with room for `batch_max` examples, its parameters `f32[params_len_elems]`.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn new(
        device: Arc<dyn Device>,
        program: Arc<Program>,
        params: &[f32],
        batch_max: usize,
        optimizer: Optimizer,
    ) -> Result<Self, DeviceError> {
        let has_second = optimizer.has_second_moment();
        let state = UnitState::at_birth(&*device, &program, params, has_second)?;
        let groups = vec![PlannedGroup::whole(&program, true)];
        let n_outputs: usize = program.output_shape.iter().product();
        let positions = match program.output_shape.as_slice() {
            [positions, _] => *positions,
            _ => 1,
        };
        let host = PlannedUnit { program, groups, parts_max: 1 };
        let settings = StepSettings {
            batch_max,
            optimizer,
            clip_norm: None,
            monitor: LossMonitorConfig::OFF,
            composition: Composition::Residual,
            rho: 1.0,
        };
        let targets = match host.program.loss {
            Some(crate::graph::Loss::CrossEntropy) => [positions, 0],
            Some(crate::graph::Loss::MeanSquaredError) => [0, n_outputs],
            None => [0, 0],
        };
        let memory = StepMemory::new(&*device, &host, &settings, state, targets)?;
        let plan = StepPlan::new(host, settings);
        device.prepare(&plan)?;
        let indices = (0..batch_max as u32).collect();
        Ok(Self { device, plan, memory, dropout_key: 0, n_updates: 0, indices })
    }

    /// The network.
    pub fn program(&self) -> &Program {
        &self.plan.units()[usize::from(HOST)].program
    }

    /// Trains on the examples `indices` at learning rate `lr`, and returns the sum of their losses.
    ///
    /// # Errors
    ///
    /// Fails when the device does.
    pub fn train(
        &mut self,
        examples: &Examples,
        indices: &[u32],
        lr: f64,
    ) -> Result<StepOutcome, DeviceError> {
        let outcome = self.run(Variant::Train, Some(examples), indices, lr)?;
        self.n_updates += u64::from(outcome.fault.is_none());
        Ok(outcome)
    }

    /// The losses of the examples `indices`, and how many labels were said right.
    ///
    /// # Errors
    ///
    /// Fails when the device does.
    pub fn evaluate(
        &mut self,
        examples: &Examples,
        indices: &[u32],
    ) -> Result<StepOutcome, DeviceError> {
        self.run(Variant::Evaluate, Some(examples), indices, 0.0)
    }

    /// Says what the network should say of the examples of the next passes: `u32[rows, labels_per_example]` or
    /// `f32[rows, width]`.
    pub fn set_targets<'t>(&mut self, targets: impl Into<Values<'t>>) {
        match targets.into() {
            Values::F32(values) => self.device.upload_f32(values, &mut self.memory.values, 0),
            Values::U32(labels) => self.device.upload_u32(labels, &mut self.memory.labels, 0),
        }
    }

    /// The loss of each of the first `rows` examples of the last pass.
    pub fn losses(&self, rows: usize) -> Vec<f32> {
        let mut losses = vec![0.0; rows];
        self.device.download_f32(self.memory.losses(), 0, &mut losses);
        losses
    }

    /// The output for `x: f32[rows, inputs]` or tokens `u32[rows, inputs]`, as in evaluation.
    ///
    /// # Errors
    ///
    /// Fails when the device does.
    pub fn infer<'x>(&mut self, x: impl Into<Values<'x>>) -> Result<Vec<f32>, DeviceError> {
        self.pass(Variant::Infer, self.program().input, x.into().words(), self.program().output)
    }

    /// The output for `x: f32[rows, inputs]` or tokens `u32[rows, inputs]`, as in training: dropout acts and running
    /// statistics follow.
    ///
    /// # Errors
    ///
    /// Fails when the device does.
    pub fn forward<'x>(&mut self, x: impl Into<Values<'x>>) -> Result<Vec<f32>, DeviceError> {
        self.pass(Variant::Forward, self.program().input, x.into().words(), self.program().output)
    }

    /// The gradient of a module's input for that of its output, `dy: f32[rows, outputs]`, after [`forward`](Self::forward)
    /// on as many examples; those of parameters are [`gradients`](Self::gradients).
    ///
    /// # Errors
    ///
    /// Fails when the device does.
    ///
    /// # Panics
    ///
    /// If the program is no module.
    pub fn backward(&mut self, dy: &[f32]) -> Result<Vec<f32>, DeviceError> {
        let program = self.program();
        let gradients = program.output_gradient.zip(program.input_gradient);
        let (from, to) = gradients.expect("a module has gradients of its input and output");
        self.pass(Variant::Backward, from, dy, to)
    }

    /// The gradients of the loss of the `rows` examples of the last [`forward`](Self::forward) are computed:
    /// [`gradients`](Self::gradients).
    ///
    /// # Errors
    ///
    /// Fails when the device does.
    pub fn backward_loss(&mut self, rows: usize) -> Result<(), DeviceError> {
        let indices = std::mem::take(&mut self.indices);
        let ran = self.run(Variant::Backward, None, &indices[..rows], 0.0);
        self.indices = indices;
        ran.map(|_| ())
    }

    /// The parameters: `f32[params_len_elems]`.
    pub fn params(&self) -> Vec<f32> {
        self.device.to_vec(&self.memory.units[usize::from(HOST)].state.params)
    }

    /// Replaces the parameters: `f32[params_len_elems]`.
    pub fn set_params(&mut self, params: &[f32]) {
        let state = &mut self.memory.units[usize::from(HOST)].state;
        self.device.upload_f32(params, &mut state.params, 0);
    }

    /// Replaces the running statistics: `f32[buffers_len_elems]`.
    pub fn set_buffers(&mut self, buffers: &[f32]) {
        let state = &mut self.memory.units[usize::from(HOST)].state;
        self.device.upload_f32(buffers, &mut state.buffers, 0);
    }

    /// The gradients of the parameters: `f32[params_len_elems]`.
    pub fn gradients(&self) -> Vec<f32> {
        self.device.to_vec(&self.work().gradients)
    }

    /// The first `rows` examples of tensor `id`: `f32[rows, ..]`.
    pub fn tensor(&self, id: TensorId, rows: usize) -> Vec<f32> {
        let (start, len_elems) = self.place_of(id, rows);
        let mut values = vec![0.0; len_elems];
        self.device.download_f32(&self.work().workspace, start, &mut values);
        values
    }

    fn work(&self) -> &UnitWork {
        &self.memory.units[usize::from(HOST)].work
    }

    fn place_of(&self, id: TensorId, rows: usize) -> (usize, usize) {
        let region = self.program().regions[id.0 as usize];
        (region.offset * self.plan.settings.batch_max, region.elems * rows)
    }

    fn pass(
        &mut self,
        variant: Variant,
        from: TensorId,
        values: &[f32],
        to: TensorId,
    ) -> Result<Vec<f32>, DeviceError> {
        let rows = values.len() / self.program().elems(from);
        let (start, len_elems) = self.place_of(from, rows);
        assert_eq!(values.len(), len_elems, "whole examples");
        let workspace = &mut self.memory.units[usize::from(HOST)].work.workspace;
        self.device.upload_f32(values, workspace, start);
        let indices = std::mem::take(&mut self.indices);
        let ran = self.run(variant, None, &indices[..rows], 0.0);
        self.indices = indices;
        ran?;
        Ok(self.tensor(to, rows))
    }

    fn run(
        &mut self,
        variant: Variant,
        examples: Option<&Examples>,
        indices: &[u32],
        lr: f64,
    ) -> Result<StepOutcome, DeviceError> {
        let args = StepArgs {
            average_rate: 0.0,
            step: self.n_updates,
            batch: BatchArgs { indices, shift: 0, augment: None },
            units: &[UnitArgs { dropout_key: self.dropout_key, alpha: 0.0 }],
            groups: &[GroupArgs { lr, n_updates: self.n_updates }],
        };
        self.device.run(&self.plan, variant, &mut self.memory, examples, &args)
    }
}
