//! Kernels over whole channels.

use super::gradients::slope;
use super::{assert_close, bits, numbers, on_every_unit, unwritten, widened};
use esper_kernels::cpu::*;
use esper_kernels::oracle;

/// Odd sizes, plain vectors, more channels than a block has, an empty batch, no channel.
pub(crate) const SHAPES: [[usize; 3]; 14] = [
    [1, 1, 1],
    [2, 3, 1],
    [3, 17, 1],
    [33, 7, 1],
    [2, 70, 1],
    [1, 2, 7],
    [2, 3, 16],
    [3, 5, 17],
    [2, 66, 5],
    [4, 1, 33],
    [2, 3, 49],
    [0, 3, 4],
    [0, 3, 1],
    [2, 0, 3],
];

pub(crate) fn shape([batch, channels, len]: [usize; 3]) -> ChannelShape {
    ChannelShape { batch, channels, len }
}

/// Runs a kernel into a fresh buffer, on every unit.
pub(crate) fn output(len: usize, kernel: impl Fn(&mut [f32])) -> Vec<f32> {
    on_every_unit(|| {
        let mut out = unwritten(len);
        kernel(&mut out);
        out
    })
}

/// A gradient into a fresh buffer, on every unit, once it is seen to be added where it accumulates.
pub(crate) fn gradient(len: usize, kernel: impl Fn(&mut [f32], bool)) -> Vec<f32> {
    let fresh = output(len, |out| kernel(out, false));
    let mut want = numbers(77, len);
    let added = on_every_unit(|| {
        let mut out = want.clone();
        kernel(&mut out, true);
        out
    });
    add_assign(&mut want, &fresh);
    assert_eq!(bits(&added), bits(&want), "what is accumulated is the finished gradient");
    fresh
}

#[test]
fn biases_and_factors_are_bit_equal_to_the_oracle() {
    for shape in SHAPES.map(shape) {
        let (x, w) = (numbers(1, shape.data_len()), numbers(2, shape.channels));
        let s = numbers(3, shape.batch * shape.channels);
        let check = |want: Vec<f32>, kernel: &dyn Fn(&mut [f32])| {
            assert_eq!(bits(&output(x.len(), kernel)), bits(&want), "{shape:?}");
        };
        check(oracle::channel_bias(shape, &x, &w), &|y| channel_bias(shape, &x, &w, y));
        check(oracle::channel_scale(shape, &x, &w), &|y| channel_scale(shape, &x, &w, y));
        check(oracle::channel_multiply(shape, &x, &s), &|y| channel_multiply(shape, &x, &s, y));
    }
}

#[test]
fn gates_and_means_agree_with_the_oracle() {
    for shape in SHAPES.map(shape) {
        let (x, w) = (numbers(1, shape.data_len()), numbers(2, shape.channels));
        let gated = output(x.len(), |y| channel_gate(shape, &x, &w, y));
        let want = oracle::channel_gate(shape, &widened(&x), &widened(&w));
        assert_close(&gated, &want, 5e-7);
        let means = output(shape.batch * shape.channels, |y| channel_mean(shape, &x, y));
        assert_close(&means, &oracle::channel_mean(shape, &widened(&x)), 2e-7);
    }
}

#[test]
fn the_sums_of_channels_have_one_order_on_every_unit() {
    for shape in SHAPES.map(shape) {
        let dy = numbers(4, shape.data_len());
        let found = output(shape.channels, |db| channel_bias_grad(shape, &dy, db));
        assert_eq!(bits(&found), bits(&oracle::channel_bias_grad(shape, &dy)), "{shape:?}");
    }
}

#[test]
fn gradients_of_channels_are_slopes() {
    for shape in SHAPES.map(shape).into_iter().filter(|shape| shape.data_len() < 200) {
        let (x, w) = (numbers(1, shape.data_len()), numbers(2, shape.channels));
        let (s, dy) = (numbers(3, shape.batch * shape.channels), numbers(4, x.len()));
        let (wide_x, wide_s, wide_dy) = (widened(&x), widened(&s), widened(&dy));
        let dy_mean = numbers(5, s.len());
        let dx = gradient(x.len(), |dx, add| channel_mean_grad(shape, &dy_mean, dx, add));
        assert_eq!(bits(&dx), bits(&oracle::channel_mean_grad(shape, &dy_mean)));
        assert_close(&dx, &slope(&x, &dy_mean, |x| oracle::channel_mean(shape, x)), 5e-6);
        let dx = gradient(x.len(), |dx, add| channel_multiply_grad_x(shape, &dy, &s, dx, add));
        let want = slope(&x, &dy, |x| oracle::channel_multiply(shape, x, &wide_s));
        assert_close(&dx, &want, 5e-6);
        assert_eq!(bits(&dx), bits(&oracle::channel_multiply_grad_x(shape, &dy, &s)));
        let ds = gradient(s.len(), |ds, add| channel_multiply_grad_s(shape, &dy, &x, ds, add));
        let want = slope(&s, &dy, |s| oracle::channel_multiply(shape, &wide_x, s));
        assert_close(&ds, &want, 5e-6);
        assert_close(&ds, &oracle::channel_multiply_grad_s(shape, &wide_dy, &wide_x), 5e-6);
        let db = output(w.len(), |db| channel_bias_grad(shape, &dy, db));
        assert_close(&db, &slope(&w, &dy, |b| oracle::channel_bias(shape, &wide_x, b)), 5e-6);
    }
}

#[test]
fn gradients_of_factors_and_gates_of_channels_are_slopes() {
    type Backward = fn(ChannelShape, &[f32], &[f32], &[f32], &mut [f32], &mut [f32], bool, bool);
    type Forward = fn(ChannelShape, &[f64], &[f64]) -> Vec<f64>;
    type Formula = fn(ChannelShape, &[f64], &[f64], &[f64]) -> [Vec<f64>; 2];
    let kernels: [(Backward, Forward, Formula); 2] = [
        (channel_scale_backward, oracle::channel_scale, oracle::channel_scale_backward),
        (channel_gate_backward, oracle::channel_gate, oracle::channel_gate_backward),
    ];
    let shapes = SHAPES.map(shape).into_iter().filter(|shape| shape.data_len() < 200);
    for (shape, (backward, forward, formula)) in
        shapes.flat_map(|shape| kernels.map(|kernel| (shape, kernel)))
    {
        let (x, w) = (numbers(1, shape.data_len()), numbers(2, shape.channels));
        let dy = numbers(3, x.len());
        let (wide_x, wide_w) = (widened(&x), widened(&w));
        let dx = gradient(x.len(), |dx, add| {
            backward(shape, &dy, &x, &w, dx, &mut [], add, false);
        });
        assert_close(&dx, &slope(&x, &dy, |x| forward(shape, x, &wide_w)), 5e-6);
        let dw = output(w.len(), |dw| {
            let mut again = unwritten(x.len());
            backward(shape, &dy, &x, &w, &mut again, dw, false, true);
            assert_eq!(bits(&again), bits(&dx));
        });
        assert_close(&dw, &slope(&w, &dy, |w| forward(shape, &wide_x, w)), 5e-6);
        let want = formula(shape, &widened(&dy), &wide_x, &wide_w).concat();
        assert_close(&[dx, dw].concat(), &want, 5e-6);
    }
}

/// One position a channel is a plain vector: the kernels of vectors give the same bits.
#[test]
fn channels_of_one_position_are_columns() {
    for [rows, width] in [[3, 17], [33, 70]] {
        let shape = shape([rows, width, 1]);
        let (x, w, dy) = (numbers(1, rows * width), numbers(2, width), numbers(3, rows * width));
        let same = |a: &dyn Fn(&mut [f32]), b: &dyn Fn(&mut [f32]), len: usize| {
            assert_eq!(bits(&output(len, a)), bits(&output(len, b)));
        };
        same(&|y| channel_bias(shape, &x, &w, y), &|y| bias_forward(&x, &w, y), x.len());
        let y = output(x.len(), |y| bias_forward(&x, &w, y));
        assert_eq!(bits(&y), bits(&oracle::add_bias(&x, &w)));
        same(
            &|db| channel_bias_grad(shape, &dy, db),
            &|db| bias_grad(rows, width, &dy, db, false),
            width,
        );
    }
}

#[test]
#[should_panic(expected = "data is f32[batch, channels, len]")]
fn data_of_another_shape_are_refused() {
    channel_bias(shape([2, 3, 4]), &[0.0; 23], &[0.0; 3], &mut [0.0; 24]);
}
