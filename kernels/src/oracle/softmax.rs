//! Softmax cross-entropy.

use super::Real;

/// Softmax cross-entropy of each example.
pub fn softmax_cross_entropy<T: Real>(classes: usize, logits: &[T], labels: &[u32]) -> Vec<T> {
    let loss = |(row, label): (&[T], &u32)| {
        let max = largest(row);
        let total = row.iter().fold(T::of(0.0), |sum, x| sum + (*x - max).exp());
        total.ln() - (row[*label as usize] - max)
    };
    logits.chunks_exact(classes).zip(labels).map(loss).collect()
}

/// The gradient of the mean of [`softmax_cross_entropy`]: `(softmax(logits) - one_hot(labels)) / rows`.
pub fn softmax_cross_entropy_grad<T: Real>(classes: usize, logits: &[T], labels: &[u32]) -> Vec<T> {
    let rows = T::of(labels.len() as f64);
    let mut dlogits = Vec::new();
    for (row, label) in logits.chunks_exact(classes).zip(labels) {
        let max = largest(row);
        let powers: Vec<T> = row.iter().map(|x| (*x - max).exp()).collect();
        let total = powers.iter().fold(T::of(0.0), |sum, power| sum + *power);
        for (class, power) in powers.into_iter().enumerate() {
            let one_hot = T::of(f64::from(u8::from(class == *label as usize)));
            dlogits.push((power / total - one_hot) / rows);
        }
    }
    dlogits
}

/// How many examples are right: the label's logit is the first of the largest, and no loss is NaN.
pub fn n_right<T: Real>(classes: usize, logits: &[T], labels: &[u32]) -> usize {
    let losses = softmax_cross_entropy(classes, logits, labels);
    let is_right = |(row, label): (&[T], &u32)| {
        let value = row[*label as usize];
        row.iter()
            .enumerate()
            .all(|(class, x)| if class < *label as usize { *x < value } else { *x <= value })
    };
    let each = logits.chunks_exact(classes).zip(labels).map(is_right);
    each.zip(losses).filter(|(is_right, loss)| *is_right && !loss.value().is_nan()).count()
}

fn largest<T: Real>(row: &[T]) -> T {
    row.iter().fold(row[0], |max, x| if max < *x { *x } else { max })
}
