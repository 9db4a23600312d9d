//! The fast kernels: slices in, slices out, nothing allocated.
//!
//! Lengths are asserted: a wrong one is a bug of the caller. Where a gradient takes `accumulate`, the
//! finished gradient is added to what is there, with the same bits as if it had been computed apart
//! and then added.

mod activation;
mod conv2d;
pub(crate) mod dispatch;
mod dropout;
mod elementwise;
mod gemm;
pub(crate) mod lanes;
mod linear;
mod math;
mod norm;
mod optimizer;
mod random;
mod reduce;
mod softmax;
mod squared_error;
mod sweep;

pub use activation::{Activation, activation_bias_grad, activation_forward, activation_grad};
pub use conv2d::{
    Conv2dShape, conv2d_bias_grad, conv2d_forward, conv2d_grad_input, conv2d_grad_weight,
    conv2d_grad_weight_channels, conv2d_scratch_len,
};
pub use dispatch::{SimdLevel, simd_level, simd_levels, with_simd_level};
pub use dropout::{dropout_forward, dropout_grad};
pub use elementwise::{
    add, add_assign, blend_assign, gate_backward, gate_forward, layer_scale_backward,
    layer_scale_forward, multiply, multiply_grad, residual_assign, residual_forward, scale,
    scale_assign,
};
pub use linear::{
    LinearShape, bias_forward, bias_grad, linear_forward, linear_grad_input, linear_grad_weight,
    linear_scratch_len,
};
pub use norm::{layer_norm_backward, layer_norm_forward, rms_norm_backward, rms_norm_forward};
pub use optimizer::{AdamConfig, SgdConfig, adam_step, sgd_step};
pub use random::{fill_normal, fill_uniform};
pub use reduce::{all_finite, rms, sum, sum_squares};
pub use softmax::softmax_cross_entropy;
pub use squared_error::mean_squared_error;

pub(crate) use dispatch::dispatch;
pub(crate) use lanes::{Lanes, Vector};
