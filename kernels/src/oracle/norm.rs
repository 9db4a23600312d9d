//! Layer normalization and root-mean-square normalization.

use super::{Real, mean, mean_square};

/// Layer normalization of each row.
pub fn layer_norm<T: Real>(width: usize, eps: f64, x: &[T], gamma: &[T], beta: &[T]) -> Vec<T> {
    let [means, rstds] = layer_norm_statistics(width, eps, x);
    let value = |(at, x): (usize, &T)| {
        let (row, column) = (at / width, at % width);
        (*x - means[row]) * rstds[row] * gamma[column] + beta[column]
    };
    x.iter().enumerate().map(value).collect()
}

/// The mean of each row, and `1 / sqrt(variance + eps)`.
pub fn layer_norm_statistics<T: Real>(width: usize, eps: f64, x: &[T]) -> [Vec<T>; 2] {
    let means: Vec<T> = rows(width, x).map(mean).collect();
    let rstd = |(row, mean): (&[T], &T)| {
        let centered: Vec<T> = row.iter().map(|x| *x - *mean).collect();
        T::of(1.0) / (mean_square(&centered) + T::of(eps)).sqrt()
    };
    let rstds = rows(width, x).zip(&means).map(rstd).collect();
    [means, rstds]
}

/// The gradients of [`layer_norm`] for `x`, `gamma` and `beta`, by the statistics of each row.
pub fn layer_norm_backward<T: Real>(
    width: usize,
    dy: &[T],
    x: &[T],
    gamma: &[T],
    means: &[T],
    rstds: &[T],
) -> [Vec<T>; 3] {
    let mut dx = Vec::new();
    let (mut dgamma, mut dbeta) = (vec![T::of(0.0); width], vec![T::of(0.0); width]);
    for (row, (dy, x)) in rows(width, dy).zip(rows(width, x)).enumerate() {
        let h: Vec<T> = x.iter().map(|x| (*x - means[row]) * rstds[row]).collect();
        let g: Vec<T> = gamma.iter().zip(dy).map(|(gamma, dy)| *gamma * *dy).collect();
        let products: Vec<T> = g.iter().zip(&h).map(|(g, h)| *g * *h).collect();
        let (mean_g, mean_gh) = (mean(&g), mean(&products));
        for column in 0..width {
            dx.push((g[column] - mean_g - h[column] * mean_gh) * rstds[row]);
            dgamma[column] = dy[column].mul_add(h[column], dgamma[column]);
            dbeta[column] = dbeta[column] + dy[column];
        }
    }
    [dx, dgamma, dbeta]
}

/// Root-mean-square normalization of each row.
pub fn rms_norm<T: Real>(width: usize, eps: f64, x: &[T], gamma: &[T]) -> Vec<T> {
    let rrms = rms_norm_statistics(width, eps, x);
    let each = x.iter().enumerate();
    each.map(|(at, x)| *x * rrms[at / width] * gamma[at % width]).collect()
}

/// `1 / sqrt(mean(x^2) + eps)` of each row.
pub fn rms_norm_statistics<T: Real>(width: usize, eps: f64, x: &[T]) -> Vec<T> {
    rows(width, x).map(|row| T::of(1.0) / (mean_square(row) + T::of(eps)).sqrt()).collect()
}

/// The gradients of [`rms_norm`] for `x` and `gamma`, by the statistics of each row.
pub fn rms_norm_backward<T: Real>(
    width: usize,
    dy: &[T],
    x: &[T],
    gamma: &[T],
    rrms: &[T],
) -> [Vec<T>; 2] {
    let (mut dx, mut dgamma) = (Vec::new(), vec![T::of(0.0); width]);
    for (row, (dy, x)) in rows(width, dy).zip(rows(width, x)).enumerate() {
        let h: Vec<T> = x.iter().map(|x| *x * rrms[row]).collect();
        let g: Vec<T> = gamma.iter().zip(dy).map(|(gamma, dy)| *gamma * *dy).collect();
        let products: Vec<T> = g.iter().zip(&h).map(|(g, h)| *g * *h).collect();
        let mean_gh = mean(&products);
        for column in 0..width {
            dx.push((g[column] - h[column] * mean_gh) * rrms[row]);
            dgamma[column] = dy[column].mul_add(h[column], dgamma[column]);
        }
    }
    [dx, dgamma]
}

fn rows<T>(width: usize, x: &[T]) -> impl Iterator<Item = &[T]> {
    // No row has no value, and any width does.
    x.chunks_exact(width.max(1))
}
