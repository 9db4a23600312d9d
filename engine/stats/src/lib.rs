//! Statistics of paired experiments: what an arm gains over another, how sure that is, and what each part is worth.
//!
//! Everything here is a pure function of numbers and a seed. What is drawn comes from the keyed streams of
//! [`esper_nn::rng`], so that equal input gives equal bits on every machine and in any order.
//!
//! Runs of several tasks are [`Stratum`]s: values are resampled and tested within a task, and tasks are averaged by weight.

#![forbid(unsafe_code)]

mod bootstrap;
mod equivalence;
mod error;
mod front;
mod holm;
mod improvement;
mod interval;
mod normal;
mod pareto;
pub mod shapley;
mod sign_flip;
mod strata;
mod summary;

pub use bootstrap::Bootstrap;
pub use equivalence::{Equivalence, equivalence};
pub use error::StatsError;
pub use front::{StaticFront, StaticHost};
pub use holm::holm;
pub use improvement::{improvement_share, probability_of_improvement};
pub use interval::Interval;
pub use normal::{normal_cdf, normal_quantile};
pub use pareto::{Point, pareto};
pub use sign_flip::SignFlip;
pub use strata::{Stratum, paired_differences};
pub use summary::{interquartile_mean, mean, standard_deviation};
