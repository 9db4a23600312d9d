//! One-dimensional convolution.

use super::{bits, numbers, on_every_unit, unwritten};
use esper_kernels::cpu::{
    Conv1dShape, add_assign, conv1d_bias_grad, conv1d_forward, conv1d_grad_input,
    conv1d_grad_weight, conv1d_scratch_len, sum,
};
use esper_kernels::oracle;

pub(crate) const SHAPES: [[usize; 7]; 8] = [
    [1, 1, 1, 1, 1, 1, 0],
    [2, 1, 4, 8, 1, 1, 0],
    [3, 2, 3, 9, 3, 1, 1],
    [2, 3, 5, 17, 5, 2, 2],
    [2, 2, 2, 10, 3, 3, 0],
    [1, 4, 8, 40, 3, 1, 1],
    [2, 1, 1, 2, 5, 1, 2],
    [0, 2, 3, 8, 3, 1, 1],
];

pub(crate) fn shape(sizes: [usize; 7]) -> Conv1dShape {
    let [batch, in_channels, out_channels, len, kernel, stride, padding] = sizes;
    Conv1dShape { batch, in_channels, out_channels, len, kernel, stride, padding }
}

pub(crate) fn lengths(shape: Conv1dShape) -> [usize; 3] {
    [
        shape.batch * shape.in_channels * shape.len,
        shape.out_channels * shape.in_channels * shape.kernel,
        shape.batch * shape.out_channels * shape.out_len(),
    ]
}

#[test]
fn convolution_is_bit_equal_to_the_plain_loop_on_every_unit() {
    for shape in SHAPES.map(shape) {
        let [x_len, w_len, y_len] = lengths(shape);
        let (x, w, bias) = (numbers(1, x_len), numbers(2, w_len), numbers(3, shape.out_channels));
        for bias in [None, Some(&bias[..])] {
            let found = on_every_unit(|| {
                let mut y = unwritten(y_len);
                let mut scratch = unwritten(conv1d_scratch_len(shape));
                conv1d_forward(shape, &x, &w, bias, &mut y, &mut scratch);
                y
            });
            assert_eq!(bits(&found), bits(&oracle::conv1d(shape, &x, &w, bias)), "{shape:?}");
        }
    }
}

#[test]
fn accumulated_gradients_are_the_gradient_added_to_what_was_there() {
    for shape in SHAPES.map(shape) {
        let [x_len, w_len, y_len] = lengths(shape);
        let (x, w, dy) = (numbers(1, x_len), numbers(2, w_len), numbers(3, y_len));
        let scratch = || unwritten(conv1d_scratch_len(shape));
        let check = |len: usize, gradient: &dyn Fn(&mut [f32], bool)| {
            let fresh = on_every_unit(|| {
                let mut out = unwritten(len);
                gradient(&mut out, false);
                out
            });
            let mut want = numbers(4, len);
            let found = on_every_unit(|| {
                let mut out = want.clone();
                gradient(&mut out, true);
                out
            });
            add_assign(&mut want, &fresh);
            assert_eq!(bits(&found), bits(&want), "{shape:?}");
        };
        check(x_len, &|dx, accumulate| {
            conv1d_grad_input(shape, &dy, &w, dx, accumulate, &mut scratch());
        });
        check(w_len, &|dw, accumulate| {
            conv1d_grad_weight(shape, &dy, &x, dw, accumulate, &mut scratch());
        });
        check(shape.out_channels, &|db, accumulate| conv1d_bias_grad(shape, &dy, db, accumulate));
    }
}

#[test]
fn a_bias_gradient_sums_each_channel() {
    let shape = shape([3, 1, 2, 5, 1, 1, 0]);
    let dy = numbers(5, 30);
    let mut db = unwritten(2);
    conv1d_bias_grad(shape, &dy, &mut db, false);
    for channel in 0..2 {
        let row = |example: usize| sum(&dy[(example * 2 + channel) * 5..][..5]);
        assert_eq!(db[channel], row(0) + row(1) + row(2));
    }
}

#[test]
#[should_panic(expected = "the kernel is no longer than the padded input")]
fn a_kernel_longer_than_its_input_is_refused() {
    shape([1, 1, 1, 2, 5, 1, 1]).out_len();
}
