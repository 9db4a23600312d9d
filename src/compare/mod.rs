//! Comparison of arms: what a sweep's cells say, how sure that is, and a verdict in words by a rule that is printed with it.

mod error;
mod types;

pub use error::CompareError;
pub use types::{
    ArmComparison, Case, Comparison, Cost, FailedCell, FrontHost, Gap, MeanFlops, Metric, Scores,
    Verdict, Versus,
};
