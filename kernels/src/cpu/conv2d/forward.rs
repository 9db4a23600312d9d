//! The forward pass: weights times windows of the padded input.

use super::Conv2dShape;
use super::planes::Planes;
use super::product::{self, Product, SLACK_LEN, Table, pack_weights};
use crate::cpu::gemm::Output;
use crate::cpu::lanes::Lanes;

/// The padded input.
fn planes(shape: Conv2dShape) -> Planes {
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

pub(super) fn scratch_len(shape: Conv2dShape) -> usize {
    shape.group_inputs() * planes(shape).channel_len()
        + SLACK_LEN
        + shape.w_len()
        + product::scratch_len(shape.group_outputs())
}

#[inline(always)]
pub(super) fn forward<L: Lanes>(
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
    let (inputs, outputs, positions) =
        (shape.group_inputs(), shape.group_outputs(), shape.positions());
    let (planes, patch_len) = (planes(shape), shape.patch_len());
    let values_len = inputs * planes.channel_len() + SLACK_LEN;
    let (values, scratch) = scratch.split_at_mut(values_len);
    let (packed, scratch) = scratch.split_at_mut(shape.w_len());
    values.fill(0.0);
    let group_len = outputs * patch_len;
    for group in 0..shape.groups {
        let w = &w[group * group_len..][..group_len];
        let packed = &mut packed[group * group_len..];
        pack_weights(lanes, outputs, patch_len, packed, |row, l| w[row * patch_len + l]);
    }
    let mut table = Table::new();
    let x_group_len = inputs * shape.height * shape.width;
    for group in 0..shape.batch * shape.groups {
        let of = group % shape.groups;
        planes.fill(lanes, &x[group * x_group_len..][..x_group_len], values);
        let product = Product {
            values,
            planes,
            kernel: shape.kernel,
            begin: 0,
            n_channels: inputs,
            n_examples: 1,
            size: shape.out_size(),
            m: outputs,
            weights: &packed[of * group_len..],
            c_example: shape.out_channels * positions,
            output: Output::Replace,
            bias: bias.map(|bias| &bias[of * outputs..][..outputs]),
            rectify,
        };
        product.run(lanes, &mut y[group * outputs * positions..], &mut table, scratch);
    }
}
