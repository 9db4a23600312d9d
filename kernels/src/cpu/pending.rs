//! TEMPORARY: signatures of kernels that are being written.
#![allow(missing_docs, unused_variables, clippy::all, reason = "temporary")]
macro_rules! pending { ($($name:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)?;)*) => { $(pub fn $name($($arg: $ty),*) $(-> $ret)? { unimplemented!() })* } }
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelShape {
    pub batch: usize,
    pub channels: usize,
    pub len: usize,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolShape {
    pub batch: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
}
type C = ChannelShape;
type R<'a> = &'a [f32];
type W<'a> = &'a mut [f32];
pending! {
batch_norm_forward(s: C, eps: f32, m: f32, x: &[f32], g: &[f32], b: &[f32], running: Option<(&mut [f32], &mut [f32])>, mean: &mut [f32], rstd: &mut [f32], rectify: bool, y: &mut [f32]);
batch_norm_inference(s: C, eps: f32, x: &[f32], g: &[f32], b: &[f32], rm: &[f32], rv: &[f32], rectify: bool, y: &mut [f32]);
batch_norm_backward(s: C, dy: &mut [f32], x: &[f32], g: &[f32], mean: &[f32], rstd: &[f32], rectified: Option<&[f32]>, dx: &mut [f32], dg: &mut [f32], db: &mut [f32], a: bool, p: bool);
group_norm_forward(s: C, groups: usize, eps: f32, x: &[f32], g: &[f32], b: &[f32], mean: &mut [f32], rstd: &mut [f32], y: &mut [f32]);
group_norm_backward(s: C, groups: usize, dy: &[f32], x: &[f32], g: &[f32], mean: &[f32], rstd: &[f32], dx: &mut [f32], dg: &mut [f32], db: &mut [f32], a: bool, p: bool);
max_pool2d_forward(s: PoolShape, x: &[f32], y: &mut [f32]);
max_pool2d_grad(s: PoolShape, dy: &[f32], x: &[f32], y: &[f32], dx: &mut [f32], a: bool);
avg_pool2d_forward(s: PoolShape, x: &[f32], y: &mut [f32]);
avg_pool2d_grad(s: PoolShape, dy: &[f32], dx: &mut [f32], a: bool);
channel_mean(s: C, x: &[f32], y: &mut [f32]);
channel_mean_grad(s: C, dy: &[f32], dx: &mut [f32], a: bool);
channel_multiply(s: C, x: &[f32], sc: &[f32], y: &mut [f32]);
channel_multiply_grad_x(s: C, dy: &[f32], sc: &[f32], dx: &mut [f32], a: bool);
channel_multiply_grad_s(s: C, dy: &[f32], x: &[f32], ds: &mut [f32], a: bool);
channel_bias(s: C, x: &[f32], b: &[f32], y: &mut [f32]);
channel_bias_grad(s: C, dy: &[f32], db: &mut [f32]);
channel_scale(s: C, x: &[f32], w: &[f32], y: &mut [f32]);
channel_gate(s: C, x: &[f32], w: &[f32], y: &mut [f32]);
channel_scale_backward(s: C, dy: &[f32], x: &[f32], w: &[f32], dx: &mut [f32], dw: &mut [f32], a: bool, p: bool);
channel_gate_backward(s: C, dy: &[f32], x: &[f32], w: &[f32], dx: &mut [f32], dw: &mut [f32], a: bool, p: bool);
}
