//! Batches of rows and of windows of a text.

/// The rows of `width` that `indices` name.
pub fn gather_rows<T: Copy>(width: usize, x: &[T], indices: &[u32]) -> Vec<T> {
    let row = |index: &u32| {
        let first = *index as usize * width;
        (first..first + width).map(|at| x[at])
    };
    indices.iter().flat_map(row).collect()
}

/// The windows of `context` tokens that `indices` name, each `shift` tokens further on.
pub fn gather_windows(context: usize, shift: usize, tokens: &[u32], indices: &[u32]) -> Vec<u32> {
    let window = |index: &u32| {
        let first = *index as usize * context + shift;
        (first..first + context).map(|at| tokens[at])
    };
    indices.iter().flat_map(window).collect()
}
