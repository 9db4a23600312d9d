//! The subsystems, each a folder of one shape.
//!
//! They meet on [`oona`]'s messages and the engine's components, and never name one another.

mod group;
pub mod karn;
pub mod kasmina;
pub mod nissa;
pub mod oona;
pub mod tamiyo;
pub mod tezzeret;
pub mod tolaria;
pub mod urabrask;
pub mod urza;

use esper_engine::scenario::Sections;

pub use group::EsperPlugins;

/// The sections of a scenario that the subsystems read.
pub fn sections() -> Sections {
    EsperPlugins::default().sections()
}

#[cfg(test)]
mod testing;
