//! Embeddings: a row of a table for each token.

use super::dispatch::dispatch;
use super::slice_loops::map;

/// `y[i] = w[tokens[i]]`, row by row.
///
/// `tokens`: `u32[rows]`, each below `vocab`; `w`: `f32[vocab, width]`; `y`: `f32[rows, width]`.
pub fn embedding_forward(width: usize, tokens: &[u32], w: &[f32], y: &mut [f32]) {
    let table = Table::new(width, tokens, w.len(), y.len());
    if width == 0 {
        return;
    }
    dispatch!(lanes => {
        for (token, y) in tokens.iter().zip(y.chunks_exact_mut(width)) {
            let row = &w[table.start(*token)..][..width];
            map(lanes, [row], [y], #[inline(always)] |[w], _| [w]);
        }
    });
}

/// The gradient of [`embedding_forward`] for `w`: `dw[tokens[i]] += dy[i]`, in the order of `tokens`.
///
/// `dw` starts from zero, or, where `accumulate`, from what is there: its chains then go on, with no
/// sums apart, as tokens come in any order and a table is large.
pub fn embedding_grad(width: usize, tokens: &[u32], dy: &[f32], dw: &mut [f32], accumulate: bool) {
    let table = Table::new(width, tokens, dw.len(), dy.len());
    if !accumulate {
        dw.fill(0.0);
    }
    if width == 0 {
        return;
    }
    dispatch!(lanes => {
        for (token, dy) in tokens.iter().zip(dy.chunks_exact(width)) {
            let row = &mut dw[table.start(*token)..][..width];
            map(lanes, [dy], [row], #[inline(always)] |[dy], [dw]| [dw + dy]);
        }
    });
}

/// The size of an embedding's table.
#[derive(Clone, Copy)]
struct Table {
    vocab: usize,
    width: usize,
}

impl Table {
    fn new(width: usize, tokens: &[u32], w_len: usize, y_len: usize) -> Self {
        assert!(w_len.is_multiple_of(width), "w is f32[vocab, width]");
        assert_eq!(y_len, tokens.len() * width, "y is f32[rows, width]");
        Self { vocab: w_len.checked_div(width).unwrap_or(0), width }
    }

    /// Where the row of a token begins.
    #[inline(always)]
    fn start(self, token: u32) -> usize {
        assert!((token as usize) < self.vocab, "token {token} is not below {}", self.vocab);
        token as usize * self.width
    }
}
