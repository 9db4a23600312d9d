//! The integration tests: one binary, one module a promise.

mod determinism;
mod extension;
mod lifecycle;
mod rollback;
mod support;
mod tidy;
