//! The tests of the statistics: against other tools, by simulation, and what is refused.

mod known;
mod refused;
mod shapley;
mod simulation;
