//! Windows over an image, of pools and convolutions.

use esper_kernels::cpu::PoolShape;
use serde::{Deserialize, Serialize};

use super::Inference;
use crate::{error::GraphError, settings::Keys};

/// Windows over an image; pairs are vertical, then horizontal.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Windows {
    /// Extent of a window.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Rows and columns added at each end.
    pub padding: [usize; 2],
}

impl Windows {
    /// Windows of `side` that touch and do not overlap; over a signal, an image of height 1, they are flat.
    pub const fn square(side: usize, height: usize) -> Self {
        let kernel = [if height < side { height } else { side }, side];
        Self { kernel, stride: kernel, padding: [0, 0] }
    }

    /// Places in a window.
    pub const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Visits the settings of a pool.
    pub(super) fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("kernel", &mut self.kernel);
        keys.optional("stride", &mut self.stride, self.kernel);
        keys.optional("padding", &mut self.padding, [0, 0]);
    }

    /// Whether they are a pool's.
    ///
    /// # Errors
    ///
    /// Says what they should be.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let is_padded_widely = (0..2).any(|axis| self.kernel[axis] < 2 * self.padding[axis]);
        if self.kernel.contains(&0) || self.stride.contains(&0) || is_padded_widely {
            return Err("kernel and stride are at least 1, padding at most half of the kernel");
        }
        Ok(())
    }

    /// How many windows an image has, vertically and horizontally.
    ///
    /// # Errors
    ///
    /// Names the node if the first input is no image or smaller than a window.
    pub(super) fn count(&self, at: &Inference<'_>) -> Result<[usize; 2], GraphError> {
        let [channels, sides @ ..] = at.image()?;
        let mut count = [0; 2];
        for axis in 0..2 {
            let padded = sides[axis] + 2 * self.padding[axis];
            if padded < self.kernel[axis] {
                let expected = vec![channels, self.kernel[0], self.kernel[1]];
                return at.refuse("image at least as large as the kernel", expected, at.x());
            }
            count[axis] = (padded - self.kernel[axis]) / self.stride[axis] + 1;
        }
        Ok(count)
    }

    /// The windows of a pool over one image.
    pub(super) const fn over(&self, [channels, height, width]: [usize; 3]) -> PoolShape {
        let Self { kernel, stride, padding } = *self;
        PoolShape { batch: 1, channels, height, width, kernel, stride, padding }
    }
}
