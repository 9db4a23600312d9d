//! The fast kernels: slices in, slices out, nothing allocated.
//!
//! Lengths are asserted: a wrong one is a bug of the caller. Where a gradient takes `accumulate`, the
//! finished gradient is added to what is there, with the same bits as if it had been computed apart
//! and then added.

mod activation;
mod attention;
mod augment;
mod batch_norm;
mod channel;
mod concat;
mod conv2d;
pub(crate) mod dispatch;
mod dropout;
mod elementwise;
mod embedding;
mod gather;
mod gemm;
mod group_norm;
mod interleave;
pub(crate) mod lanes;
mod linear;
mod math;
mod norm;
mod optimizer;
mod patches;
pub(crate) mod place;
mod pool;
mod positions;
mod random;
mod reduce;
mod slice_loops;
mod softmax;
mod softplus;
mod squared_error;

pub use activation::{Activation, activation_bias_grad, activation_forward, activation_grad};
pub use attention::{AttentionShape, attention_backward, attention_forward, attention_scratch_len};
pub use augment::{AugmentShape, augment_images, augment_words};
pub use batch_norm::{
    batch_norm_backward, batch_norm_forward, batch_norm_grad_input, batch_norm_grad_params,
    batch_norm_inference, batch_norm_normalize, batch_norm_statistics,
};
pub use channel::{
    ChannelShape, channel_bias, channel_bias_grad, channel_gate, channel_gate_backward,
    channel_mean, channel_mean_grad, channel_multiply, channel_multiply_grad_s,
    channel_multiply_grad_x, channel_scale, channel_scale_backward,
};
pub use concat::{copy_columns, take_columns};
pub use conv2d::{
    Conv2dShape, conv2d_forward, conv2d_grad_input, conv2d_grad_weight,
    conv2d_grad_weight_channels, conv2d_scratch_len,
};
pub use dispatch::{SimdLevel, simd_level, simd_levels, with_simd_level};
pub use dropout::{dropout_forward, dropout_grad};
pub use elementwise::{
    add, add_assign, blend_assign, multiply, multiply_grad, residual_assign, residual_forward,
    scale, scale_assign,
};
pub use embedding::{embedding_forward, embedding_grad};
pub use gather::{gather_rows, gather_windows};
pub use group_norm::{group_norm_backward, group_norm_forward, group_norm_grad_params};
pub use linear::{
    LinearShape, bias_forward, bias_grad, linear_forward, linear_grad_input, linear_grad_weight,
    linear_grad_weight_outputs, linear_scratch_len,
};
pub use norm::{layer_norm_backward, layer_norm_forward, rms_norm_backward, rms_norm_forward};
pub use optimizer::{AdamConfig, SgdConfig, adam_step, clip_scale, sgd_step};
pub use patches::{PatchShape, patches_forward, patches_grad};
pub use pool::{
    PoolShape, avg_pool2d_forward, avg_pool2d_grad, max_pool2d_forward, max_pool2d_grad,
};
pub use positions::{mean_positions, mean_positions_grad};
pub use random::{fill_normal, fill_uniform};
pub use reduce::{all_finite, rms, sum, sum_squares};
pub use softmax::softmax_cross_entropy;
pub use softplus::{
    SOFTPLUS_FLOPS_PER_ELEM, SOFTPLUS_GRAD_FLOPS_PER_ELEM, softplus_forward, softplus_grad,
};
pub use squared_error::mean_squared_error;

pub(crate) use dispatch::dispatch;
pub(crate) use lanes::{Lanes, Vector};
