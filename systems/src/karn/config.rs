//! What Karn can be told.

/// `[karn]` of a scenario: `catalogue` (`all` stands for every family but the controls) and `adversarial`.
pub type KarnConfig = esper_engine::scenario::Karn;
