//! The gradient for the input: one convolution of the output gradient for each residue of input
//! positions by the stride, with those taps that reach them.

use super::Conv2dShape;
use super::planes::Planes;
use super::product::{self, Product, SLACK_LEN, TABLE_LEN, Table, pack_weights};
use crate::cpu::gemm::Output;
use crate::cpu::lanes::Lanes;

/// Along one axis, the input positions of one residue: position `u` is reached from output `t - e` by
/// tap `phase + stride e`, where `u + padding = phase + stride t`.
#[derive(Clone, Copy)]
struct Phase {
    phase: usize,
    stride: usize,
    /// Taps that reach them.
    n_taps: usize,
    /// The first such position, and how many there are.
    first: usize,
    len: usize,
    /// Where the window of the first begins in the padded output gradient.
    begin: usize,
}

impl Phase {
    fn of(shape: Conv2dShape, axis: usize, phase: usize) -> Self {
        let (kernel, stride) = (shape.kernel[axis], shape.stride[axis]);
        let padding = shape.padding[axis];
        let n_taps = kernel.saturating_sub(phase).div_ceil(stride);
        let t = padding.saturating_sub(phase).div_ceil(stride);
        let first = phase + stride * t - padding;
        let len = shape.image()[axis].saturating_sub(first).div_ceil(stride);
        // With no taps there is nothing to read.
        let begin = t.cast_signed() - (n_taps.max(1) - 1).cast_signed() - plane_first(shape, axis);
        Self { phase, stride, n_taps, first, len, begin: begin.cast_unsigned() }
    }

    /// The tap of the kernel that tap `i` of the window is.
    fn tap(self, i: usize) -> usize {
        self.phase + self.stride * (self.n_taps - 1 - i)
    }
}

/// The first output position that the padded output gradient has.
fn plane_first(shape: Conv2dShape, axis: usize) -> isize {
    let (kernel, stride) = (shape.kernel[axis], shape.stride[axis]);
    (shape.padding[axis] / stride).cast_signed() - ((kernel - 1) / stride).cast_signed()
}

/// The padded output gradient.
fn planes(shape: Conv2dShape) -> Planes {
    let mut planes = Planes {
        image: shape.out_size(),
        first: [0; 2],
        step: [1; 2],
        n_phases: [1; 2],
        size: [0; 2],
    };
    for axis in 0..2 {
        let first = plane_first(shape, axis);
        let end = (shape.image()[axis] + shape.padding[axis]).div_ceil(shape.stride[axis]);
        planes.first[axis] = first;
        planes.size[axis] = (end.cast_signed() - first).cast_unsigned();
    }
    planes
}

/// Whether `dx` is written where it belongs at once.
fn is_direct(shape: Conv2dShape, accumulate: bool) -> bool {
    // A chain of several tables can stop in `dx` only if nothing else is there.
    let taps = shape.group_outputs() * shape.kernel[0] * shape.kernel[1];
    shape.stride == [1; 2] && (!accumulate || taps <= TABLE_LEN)
}

pub(super) fn scratch_len(shape: Conv2dShape) -> usize {
    shape.group_outputs() * planes(shape).channel_len()
        + SLACK_LEN
        + shape.w_len()
        + shape.group_inputs() * shape.height * shape.width
        + product::scratch_len(shape.group_inputs())
}

#[inline(always)]
pub(super) fn grad_input<L: Lanes>(
    lanes: L,
    shape: Conv2dShape,
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    if dx.is_empty() {
        return;
    }
    let (inputs, outputs) = (shape.group_inputs(), shape.group_outputs());
    let planes = planes(shape);
    let (values, scratch) = scratch.split_at_mut(outputs * planes.channel_len() + SLACK_LEN);
    let (packed, scratch) = scratch.split_at_mut(shape.w_len());
    let (residues, scratch) = scratch.split_at_mut(inputs * shape.height * shape.width);
    values.fill(0.0);
    let direct = is_direct(shape, accumulate);
    let group_len = shape.w_len() / shape.groups;
    for group in 0..shape.groups {
        let range = group * group_len..(group + 1) * group_len;
        pack(lanes, shape, &w[range.clone()], &mut packed[range]);
    }
    let mut tables = [const { Table::new() }; 1];
    let dy_len = outputs * shape.positions();
    let dx_len = inputs * shape.height * shape.width;
    for group in 0..shape.batch * shape.groups {
        planes.fill(lanes, &dy[group * dy_len..][..dy_len], values);
        let dx = &mut dx[group * dx_len..][..dx_len];
        let mut weights = &packed[group % shape.groups * group_len..];
        let mut residues = &mut *residues;
        for (vertical, horizontal) in phases(shape) {
            let product = Product {
                values,
                planes,
                kernel: [vertical.n_taps, horizontal.n_taps],
                begin: vertical.begin * planes.size[1] + horizontal.begin,
                n_channels: outputs,
                n_examples: 1,
                size: [vertical.len, horizontal.len],
                m: inputs,
                weights,
                c_example: 0,
                output: if direct && accumulate { Output::Add } else { Output::Replace },
                bias: None,
                rectify: false,
            };
            weights = &weights[inputs * outputs * vertical.n_taps * horizontal.n_taps..];
            if direct {
                product.run(lanes, dx, &mut tables[0], scratch);
            } else {
                let len = inputs * vertical.len * horizontal.len;
                let (residue, rest) = residues.split_at_mut(len);
                product.run(lanes, residue, &mut Table::new(), scratch);
                place(shape, vertical, horizontal, residue, dx, accumulate);
                residues = rest;
            }
        }
    }
}

fn phases(shape: Conv2dShape) -> impl Iterator<Item = (Phase, Phase)> {
    let [vertical, horizontal] = shape.stride;
    (0..vertical * horizontal).map(move |phase| {
        (Phase::of(shape, 0, phase / horizontal), Phase::of(shape, 1, phase % horizontal))
    })
}

/// The weights of a group, for each pair of residues those that reach it.
#[inline(always)]
fn pack<L: Lanes>(lanes: L, shape: Conv2dShape, w: &[f32], mut packed: &mut [f32]) {
    let (inputs, outputs) = (shape.group_inputs(), shape.group_outputs());
    let [_, width] = shape.kernel;
    let taps = shape.kernel[0] * width;
    for (vertical, horizontal) in phases(shape) {
        let n_taps = vertical.n_taps * horizontal.n_taps;
        pack_weights(lanes, inputs, outputs * n_taps, packed, |channel, l| {
            let (out, i, j) = (l / n_taps, l % n_taps / horizontal.n_taps, l % horizontal.n_taps);
            let tap = vertical.tap(i) * width + horizontal.tap(j);
            w[(out * inputs + channel) * taps + tap]
        });
        packed = &mut packed[inputs * outputs * n_taps..];
    }
}

/// Writes a residue where it belongs.
fn place(
    shape: Conv2dShape,
    vertical: Phase,
    horizontal: Phase,
    residue: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    if residue.is_empty() {
        return;
    }
    for (at, row) in residue.chunks_exact(horizontal.len).enumerate() {
        let (channel, i) = (at / vertical.len, at % vertical.len);
        let row_at = channel * shape.height + vertical.first + i * vertical.stride;
        let dx = &mut dx[row_at * shape.width..][..shape.width];
        let dx = dx[horizontal.first..].iter_mut().step_by(horizontal.stride);
        for (dx, value) in dx.zip(row) {
            *dx = if accumulate { *dx + value } else { *value };
        }
    }
}
