//! Curves for TensorBoard.
