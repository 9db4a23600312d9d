//! Embeddings.

use super::Real;

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
