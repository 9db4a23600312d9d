//! Images varied as they are gathered.

use super::{bits, numbers, unwritten};
use esper_kernels::cpu::{AugmentShape, augment_images};
use esper_kernels::oracle;
use proptest::prelude::*;

/// Images, and how far they may be varied: padding narrower than every axis of more than one pixel.
fn shapes() -> impl Strategy<Value = AugmentShape> {
    let sizes = (1_usize..4, 1_usize..7, 1_usize..9);
    (sizes, 0_usize..7, any::<bool>(), 0_usize..10).prop_map(|(size, padding, flip, cutout)| {
        let (channels, height, width) = size;
        let axes = [height, width].into_iter().filter(|axis| 1 < *axis);
        let crop_padding = padding.min(axes.min().map_or(0, |axis| axis - 1));
        AugmentShape { channels, height, width, crop_padding, flip, cutout }
    })
}

proptest! {
    #[test]
    fn every_pixel_is_the_one_that_the_oracle_shows(
        shape in shapes(), key: u64, epoch: u64, picks in prop::collection::vec(0_u32..12, 0..6),
    ) {
        let x = numbers(1, 12 * shape.image_len());
        let mut y = unwritten(picks.len() * shape.image_len());
        augment_images(shape, key, epoch, &x, &picks, &mut y);
        let want = oracle::augment_images(shape, key, epoch, &x, &picks);
        prop_assert_eq!(bits(&y), bits(&want));
    }
}

#[test]
fn nothing_is_varied_where_nothing_is_asked_for() {
    let shape =
        AugmentShape { channels: 2, height: 3, width: 4, crop_padding: 0, flip: false, cutout: 0 };
    let x = numbers(1, 3 * shape.image_len());
    let mut y = unwritten(2 * shape.image_len());
    augment_images(shape, 1, 2, &x, &[2, 0], &mut y);
    assert_eq!(bits(&y), bits(&oracle::gather_rows(shape.image_len(), &x, &[2, 0])));
}
