//! Two-dimensional convolution.

use super::Real;
use crate::cpu::Conv2dShape;

/// A convolution, one chain per output over channels, rows and columns of the kernel.
pub fn conv2d<T: Real>(shape: Conv2dShape, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
    let sizes = Sizes::of(shape);
    let mut y = Vec::new();
    for [example, out, row, column] in sizes.outputs() {
        let mut sum = T::of(0.0);
        for [channel, i, j] in sizes.patch(out) {
            let x = sizes.input(x, example, channel, [row, column], [i, j]);
            sum = w[sizes.weight(out, channel, i, j)].mul_add(x, sum);
        }
        y.push(bias.map_or(sum, |bias| sum + bias[out]));
    }
    y
}

/// The gradient for `x`: one chain over output channels and, for each, taps from last to first, a tap
/// that reads beyond the outputs adding a product with zero.
pub fn conv2d_grad_input<T: Real>(shape: Conv2dShape, dy: &[T], w: &[T]) -> Vec<T> {
    let Conv2dShape { batch, in_channels, out_channels, height, width, .. } = shape;
    let ([kernel_height, kernel_width], sizes) = (shape.kernel, Sizes::of(shape));
    let mut dx = Vec::new();
    for at in 0..batch * in_channels * height * width {
        let (example, channel) = (at / (in_channels * height * width), at / (height * width));
        let (channel, u, v) = (channel % in_channels, at / width % height, at % width);
        let mut sum = T::of(0.0);
        for out in (0..out_channels).filter(|out| sizes.group_of(channel) == sizes.group(*out)) {
            for tap in (0..kernel_height * kernel_width).rev() {
                let (i, j) = (tap / kernel_width, tap % kernel_width);
                let row = (u + shape.padding[0]).cast_signed() - i.cast_signed();
                let column = (v + shape.padding[1]).cast_signed() - j.cast_signed();
                let [down, right] = shape.stride.map(usize::cast_signed);
                if row % down == 0 && column % right == 0 {
                    let dy = sizes.output(dy, example, out, [row / down, column / right]);
                    sum = w[sizes.weight(out, channel, i, j)].mul_add(dy, sum);
                }
            }
        }
        dx.push(sum);
    }
    dx
}

/// The gradient for `w`, one chain over examples and positions.
pub fn conv2d_grad_weight<T: Real>(shape: Conv2dShape, dy: &[T], x: &[T]) -> Vec<T> {
    let sizes = Sizes::of(shape);
    let mut dw = vec![T::of(0.0); shape.w_len()];
    for (at, [example, out, row, column]) in sizes.outputs().enumerate() {
        for [channel, i, j] in sizes.patch(out) {
            let x = sizes.input(x, example, channel, [row, column], [i, j]);
            let dw = &mut dw[sizes.weight(out, channel, i, j)];
            *dw = dy[at].mul_add(x, *dw);
        }
    }
    dw
}

/// What indices mean.
#[derive(Clone, Copy)]
struct Sizes {
    shape: Conv2dShape,
    inputs: usize,
    outputs: usize,
}

impl Sizes {
    fn of(shape: Conv2dShape) -> Self {
        let Conv2dShape { in_channels, out_channels, groups, .. } = shape;
        Self { shape, inputs: in_channels / groups, outputs: out_channels / groups }
    }

    /// The group of an output channel.
    fn group(self, out: usize) -> usize {
        out / self.outputs
    }

    /// The group of an input channel.
    fn group_of(self, channel: usize) -> usize {
        channel / self.inputs
    }

    /// Example, channel, row and column of every output.
    fn outputs(self) -> impl Iterator<Item = [usize; 4]> {
        let Conv2dShape { out_channels, .. } = self.shape;
        let (rows, columns) = (self.shape.out_height(), self.shape.out_width());
        (0..self.shape.y_len()).map(move |at| {
            let channel = at / (rows * columns);
            [channel / out_channels, channel % out_channels, at / columns % rows, at % columns]
        })
    }

    /// Input channel, row and column of every tap of an output channel.
    fn patch(self, out: usize) -> impl Iterator<Item = [usize; 3]> {
        let [height, width] = self.shape.kernel;
        let first = self.group(out) * self.inputs;
        (0..self.inputs * height * width)
            .map(move |at| [first + at / (height * width), at / width % height, at % width])
    }

    fn weight(self, out: usize, channel: usize, i: usize, j: usize) -> usize {
        let [height, width] = self.shape.kernel;
        ((out * self.inputs + channel % self.inputs) * height + i) * width + j
    }

    /// What a tap of an output reads.
    fn input<T: Real>(
        self,
        x: &[T],
        example: usize,
        channel: usize,
        at: [usize; 2],
        tap: [usize; 2],
    ) -> T {
        let Conv2dShape { in_channels, height, width, stride, padding, .. } = self.shape;
        let row = (at[0] * stride[0] + tap[0]).wrapping_sub(padding[0]);
        let column = (at[1] * stride[1] + tap[1]).wrapping_sub(padding[1]);
        if row < height && column < width {
            x[((example * in_channels + channel) * height + row) * width + column]
        } else {
            T::of(0.0)
        }
    }

    /// An output, zero beyond the last.
    fn output<T: Real>(self, y: &[T], example: usize, out: usize, at: [isize; 2]) -> T {
        let (rows, columns) = (self.shape.out_height(), self.shape.out_width());
        let [row, column] = at.map(isize::cast_unsigned);
        if row < rows && column < columns {
            y[((example * self.shape.out_channels + out) * rows + row) * columns + column]
        } else {
            T::of(0.0)
        }
    }
}
