//! Batches as a step on a device is given them, for tests to look at.

use esper_kernels::cpu::{augment_images, gather_rows, gather_windows};

use super::{Augment, Dataset, Draw, Features, Targets};

/// What the kernels make of a batch's arguments.
pub(super) struct Gathered {
    /// `f32[rows, elems]`; of a text the bit patterns of its tokens.
    pub features: Vec<f32>,
    /// `u32[rows, labels_per_example]`; none of values.
    pub labels: Vec<u32>,
    /// `f32[rows, width]`; none of classes.
    pub values: Vec<f32>,
}

impl Gathered {
    /// The examples `indices` of `set`, varied as `augment` says.
    pub(super) fn new(set: &Dataset, augment: &Augment, indices: &[u32], draw: Draw) -> Self {
        let batch = set.batch(indices, draw);
        let mut features = vec![0.0; indices.len() * set.elems()];
        let shape = augment.shape(&set.example_shape).filter(|_| !augment.is_off());
        match (&set.features, shape.zip(batch.augment)) {
            (Features::Dense(x), Some((shape, (key, epoch)))) => {
                augment_images(shape, key, epoch, x, batch.indices, &mut features);
            }
            (Features::Dense(x), None) => {
                gather_rows(set.elems(), x, batch.indices, &mut features);
            }
            (Features::Windows(windows), _) => {
                let ((text, part), context) = (windows.text(), windows.context());
                let tokens = bytemuck::cast_slice_mut(&mut features);
                gather_windows(context, batch.shift, &text[part], batch.indices, tokens);
            }
        }
        let (mut labels, mut values) = (Vec::new(), Vec::new());
        match &set.targets {
            Targets::Classes { labels: all, .. } => {
                labels.resize(indices.len(), 0);
                gather_rows(1, all, batch.indices, &mut labels);
            }
            Targets::Values { values: all, width } => {
                values.resize(indices.len() * width, 0.0);
                gather_rows(*width, all, batch.indices, &mut values);
            }
            Targets::NextTokens(windows) => {
                let ((text, part), context) = (windows.text(), windows.context());
                labels.resize(indices.len() * context, 0);
                let shift = batch.shift + 1;
                gather_windows(context, shift, &text[part], batch.indices, &mut labels);
            }
        }
        Self { features, labels, values }
    }

    /// The tokens of a text: `u32[rows, context]`.
    pub(super) fn tokens(&self) -> Vec<u32> {
        self.features.iter().map(|token| token.to_bits()).collect()
    }
}
