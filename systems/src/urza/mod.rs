//! Urza, the library: keeps blueprints, kernels and what became of them, beyond the run.

mod blob;
mod error;
mod query;
mod record;
mod schema;
mod signature;
mod store;
mod write;
pub use store::LibraryStore;
pub use record::*;
