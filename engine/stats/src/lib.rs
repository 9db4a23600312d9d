//! Statistics of paired experiments: what an arm gains over another, how sure that is, and what each part is worth.
//!
//! Everything here is a pure function of numbers and a seed. What is drawn comes from the keyed streams of
//! [`esper_nn::rng`], so that equal input gives equal bits on every machine and in any order.

#![forbid(unsafe_code)]

mod error;
mod interval;
pub mod shapley;

pub use error::StatsError;
pub use interval::Interval;
