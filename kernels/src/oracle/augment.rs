//! Images varied as they are gathered, one pixel at a time.

use super::Real;
use crate::cpu::{AugmentShape, augment_words};
use crate::random::below_u32;

/// The images that `indices` name, varied by the [`augment_words`] of each.
pub fn augment_images<T: Real>(
    shape: AugmentShape,
    key: u64,
    epoch: u64,
    x: &[T],
    indices: &[u32],
) -> Vec<T> {
    let AugmentShape { channels, height, width, .. } = shape;
    let mut y = Vec::new();
    for index in indices {
        let source = Source::draw(shape, augment_words(key, epoch, *index));
        for at in 0..channels * height * width {
            let (plane, row, column) = (at / (height * width), at / width % height, at % width);
            let image = *index as usize * channels + plane;
            y.push(match source.of([row, column]) {
                Some([row, column]) => x[(image * height + row) * width + column],
                None => T::of(0.0),
            });
        }
    }
    y
}

/// Where each pixel of a varied image comes from.
struct Source {
    size: [usize; 2],
    padding: [usize; 2],
    offset: [usize; 2],
    is_flipped: bool,
    cutout: usize,
    centre: [usize; 2],
}

impl Source {
    fn draw(shape: AugmentShape, words: [[u32; 4]; 2]) -> Self {
        let size = [shape.height, shape.width];
        let padding = size.map(|axis| if axis == 1 { 0 } else { shape.crop_padding });
        let below = |word: u32, bound: usize| below_u32(word, bound as u32) as usize;
        let [[flip, down, right, _], [centre_row, centre_column, ..]] = words;
        Self {
            size,
            padding,
            offset: [below(down, 2 * padding[0] + 1), below(right, 2 * padding[1] + 1)],
            is_flipped: shape.flip && 1 << 31 <= flip,
            cutout: shape.cutout,
            centre: [below(centre_row, size[0]), below(centre_column, size[1])],
        }
    }

    /// The row and column from which those `at` come, unless they are padding or cut out.
    fn of(&self, at: [usize; 2]) -> Option<[usize; 2]> {
        let is_cut = |axis: usize| {
            let from_start = at[axis] + self.cutout / 2;
            (self.centre[axis]..self.centre[axis] + self.cutout).contains(&from_start)
        };
        if is_cut(0) && is_cut(1) {
            return None;
        }
        let column = if self.is_flipped { self.size[1] - 1 - at[1] } else { at[1] };
        let inside = |at: usize, axis: usize| {
            let from = (at + self.offset[axis]).checked_sub(self.padding[axis])?;
            (from < self.size[axis]).then_some(from)
        };
        Some([inside(at[0], 0)?, inside(column, 1)?])
    }
}
