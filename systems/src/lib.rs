//! The subsystems, each a folder of one shape.
//!
//! They meet on [`oona`]'s messages and the engine's components, and never name one another.

pub mod oona;
pub mod urza;
