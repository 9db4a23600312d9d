//! Networks without a world: graphs of ops, programs compiled from them, and the devices that run them.
//!
//! Nothing here knows of runs, files of a run, or an entity-component system. Everything is `f32` (tokens and labels are
//! `u32`), row-major, batch first; names and layouts are PyTorch's.
//!
//! Modules look in one direction only; each names none but those to its left or above it:
//!
//! ```text
//! digest, rng, suggest, glob, contract, schedule, tensor, word
//! error, settings <- op <- graph <- program
//! module, optim, program <- plan <- device <- session, side_by_side
//! ```
//!
//! [`tensor`] and [`schedule`] have what instructions are made of; [`settings`] reads and writes what people write of an
//! op; [`op`] has the ops, one file each, and the instructions they become; a [`graph`] is a network of ops, a
//! [`program`] the flat lists of instructions it compiles to, a [`plan`] all that is done in a step, and a [`device`] runs
//! that; a [`session`] is a network with memory of its own, and [`side_by_side`] are several over the same batches.

#![forbid(unsafe_code)]

pub mod contract;
pub mod device;
pub mod digest;
pub mod error;
pub mod glob;
pub mod graph;
pub mod module;
pub mod op;
pub mod optim;
pub mod plan;
pub mod program;
pub mod rng;
pub mod schedule;
pub mod session;
pub mod settings;
pub mod side_by_side;
pub mod suggest;
pub mod tensor;
pub mod word;
