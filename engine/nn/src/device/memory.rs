//! What a plan works on: the buffers of a host and of the modules bound to it.

use serde::{Deserialize, Serialize};

use super::{Buffer, Device, DeviceError};
use crate::{
    plan::{LossMonitor, PlannedUnit, StepSettings, UnitIndex},
    program::Program,
    tensor::DType,
};

/// What training changes in a network, and a snapshot keeps.
#[derive(Debug)]
pub struct UnitState {
    /// `f32[params_len_elems]`.
    pub params: Buffer,
    /// Running statistics: `f32[buffers_len_elems]`.
    pub buffers: Buffer,
    /// First moments: `f32[params_len_elems]`.
    pub m: Buffer,
    /// Second moments: `f32[params_len_elems]`; empty where the update rule keeps none.
    pub v: Buffer,
}

/// What of a network carries nothing from one step to the next.
#[derive(Debug)]
pub struct UnitWork {
    /// `f32[params_len_elems]`.
    pub gradients: Buffer,
    /// `f32[workspace_len_elems(batch_max)]`.
    pub workspace: Buffer,
    /// Room for kernels: `f32[parts_max * scratch_len_elems(batch_max)]`.
    pub scratch: Buffer,
    /// Loss of each example: `f32[batch_max]`.
    pub losses: Buffer,
    /// At a module's write port, `x + f(x)` of a composition that needs it, or the `x` that a module is added to which
    /// reads elsewhere: `f32[batch_max, site]`, or empty.
    pub joined: Buffer,
    /// The host's workspace in a module's shadow pass; empty until it has one.
    pub shadow: Buffer,
}

/// What was last sampled of a module in a training step.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct ModuleSample {
    /// Root mean square of the activation at the site.
    pub x_rms: f32,
    /// Root mean square of the task gradient at the site.
    pub gradient_rms: f32,
    /// Root mean square of the module's output.
    pub output_rms: f32,
    /// L2 norm of the module's parameter gradient.
    pub gradient_norm: f32,
}

/// What was last sampled at a site, whether or not a module is bound there.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct SiteSample {
    /// Root mean square of the activation.
    pub x_rms: f32,
    /// Root mean square of the task gradient.
    pub gradient_rms: f32,
}

/// A moving average of what training changes in a network, which verdicts are measured on.
#[derive(Debug)]
pub struct UnitAverage {
    /// `f32[params_len_elems]`.
    pub params: Buffer,
    /// Running statistics: `f32[buffers_len_elems]`.
    pub buffers: Buffer,
}

/// The memory of one network of a plan.
#[derive(Debug)]
pub struct UnitMemory {
    /// What a snapshot keeps.
    pub state: UnitState,
    /// Its average since a verdict was begun; `None` while there is none.
    pub average: Option<UnitAverage>,
    /// What a step begins without.
    pub work: UnitWork,
    /// Whether every gradient of it has been finite; a module whose were not trains no more.
    pub is_finite: bool,
    /// What was sampled in the last sampled step without a fault; `None` before the first.
    pub sample: Option<ModuleSample>,
    /// The sample that this step takes.
    pub sampling: ModuleSample,
}

/// The memory of a plan.
#[derive(Debug)]
pub struct StepMemory {
    /// The host's, and its modules' in the plan's order.
    pub units: Vec<UnitMemory>,
    /// Running statistics of the loss.
    pub monitor: LossMonitor,
    /// The last sample at each site of the host, where there is one.
    pub site_samples: Vec<Option<SiteSample>>,
    /// Labels of the batch: `u32[batch_max, labels_per_example]`.
    pub labels: Buffer,
    /// Values to predict: `f32[batch_max, width]`.
    pub values: Buffer,
    /// What [`StepInstr::Keep`](crate::plan::StepInstr::Keep) keeps of the host's workspace; empty until there is room.
    pub kept: Buffer,
    /// What [`StepInstr::KeepLoss`](crate::plan::StepInstr::KeepLoss) keeps.
    pub kept_losses: Vec<f64>,
}

impl UnitState {
    /// The state of `program` at birth: `params` as drawn, moments zero.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn at_birth(
        device: &dyn Device,
        program: &Program,
        params: &[f32],
        has_second_moment: bool,
    ) -> Result<Self, DeviceError> {
        let zeros = vec![0.0; params.len()];
        let v: &[f32] = if has_second_moment { &zeros } else { &[] };
        Self::of_values(device, params, &program.initial_buffers(), &zeros, v)
    }

    /// A state of these numbers.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn of_values(
        device: &dyn Device,
        params: &[f32],
        buffers: &[f32],
        m: &[f32],
        v: &[f32],
    ) -> Result<Self, DeviceError> {
        let put = |values| buffer_of(device, values);
        Ok(Self { params: put(params)?, buffers: put(buffers)?, m: put(m)?, v: put(v)? })
    }

    /// Whether it keeps second moments.
    pub fn has_second_moment(&self) -> bool {
        0 < self.v.len_elems()
    }

    /// Its buffers, in the order parameters, running statistics, first and second moments.
    pub fn all(&self) -> [&Buffer; 4] {
        [&self.params, &self.buffers, &self.m, &self.v]
    }

    fn all_mut(&mut self) -> [&mut Buffer; 4] {
        [&mut self.params, &mut self.buffers, &mut self.m, &mut self.v]
    }

    /// A copy, bit for bit.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn duplicate(&self, device: &dyn Device) -> Result<Self, DeviceError> {
        let [params, buffers, m, v] = self.all().map(|buffer| device.duplicate(buffer));
        Ok(Self { params: params?, buffers: buffers?, m: m?, v: v? })
    }

    /// Takes the numbers of `other` over; room is reused where lengths are the same.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn copy_from(&mut self, device: &dyn Device, other: &Self) -> Result<(), DeviceError> {
        for (to, from) in self.all_mut().into_iter().zip(other.all()) {
            if to.len_elems() == from.len_elems() {
                device.copy(from, 0, to, 0, from.len_elems());
            } else {
                *to = device.duplicate(from)?;
            }
        }
        Ok(())
    }
}

fn buffer_of(device: &dyn Device, values: &[f32]) -> Result<Buffer, DeviceError> {
    let mut buffer = device.alloc(DType::F32, values.len())?;
    device.upload_f32(values, &mut buffer, 0);
    Ok(buffer)
}

impl UnitAverage {
    /// An average of these numbers.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn of_values(
        device: &dyn Device,
        params: &[f32],
        buffers: &[f32],
    ) -> Result<Self, DeviceError> {
        Ok(Self { params: buffer_of(device, params)?, buffers: buffer_of(device, buffers)? })
    }

    /// An average that begins as `state` is.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn of(device: &dyn Device, state: &UnitState) -> Result<Self, DeviceError> {
        let [params, buffers] = [&state.params, &state.buffers].map(|it| device.duplicate(it));
        Ok(Self { params: params?, buffers: buffers? })
    }
}

impl UnitMemory {
    /// Puts the average in the place of the numbers, or the numbers back: a second call undoes the first. Nothing happens
    /// where there is no average.
    pub fn swap_average(&mut self) {
        if let Some(UnitAverage { params, buffers }) = &mut self.average {
            std::mem::swap(params, &mut self.state.params);
            std::mem::swap(buffers, &mut self.state.buffers);
        }
    }

    /// Makes room for `unit` to run with `state`.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    ///
    /// # Panics
    ///
    /// If the state is not the program's.
    pub fn new(
        device: &dyn Device,
        unit: &PlannedUnit,
        settings: &StepSettings,
        state: UnitState,
    ) -> Result<Self, DeviceError> {
        let work = UnitWork::new(device, unit, settings)?;
        let program = &unit.program;
        let lens = [state.params.len_elems(), state.buffers.len_elems()];
        assert_eq!(lens, [program.params_len_elems, program.buffers_len_elems], "the program's");
        Ok(Self {
            state,
            average: None,
            work,
            is_finite: true,
            sample: None,
            sampling: ModuleSample::default(),
        })
    }

    /// Gives the state second moments, or takes them away: what another update rule needs. Both moments begin at zero
    /// then. Says whether anything had to change.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn fit_moments(
        &mut self,
        device: &dyn Device,
        has_second_moment: bool,
    ) -> Result<bool, DeviceError> {
        let UnitState { params, m, v, .. } = &mut self.state;
        let len_elems = params.len_elems();
        let v_len_elems = if has_second_moment { len_elems } else { 0 };
        if v.len_elems() == v_len_elems {
            return Ok(false);
        }
        let zeros = device.alloc(DType::F32, v_len_elems)?;
        *m = device.alloc(DType::F32, len_elems)?;
        *v = zeros;
        Ok(true)
    }

    /// Makes the room anew, for a network that has changed.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn make_room(
        &mut self,
        device: &dyn Device,
        unit: &PlannedUnit,
        settings: &StepSettings,
    ) -> Result<(), DeviceError> {
        self.work = UnitWork::new(device, unit, settings)?;
        Ok(())
    }
}

impl UnitWork {
    fn new(
        device: &dyn Device,
        unit: &PlannedUnit,
        settings: &StepSettings,
    ) -> Result<Self, DeviceError> {
        let (program, batch_max) = (&unit.program, settings.batch_max);
        let alloc = |len_elems| device.alloc(DType::F32, len_elems);
        let is_module = program.loss.is_none();
        let needs_joined = is_module && settings.composition.needs_joined();
        let width: usize = program.output_shape.iter().product();
        Ok(Self {
            gradients: alloc(program.params_len_elems)?,
            workspace: alloc(program.workspace_len_elems(batch_max))?,
            scratch: alloc(unit.parts_max * program.scratch_len_elems(batch_max))?,
            losses: alloc(batch_max)?,
            joined: alloc(if needs_joined { width * batch_max } else { 0 })?,
            shadow: alloc(0)?,
        })
    }
}

impl StepMemory {
    /// The memory of a host alone, for batches of up to `settings.batch_max` examples with so many labels each, or so
    /// many values to predict.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn new(
        device: &dyn Device,
        host: &PlannedUnit,
        settings: &StepSettings,
        state: UnitState,
        [labels_per_example, values_per_example]: [usize; 2],
    ) -> Result<Self, DeviceError> {
        Ok(Self {
            units: vec![UnitMemory::new(device, host, settings, state)?],
            monitor: LossMonitor::default(),
            site_samples: vec![None; host.program.sites.len()],
            labels: device.alloc(DType::U32, settings.batch_max * labels_per_example)?,
            values: device.alloc(DType::F32, settings.batch_max * values_per_example)?,
            kept: device.alloc(DType::F32, 0)?,
            kept_losses: Vec::new(),
        })
    }

    /// Gives the module `unit` room for a shadow pass: the host's workspace once more, and losses that are nobody's.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn make_shadow_room(
        &mut self,
        device: &dyn Device,
        unit: UnitIndex,
    ) -> Result<(), DeviceError> {
        let host = &self.units[0].work;
        let len_elems = host.workspace.len_elems() + host.losses.len_elems();
        let work = &mut self.units[usize::from(unit)].work;
        if work.shadow.len_elems() != len_elems {
            work.shadow = device.alloc(DType::F32, len_elems)?;
        }
        Ok(())
    }

    /// Makes room for a list of [`Variant::Rank`](crate::plan::Variant::Rank): the host's workspace once more, and
    /// `n_losses` losses.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn make_ranking_room(
        &mut self,
        device: &dyn Device,
        n_losses: usize,
    ) -> Result<(), DeviceError> {
        let len_elems = self.units[0].work.workspace.len_elems();
        if self.kept.len_elems() != len_elems {
            self.kept = device.alloc(DType::F32, len_elems)?;
        }
        self.kept_losses.clear();
        self.kept_losses.resize(n_losses, 0.0);
        Ok(())
    }

    /// Gives the module `unit` room for the activation at its write port, which it does not read.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn make_span_room(
        &mut self,
        device: &dyn Device,
        unit: UnitIndex,
        module: &Program,
        settings: &StepSettings,
    ) -> Result<(), DeviceError> {
        let width: usize = module.output_shape.iter().product();
        let joined = device.alloc(DType::F32, width * settings.batch_max)?;
        self.units[usize::from(unit)].work.joined = joined;
        Ok(())
    }

    /// Loss of each example of the last batch: `f32[batch_max]`, of which the first are this batch's.
    pub fn losses(&self) -> &Buffer {
        &self.units[0].work.losses
    }
}
