//! All arithmetic of Esper: fast CPU kernels, and a plain-Rust oracle for each.
//!
//! Everything is `f32`, row-major, batch first. Kernels take and fill slices and allocate nothing;
//! scratch is the caller's.
//!
//! # One chain per element
//!
//! **Every output element is one fixed chain of IEEE 754 operations, whatever the vector unit.**
//!
//! - A matrix product runs over `k` from first to last, one fused multiply-add after the other, from
//!   zero. Vector lanes lie along the other axis; the chain is never split.
//! - A sum over a row, a whole slice or the pixels of a channel keeps sixteen partial sums (element `i` goes to
//!   number `i % 16`) and joins them by one fixed tree, on machines with sixteen lanes, eight, or one.
//! - A sum over the batch or the positions of a sequence (bias, scale and normalization gradients, means over
//!   positions, attention's sums over keys) runs in order.
//! - Elementary functions are polynomials in multiply-adds; no library function is called.
//!
//! So AVX-512, AVX2 and portable code give the same bits, tests hold all of them to the plain loops of
//! [`oracle`], and a network trained on one machine can be resumed on another, bit for bit.
//!
//! # Bounds
//!
//! Vectors are read and written through raw pointers, by lengths that each kernel asserts on entry. With the feature
//! `checked` every pointer carries the bounds of its slice, and every step, read and write asserts them:
//! `cargo test -p esper-kernels --features checked` tests what the `unsafe` blocks promise.
//!
//! [`cpu`] has the kernels, [`oracle`] says what they must compute, [`philox`] and [`random`] have the random
//! numbers, and [`peak`] measures what the machine could do at best.

#![allow(clippy::too_many_arguments, reason = "a kernel's operands are its signature")]

pub mod cpu;
pub mod oracle;
pub mod peak;
pub mod philox;
pub mod random;
