//! The subsystems, each a folder of one shape.
//!
//! They meet on [`oona`]'s messages and the engine's components, and never name one another.

pub mod karn;
pub mod kasmina;
pub mod nissa;
pub mod oona;
pub mod tamiyo;
pub mod tezzeret;
pub mod tolaria;
pub mod urabrask;
pub mod urza;

use esper_engine::{scenario::Sections, world::plugin::Plugin};

/// The sections of a scenario that the subsystems read.
pub fn sections() -> Sections {
    let mut sections = Sections::default();
    tolaria::TolariaPlugin.sections(&mut sections);
    kasmina::KasminaPlugin.sections(&mut sections);
    tamiyo::TamiyoPlugin::default().sections(&mut sections);
    karn::KarnPlugin.sections(&mut sections);
    tezzeret::TezzeretPlugin.sections(&mut sections);
    urabrask::UrabraskPlugin.sections(&mut sections);
    urza::UrzaPlugin::default().sections(&mut sections);
    nissa::NissaPlugin::default().sections(&mut sections);
    sections
}

#[cfg(test)]
mod testing;
