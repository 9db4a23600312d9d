//! What everything in Esper runs on: the world of hosts and seeds, their numbers, and the scenario they come from.
//!
//! Networks are `esper_nn`'s, data sets `esper_data`'s. Modules look in one direction only; each names those to its left:
//!
//! ```text
//! scenario, run_dir, stage <- ids <- runtime <- world <- journal <- forge
//! ```
//!
//! [`ids`] are lasting names and [`stage`] is a seed's place in its life: what the world and everything persisted share.
//! The [`runtime`] has hosts' numbers and steps; the [`world`] says what is so of them, and is what plugins extend; the
//! [`forge`] takes work off its thread, and the [`journal`] keeps what was said in it. A [`scenario`] says what a run is
//! to be, and [`run_dir`] where its files are.

#![forbid(unsafe_code)]

// What this crate's macros name in the crates that use them.
#[doc(hidden)]
pub use esper_nn as nn;

pub mod forge;
pub mod ids;
pub mod journal;
pub mod run_dir;
pub mod runtime;
pub mod scenario;
pub mod stage;
pub mod world;
