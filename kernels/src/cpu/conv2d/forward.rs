//! The forward pass: weights times windows of the padded input.

use super::Conv2dShape;
use super::pairs::Pairs;
use super::planes::Planes;
use super::product::{self, Filter, Product, SLACK_LEN, Table, Windows, examples_at_once};
use crate::cpu::gemm::{self, Ending, Extent, Left, Output, Right};
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

/// The windows of all outputs, in the padded inputs of a group in some examples.
pub(super) fn windows(shape: Conv2dShape, values: &[f32], n_examples: usize) -> Windows<'_> {
    Windows {
        values,
        planes: planes(shape),
        kernel: shape.kernel,
        begin: 0,
        n_channels: shape.group_inputs(),
        n_examples,
        size: shape.out_size(),
    }
}

pub(super) fn scratch_len(shape: Conv2dShape) -> usize {
    if shape.is_pointwise() {
        return gemm::scratch_len(shape.group_outputs(), shape.group_inputs());
    }
    let n_examples = examples_at_once(shape.batch, shape.positions());
    n_examples * shape.group_inputs() * planes(shape).channel_len()
        + SLACK_LEN
        + shape.w_len()
        + product::scratch_len(shape.group_outputs())
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
    let example_len = inputs * planes.channel_len();
    let at_once = examples_at_once(shape.batch, positions);
    let values_len = at_once * example_len + SLACK_LEN;
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
        filter.pack(lanes, &mut packed[group * group_len..]);
    }
    let windows = windows(shape, &[], 0);
    let mut table = Table::new();
    let image_len = shape.height * shape.width;
    for first in (0..shape.batch).step_by(at_once) {
        let n_examples = at_once.min(shape.batch - first);
        for group in 0..shape.groups {
            let examples = values.chunks_exact_mut(example_len.max(1)).take(n_examples);
            for (example, values) in (first..).zip(examples) {
                let channel = example * shape.in_channels + group * inputs;
                let x = &x[channel * image_len..][..inputs * image_len];
                planes.fill(lanes, x, values);
            }
            let windows = Windows { values, n_examples, ..windows };
            let product = Product {
                windows,
                m: outputs,
                weights: &packed[group * group_len..],
                c_example: shape.out_channels * positions,
                output: Output::Replace,
                bias: bias.map(|bias| &bias[group * outputs..][..outputs]),
                rectify,
            };
            let channel = first * shape.out_channels + group * outputs;
            product.run(lanes, &mut y[channel * positions..], &mut table, scratch);
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
