//! TEMPORARY: signatures of kernels that are being written.
#![allow(missing_docs, unused_variables, clippy::all, reason = "temporary")]
macro_rules! pending { ($($name:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)?;)*) => { $(pub fn $name($($arg: $ty),*) $(-> $ret)? { unimplemented!() })* } }
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conv2dShape {
    pub batch: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub height: usize,
    pub width: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub groups: usize,
}
impl Conv2dShape {
    pub const fn flops(self) -> u64 {
        0
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttentionShape {
    pub batch: usize,
    pub len: usize,
    pub heads: usize,
    pub head_width: usize,
    pub is_causal: bool,
}
impl AttentionShape {
    pub const fn flops_forward(self) -> u64 {
        0
    }
    pub const fn flops_backward(self) -> u64 {
        0
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatchShape {
    pub batch: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub patch: usize,
}
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
conv2d_forward(s: Conv2dShape, x: &[f32], w: &[f32], b: Option<&[f32]>, r: bool, y: &mut [f32], t: &mut [f32]);
conv2d_grad_input(s: Conv2dShape, dy: &[f32], w: &[f32], dx: &mut [f32], a: bool, t: &mut [f32]);
conv2d_grad_weight(s: Conv2dShape, dy: &[f32], x: &[f32], dw: &mut [f32], a: bool, t: &mut [f32]);
conv2d_scratch_len(s: Conv2dShape) -> usize;
attention_forward(s: AttentionShape, qkv: &[f32], y: &mut [f32], lse: &mut [f32], t: &mut [f32]);
attention_backward(s: AttentionShape, dy: &[f32], qkv: &[f32], y: &[f32], lse: &[f32], d: &mut [f32], a: bool, t: &mut [f32]);
attention_scratch_len(s: AttentionShape) -> usize;
embedding_forward(width: usize, tokens: &[f32], w: &[f32], y: &mut [f32]);
embedding_grad(width: usize, tokens: &[f32], dy: &[f32], dw: &mut [f32], a: bool);
patches_forward(s: PatchShape, x: &[f32], y: &mut [f32]);
patches_grad(s: PatchShape, dy: &[f32], dx: &mut [f32], a: bool);
mean_positions(b: usize, l: usize, w: usize, x: &[f32], y: &mut [f32]);
mean_positions_grad(b: usize, l: usize, w: usize, dy: &[f32], dx: &mut [f32], a: bool);
copy_columns(rows: usize, xw: usize, yw: usize, at: usize, x: &[f32], y: &mut [f32]);
take_columns(rows: usize, yw: usize, at: usize, dxw: usize, dy: &[f32], dx: &mut [f32], a: bool);
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
