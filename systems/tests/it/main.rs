//! The subsystems together: one binary, one module per promise.
mod innovation_line;
