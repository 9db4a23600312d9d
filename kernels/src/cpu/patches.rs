//! Images as rows of patches: a patch embedding is this and a linear map.

use super::dispatch::dispatch;
use super::slice_loops::map;
use serde::{Deserialize, Serialize};

/// Images cut into square patches.
///
/// What is left at the right and the bottom, less than a patch, belongs to none, as in a convolution
/// whose stride is its kernel.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatchShape {
    /// Images in the batch.
    pub batch: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Rows and columns of a patch.
    pub patch: usize,
}

impl PatchShape {
    /// The shape of `n_examples` times as many examples.
    pub const fn times(self, n_examples: usize) -> Self {
        Self { batch: self.batch * n_examples, ..self }
    }

    /// Patches of an image.
    ///
    /// # Panics
    ///
    /// Panics if a patch has no rows.
    pub fn n_patches(self) -> usize {
        assert!(0 < self.patch, "a patch has a row");
        (self.height / self.patch) * (self.width / self.patch)
    }

    /// Values of a patch.
    pub fn patch_len(self) -> usize {
        self.channels * self.patch * self.patch
    }

    fn x_len(self) -> usize {
        self.batch * self.channels * self.height * self.width
    }

    fn y_len(self) -> usize {
        self.batch * self.n_patches() * self.patch_len()
    }

    fn covers_all(self) -> bool {
        self.height.is_multiple_of(self.patch) && self.width.is_multiple_of(self.patch)
    }

    fn assert_lengths(self, x: &[f32], y: &[f32]) {
        assert_eq!(x.len(), self.x_len(), "x is f32[batch, channels, height, width]");
        assert_eq!(y.len(), self.y_len(), "y is f32[batch, n_patches, patch_len]");
    }

    /// Calls `f` with where each row of each patch begins, in the image and among the patches.
    #[inline(always)]
    fn each_row(self, mut f: impl FnMut(usize, usize)) {
        let Self { batch, channels, height, width, patch } = self;
        let n_across = width / patch;
        for image in 0..batch * channels {
            let (example, channel) = (image / channels, image % channels);
            for row in 0..height / patch * patch {
                let first = (example * (height / patch) + row / patch) * n_across;
                let within = (channel * patch + row % patch) * patch;
                for column in 0..n_across {
                    let x_at = (image * height + row) * width + column * patch;
                    f(x_at, (first + column) * self.patch_len() + within);
                }
            }
        }
    }
}

/// The patches of images, row after row of them, each in the order of channel, row and column.
///
/// `x`: `f32[batch, channels, height, width]`; `y`: `f32[batch, n_patches, patch_len]`. The weights of a
/// convolution whose stride is its kernel, flattened, are those of a linear map of these rows.
pub fn patches_forward(shape: PatchShape, x: &[f32], y: &mut [f32]) {
    shape.assert_lengths(x, y);
    let len = shape.patch;
    dispatch!(lanes => shape.each_row(#[inline(always)] |x_at, y_at| {
        let (x, y) = (&x[x_at..][..len], &mut y[y_at..][..len]);
        map(lanes, [x], [y], #[inline(always)] |[x], _| [x]);
    }));
}

/// The gradient of [`patches_forward`], added to `dx` where `accumulate`; zero where there is no patch.
pub fn patches_grad(shape: PatchShape, dy: &[f32], dx: &mut [f32], accumulate: bool) {
    shape.assert_lengths(dx, dy);
    let len = shape.patch;
    if !accumulate && !shape.covers_all() {
        dx.fill(0.0);
    }
    dispatch!(lanes => shape.each_row(#[inline(always)] |x_at, y_at| {
        let (dy, dx) = (&dy[y_at..][..len], &mut dx[x_at..][..len]);
        if accumulate {
            map(lanes, [dy], [dx], #[inline(always)] |[dy], [dx]| [dx + dy]);
        } else {
            map(lanes, [dy], [dx], #[inline(always)] |[dy], _| [dy]);
        }
    }));
}
