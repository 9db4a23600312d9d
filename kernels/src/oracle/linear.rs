//! Dense layers.

use super::Real;
use crate::cpu::LinearShape;

/// `a b`, one chain of multiply-adds per element from zero; `a`: `[m, k]`, `b`: `[k, n]`.
pub fn matmul<T: Real>(m: usize, n: usize, k: usize, a: &[T], b: &[T]) -> Vec<T> {
    assert_eq!([a.len(), b.len()], [m * k, k * n]);
    let element = |i: usize, j: usize| {
        (0..k).fold(T::of(0.0), |sum, l| a[i * k + l].mul_add(b[l * n + j], sum))
    };
    (0..m * n).map(|at| element(at / n, at % n)).collect()
}

/// The transpose of `x`: `[rows, columns]`.
pub fn transpose<T: Real>(rows: usize, columns: usize, x: &[T]) -> Vec<T> {
    assert_eq!(x.len(), rows * columns);
    (0..rows * columns).map(|at| x[at % rows * columns + at / rows]).collect()
}

/// `x w^T + bias`
pub fn linear<T: Real>(shape: LinearShape, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
    let LinearShape { rows, inputs, outputs } = shape;
    let y = matmul(rows, outputs, inputs, x, &transpose(outputs, inputs, w));
    match bias {
        Some(bias) => add_bias(&y, bias),
        None => y,
    }
}

/// The gradient of [`linear`] for `x`: `dy w`.
pub fn linear_grad_input<T: Real>(shape: LinearShape, dy: &[T], w: &[T]) -> Vec<T> {
    let LinearShape { rows, inputs, outputs } = shape;
    matmul(rows, inputs, outputs, dy, w)
}

/// The gradient of [`linear`] for `w`: `dy^T x`.
pub fn linear_grad_weight<T: Real>(shape: LinearShape, dy: &[T], x: &[T]) -> Vec<T> {
    let LinearShape { rows, inputs, outputs } = shape;
    matmul(outputs, inputs, rows, &transpose(rows, outputs, dy), x)
}

/// `x + bias`, the bias added to each row of `x`: `[rows, width]`.
pub fn add_bias<T: Real>(x: &[T], bias: &[T]) -> Vec<T> {
    x.iter().enumerate().map(|(at, x)| *x + bias[at % bias.len()]).collect()
}

/// The gradient of [`add_bias`] for `bias`: the sum of the rows of `dy`, in order.
pub fn bias_grad<T: Real>(width: usize, dy: &[T]) -> Vec<T> {
    let mut db = vec![T::of(0.0); width];
    dy.iter().enumerate().for_each(|(at, dy)| db[at % width] = db[at % width] + *dy);
    db
}
