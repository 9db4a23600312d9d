//! The forward pass: weights times windows of the padded input.

use super::Conv2dShape;
use super::planes::Planes;
use super::product::{self, Filter, Product};
use super::windows::{SLACK_LEN, Table, Windows, examples_at_once};
use crate::cpu::gemm::{self, Ending, Extent, Left, Output, Right};
use crate::cpu::interleave::Pairs;
use crate::cpu::lanes::Lanes;

/// The padded input.
pub(super) fn planes(shape: Conv2dShape) -> Planes {
    let mut planes = Planes {
        image: shape.image(),
        first: [0; 2],
        step: shape.stride,
        n_phases: [1; 2],
        size: shape.out_size(),
    };
    for axis in 0..2 {
        planes.first[axis] = -shape.padding[axis].cast_signed();
        planes.n_phases[axis] = shape.stride[axis].min(shape.kernel[axis]);
        planes.size[axis] += (shape.kernel[axis] - 1) / shape.stride[axis];
    }
    planes
}

/// Examples laid out together.
fn at_once(shape: Conv2dShape) -> usize {
    examples_at_once(shape.batch, shape.positions())
}

/// Values of their padded inputs.
fn planes_len(shape: Conv2dShape) -> usize {
    at_once(shape) * shape.in_channels * planes(shape).channel_len() + SLACK_LEN
}

/// The windows of all outputs of a group, in the padded inputs of some examples.
pub(super) fn windows(shape: Conv2dShape, values: &[f32], n_examples: usize) -> Windows<'_> {
    Windows {
        values,
        planes: planes(shape),
        kernel: shape.kernel,
        begin: [0; 2],
        n_channels: shape.group_inputs(),
        example_len: shape.in_channels * planes(shape).channel_len(),
        n_examples,
        size: shape.out_size(),
    }
}

pub(super) fn scratch_len(shape: Conv2dShape) -> usize {
    if shape.is_pointwise() {
        return gemm::scratch_len(shape.group_outputs(), shape.group_inputs());
    }
    planes_len(shape) + shape.w_len() + product::scratch_len(shape.group_outputs())
}

#[inline(always)]
pub(super) fn forward<L: Pairs>(
    lanes: L,
    shape: Conv2dShape,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    rectify: bool,
    y: &mut [f32],
    scratch: &mut [f32],
) {
    if y.is_empty() {
        return;
    }
    if shape.is_pointwise() {
        return pointwise(lanes, shape, x, w, bias, rectify, y, scratch);
    }
    let (inputs, outputs, positions) =
        (shape.group_inputs(), shape.group_outputs(), shape.positions());
    let (planes, patch_len) = (planes(shape), shape.patch_len());
    let (at_once, values_len) = (at_once(shape), planes_len(shape));
    let (values, scratch) = scratch.split_at_mut(values_len);
    let (packed, scratch) = scratch.split_at_mut(shape.w_len());
    values.fill(0.0);
    let group_len = outputs * patch_len;
    for group in 0..shape.groups {
        let filter = Filter {
            values: &w[group * group_len..][..group_len],
            m: outputs,
            n_channels: inputs,
            row: patch_len,
            channel: shape.kernel[0] * shape.kernel[1],
            n_taps: shape.kernel,
            first: 0,
            tap: [shape.kernel[1].cast_signed(), 1],
        };
        filter.pack::<L>(&mut packed[group * group_len..]);
    }
    let windows = windows(shape, &[], 0);
    let mut table = Table::new();
    let x_len = shape.in_channels * shape.height * shape.width;
    let y_len = shape.out_channels * positions;
    for (block, y) in y.chunks_mut(at_once * y_len).enumerate() {
        let n_examples = y.len() / y_len;
        planes.fill(lanes, &x[block * at_once * x_len..][..n_examples * x_len], values);
        for group in 0..shape.groups {
            let values = &values[group * inputs * planes.channel_len()..];
            let windows = Windows { values, n_examples, ..windows };
            let product = Product {
                windows,
                m: outputs,
                weights: &packed[group * group_len..],
                c_example: y_len,
                output: Output::Replace,
                bias: bias.map(|bias| &bias[group * outputs..][..outputs]),
                rectify,
            };
            product.run(lanes, &mut y[group * outputs * positions..], &mut table, scratch);
        }
    }
}

/// A kernel of one position multiplies the image where it lies.
#[inline(always)]
fn pointwise<L: Lanes>(
    lanes: L,
    shape: Conv2dShape,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    rectify: bool,
    y: &mut [f32],
    scratch: &mut [f32],
) {
    let (k, m, n) = (shape.group_inputs(), shape.group_outputs(), shape.positions());
    for (at, y) in y.chunks_exact_mut(m * n).enumerate() {
        let group = at % shape.groups;
        let left = Left { values: &w[group * m * k..][..m * k], row: k, column: 1 };
        let right = Right::Plain(&x[at * k * n..][..k * n]);
        let row_bias = bias.map(|bias| &bias[group * m..][..m]);
        let ending = Ending { bias: None, row_bias, rectify };
        let extent = Extent { m, n, k };
        gemm::ended_product(lanes, extent, left, right, y, Output::Replace, ending, scratch);
    }
}
