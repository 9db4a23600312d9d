//! The engine's own promises: one binary, one module a promise.

mod isolation;
mod support;
