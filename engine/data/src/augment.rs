//! Images varied as they are gathered to train on: flipped, cropped after padding, cut out.

use std::ops::Range;

use esper_kernels::random::below_u32;

use super::{DataFault, Draw, draw::ExampleDraws};

/// How training images are varied; the default varies nothing.
///
/// In the order applied, each drawn anew for every example and epoch. Examples are images
/// `[channels, height, width]` or `[height, width]`, or signals `[length]`, which are images of
/// height one; an axis of length one is neither padded nor cropped. What is filled in is zero: the
/// mean of a standardised image. Rows of tables, windows of text and arrays of more axes have no
/// such neighbourhoods and are refused. Whether a flip keeps the class is for the user to know:
/// it does for photographs, and not for digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augment {
    /// A window as large as the image, anywhere in the image with this many zeros put on each
    /// side: torchvision's `RandomCrop(size, padding)`. Zero is none.
    pub crop_padding: usize,
    /// Whether the last axis is reversed in one example of two: `RandomHorizontalFlip`.
    pub flip: bool,
    /// Side of a square of zeros whose centre is any pixel, so that it may lie partly outside
    /// (DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with
    /// Cutout", section 3.2). Zero is none.
    pub cutout: usize,
}

impl Augment {
    /// Whether images stay as they are.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that examples of `example_shape` can be varied so.
    ///
    /// # Errors
    ///
    /// Returns a [`DataFault`] when they are no images, when padding is not narrower than the
    /// image, or when a cutout is wider.
    pub fn check(&self, example_shape: &[usize]) -> Result<(), DataFault> {
        if self.is_off() {
            return Ok(());
        }
        let Some(size) = Size::of(example_shape) else {
            return Err(DataFault::NotAnImage { kind: "arrays of more than three axes" });
        };
        let axes = [size.height, size.width].into_iter().filter(|axis| 1 < *axis);
        let side = axes.min().unwrap_or(0);
        let limits = [
            ("crop_padding", self.crop_padding, side.saturating_sub(1)),
            ("cutout", self.cutout, side),
        ];
        match limits.into_iter().find(|(_, value, max)| max < value) {
            Some((name, value, max)) => {
                let shape = example_shape.to_vec();
                Err(DataFault::AugmentRange { name, value, max, shape })
            }
            None => Ok(()),
        }
    }

    /// Writes the examples `indices` of `features`, varied, `f32[indices.len(), elems]`.
    ///
    /// # Panics
    ///
    /// If the examples do not pass [`Augment::check`].
    pub(super) fn gather(
        &self,
        features: &[f32],
        example_shape: &[usize],
        indices: &[u32],
        draw: Draw,
        batch: &mut [f32],
    ) {
        let size = Size::of(example_shape).expect("only images are augmented");
        let elems = size.channels * size.height * size.width;
        assert_eq!(batch.len(), indices.len() * elems, "one row for each index");
        let draws = draw.examples();
        for (out, &index) in batch.chunks_exact_mut(elems).zip(indices) {
            let image = &features[index as usize * elems..][..elems];
            Variation::draw(self, size, draws, index).write(size, image, out);
        }
    }
}

/// The axes of an image.
#[derive(Clone, Copy, Debug)]
struct Size {
    channels: usize,
    height: usize,
    width: usize,
}

impl Size {
    fn of(example_shape: &[usize]) -> Option<Self> {
        match *example_shape {
            [width] => Some(Self { channels: 1, height: 1, width }),
            [height, width] => Some(Self { channels: 1, height, width }),
            [channels, height, width] => Some(Self { channels, height, width }),
            _ => None,
        }
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
    fn draw(augment: &Augment, size: Size, draws: ExampleDraws, example: u32) -> Self {
        let [flip, down, right, _] = draws.words(example, 0);
        let [centre_y, centre_x, ..] = draws.words(example, 1);
        Self {
            rows: Crop::draw(augment.crop_padding, size.height, down),
            columns: Crop::draw(augment.crop_padding, size.width, right),
            is_flipped: augment.flip && flip >> 31 == 1,
            cut: [
                square_side(augment.cutout, size.height, centre_y),
                square_side(augment.cutout, size.width, centre_x),
            ],
        }
    }

    fn write(&self, size: Size, image: &[f32], out: &mut [f32]) {
        let plane_elems = size.height * size.width;
        let [cut_rows, cut_columns] = &self.cut;
        for (plane, out) in image.chunks_exact(plane_elems).zip(out.chunks_exact_mut(plane_elems)) {
            for (y, row) in out.chunks_exact_mut(size.width).enumerate() {
                match self.rows.source(y, size.height) {
                    Some(from) => self.write_row(&plane[from * size.width..][..size.width], row),
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

    const STILL: Crop = Crop { padding: 0, offset: 0 };

    fn draw(epoch: u64) -> Draw {
        Draw { run_seed: 1, stream: 0, epoch, is_training: true }
    }

    fn size(channels: usize, height: usize, width: usize) -> Size {
        Size { channels, height, width }
    }

    /// An image whose every pixel is another, and none is zero.
    fn image(size: Size) -> Vec<f32> {
        (1..=size.channels * size.height * size.width).map(|pixel| pixel as f32).collect()
    }

    fn written(variation: &Variation, size: Size, image: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; image.len()];
        variation.write(size, image, &mut out);
        out
    }

    fn sizes() -> impl Strategy<Value = Size> {
        (1_usize..4, 1_usize..7, 2_usize..9).prop_map(|(c, h, w)| size(c, h, w))
    }

    proptest! {
        #[test]
        fn flipping_twice_gives_the_image_back(size in sizes()) {
            let flip =
                Variation { rows: STILL, columns: STILL, is_flipped: true, cut: [0..0, 0..0] };
            let image = image(size);
            let once = written(&flip, size, &image);
            prop_assert_ne!(&once, &image);
            prop_assert_eq!(written(&flip, size, &once), image);
        }

        #[test]
        fn every_pixel_is_the_one_that_the_crop_shows_or_zero(
            size in sizes(), padding in 0_usize..7, words: [u32; 2], is_flipped: bool,
        ) {
            let padding = [size.height, size.width].into_iter().filter(|it| 1 < *it)
                .map(|axis| axis - 1).min().unwrap_or(0).min(padding);
            let rows = Crop::draw(padding, size.height, words[0]);
            let columns = Crop::draw(padding, size.width, words[1]);
            let variation = Variation { rows, columns, is_flipped, cut: [0..0, 0..0] };
            let image = image(size);
            let out = written(&variation, size, &image);
            let at = |c: usize, y: usize, x: usize| (c * size.height + y) * size.width + x;
            for c in 0..size.channels {
                for y in 0..size.height {
                    for x in 0..size.width {
                        let cropped = if is_flipped { size.width - 1 - x } else { x };
                        let from = rows.source(y, size.height).zip(columns.source(cropped, size.width));
                        let expected = from.map_or(0.0, |(y, x)| image[at(c, y, x)]);
                        prop_assert_eq!(out[at(c, y, x)], expected);
                    }
                }
            }
        }

        #[test]
        fn a_batch_is_the_same_however_it_is_cut(
            epoch: u64, run_seed: u64, cut in 1_usize..12, crop_padding in 0_usize..4, flip: bool,
        ) {
            let augment = Augment { crop_padding, flip, cutout: 2 };
            let size = size(3, 5, 4);
            let images: Vec<f32> = (0..12 * 60).map(|pixel| pixel as f32).collect();
            let shape = [size.channels, size.height, size.width];
            let draw = Draw { run_seed, ..draw(epoch) };
            let indices = [3, 0, 11, 7, 7, 1, 2, 10, 9, 4, 5, 6];
            let mut whole = vec![f32::NAN; 12 * 60];
            augment.gather(&images, &shape, &indices, draw, &mut whole);
            let mut pieces = vec![f32::NAN; 12 * 60];
            for (indices, piece) in indices.chunks(cut).zip(pieces.chunks_mut(cut * 60)) {
                augment.gather(&images, &shape, indices, draw, piece);
            }
            prop_assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn a_crop_shows_every_offset_and_a_flip_half_of_the_images() {
        let augment = Augment { crop_padding: 2, flip: true, cutout: 0 };
        let (mut offsets, mut n_flipped) = ([[0_u32; 5]; 5], 0);
        for example in 0..25_000 {
            let it = Variation::draw(&augment, size(3, 8, 8), draw(9).examples(), example);
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

        let augment = Augment { cutout: 4, ..Augment::default() };
        let image = image(size(2, 9, 9));
        let mut out = image.clone();
        augment.gather(&image, &[2, 9, 9], &[0], draw(4), &mut out);
        let zeros = |plane: &[f32]| plane.iter().map(|x| *x == 0.0).collect::<Vec<_>>();
        let [first, second] = [zeros(&out[..81]), zeros(&out[81..])];
        assert_eq!(first, second, "every channel is cut at the same place");
        let n_cut = first.iter().filter(|is_cut| **is_cut).count();
        assert!((4..=16).contains(&n_cut), "{n_cut}");
        assert!(out.iter().zip(&image).all(|(y, x)| *y == 0.0 || y == x), "the rest is untouched");
    }

    #[test]
    fn every_part_of_the_key_changes_what_is_drawn() {
        let augment = Augment { crop_padding: 2, flip: true, cutout: 3 };
        let images: Vec<f32> = (1..=20 * 64).map(|pixel| pixel as f32).collect();
        let gather = |draw: Draw| {
            let mut batch = vec![0.0; images.len()];
            augment.gather(&images, &[8, 8], &(0..20).collect::<Vec<_>>(), draw, &mut batch);
            batch
        };
        let base = gather(draw(0));
        assert_eq!(base, gather(draw(0)));
        assert_ne!(base, gather(draw(1)));
        assert_ne!(base, gather(draw(1 << 32)));
        assert_ne!(base, gather(Draw { run_seed: 2, ..draw(0) }));
        assert_ne!(base, gather(Draw { stream: 1, ..draw(0) }));
    }

    #[test]
    fn a_signal_is_an_image_of_height_one() {
        let signal = image(size(1, 1, 40));
        for shape in [&[40][..], &[1, 40], &[1, 1, 40]] {
            let augment = Augment { crop_padding: 4, flip: true, cutout: 6 };
            augment.check(shape).expect("a signal");
            let mut out = vec![f32::NAN; 40];
            augment.gather(&signal, shape, &[0], draw(2), &mut out);
            let n_kept = out.iter().filter(|x| **x != 0.0).count();
            assert!((30..=37).contains(&n_kept), "{out:?}");
        }
    }

    #[test]
    fn what_can_not_be_varied_is_refused() {
        let crop = |crop_padding| Augment { crop_padding, ..Augment::default() };
        let cutout = |cutout| Augment { cutout, ..Augment::default() };
        for (augment, shape) in [
            (crop(7), &[3, 8, 8][..]),
            (crop(7), &[3, 9, 8]),
            (crop(39), &[1, 1, 40]),
            (crop(0), &[2, 3, 4, 5]),
            (cutout(8), &[8, 8]),
        ] {
            augment.check(shape).expect("it fits");
        }
        for (augment, shape) in [
            (crop(8), &[3, 8, 8][..]),
            (crop(8), &[3, 9, 8]),
            (crop(40), &[1, 1, 40]),
            (crop(1), &[1]),
            (cutout(9), &[8, 8]),
            (cutout(usize::MAX), &[8, 8]),
        ] {
            let fault = augment.check(shape).expect_err("it does not fit");
            assert!(matches!(fault, DataFault::AugmentRange { .. }), "{shape:?}");
        }
        let fault = crop(1).check(&[2, 3, 4, 5]).expect_err("no image");
        assert!(matches!(fault, DataFault::NotAnImage { .. }));
    }
}
