//! The engine's own promises: one binary, one module a promise.

mod frozen;
mod gradients;
mod isolation;
mod spans;
mod support;
mod threads;
