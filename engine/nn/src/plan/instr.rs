//! The instructions of a plan.

use std::ops::Range;

use super::UnitIndex;
use crate::{
    module::Composition,
    program::{GradMask, TensorId},
};

/// Whose activations an instruction works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The host's workspace.
    Host,
    /// The copy in which the shadow pass of that module runs.
    Shadow(UnitIndex),
}

/// One thing that a host does in a step.
///
/// `x` and `gradient` are tensors of the host's program, in the workspace that `space` names; `f` is the module's output.
#[derive(Clone, Debug, PartialEq)]
pub enum StepInstr {
    /// Gathers examples into the host's input, and their targets.
    LoadBatch,
    /// Runs instructions `range` of a network's forward pass.
    Forward {
        /// The network.
        unit: UnitIndex,
        /// Where, if it is the host.
        space: Space,
        /// Which instructions.
        range: Range<u32>,
    },
    /// Runs those of instructions `range` of a network's backward pass that `wanted` asks for.
    Backward {
        /// The network.
        unit: UnitIndex,
        /// Where, if it is the host.
        space: Space,
        /// Which instructions.
        range: Range<u32>,
        /// Which gradients are wanted.
        wanted: GradMask,
    },
    /// Copies `x` at the module's read port into the module's input.
    Read {
        /// The module.
        unit: UnitIndex,
        /// Where.
        space: Space,
        /// The activation at the read port.
        x: TensorId,
    },
    /// Joins the module's output to the host at its write port: `x <- x + alpha f`, or `(1 - alpha) x + alpha (x + f)`.
    Compose {
        /// The module.
        unit: UnitIndex,
        /// Where.
        space: Space,
        /// The activation at the write port.
        x: TensorId,
        /// How.
        composition: Composition,
    },
    /// Keeps what the host's pass from this site on reads, for [`PutBack`](Self::PutBack).
    Keep {
        /// The site's place in the host's program.
        site: u16,
    },
    /// Puts back what was kept at this site, so that the host's pass can go on from there once more.
    PutBack {
        /// The site's place in the host's program.
        site: u16,
    },
    /// Joins the module's output to the host as [`Compose`](Self::Compose) does, at a scale of its own.
    Try {
        /// The module.
        unit: UnitIndex,
        /// The activation at the write port.
        x: TensorId,
        /// How.
        composition: Composition,
        /// How far.
        alpha: f32,
    },
    /// Keeps the sum of the losses of the batch's examples.
    KeepLoss {
        /// Its place among [`StepMemory::kept_losses`](crate::device::StepMemory::kept_losses).
        place: u32,
    },
    /// Keeps `x` at the write port of a module that reads elsewhere, before it is joined there.
    KeepJoined {
        /// The module.
        unit: UnitIndex,
        /// Where.
        space: Space,
        /// The activation at the write port.
        x: TensorId,
    },
    /// Keeps what the host's pass from this site on reads: the beginning of the module's shadow pass.
    KeepForShadow {
        /// The module.
        unit: UnitIndex,
        /// The site's place in the host's program.
        site: u16,
    },
    /// Writes the root mean squares at a site.
    SampleSite {
        /// The site's place in the host's program.
        site: u16,
        /// The activation.
        x: TensorId,
        /// The task gradient.
        gradient: TensorId,
    },
    /// Writes the root mean squares at a module's site, and of its output.
    SampleModule {
        /// The module.
        unit: UnitIndex,
        /// The activation.
        x: TensorId,
        /// The task gradient.
        gradient: TensorId,
    },
    /// Writes the L2 norm of a module's parameter gradient.
    SampleGradientNorm {
        /// The module.
        unit: UnitIndex,
    },
    /// What an incubating module is to learn: `gradient + lambda f` with `lambda = rms(gradient) / (rho rms(x))`.
    ///
    /// Without the proximal term the objective is linear in `f`, and `f` grows without bound.
    ProximalGradient {
        /// The module.
        unit: UnitIndex,
        /// The activation.
        x: TensorId,
        /// The task gradient.
        gradient: TensorId,
    },
    /// Puts `x` back as it was before the module was joined, so that what lies before it differentiates what it
    /// computed.
    Restore {
        /// The module.
        unit: UnitIndex,
        /// Where.
        space: Space,
        /// The activation at the write port.
        x: TensorId,
        /// Whether [`KeepJoined`](Self::KeepJoined) kept it; else it is the module's input.
        is_kept: bool,
    },
    /// The module's part of the gradient at its write port; what is left is the host's.
    SplitGradient {
        /// The module.
        unit: UnitIndex,
        /// Where.
        space: Space,
        /// The task gradient.
        gradient: TensorId,
        /// How the module was joined.
        composition: Composition,
    },
    /// Adds the gradient of the module's input to the host's at its read port.
    AddInputGradient {
        /// The module.
        unit: UnitIndex,
        /// Where.
        space: Space,
        /// The gradient at the read port.
        gradient: TensorId,
    },
    /// Takes the loss in; a fault makes everything after it do nothing.
    ObserveLoss,
    /// `x <- x + f` in the module's shadow.
    ComposeShadow {
        /// The module.
        unit: UnitIndex,
        /// The activation at its port.
        x: TensorId,
    },
    /// Copies the gradient that a shadow pass found to the module's output.
    TakeShadowGradient {
        /// The module.
        unit: UnitIndex,
        /// The gradient at its port.
        gradient: TensorId,
    },
    /// Looks whether every gradient is finite. The host's are a fault if not, and what the step sampled of modules is
    /// kept if they are; a module's stop its training.
    CheckGradients {
        /// The network.
        unit: UnitIndex,
    },
    /// Moves a network's average towards what its update has left: `average <- (1 - r) average + r w` for parameters and
    /// running statistics, with [`StepArgs::average_rate`](super::StepArgs::average_rate) for `r`.
    Average {
        /// The network.
        unit: UnitIndex,
    },
    /// Updates a group of parameters, its gradient clipped to the plan's norm.
    Update {
        /// The network.
        unit: UnitIndex,
        /// Which of its groups.
        group: u16,
    },
}
