//! The subsystems, each a folder of one shape.
