//! What Tezzeret can be told.

/// `[tezzeret]` of a scenario: workers, queue, latency and timeout, and whether the line is strict or free.
pub type TezzeretConfig = esper_engine::scenario::Tezzeret;
