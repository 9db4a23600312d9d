//! All arithmetic of Esper: fast CPU kernels, and a plain-Rust oracle for each.
