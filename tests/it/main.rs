//! The integration tests: one binary, one module a promise.

mod determinism;
mod lifecycle;
mod rollback;
mod support;
