//! The gradient for the input: one convolution of the output gradient for each residue of input
//! positions by the stride, with those taps that reach them.

use super::Conv2dShape;
use super::planes::Planes;
use super::product::{self, Filter, Product};
use super::windows::{SLACK_LEN, Table, Windows, examples_at_once};
use crate::cpu::gemm::{self, Extent, Left, Output, Right};
use crate::cpu::interleave::Pairs;
use crate::cpu::lanes::Lanes;
use crate::cpu::place::{Dst, Src};

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

pub(super) fn scratch_len(shape: Conv2dShape) -> usize {
    if shape.is_pointwise() {
        return gemm::scratch_len(shape.group_inputs(), shape.group_outputs());
    }
    let at_once = examples_at_once(shape.batch, shape.height * shape.width);
    at_once * shape.out_channels * planes(shape).channel_len()
        + SLACK_LEN
        + shape.w_len()
        + at_once * shape.group_inputs() * shape.height * shape.width
        + product::scratch_len(shape.group_inputs())
}

#[inline(always)]
pub(super) fn grad_input<L: Pairs>(
    lanes: L,
    shape: Conv2dShape,
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    if dx.is_empty() || dy.is_empty() {
        if !accumulate {
            dx.fill(0.0);
        }
        return;
    }
    if shape.is_pointwise() {
        return pointwise(lanes, shape, dy, w, dx, accumulate, scratch);
    }
    let (inputs, outputs) = (shape.group_inputs(), shape.group_outputs());
    let planes = planes(shape);
    let example_len = shape.out_channels * planes.channel_len();
    let at_once = examples_at_once(shape.batch, shape.height * shape.width);
    let (values, scratch) = scratch.split_at_mut(at_once * example_len + SLACK_LEN);
    let (packed, scratch) = scratch.split_at_mut(shape.w_len());
    values.fill(0.0);
    let group_len = shape.w_len() / shape.groups;
    for group in 0..shape.groups {
        let range = group * group_len..(group + 1) * group_len;
        pack::<L>(shape, &w[range.clone()], &mut packed[range]);
    }
    let mut tables = [const { Table::new() }; N_TABLES];
    let dx_len = shape.in_channels * shape.height * shape.width;
    let dy_len = shape.out_channels * shape.positions();
    for (dx, dy) in dx.chunks_mut(at_once * dx_len).zip(dy.chunks(at_once * dy_len)) {
        planes.fill(lanes, dy, values);
        for group in 0..shape.groups {
            let values = &values[group * outputs * planes.channel_len()..];
            let weights = &packed[group * group_len..][..group_len];
            let source = Source { shape, planes, values, weights, n_examples: dx.len() / dx_len };
            let dx = &mut dx[group * inputs * shape.height * shape.width..];
            if shape.stride == [1; 2] {
                source.convolve(lanes, dx, accumulate, &mut tables[0], scratch);
            } else {
                source.convolve_residues(lanes, dx, accumulate, &mut tables, scratch);
            }
        }
    }
}

/// Tables kept: as many as there are pairs of residues by a stride of two.
const N_TABLES: usize = 4;

/// The padded output gradients of a group in some examples.
#[derive(Clone, Copy)]
struct Source<'a> {
    shape: Conv2dShape,
    planes: Planes,
    values: &'a [f32],
    /// As [`pack`] leaves them.
    weights: &'a [f32],
    n_examples: usize,
}

impl<'a> Source<'a> {
    /// The product that gives a pair of residues.
    fn product(
        self,
        vertical: Phase,
        horizontal: Phase,
        weights: &'a [f32],
        c_example: usize,
        output: Output,
    ) -> Product<'a> {
        let windows = Windows {
            values: self.values,
            planes: self.planes,
            kernel: [vertical.n_taps, horizontal.n_taps],
            begin: [vertical.begin, horizontal.begin],
            n_channels: self.shape.group_outputs(),
            example_len: self.shape.out_channels * self.planes.channel_len(),
            n_examples: self.n_examples,
            size: [vertical.len, horizontal.len],
        };
        Product {
            windows,
            m: self.shape.group_inputs(),
            weights,
            c_example,
            output,
            bias: None,
            rectify: false,
        }
    }

    /// With a stride of one there is one residue, written where it belongs.
    #[inline(always)]
    fn convolve<L: Pairs>(
        self,
        lanes: L,
        dx: &mut [f32],
        accumulate: bool,
        table: &mut Table,
        scratch: &mut [f32],
    ) {
        let [vertical, horizontal] = [0, 1].map(|axis| Phase::of(self.shape, axis, 0));
        let c_example = self.shape.in_channels * self.shape.height * self.shape.width;
        let output = if accumulate { Output::Add } else { Output::Replace };
        let product = self.product(vertical, horizontal, self.weights, c_example, output);
        product.run(lanes, dx, table, scratch);
    }

    /// Residues apart, then together.
    #[inline(always)]
    fn convolve_residues<L: Pairs>(
        self,
        lanes: L,
        dx: &mut [f32],
        accumulate: bool,
        tables: &mut [Table; N_TABLES],
        scratch: &mut [f32],
    ) {
        let Self { shape, n_examples, .. } = self;
        let (inputs, outputs) = (shape.group_inputs(), shape.group_outputs());
        let residues_len = n_examples * inputs * shape.height * shape.width;
        let (residues, scratch) = scratch.split_at_mut(residues_len);
        let mut weights = self.weights;
        for i in 0..shape.stride[0] {
            let vertical = Phase::of(shape, 0, i);
            let mut used = 0;
            for j in 0..shape.stride[1] {
                let horizontal = Phase::of(shape, 1, j);
                let c_example = inputs * vertical.len * horizontal.len;
                let product =
                    self.product(vertical, horizontal, weights, c_example, Output::Replace);
                let table = &mut tables[(i * shape.stride[1] + j) % N_TABLES];
                let residue = &mut residues[used..][..n_examples * c_example];
                if horizontal.n_taps == 0 || vertical.n_taps == 0 {
                    residue.fill(0.0);
                } else {
                    product.run(lanes, residue, table, scratch);
                }
                weights = &weights[inputs * outputs * vertical.n_taps * horizontal.n_taps..];
                used += residue.len();
            }
            for example in 0..n_examples {
                let dx = &mut dx[example * shape.in_channels * shape.height * shape.width..];
                place(lanes, shape, vertical, [example, n_examples], residues, dx, accumulate);
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
fn pack<L: Lanes>(shape: Conv2dShape, w: &[f32], mut packed: &mut [f32]) {
    let (inputs, outputs) = (shape.group_inputs(), shape.group_outputs());
    let [height, width] = shape.kernel;
    for (vertical, horizontal) in phases(shape) {
        let n_taps = [vertical.n_taps, horizontal.n_taps];
        if n_taps.contains(&0) {
            continue;
        }
        let filter = Filter {
            values: w,
            m: inputs,
            n_channels: outputs,
            row: height * width,
            channel: inputs * height * width,
            n_taps,
            first: vertical.tap(0) * width + horizontal.tap(0),
            tap: [-(vertical.stride * width).cast_signed(), -horizontal.stride.cast_signed()],
        };
        filter.pack::<L>(packed);
        packed = &mut packed[inputs * outputs * n_taps[0] * n_taps[1]..];
    }
}

/// Writes the residues of some rows of an example where they belong.
#[inline(always)]
fn place<L: Pairs>(
    lanes: L,
    shape: Conv2dShape,
    vertical: Phase,
    [example, n_examples]: [usize; 2],
    residues: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    let rows = shape.group_inputs() * vertical.len;
    let target = |row: usize| {
        let (channel, i) = (row / vertical.len, row % vertical.len);
        let row = channel * shape.height + vertical.first + i * vertical.stride;
        row * shape.width..(row + 1) * shape.width
    };
    if shape.stride[1] == 2 {
        let (first, second) = (Phase::of(shape, 1, 0), Phase::of(shape, 1, 1));
        let (first_at, second_at) = (0, n_examples * rows * first.len);
        let row_of = |at: usize, phase: Phase, row: usize| {
            &residues[at + (example * rows + row) * phase.len..][..phase.len]
        };
        for row in 0..rows {
            let (even, odd) = (row_of(first_at, first, row), row_of(second_at, second, row));
            let (even, odd) = if first.first == 0 { (even, odd) } else { (odd, even) };
            interleave(lanes, even, odd, &mut dx[target(row)], accumulate);
        }
        return;
    }
    let mut at = 0;
    for phase in 0..shape.stride[1] {
        let horizontal = Phase::of(shape, 1, phase);
        let len = horizontal.len;
        for row in 0..rows {
            let values = &residues[at + (example * rows + row) * len..][..len];
            let dx = &mut dx[target(row)];
            let first = horizontal.first.min(dx.len());
            let dx = dx[first..].iter_mut().step_by(horizontal.stride);
            for (dx, value) in dx.zip(values) {
                *dx = if accumulate { *dx + value } else { *value };
            }
        }
        at += n_examples * rows * len;
    }
}

/// `dx = even[0], odd[0], even[1], odd[1], ...`
#[inline(always)]
fn interleave<L: Pairs>(lanes: L, even: &[f32], odd: &[f32], dx: &mut [f32], accumulate: bool) {
    assert!(dx.len() == even.len() + odd.len() && even.len() == dx.len().div_ceil(2), "halves");
    let len = dx.len();
    let dx = Dst::of(dx);
    for at in (0..even.len()).step_by(L::LANES) {
        let left = len - 2 * at;
        let masks = [lanes.first(left), lanes.first(left.saturating_sub(L::LANES))];
        // SAFETY: masks end where the slices do.
        unsafe {
            let even =
                lanes.load_masked(lanes.first(even.len() - at), Src::of(even).wrapping_add(at));
            let odd = Src::of(odd).wrapping_add(at);
            let odd = lanes.load_masked(lanes.first(left / 2), odd);
            for (half, mut value) in lanes.zip(even, odd).into_iter().enumerate() {
                let dx = dx.wrapping_add(2 * at + half * L::LANES);
                if accumulate {
                    value = lanes.add(lanes.load_masked(masks[half], dx.src()), value);
                }
                lanes.store_masked(masks[half], dx, value);
            }
        }
    }
}

/// A kernel of one position multiplies the output gradient where it lies.
#[inline(always)]
fn pointwise<L: Lanes>(
    lanes: L,
    shape: Conv2dShape,
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    let (m, k, n) = (shape.group_inputs(), shape.group_outputs(), shape.positions());
    let output = if accumulate { Output::Add } else { Output::Replace };
    for (at, dx) in dx.chunks_exact_mut(m * n).enumerate() {
        let group = at % shape.groups;
        let left = Left { values: &w[group * m * k..][..m * k], row: 1, column: m };
        let right = Right::Plain(&dy[at * k * n..][..k * n]);
        gemm::product(lanes, Extent { m, n, k }, left, right, dx, output, scratch);
    }
}
