//! Pooling over windows of images.

use super::{Real, add};
use crate::cpu::PoolShape;

/// The maximum of each window; a NaN is larger than any number.
pub fn max_pool2d<T: Real>(shape: PoolShape, x: &[T]) -> Vec<T> {
    let taken = max_positions(shape, x);
    taken.into_iter().map(|at| x[at]).collect()
}

/// The gradient of [`max_pool2d`], windows in row-major order.
pub fn max_pool2d_grad<T: Real>(shape: PoolShape, dy: &[T], x: &[T]) -> Vec<T> {
    let mut dx = vec![T::of(0.0); x.len()];
    for (at, dy) in max_positions(shape, x).into_iter().zip(dy) {
        dx[at] = dx[at] + *dy;
    }
    dx
}

/// The mean of each window, padding counted as zeros: a chain over its values.
pub fn avg_pool2d<T: Real>(shape: PoolShape, x: &[T]) -> Vec<T> {
    let count = T::of((shape.kernel[0] * shape.kernel[1]) as f64);
    let mean =
        |window: Vec<usize>| window.into_iter().fold(T::of(0.0), |sum, at| sum + x[at]) / count;
    windows(shape).into_iter().map(mean).collect()
}

/// The gradient of [`avg_pool2d`]: windows side by side from left to right, then their rows.
pub fn avg_pool2d_grad<T: Real>(shape: PoolShape, dy: &[T]) -> Vec<T> {
    let count = T::of((shape.kernel[0] * shape.kernel[1]) as f64);
    let mut dx = vec![T::of(0.0); shape.x_len()];
    let out_width = shape.out_width();
    let rows = windows(shape);
    for (row, dy) in rows.chunks(out_width).zip(dy.chunks(out_width)) {
        let mut row_dx = vec![T::of(0.0); dx.len()];
        for (window, dy) in row.iter().zip(dy) {
            window.iter().for_each(|at| row_dx[*at] = row_dx[*at] + *dy / count);
        }
        dx = add(&dx, &row_dx);
    }
    dx
}

/// Where the value taken by each window lies: the first of the largest, or the last NaN.
fn max_positions<T: Real>(shape: PoolShape, x: &[T]) -> Vec<usize> {
    let is_nan = |x: T| x.value().is_nan();
    let largest = |window: Vec<usize>| {
        let challenge =
            |best: usize, at: usize| if x[best] < x[at] || is_nan(x[at]) { at } else { best };
        window.into_iter().reduce(challenge).expect("a window has a value")
    };
    windows(shape).into_iter().map(largest).collect()
}

/// Where the values of each window lie, in row-major order.
fn windows(shape: PoolShape) -> Vec<Vec<usize>> {
    let PoolShape { height, width, kernel, stride, padding, .. } = shape;
    let mut windows = Vec::new();
    for plane in 0..shape.batch * shape.channels {
        for row in 0..shape.out_height() {
            for column in 0..shape.out_width() {
                let taps = (0..kernel[0] * kernel[1]).filter_map(|tap| {
                    let y = (row * stride[0] + tap / kernel[1]).wrapping_sub(padding[0]);
                    let x = (column * stride[1] + tap % kernel[1]).wrapping_sub(padding[1]);
                    (y < height && x < width).then_some((plane * height + y) * width + x)
                });
                windows.push(taps.collect());
            }
        }
    }
    windows
}
