//! What Karn says when it can not go on.

use esper_nn::suggest::after_sentence;

/// Why a catalogue could not be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// No family of that name.
    #[error("no blueprint is called `{name}`{}; there are {known}", after_sentence(nearest.as_deref()))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The nearest name there is, if one is near.
        nearest: Option<String>,
        /// Every name there is.
        known: String,
    },
    /// Two families share a name.
    #[error("two blueprints are called `{name}`")]
    Duplicate {
        /// The name.
        name: String,
    },
}
