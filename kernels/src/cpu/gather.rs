//! Batches: rows of a matrix, and windows of a text, in the order of indices.

/// `y[i] = x[indices[i]]`, row by row.
///
/// `x`: `T[rows, width]`, numbers or labels; `indices`: `u32[n]`, each below `rows`; `y`: `T[n, width]`.
///
/// # Panics
///
/// Panics if there is no such row, or `y` has another length.
pub fn gather_rows<T: Copy>(width: usize, x: &[T], indices: &[u32], y: &mut [T]) {
    gather(width, 0, x, indices, y);
}

/// `y[i] = tokens[indices[i] * context + shift..][..context]`: windows that lie end to end, all
/// shifted alike.
///
/// `tokens`: `u32[n_tokens]`; `indices`: `u32[n]`; `y`: `u32[n, context]`.
///
/// # Panics
///
/// Panics if a window does not lie within the tokens, or `y` has another length.
pub fn gather_windows(
    context: usize,
    shift: usize,
    tokens: &[u32],
    indices: &[u32],
    y: &mut [u32],
) {
    gather(context, shift, tokens, indices, y);
}

/// Copies the rows of `width` that begin `first` values further on.
fn gather<T: Copy>(width: usize, first: usize, x: &[T], indices: &[u32], y: &mut [T]) {
    assert_eq!(y.len(), indices.len() * width, "one row for each index");
    if width == 0 {
        return;
    }
    for (y, index) in y.chunks_exact_mut(width).zip(indices) {
        y.copy_from_slice(&x[*index as usize * width + first..][..width]);
    }
}
