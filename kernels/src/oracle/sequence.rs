//! What turns tokens and images into rows, and rows into one.

use super::Real;
use crate::cpu::PatchShape;

/// The row of `w` that each token names.
pub fn embedding<T: Real>(width: usize, tokens: &[u32], w: &[T]) -> Vec<T> {
    tokens.iter().flat_map(|token| w[*token as usize * width..][..width].to_vec()).collect()
}

/// The gradient of [`embedding`] for `w`, going on from `dw`: one chain a row, tokens in order.
pub fn embedding_grad<T: Real>(width: usize, tokens: &[u32], dy: &[T], dw: &[T]) -> Vec<T> {
    let mut dw = dw.to_vec();
    for (token, dy) in tokens.iter().zip(dy.chunks_exact(width)) {
        for (dw, dy) in dw[*token as usize * width..][..width].iter_mut().zip(dy) {
            *dw = *dw + *dy;
        }
    }
    dw
}

/// The patches of an image, row after row of them.
pub fn patches<T: Real>(shape: PatchShape, x: &[T]) -> Vec<T> {
    sources(shape).iter().map(|at| x[*at]).collect()
}

/// The gradient of [`patches`].
pub fn patches_grad<T: Real>(shape: PatchShape, dy: &[T]) -> Vec<T> {
    let PatchShape { batch, channels, height, width, .. } = shape;
    let mut dx = vec![T::of(0.0); batch * channels * height * width];
    for (at, dy) in sources(shape).iter().zip(dy) {
        dx[*at] = *dy;
    }
    dx
}

/// Where each value of [`patches`] comes from.
fn sources(shape: PatchShape) -> Vec<usize> {
    let PatchShape { batch, channels, height, width, patch } = shape;
    let mut sources = Vec::new();
    for example in 0..batch {
        for top in (0..height / patch).map(|row| row * patch) {
            for left in (0..width / patch).map(|column| column * patch) {
                for channel in 0..channels {
                    for row in top..top + patch {
                        for column in left..left + patch {
                            let image = example * channels + channel;
                            sources.push((image * height + row) * width + column);
                        }
                    }
                }
            }
        }
    }
    sources
}

/// The mean of the `len` rows of each example.
pub fn mean_positions<T: Real>(len: usize, width: usize, x: &[T]) -> Vec<T> {
    let mean = |x: &[T], column: usize| {
        let column = x.iter().skip(column).step_by(width);
        column.fold(T::of(0.0), |sum, x| sum + *x) / T::of(len as f64)
    };
    x.chunks_exact(len * width)
        .flat_map(|x| (0..width).map(move |column| mean(x, column)))
        .collect()
}

/// The gradient of [`mean_positions`].
pub fn mean_positions_grad<T: Real>(len: usize, width: usize, dy: &[T]) -> Vec<T> {
    let share = |dy: &T| *dy / T::of(len as f64);
    dy.chunks_exact(width).flat_map(|dy| (0..len).flat_map(move |_| dy.iter().map(share))).collect()
}

/// `y` with `x` in the columns from `at` on.
pub fn columns_copied<T: Real>(
    x_width: usize,
    y_width: usize,
    at: usize,
    x: &[T],
    y: &[T],
) -> Vec<T> {
    let source = |i: usize| {
        let (row, column) = (i / y_width, i % y_width);
        let inside = (at..at + x_width).contains(&column);
        if inside { x[row * x_width + column - at] } else { y[i] }
    };
    (0..y.len()).map(source).collect()
}

/// The columns of `y` from `at` on.
pub fn columns_taken<T: Real>(y_width: usize, at: usize, x_width: usize, y: &[T]) -> Vec<T> {
    y.chunks_exact(y_width).flat_map(|y| y[at..at + x_width].to_vec()).collect()
}
