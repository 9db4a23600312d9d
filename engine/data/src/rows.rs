//! Rows of numbers: examples, and targets of several values.

use std::sync::Arc;

use esper_kernels::cpu::gather_rows;

use super::DataFault;

/// The rows `indices` as rows of their own.
pub(super) fn select_rows(rows: &[f32], width: usize, indices: &[u32]) -> Arc<[f32]> {
    // Filled where it will stay: a vector would be copied into its `Arc` once more.
    let mut selected: Arc<[f32]> = std::iter::repeat_n(0.0, indices.len() * width).collect();
    gather_rows(width, rows, indices, Arc::make_mut(&mut selected));
    selected
}

/// Refuses a value that is NaN or infinite.
pub(super) fn check_finite(values: &[f32], width: usize) -> Result<(), DataFault> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(DataFault::NotFinite {
            example: at / width,
            element: at % width,
            value: f64::from(values[at]),
        }),
        None => Ok(()),
    }
}
