//! Pooling.

use super::channel::{gradient, output};
use super::gradients::slope;
use super::{assert_close, bits, numbers};
use esper_kernels::cpu::{
    PoolShape, avg_pool2d_forward, avg_pool2d_grad, max_pool2d_forward, max_pool2d_grad,
};
use esper_kernels::oracle;
use proptest::prelude::*;

/// Batch, channels, height, width; kernel, stride and padding, rows and columns.
const SHAPES: [[usize; 10]; 16] = [
    [1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
    [2, 3, 4, 4, 2, 2, 2, 2, 0, 0],
    [1, 2, 7, 5, 2, 2, 2, 2, 0, 0],
    [2, 1, 6, 33, 2, 2, 2, 2, 0, 0],
    [1, 1, 4, 68, 2, 2, 2, 2, 0, 0],
    [2, 2, 1, 40, 1, 2, 1, 2, 0, 0],
    [1, 1, 9, 6, 3, 2, 3, 2, 0, 0],
    [1, 1, 9, 6, 3, 2, 1, 2, 0, 0],
    [2, 2, 8, 8, 3, 3, 2, 2, 1, 1],
    [1, 2, 17, 19, 3, 3, 1, 1, 1, 1],
    [1, 1, 5, 40, 3, 3, 1, 2, 1, 0],
    [1, 1, 7, 50, 2, 3, 2, 3, 0, 0],
    [1, 1, 70, 131, 3, 3, 2, 2, 1, 1],
    [1, 1, 3, 3, 3, 3, 1, 1, 1, 1],
    [1, 1, 2, 2, 4, 4, 1, 1, 2, 2],
    [0, 3, 4, 4, 2, 2, 2, 2, 0, 0],
];

fn shape(sizes: [usize; 10]) -> PoolShape {
    let [batch, channels, height, width, kernel_rows, kernel_columns, stride_rows, rest @ ..] =
        sizes;
    let [stride_columns, padding_rows, padding_columns] = rest;
    PoolShape {
        batch,
        channels,
        height,
        width,
        kernel: [kernel_rows, kernel_columns],
        stride: [stride_rows, stride_columns],
        padding: [padding_rows, padding_columns],
    }
}

/// Few different values, so that windows have ties; some of them zeros of either sign.
fn coarse(len: usize) -> Vec<f32> {
    numbers(1, len).iter().map(|x| (2.0 * x).trunc()).collect()
}

/// Both passes of both kinds, on every unit, against the oracle in `f32`.
fn check(shape: PoolShape, x: &[f32]) {
    let y = output(shape.y_len(), |y| max_pool2d_forward(shape, x, y));
    assert_eq!(bits(&y), bits(&oracle::max_pool2d(shape, x)), "{shape:?}");
    let dy = numbers(2, y.len());
    let dx = gradient(x.len(), |dx, add| max_pool2d_grad(shape, &dy, x, &y, dx, add));
    assert_eq!(bits(&dx), bits(&oracle::max_pool2d_grad(shape, &dy, x)), "{shape:?}");
    let y = output(shape.y_len(), |y| avg_pool2d_forward(shape, x, y));
    assert_eq!(bits(&y), bits(&oracle::avg_pool2d(shape, x)), "{shape:?}");
    let dx = gradient(x.len(), |dx, add| avg_pool2d_grad(shape, &dy, dx, add));
    assert_eq!(bits(&dx), bits(&oracle::avg_pool2d_grad(shape, &dy)), "{shape:?}");
}

#[test]
fn pooling_is_bit_equal_to_the_oracle_on_every_unit() {
    for shape in SHAPES.map(shape) {
        check(shape, &numbers(1, shape.x_len()));
        check(shape, &coarse(shape.x_len()));
    }
}

#[test]
fn a_nan_wins_its_windows_and_takes_their_gradient() {
    for shape in SHAPES.map(shape) {
        let mut x = coarse(shape.x_len());
        for x in x.iter_mut().step_by(5) {
            *x = f32::NAN;
        }
        for x in x.iter_mut().skip(2).step_by(3) {
            *x = f32::NEG_INFINITY;
        }
        let y = output(shape.y_len(), |y| max_pool2d_forward(shape, &x, y));
        assert_eq!(bits(&y), bits(&oracle::max_pool2d(shape, &x)), "{shape:?}");
        let dy = numbers(2, y.len());
        let dx = gradient(x.len(), |dx, add| max_pool2d_grad(shape, &dy, &x, &y, dx, add));
        assert_eq!(bits(&dx), bits(&oracle::max_pool2d_grad(shape, &dy, &x)), "{shape:?}");
    }
}

#[test]
fn windows_of_negative_infinity_give_their_gradient_to_the_image() {
    for shape in SHAPES.map(shape) {
        check(shape, &vec![f32::NEG_INFINITY; shape.x_len()]);
    }
}

#[test]
fn gradients_of_pooling_are_slopes() {
    for shape in SHAPES.map(shape).into_iter().filter(|shape| shape.x_len() < 400) {
        let (x, dy) = (numbers(1, shape.x_len()), numbers(2, shape.y_len()));
        let y = output(dy.len(), |y| max_pool2d_forward(shape, &x, y));
        let dx = output(x.len(), |dx| max_pool2d_grad(shape, &dy, &x, &y, dx, false));
        assert_close(&dx, &slope(&x, &dy, |x| oracle::max_pool2d(shape, x)), 1e-6);
        let dx = output(x.len(), |dx| avg_pool2d_grad(shape, &dy, dx, false));
        assert_close(&dx, &slope(&x, &dy, |x| oracle::avg_pool2d(shape, x)), 1e-6);
    }
}

/// By hand, and as PyTorch's documentation has it: the padding of an average counts.
#[test]
fn windows_over_the_padding_worked_by_hand() {
    let shape = shape([1, 1, 2, 2, 2, 2, 2, 2, 1, 1]);
    let x = [1.0, -2.0, -3.0, 4.0];
    assert_eq!([shape.out_height(), shape.out_width()], [2, 2]);
    let mut y = [0.0; 4];
    max_pool2d_forward(shape, &x, &mut y);
    assert_eq!(y, [1.0, -2.0, -3.0, 4.0]);
    avg_pool2d_forward(shape, &x, &mut y);
    assert_eq!(y, [0.25, -0.5, -0.75, 1.0]);
}

#[test]
fn the_first_of_equal_values_takes_the_gradient() {
    let shape = shape([1, 1, 2, 4, 2, 2, 2, 2, 0, 0]);
    let x = [0.0, 0.0, 1.0, 3.0, 0.0, 0.0, 3.0, 3.0];
    let (mut y, mut dx) = ([0.0; 2], [9.0; 8]);
    max_pool2d_forward(shape, &x, &mut y);
    max_pool2d_grad(shape, &[5.0, 7.0], &x, &y, &mut dx, false);
    assert_eq!(dx, [5.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
#[should_panic(expected = "padding is at most half the kernel")]
fn windows_that_could_miss_the_image_are_refused() {
    shape([1, 1, 4, 4, 2, 2, 2, 2, 2, 0]).out_height();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_window_agrees_with_the_oracle(
        sizes in (0usize..3, 1usize..3, 1usize..20, 1usize..40),
        kernel in (1usize..5, 1usize..5),
        stride in (1usize..4, 1usize..4),
        padding in (0usize..3, 0usize..3),
    ) {
        let shape = PoolShape {
            batch: sizes.0,
            channels: sizes.1,
            height: sizes.2.max(kernel.0),
            width: sizes.3.max(kernel.1),
            kernel: kernel.into(),
            stride: stride.into(),
            padding: [padding.0.min(kernel.0 / 2), padding.1.min(kernel.1 / 2)],
        };
        check(shape, &coarse(shape.x_len()));
    }
}
