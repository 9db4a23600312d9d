//! Two-dimensional convolution.

use super::{assert_close, bits, numbers, on_every_unit, unwritten, widened};
use esper_kernels::cpu::{
    Activation, Conv2dShape, activation_forward, add_assign, conv2d_forward, conv2d_grad_input,
    conv2d_grad_weight, conv2d_grad_weight_channels, conv2d_scratch_len,
};
use esper_kernels::oracle;
use proptest::prelude::*;

/// `f32` rounding of a chain of a thousand products of numbers up to two.
const TOLERANCE: f64 = 5e-5;

fn shape(
    [batch, in_channels, out_channels, height, width]: [usize; 5],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    groups: usize,
) -> Conv2dShape {
    Conv2dShape { batch, in_channels, out_channels, height, width, kernel, stride, padding, groups }
}

/// Each kind of convolution a network has, and sizes about the width of a register.
pub(crate) fn shapes() -> Vec<Conv2dShape> {
    let (one, two) = ([1; 2], [2; 2]);
    vec![
        shape([1, 1, 1, 1, 1], one, one, [0; 2], 1),
        shape([2, 3, 5, 7, 7], [3; 2], one, one, 1),
        shape([2, 3, 16, 9, 17], [3; 2], one, one, 1),
        shape([2, 16, 33, 8, 8], [3; 2], one, one, 1),
        shape([7, 9, 40, 7, 7], [3; 2], one, one, 1),
        shape([7, 40, 2, 3, 3], [3; 2], one, one, 1),
        shape([1, 17, 7, 3, 33], [3; 2], one, one, 1),
        shape([2, 8, 4, 9, 8], [3; 2], two, one, 1),
        shape([2, 7, 3, 8, 9], one, two, [0; 2], 1),
        shape([3, 17, 9, 5, 7], one, one, [0; 2], 1),
        shape([2, 3, 17, 12, 8], [4; 2], [4; 2], [0; 2], 1),
        shape([2, 3, 5, 11, 13], [3; 2], [4, 5], [0; 2], 1),
        shape([2, 7, 7, 9, 16], [3; 2], one, one, 7),
        shape([2, 3, 6, 7, 8], [3; 2], two, one, 3),
        shape([2, 8, 12, 5, 5], [3; 2], one, one, 4),
        shape([1, 2, 3, 2, 3], [5, 7], one, [2, 3], 1),
        shape([2, 2, 3, 4, 3], [3; 2], two, [2, 3], 1),
        shape([3, 4, 17, 1, 40], [1, 5], one, [0, 2], 1),
        shape([2, 1, 7, 1, 33], [1, 5], [1, 2], [0, 1], 1),
        shape([7, 5, 2, 1, 1], one, one, [0; 2], 1),
        shape([5, 3, 4, 3, 3], [3; 2], one, [0; 2], 1),
        shape([0, 2, 3, 8, 8], [3; 2], one, one, 1),
        shape([1, 130, 2, 2, 3], [3; 2], one, one, 1),
        shape([1, 2, 130, 2, 3], [3; 2], one, one, 1),
        shape([1, 1, 2, 33, 34], [3; 2], one, one, 1),
        shape([2, 40, 3, 1, 9], [1, 5], one, [0, 2], 1),
        shape([2, 3, 4, 0, 5], [1, 3], one, one, 1),
    ]
}

fn run(len: usize, f: impl Fn(&mut [f32])) -> Vec<f32> {
    on_every_unit(|| {
        let mut out = unwritten(len);
        f(&mut out);
        out
    })
}

fn scratch(shape: Conv2dShape) -> Vec<f32> {
    unwritten(conv2d_scratch_len(shape))
}

/// Everything there is to say of one shape.
fn check(shape: Conv2dShape) {
    let (x, w, dy) =
        (numbers(1, shape.x_len()), numbers(2, shape.w_len()), numbers(3, shape.y_len()));
    let bias = numbers(4, shape.out_channels);
    for bias in [None, Some(&bias[..])] {
        let mut want = oracle::conv2d(shape, &x, &w, bias);
        for rectify in [false, true] {
            let y = run(shape.y_len(), |y| {
                conv2d_forward(shape, &x, &w, bias, rectify, y, &mut scratch(shape));
            });
            if rectify {
                let apart = want.clone();
                activation_forward(Activation::Relu, &apart, &mut want);
            }
            assert_eq!(bits(&y), bits(&want), "forward, rectify {rectify}: {shape:?}");
        }
    }
    let dx = run(shape.x_len(), |dx| {
        conv2d_grad_input(shape, &dy, &w, dx, false, &mut scratch(shape));
    });
    let want = oracle::conv2d_grad_input(shape, &dy, &w);
    assert_eq!(bits(&dx), bits(&want), "gradient for the input: {shape:?}");
    let dw = run(shape.w_len(), |dw| {
        conv2d_grad_weight(shape, &dy, &x, dw, false, &mut scratch(shape));
    });
    let want = oracle::conv2d_grad_weight(shape, &widened(&dy), &widened(&x));
    assert_close(&dw, &want, TOLERANCE);
    check_accumulation(shape, &dx, |dx| {
        conv2d_grad_input(shape, &dy, &w, dx, true, &mut scratch(shape));
    });
    check_accumulation(shape, &dw, |dw| {
        conv2d_grad_weight(shape, &dy, &x, dw, true, &mut scratch(shape));
    });
    check_channels(shape, &dy, &x, &dw);
}

/// Asserts that `f` adds the finished gradient to what was there.
fn check_accumulation(shape: Conv2dShape, gradient: &[f32], f: impl Fn(&mut [f32])) {
    let mut want = numbers(5, gradient.len());
    let found = on_every_unit(|| {
        let mut out = want.clone();
        f(&mut out);
        out
    });
    add_assign(&mut want, gradient);
    assert_eq!(bits(&found), bits(&want), "{shape:?}");
}

/// Asserts that channels apart have the bits they have together.
fn check_channels(shape: Conv2dShape, dy: &[f32], x: &[f32], dw: &[f32]) {
    let mut found = unwritten(dw.len());
    let row = shape.w_len() / shape.out_channels;
    let cut = shape.out_channels / 3;
    for channels in [0..cut, cut..shape.out_channels] {
        let dw = &mut found[channels.start * row..channels.end * row];
        conv2d_grad_weight_channels(shape, channels, dy, x, dw, false, &mut scratch(shape));
    }
    assert_eq!(bits(&found), bits(dw), "channels apart: {shape:?}");
}

#[test]
fn convolutions_agree_with_the_plain_loops_on_every_unit() {
    shapes().into_iter().for_each(check);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_convolution_agrees_with_the_plain_loops_on_every_unit(
        batch in 0usize..4,
        groups in 1usize..4,
        channels in [1usize..12, 1..20],
        image in [1usize..12, 1..36],
        kernel in [1usize..6, 1..6],
        stride in [1usize..4, 1..4],
        padding in [0usize..4, 0..4],
    ) {
        let fits = |axis: usize| kernel[axis] <= image[axis] + 2 * padding[axis];
        prop_assume!(fits(0) && fits(1));
        let [ins, outs] = channels.map(|channels| groups * channels.div_ceil(groups));
        check(shape([batch, ins, outs, image[0], image[1]], kernel, stride, padding, groups));
    }
}

#[test]
fn the_bits_of_an_example_depend_neither_on_its_place_nor_on_the_batch() {
    for shape in shapes().into_iter().filter(|shape| 1 < shape.batch) {
        let (x, w, dy) =
            (numbers(1, shape.x_len()), numbers(2, shape.w_len()), numbers(3, shape.y_len()));
        let one = Conv2dShape { batch: 1, ..shape };
        let (mut y, mut dx) = (unwritten(shape.y_len()), unwritten(shape.x_len()));
        conv2d_forward(shape, &x, &w, None, false, &mut y, &mut scratch(shape));
        conv2d_grad_input(shape, &dy, &w, &mut dx, false, &mut scratch(shape));
        let (mut y_apart, mut dx_apart) = (unwritten(y.len()), unwritten(dx.len()));
        for example in 0..shape.batch {
            let of_x = example * one.x_len()..(example + 1) * one.x_len();
            let of_y = example * one.y_len()..(example + 1) * one.y_len();
            let x = &x[of_x.clone()];
            let y = &mut y_apart[of_y.clone()];
            conv2d_forward(one, x, &w, None, false, y, &mut scratch(one));
            let dx = &mut dx_apart[of_x];
            conv2d_grad_input(one, &dy[of_y], &w, dx, false, &mut scratch(one));
        }
        assert_eq!(bits(&y_apart), bits(&y), "{shape:?}");
        assert_eq!(bits(&dx_apart), bits(&dx), "{shape:?}");
    }
}

#[test]
#[should_panic(expected = "the kernel is no larger than the padded input")]
fn a_kernel_larger_than_its_input_is_refused() {
    shape([1, 1, 1, 2, 5], [5, 1], [1; 2], [1; 2], 1).out_height();
}

#[test]
#[should_panic(expected = "groups divide the channels")]
fn groups_that_do_not_divide_the_channels_are_refused() {
    conv2d_scratch_len(shape([1, 3, 4, 2, 5], [1; 2], [1; 2], [0; 2], 2));
}
