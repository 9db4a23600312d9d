//! The integration tests: one binary, one module a promise.

mod adoption;
mod attribution;
mod bad_input;
mod cli;
mod command;
mod compare;
mod controls;
mod determinism;
mod devices;
mod export;
mod extension;
mod faults;
mod golden;
mod layers;
mod lifecycle;
mod pytorch;
mod report;
mod resume;
mod rollback;
mod run;
mod scenario;
mod support;
mod sweep;
mod tensorboard;
mod tidy;
mod training;
