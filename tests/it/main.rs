//! The end-to-end tests: one binary, one module a promise.

mod extension;
mod tidy;
