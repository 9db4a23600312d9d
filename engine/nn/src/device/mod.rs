//! Devices: where numbers live, and where plans run.
//!
//! A device is a handful of verbs: [`alloc`](Device::alloc), upload, download, [`copy`](Device::copy),
//! [`prepare`](Device::prepare) and [`run`](Device::run). Nothing outside a device sees its memory but by upload and
//! download. [`Cpu`] is the default; [`Oracle`] is plain loops, slow, there to check every other device.
//!
//! # A device of one's own
//!
//! Implement [`Device`] for buffers made by [`Buffer::foreign`], run every instruction of
//! [`StepPlan`](crate::plan::StepPlan) (the enums are exhaustive, so the compiler lists what is missing), and hold it to [`conformance::check`].

mod buffer;
mod cpu;
mod error;
mod examples;
mod kernel_set;
mod memory;
mod pass;
mod run;

pub use buffer::{Buffer, ForeignMemory};
pub use cpu::Cpu;
pub use error::DeviceError;
pub use examples::{ExampleFeatures, ExampleTargets, Examples};
pub use memory::{ModuleSample, SiteSample, StepMemory, UnitMemory, UnitState, UnitWork};

use std::sync::Arc;

use crate::{
    plan::{StepArgs, StepOutcome, StepPlan, Variant},
    tensor::DType,
};
use buffer::Memory;

/// Memory, and something that runs plans on it.
///
/// Transfers do not fail: a device that loses its memory says so at the next [`run`](Device::run). The methods that
/// have a body are right for devices that work in the processor's memory.
pub trait Device: Send + Sync + 'static {
    /// A short name, such as `cpu` or `cuda:0`; part of every kernel's name.
    fn name(&self) -> String;

    /// Readies a plan that was built anew: what has to be translated or recorded is, here.
    ///
    /// # Errors
    ///
    /// Fails when the device can not run it.
    fn prepare(&self, _plan: &StepPlan) -> Result<(), DeviceError> {
        Ok(())
    }

    /// Runs one list of a plan on `memory`, over `examples`.
    ///
    /// # Errors
    ///
    /// Fails when the device does. What the network runs into is in the outcome.
    fn run(
        &self,
        plan: &StepPlan,
        variant: Variant,
        memory: &mut StepMemory,
        examples: Option<&Examples>,
        args: &StepArgs<'_>,
    ) -> Result<StepOutcome, DeviceError>;

    /// A buffer of `len_elems` zeros.
    ///
    /// # Errors
    ///
    /// Fails when there is no room.
    fn alloc(&self, dtype: DType, len_elems: usize) -> Result<Buffer, DeviceError> {
        Ok(Buffer(match dtype {
            DType::F32 => Memory::F32(vec![0.0; len_elems]),
            DType::U32 => Memory::U32(vec![0; len_elems]),
        }))
    }

    /// Puts values that nobody changes on the device; the processor's memory is shared and not copied.
    ///
    /// # Errors
    ///
    /// Fails when there is no room.
    fn share_f32(&self, values: Arc<[f32]>) -> Result<Buffer, DeviceError> {
        Ok(Buffer(Memory::SharedF32(values)))
    }

    /// As [`share_f32`](Device::share_f32), for integers.
    ///
    /// # Errors
    ///
    /// Fails when there is no room.
    fn share_u32(&self, values: Arc<[u32]>) -> Result<Buffer, DeviceError> {
        Ok(Buffer(Memory::SharedU32(values)))
    }

    /// Writes `values` into `buffer` from element `at` on.
    fn upload_f32(&self, values: &[f32], buffer: &mut Buffer, at: usize) {
        buffer.f32_mut()[at..at + values.len()].copy_from_slice(values);
    }

    /// As [`upload_f32`](Device::upload_f32), for integers.
    fn upload_u32(&self, values: &[u32], buffer: &mut Buffer, at: usize) {
        buffer.u32_mut()[at..at + values.len()].copy_from_slice(values);
    }

    /// Reads `buffer` from element `at` on into `values`.
    fn download_f32(&self, buffer: &Buffer, at: usize, values: &mut [f32]) {
        values.copy_from_slice(&buffer.f32()[at..at + values.len()]);
    }

    /// Copies `len_elems` values of `from` into `to`.
    fn copy(&self, from: &Buffer, from_at: usize, to: &mut Buffer, to_at: usize, len_elems: usize) {
        let from = &from.f32()[from_at..from_at + len_elems];
        to.f32_mut()[to_at..to_at + len_elems].copy_from_slice(from);
    }

    /// A copy of `buffer` of its own.
    ///
    /// # Errors
    ///
    /// Fails when there is no room.
    fn duplicate(&self, buffer: &Buffer) -> Result<Buffer, DeviceError> {
        let mut copy = self.alloc(buffer.dtype(), buffer.len_elems())?;
        self.copy(buffer, 0, &mut copy, 0, buffer.len_elems());
        Ok(copy)
    }

    /// All of `buffer`: `f32[len_elems]`.
    fn to_vec(&self, buffer: &Buffer) -> Vec<f32> {
        let mut values = vec![0.0; buffer.len_elems()];
        self.download_f32(buffer, 0, &mut values);
        values
    }
}
