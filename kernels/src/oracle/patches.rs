//! Images as rows of patches.

use super::Real;
use crate::cpu::PatchShape;

/// The patches of an image, row after row of them.
pub fn patches<T: Real>(shape: PatchShape, x: &[T]) -> Vec<T> {
    sources(shape).iter().map(|at| x[*at]).collect()
}

/// The gradient of [`patches`].
pub fn patches_grad<T: Real>(shape: PatchShape, dy: &[T]) -> Vec<T> {
    let PatchShape { batch, channels, height, width, .. } = shape;
    let mut dx = vec![T::of(0.0); batch * channels * height * width];
    for (at, dy) in sources(shape).iter().zip(dy) {
        dx[*at] = *dy;
    }
    dx
}

/// Where each value of [`patches`] comes from.
fn sources(shape: PatchShape) -> Vec<usize> {
    let PatchShape { batch, channels, height, width, patch } = shape;
    let mut sources = Vec::new();
    for example in 0..batch {
        for top in (0..height / patch).map(|row| row * patch) {
            for left in (0..width / patch).map(|column| column * patch) {
                for channel in 0..channels {
                    for row in top..top + patch {
                        for column in left..left + patch {
                            let image = example * channels + channel;
                            sources.push((image * height + row) * width + column);
                        }
                    }
                }
            }
        }
    }
    sources
}
