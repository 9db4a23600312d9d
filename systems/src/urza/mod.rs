//! Urza, the library: keeps blueprints, kernels and what became of them, beyond the run.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | `KernelJudged`, `StageChanged`; blueprints and kernels that changed | - | [`LibraryStore`], [`OpenLibrary`] |
//!
//! Everything is named by what it is: a blueprint by its graph, a kernel by what it was compiled from, a graph or
//! a program by its bytes. A record that changes is written again as the next version; [`gc()`] alone removes any.
//!
//! A run looks up what others left while it is built ([`OpenLibrary::known_kernels`]); during its ticks it reads
//! nothing but the bytes of kernels it knows already, so what others write to a shared library can not change its course.

mod blob;
mod bundle;
mod check;
mod config;
mod error;
mod file;
mod gc;
mod image;
mod list;
mod open_library;
mod query;
mod record;
mod recorder;
mod rows;
mod schema;
mod signature;
mod store;
mod systems;
#[cfg(test)]
mod tests;
mod transfer;
mod verify;
mod write;

pub use config::{LibraryPlace, URZA, Urza, UrzaConfig};
pub use error::{Damage, LibraryError, LibraryErrorKind};
pub use gc::{GcOptions, GcReport, gc};
pub use list::{
    BlueprintDetails, BlueprintRow, Details, KernelDetails, KernelRow, Listing, ls, show,
};
pub use open_library::OpenLibrary;
pub use query::KernelQuery;
pub use record::{
    Batch, BlobRef, BlueprintRecord, DeploymentRecord, KernelRecord, TwinGain, Versioned,
};
pub use recorder::Recorded;
pub use schema::{BLOB_MAX_BYTES, BLOB_PART_MAX_BYTES, FORMAT, RECORD_MAX_BYTES};
pub use signature::{PublicKey, Signature};
pub use store::LibraryStore;
pub use transfer::{Transferred, export, import};
pub use verify::{Finding, file_digest, verify};
pub use write::{Committed, TAG_MAX_BYTES, TAGS_MAX};

use bevy_ecs::prelude::*;
use esper_engine::{
    scenario::Sections,
    world::{
        kernel::Library,
        plugin::{BuildError, Engine, Plugin, Tick, TickSystems},
    },
};

/// What Urza does in [`TickSystems::Record`], in this order.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UrzaSystems {
    /// Hands the tick's changes to the thread that writes it.
    Send,
    /// Waits until it is on the disk. A run that checkpoints only now and then may give this set a condition, as
    /// long as it holds in every tick that writes a checkpoint or ends the run.
    Settle,
}

/// Adds [Urza](self).
#[derive(Clone, Debug, Default)]
pub struct UrzaPlugin {
    /// Which library, and in whose name.
    pub config: UrzaConfig,
}

impl Plugin for UrzaPlugin {
    fn name(&self) -> &'static str {
        "urza"
    }

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn sections(&self, sections: &mut Sections) {
        sections.add::<Urza>();
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        let store = match &self.config.place {
            LibraryPlace::Memory => LibraryStore::in_memory(),
            LibraryPlace::File(path) => LibraryStore::open(path),
            LibraryPlace::Open(store) => Ok(store.clone()),
        };
        let store = store.map_err(|error| BuildError::plugin(self.name(), error))?;
        let library = OpenLibrary::new(store, &self.config.run);
        let world = engine.world_mut();
        world.insert_resource(Library(Box::new(library.clone())));
        world.insert_resource(library);
        world.init_resource::<open_library::Unread>();
        engine.add_systems(
            Tick,
            (
                systems::send_changes
                    .in_set(UrzaSystems::Send)
                    .run_if(systems::is_anything_to_send),
                systems::report_failure.in_set(UrzaSystems::Settle).after(UrzaSystems::Send),
            )
                .in_set(TickSystems::Record),
        );
        Ok(())
    }
}
