//! What each kernel must compute, in plain loops: every kernel's judge, and a device's arithmetic.
//!
//! A file for each of [`cpu`](crate::cpu)'s, and in it a function for each kernel, on the same operands,
//! generic over [`Real`]: in `f32` a product is bit-equal to its kernel; in `f64` central differences
//! can be taken. Nothing here is meant to be fast, and everything returns what it computes: [`write()`]
//! puts it where a kernel would. A kernel for a part of the channels, examples or outputs computes
//! that part of what the oracle of the whole returns; one that rectifies is followed by [`activation()`];
//! one that works in place, `add_assign`, leaves in its first operand what the oracle of the same
//! operation returns.

mod activation;
mod attention;
mod augment;
mod batch_norm;
mod channel;
mod concat;
mod conv2d;
mod differences;
mod dropout;
mod elementwise;
mod embedding;
mod gather;
mod group_norm;
mod linear;
mod math;
mod norm;
mod optimizer;
mod patches;
mod pool;
mod positions;
mod random;
mod reduce;
mod softmax;
mod softplus;
mod squared_error;

pub use activation::{activate, activation, activation_bias_grad, activation_grad};
pub use attention::{attention, attention_backward};
pub use augment::augment_images;
pub use batch_norm::{
    batch_norm, batch_norm_backward, batch_norm_inference, batch_norm_normalize,
    batch_norm_statistics, batch_statistics, running_statistics,
};
pub use channel::{
    channel_bias, channel_bias_grad, channel_gate, channel_gate_backward, channel_mean,
    channel_mean_grad, channel_multiply, channel_multiply_grad_s, channel_multiply_grad_x,
    channel_scale, channel_scale_backward,
};
pub use concat::{copy_columns, take_columns};
pub use conv2d::{conv2d, conv2d_grad_input, conv2d_grad_weight};
pub use differences::central_differences;
pub use dropout::{dropout, dropout_grad};
pub use elementwise::{add, blend, multiply, multiply_grad, residual, scale, write};
pub use embedding::{embedding, embedding_grad};
pub use gather::{gather_rows, gather_windows};
pub use group_norm::{group_norm, group_norm_backward, group_norm_statistics};
pub use linear::{
    add_bias, bias_grad, linear, linear_grad_input, linear_grad_weight, matmul, transpose,
};
pub use norm::{
    layer_norm, layer_norm_backward, layer_norm_statistics, rms_norm, rms_norm_backward,
    rms_norm_statistics,
};
pub use optimizer::{adam, adam_step, clip_scale, sgd, sgd_step};
pub use patches::{patches, patches_grad};
pub use pool::{avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad};
pub use positions::{mean_positions, mean_positions_grad};
pub use random::{normal, uniform};
pub use reduce::{all_finite, mean, mean_square, rms, sum, sum_squares};
pub use softmax::{n_right, softmax_cross_entropy, softmax_cross_entropy_grad};
pub use softplus::{softplus, softplus_grad};
pub use squared_error::{mean_squared_error, mean_squared_error_grad};

use core::fmt::Debug;
use core::ops::{Add, Div, Mul, Neg, Sub};

/// A floating-point type.
pub trait Real:
    Copy
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The nearest value.
    fn of(value: f64) -> Self;
    /// The value in `f64`.
    fn value(self) -> f64;
    /// `self * b + c`, rounded once.
    fn mul_add(self, b: Self, c: Self) -> Self;

    /// `e^self`
    fn exp(self) -> Self {
        Self::of(self.value().exp())
    }
    /// The natural logarithm.
    fn ln(self) -> Self {
        Self::of(self.value().ln())
    }
    /// The hyperbolic tangent.
    fn tanh(self) -> Self {
        Self::of(self.value().tanh())
    }
    /// The square root.
    fn sqrt(self) -> Self {
        Self::of(self.value().sqrt())
    }
    /// The error function.
    fn erf(self) -> Self {
        Self::of(math::erf(self.value()))
    }
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as Self
    }
    fn value(self) -> f64 {
        f64::from(self)
    }
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self::mul_add(self, b, c)
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn value(self) -> f64 {
        self
    }
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self::mul_add(self, b, c)
    }
}
