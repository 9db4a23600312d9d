//! Attention, all scores of a row at once.

use super::Real;
use crate::cpu::AttentionShape;

/// Attention: `y`, and `lse`.
pub fn attention<T: Real>(shape: AttentionShape, qkv: &[T]) -> [Vec<T>; 2] {
    let head_width = shape.head_width;
    let mut y = vec![T::of(0.0); qkv.len() / 3];
    let mut lse = Vec::new();
    for row in rows(shape) {
        let scores = row.scores(qkv);
        let max = scores.iter().fold(scores[0], |max, x| if max < *x { *x } else { max });
        let powers: Vec<T> = scores.iter().map(|x| (*x - max).exp()).collect();
        let total = powers.iter().fold(T::of(0.0), |sum, power| sum + *power);
        lse.push(max + total.ln());
        for (i, y) in y[row.output()..][..head_width].iter_mut().enumerate() {
            let values = (0..powers.len()).map(|key| qkv[row.input(key, 2) + i]);
            *y = dot(powers.iter().copied(), values) / total;
        }
    }
    [y, lse]
}

/// The gradient of [`attention`] for `qkv`, whose results were `y` and `lse`.
pub fn attention_backward<T: Real>(
    shape: AttentionShape,
    dy: &[T],
    qkv: &[T],
    y: &[T],
    lse: &[T],
) -> Vec<T> {
    let head_width = shape.head_width;
    let mut dqkv = vec![T::of(0.0); qkv.len()];
    for (row, lse) in rows(shape).zip(lse) {
        let (dy, y) = (&dy[row.output()..][..head_width], &y[row.output()..][..head_width]);
        let along = dot(dy.iter().copied(), y.iter().copied());
        for (key, score) in row.scores(qkv).iter().enumerate() {
            let [q, k, v] = [row.input(row.query, 0), row.input(key, 1), row.input(key, 2)];
            let probability = (*score - *lse).exp();
            let across = dot(dy.iter().copied(), qkv[v..][..head_width].iter().copied());
            let dscore = probability * (across - along) * row.scale();
            for (i, dy) in dy.iter().enumerate() {
                dqkv[q + i] = dscore.mul_add(qkv[k + i], dqkv[q + i]);
                dqkv[k + i] = dscore.mul_add(qkv[q + i], dqkv[k + i]);
                dqkv[v + i] = probability.mul_add(*dy, dqkv[v + i]);
            }
        }
    }
    dqkv
}

/// A row of scores.
struct Row {
    shape: AttentionShape,
    example: usize,
    head: usize,
    query: usize,
}

/// Every row of scores, in the order of `lse`.
fn rows(shape: AttentionShape) -> impl Iterator<Item = Row> {
    let AttentionShape { batch, len, heads, .. } = shape;
    (0..batch * heads * len).map(move |at| Row {
        shape,
        example: at / (heads * len),
        head: at / len % heads,
        query: at % len,
    })
}

impl Row {
    /// The scores of the keys that the query attends to.
    fn scores<T: Real>(&self, qkv: &[T]) -> Vec<T> {
        let AttentionShape { len, head_width, is_causal, .. } = self.shape;
        let n_keys = if is_causal { self.query + 1 } else { len };
        let values = |at: usize| qkv[at..][..head_width].iter().copied();
        let query = self.input(self.query, 0);
        let score = |key| dot(values(query), values(self.input(key, 1))) * self.scale();
        (0..n_keys).map(score).collect()
    }

    fn scale<T: Real>(&self) -> T {
        T::of(1.0) / T::of(self.shape.head_width as f64).sqrt()
    }

    /// Where the query, key or value (`part` 0, 1, 2) of a position begins.
    fn input(&self, position: usize, part: usize) -> usize {
        let AttentionShape { len, heads, head_width, .. } = self.shape;
        (((self.example * len + position) * 3 + part) * heads + self.head) * head_width
    }

    /// Where the row's output begins.
    fn output(&self) -> usize {
        let AttentionShape { len, heads, head_width, .. } = self.shape;
        ((self.example * len + self.query) * heads + self.head) * head_width
    }
}

fn dot<T: Real>(a: impl Iterator<Item = T>, b: impl Iterator<Item = T>) -> T {
    a.zip(b).fold(T::of(0.0), |sum, (a, b)| a.mul_add(b, sum))
}
