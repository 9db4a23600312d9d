//! Images varied as they are gathered to train on: flipped, cropped after padding, cut out.

use esper_kernels::cpu::AugmentShape;

use super::DataFault;

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
        let Some(size) = self.shape(example_shape) else {
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

    /// The images `example_shape`, varied so; none where they are no images.
    pub(super) fn shape(&self, example_shape: &[usize]) -> Option<AugmentShape> {
        let [channels, height, width] = match *example_shape {
            [width] => [1, 1, width],
            [height, width] => [1, height, width],
            [channels, height, width] => [channels, height, width],
            _ => return None,
        };
        let Self { crop_padding, flip, cutout } = *self;
        Some(AugmentShape { channels, height, width, crop_padding, flip, cutout })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Dataset, Draw, Targets, testing::Gathered};

    fn draw(epoch: u64) -> Draw {
        Draw { run_seed: 1, stream: 0, epoch, is_training: true }
    }

    /// The images `indices` as a step on a device is given them.
    fn gather(
        augment: &Augment,
        images: &[f32],
        shape: &[usize],
        indices: &[u32],
        draw: Draw,
    ) -> Vec<f32> {
        let elems: usize = shape.iter().product();
        let values = Targets::Values { values: vec![0.0; images.len() / elems].into(), width: 1 };
        let set = Dataset::new(images.to_vec(), shape.to_vec(), values).expect("images");
        Gathered::new(&set, augment, indices, draw).features
    }

    /// An image whose every pixel is another, and none is zero.
    fn image(len: usize) -> Vec<f32> {
        (1..=len).map(|pixel| pixel as f32).collect()
    }

    proptest! {
        #[test]
        fn a_batch_is_the_same_however_it_is_cut(
            epoch: u64, run_seed: u64, cut in 1_usize..12, crop_padding in 0_usize..4, flip: bool,
        ) {
            let augment = Augment { crop_padding, flip, cutout: 2 };
            let images: Vec<f32> = (0..12 * 60).map(|pixel| pixel as f32).collect();
            let shape = [3, 5, 4];
            let draw = Draw { run_seed, ..draw(epoch) };
            let indices = [3, 0, 11, 7, 7, 1, 2, 10, 9, 4, 5, 6];
            let whole = gather(&augment, &images, &shape, &indices, draw);
            let pieces = indices.chunks(cut).flat_map(|it| gather(&augment, &images, &shape, it, draw));
            let pieces: Vec<f32> = pieces.collect();
            prop_assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn a_cutout_is_a_square_around_any_pixel() {
        let augment = Augment { cutout: 4, ..Augment::default() };
        let image = image(2 * 9 * 9);
        let out = gather(&augment, &image, &[2, 9, 9], &[0], draw(4));
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
        let indices: Vec<u32> = (0..20).collect();
        let gather = |draw: Draw| gather(&augment, &images, &[8, 8], &indices, draw);
        let base = gather(draw(0));
        assert_eq!(base, gather(draw(0)));
        assert_ne!(base, gather(draw(1)));
        assert_ne!(base, gather(draw(1 << 32)));
        assert_ne!(base, gather(Draw { run_seed: 2, ..draw(0) }));
        assert_ne!(base, gather(Draw { stream: 1, ..draw(0) }));
    }

    #[test]
    fn a_signal_is_an_image_of_height_one() {
        let signal = image(40);
        for shape in [&[40][..], &[1, 40], &[1, 1, 40]] {
            let augment = Augment { crop_padding: 4, flip: true, cutout: 6 };
            augment.check(shape).expect("a signal");
            let out = gather(&augment, &signal, shape, &[0], draw(2));
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
