//! Images varied as they are gathered: flipped, cropped after padding, cut out.

use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::philox::Philox;
use crate::random::below_u32;

/// Images, and how they are varied: cropped, then flipped, then cut out. What is filled in is zero.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AugmentShape {
    /// Channels of an image.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// A window as large as the image, anywhere in the image with this many zeros put on each side:
    /// torchvision's `RandomCrop(size, padding)`. Zero is none, and an axis of one pixel has none.
    pub crop_padding: usize,
    /// Whether the columns are reversed in one image of two: torchvision's `RandomHorizontalFlip`.
    pub flip: bool,
    /// Side of a square of zeros whose centre is any pixel, so that it may lie partly outside
    /// (DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with
    /// Cutout", section 3.2). Zero is none.
    pub cutout: usize,
}

impl AugmentShape {
    /// Values of an image.
    pub const fn image_len(self) -> usize {
        self.channels * self.height * self.width
    }
}

/// The random words by which image `index` is varied in an epoch: blocks 0 and 1 of
/// [`Philox`] under `key`, with the counter `(index, epoch, block)`, the low word of the epoch first.
///
/// The first block has the words of the flip, and of the offsets of the crop down and to the right; the
/// second those of the row and the column of the centre of the square.
pub const fn augment_words(key: u64, epoch: u64, index: u32) -> [[u32; 4]; 2] {
    let (philox, low, high) = (Philox::new(key), epoch as u32, (epoch >> 32) as u32);
    [philox.block([index, low, high, 0]), philox.block([index, low, high, 1])]
}

/// `y[i] = varied(x[indices[i]])`, by [`augment_words`] of the index.
///
/// `x`: `f32[n_images, channels, height, width]`; `indices`: `u32[n]`, each below `n_images`; `y`:
/// `f32[n, channels, height, width]`. Nothing but `key`, `epoch` and the index of an image enters what
/// is drawn for it.
///
/// # Panics
///
/// Panics if there is no such image, `y` has another length, or the padding of an axis that is cropped
/// is not narrower than it.
pub fn augment_images(
    shape: AugmentShape,
    key: u64,
    epoch: u64,
    x: &[f32],
    indices: &[u32],
    y: &mut [f32],
) {
    let len = shape.image_len();
    assert_eq!(y.len(), indices.len() * len, "one image for each index");
    if len == 0 {
        return;
    }
    for (y, index) in y.chunks_exact_mut(len).zip(indices) {
        let x = &x[*index as usize * len..][..len];
        Variation::draw(shape, augment_words(key, epoch, *index)).write(shape, x, y);
    }
}

/// What was drawn for one image.
#[derive(Clone, Debug)]
struct Variation {
    rows: Crop,
    columns: Crop,
    is_flipped: bool,
    /// Rows and columns set to zero.
    cut: [Range<usize>; 2],
}

/// A window as long as its axis: place `i` shows `i + offset - padding`.
#[derive(Clone, Copy, Debug)]
struct Crop {
    padding: usize,
    /// At most twice the padding.
    offset: usize,
}

impl Variation {
    fn draw(shape: AugmentShape, [first, second]: [[u32; 4]; 2]) -> Self {
        let AugmentShape { height, width, crop_padding, flip, cutout, .. } = shape;
        let ([side, down, right, _], [centre_y, centre_x, ..]) = (first, second);
        Self {
            rows: Crop::draw(crop_padding, height, down),
            columns: Crop::draw(crop_padding, width, right),
            is_flipped: flip && side >> 31 == 1,
            cut: [square_side(cutout, height, centre_y), square_side(cutout, width, centre_x)],
        }
    }

    fn write(&self, shape: AugmentShape, image: &[f32], out: &mut [f32]) {
        let plane_elems = shape.height * shape.width;
        let [cut_rows, cut_columns] = &self.cut;
        for (plane, out) in image.chunks_exact(plane_elems).zip(out.chunks_exact_mut(plane_elems)) {
            for (y, row) in out.chunks_exact_mut(shape.width).enumerate() {
                match self.rows.source(y, shape.height) {
                    Some(from) => self.write_row(&plane[from * shape.width..][..shape.width], row),
                    None => row.fill(0.0),
                }
                if cut_rows.contains(&y) {
                    row[cut_columns.clone()].fill(0.0);
                }
            }
        }
    }

    fn write_row(&self, from: &[f32], row: &mut [f32]) {
        let width = row.len();
        let Range { start, end } = self.columns.inside(width);
        let Crop { padding, offset } = self.columns;
        let from = &from[start + offset - padding..end + offset - padding];
        let to = if self.is_flipped { width - end..width - start } else { start..end };
        row[..to.start].fill(0.0);
        row[to.end..].fill(0.0);
        if self.is_flipped {
            row[to].iter_mut().zip(from.iter().rev()).for_each(|(out, x)| *out = *x);
        } else {
            row[to].copy_from_slice(from);
        }
    }
}

impl Crop {
    fn draw(padding: usize, axis: usize, word: u32) -> Self {
        let padding = if axis == 1 { 0 } else { padding };
        Self { padding, offset: below_u32(word, 2 * padding as u32 + 1) as usize }
    }

    /// What place `at` of an axis shows, unless it is padding.
    fn source(self, at: usize, axis: usize) -> Option<usize> {
        (at + self.offset).checked_sub(self.padding).filter(|from| *from < axis)
    }

    /// The places of an axis that do not show padding.
    fn inside(self, axis: usize) -> Range<usize> {
        let start = self.padding.saturating_sub(self.offset);
        start..(axis + self.padding - self.offset).min(axis)
    }
}

/// What of an axis a square covers whose centre is any place of it.
fn square_side(side: usize, axis: usize, word: u32) -> Range<usize> {
    let centre = below_u32(word, axis as u32) as usize;
    centre.saturating_sub(side / 2)..(centre + side - side / 2).min(axis)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn flipping_twice_gives_the_image_back(
            channels in 1_usize..4, height in 1_usize..7, width in 2_usize..9,
        ) {
            let shape =
                AugmentShape { channels, height, width, crop_padding: 0, flip: true, cutout: 0 };
            let still = Crop { padding: 0, offset: 0 };
            let flip =
                Variation { rows: still, columns: still, is_flipped: true, cut: [0..0, 0..0] };
            let written = |image: &[f32]| {
                let mut out = vec![f32::NAN; image.len()];
                flip.write(shape, image, &mut out);
                out
            };
            let image: Vec<f32> = (1..=shape.image_len()).map(|pixel| pixel as f32).collect();
            let once = written(&image);
            prop_assert_ne!(&once, &image);
            prop_assert_eq!(written(&once), image);
        }
    }

    #[test]
    fn a_crop_shows_every_offset_and_a_flip_half_of_the_images() {
        let shape = AugmentShape {
            channels: 3,
            height: 8,
            width: 8,
            crop_padding: 2,
            flip: true,
            cutout: 0,
        };
        let (mut offsets, mut n_flipped) = ([[0_u32; 5]; 5], 0);
        for example in 0..25_000 {
            let it = Variation::draw(shape, augment_words(1, 9, example));
            offsets[it.rows.offset][it.columns.offset] += 1;
            n_flipped += u32::from(it.is_flipped);
        }
        // 1,000 expected in each, standard deviation 31; 12,500 flipped, standard deviation 79.
        assert!(offsets.iter().flatten().all(|count| count.abs_diff(1000) < 190), "{offsets:?}");
        assert!(n_flipped.abs_diff(12_500) < 480, "{n_flipped}");
    }

    #[test]
    fn a_cutout_is_a_square_around_any_pixel() {
        assert_eq!(square_side(16, 32, 0), 0..8);
        assert_eq!(square_side(16, 32, 1 << 31), 8..24);
        assert_eq!(square_side(16, 32, u32::MAX), 23..32);
        assert_eq!(square_side(3, 32, 1 << 31), 15..18);
        assert_eq!(square_side(0, 32, 1 << 31), 16..16);
    }
}
