//! Devices: where numbers live, and where plans run.
//!
//! A device is a handful of verbs: [`alloc`](Device::alloc), upload, download, [`copy`](Device::copy),
//! [`prepare`](Device::prepare) and [`run`](Device::run). Nothing outside a device sees its memory but by upload and
//! download. [`Cpu`] is the default; [`Oracle`] is plain loops, slow, there to check every other device.
//!
//! # A device of one's own
//!
//! A crate that depends on this one can add a device; nothing here has to change.
//!
//! 1. Keep memory behind [`Buffer::foreign`]: a type that implements [`ForeignMemory`] and holds, say, a pointer on the
//!    device; [`Buffer::as_foreign`] and [`Buffer::as_foreign_mut`] give it back.
//! 2. Implement [`Device`]. The methods with a body are for the processor's memory and panic on any other: write
//!    [`alloc`](Device::alloc), [`share_f32`](Device::share_f32), [`share_u32`](Device::share_u32), both uploads,
//!    [`download_f32`](Device::download_f32) and [`copy`](Device::copy) anew.
//! 3. Run plans: [`StepPlan::list`](crate::plan::StepPlan::list) is what to do in order, a
//!    [`StepInstr`](crate::plan::StepInstr) says what each instruction does and to which tensors, and runs of a
//!    network's [`Forward`](crate::op::Forward) and [`Backward`](crate::op::Backward) instructions are named by range.
//!    Match all three enums without a wildcard, and the compiler lists what a later version adds. Every buffer is
//!    reached by its role: [`StepMemory`], [`UnitState`], [`UnitWork`]; a tensor lies in a workspace at its
//!    [`Region`](crate::program::Region)'s offset times the plan's `batch_max`. [`StepArgs`] has what changes from step
//!    to step. A fault ends the list: what follows it must do nothing.
//! 4. Hold it to [`conformance::check`] in a test: it trains networks that have every instruction, and says what differs.
//!    Between equal runs on one device every bit must be the same.
//! 5. Give it to a run, where `run.device` finds it by its name.
//!
//! [`esper_kernels::oracle`] says in plain loops what each instruction computes; [`Oracle`] is those loops as a device.
//! `tests/foreign_device.rs` is a device by what is public alone.

mod buffer;
pub mod conformance;
mod cpu;
mod error;
mod examples;
mod kernel_set;
mod memory;
mod oracle;
mod pass;
mod run;

pub use buffer::{Buffer, ForeignMemory};
pub use cpu::Cpu;
pub use error::DeviceError;
pub use examples::{ExampleFeatures, ExampleTargets, Examples};
pub use memory::{
    ModuleSample, SiteSample, StepMemory, UnitAverage, UnitMemory, UnitState, UnitWork,
};
pub use oracle::Oracle;

use std::sync::Arc;

use crate::{
    plan::{StepArgs, StepOutcome, StepPlan, Variant},
    tensor::DType,
};
use buffer::{Memory, Owner};

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
        Ok(Buffer::zeros(Owner::Processor, dtype, len_elems))
    }

    /// Puts values that nobody changes on the device; the processor's memory is shared and not copied.
    ///
    /// # Errors
    ///
    /// Fails when there is no room.
    fn share_f32(&self, values: Arc<[f32]>) -> Result<Buffer, DeviceError> {
        Ok(Buffer::new(Owner::Processor, Memory::SharedF32(values)))
    }

    /// As [`share_f32`](Device::share_f32), for integers.
    ///
    /// # Errors
    ///
    /// Fails when there is no room.
    fn share_u32(&self, values: Arc<[u32]>) -> Result<Buffer, DeviceError> {
        Ok(Buffer::new(Owner::Processor, Memory::SharedU32(values)))
    }

    /// Writes `values` into `buffer` from element `at` on.
    fn upload_f32(&self, values: &[f32], buffer: &mut Buffer, at: usize) {
        buffer.of_mut(Owner::Processor).f32_mut()[at..at + values.len()].copy_from_slice(values);
    }

    /// As [`upload_f32`](Device::upload_f32), for integers.
    fn upload_u32(&self, values: &[u32], buffer: &mut Buffer, at: usize) {
        buffer.of_mut(Owner::Processor).u32_mut()[at..at + values.len()].copy_from_slice(values);
    }

    /// Reads `buffer` from element `at` on into `values`.
    fn download_f32(&self, buffer: &Buffer, at: usize, values: &mut [f32]) {
        values.copy_from_slice(&buffer.of(Owner::Processor).f32()[at..at + values.len()]);
    }

    /// Copies `len_elems` values of `from` into `to`.
    fn copy(&self, from: &Buffer, from_at: usize, to: &mut Buffer, to_at: usize, len_elems: usize) {
        let from = &from.of(Owner::Processor).f32()[from_at..from_at + len_elems];
        to.of_mut(Owner::Processor).f32_mut()[to_at..to_at + len_elems].copy_from_slice(from);
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
