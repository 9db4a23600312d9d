//! Data sets on a device, and which of their examples a batch is made of.

use esper_nn::{
    device::{Device, DeviceError, ExampleFeatures, ExampleTargets, Examples},
    plan::BatchArgs,
};

use super::{Augment, Dataset, Draw, Features, SplitData, Targets};

/// A data set in its three parts, on a device.
#[derive(Debug)]
pub struct DeviceData {
    /// What gradients are computed on; varied as it is gathered.
    pub train: Examples,
    /// What decisions are made on.
    pub validation: Examples,
    /// What is read once, at the end.
    pub test: Examples,
}

impl DeviceData {
    /// Puts `data` on `device`.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn new(data: &SplitData, device: &dyn Device) -> Result<Self, DeviceError> {
        let still = Augment::default();
        Ok(Self {
            train: data.train.upload(device, &data.augment)?,
            validation: data.validation.upload(device, &still)?,
            test: data.test.upload(device, &still)?,
        })
    }
}

impl Dataset {
    /// Puts the examples on `device`, to be varied as `augment` says.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    ///
    /// # Panics
    ///
    /// If images to be varied do not pass [`Augment::check`].
    pub fn upload(&self, device: &dyn Device, augment: &Augment) -> Result<Examples, DeviceError> {
        let features = match &self.features {
            Features::Dense(values) => ExampleFeatures::Dense {
                values: device.share_f32(values.clone())?,
                width: self.elems(),
                augment: (!augment.is_off())
                    .then(|| augment.shape(&self.example_shape).expect("only images are varied")),
            },
            Features::Windows(windows) => {
                let (tokens, part) = windows.text();
                let tokens = device.share_u32(tokens.clone())?;
                ExampleFeatures::Windows { tokens, part, context: windows.context() }
            }
        };
        let targets = match &self.targets {
            Targets::Classes { labels, .. } => {
                ExampleTargets::Classes(device.share_u32(labels.clone())?)
            }
            Targets::Values { values, width } => {
                ExampleTargets::Values { values: device.share_f32(values.clone())?, width: *width }
            }
            Targets::NextTokens(_) => ExampleTargets::NextTokens,
        };
        Ok(Examples { features, targets })
    }

    /// The batch of the examples `indices`, shifted and varied as `draw` says.
    pub fn batch<'a>(&self, indices: &'a [u32], draw: Draw) -> BatchArgs<'a> {
        let shift = match &self.features {
            Features::Windows(windows) => windows.shift(draw),
            Features::Dense(_) => 0,
        };
        let augment = draw.is_training.then(|| (draw.augment_key(), draw.epoch));
        BatchArgs { indices, shift, augment }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Windows, testing::Gathered};

    const DRAW: Draw = Draw { run_seed: 0, stream: 0, epoch: 0, is_training: true };

    fn classes(labels: &[u32]) -> Targets {
        Targets::Classes { labels: labels.into(), n_classes: 2 }
    }

    #[test]
    fn a_batch_holds_the_examples_asked_for_in_that_order() {
        let features: Vec<f32> = (0..8).map(|value| value as f32).collect();
        let set = Dataset::new(features, vec![2], classes(&[0, 1, 1, 0])).expect("valid");
        let batch = Gathered::new(&set, &Augment::default(), &[3, 0, 3], DRAW);
        assert_eq!(batch.features, [6.0, 7.0, 0.0, 1.0, 6.0, 7.0]);
        assert_eq!(batch.labels, [0, 0, 0]);
        let batch = Gathered::new(&set, &Augment::default(), &[1, 2, 3], DRAW);
        assert_eq!(batch.features, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(batch.labels, [1, 1, 0]);
        assert_eq!(set.example(2), [4.0, 5.0]);
        assert_eq!((set.labels_per_example(), set.vocabulary()), (1, None));
    }

    #[test]
    fn only_training_batches_are_varied() {
        let features: Vec<f32> = (1..=64).map(|value| value as f32).collect();
        let set =
            Dataset::new(features.clone(), vec![4, 4], classes(&[0, 1, 1, 0])).expect("valid");
        let augment = Augment { crop_padding: 3, flip: true, cutout: 2 };
        let gather = |draw| Gathered::new(&set, &augment, &[0, 1, 2, 3], draw).features;
        assert_ne!(gather(DRAW), features);
        assert_eq!(gather(Draw { is_training: false, ..DRAW }), features);
    }

    #[test]
    fn a_batch_of_text_and_its_labels_are_shifted_alike() {
        let windows = Windows::new((0..60).collect::<Vec<_>>(), 5, 60).expect("valid");
        let set = Dataset::of_windows(windows.training(0..60).expect("long enough"));
        assert_eq!((set.elems(), set.labels_per_example()), (5, 5));
        assert_eq!((set.vocabulary(), set.targets.n_outputs()), (Some(60), 60));
        for epoch in 0..20 {
            let draw = Draw { epoch, ..DRAW };
            let batch = Gathered::new(&set, &Augment::default(), &[4, 0, 9], draw);
            let (tokens, labels) = (batch.tokens(), batch.labels);
            assert!(tokens.iter().zip(&labels).all(|(token, next)| token + 1 == *next));
            assert_eq!(tokens[0], tokens[5] + 20, "four windows apart");
        }
        let still = Draw { is_training: false, ..DRAW };
        let batch = Gathered::new(&set, &Augment::default(), &[3, 4], still);
        assert!(batch.tokens().into_iter().eq(15..25) && batch.labels.into_iter().eq(16..26));
    }

    #[test]
    fn values_have_no_labels() {
        let values = Targets::Values { values: [0.5, 1.5].into(), width: 1 };
        let set = Dataset::new(vec![0.0; 2], vec![1], values).expect("valid");
        let batch = Gathered::new(&set, &Augment::default(), &[1], DRAW);
        assert_eq!((batch.labels, batch.values), (vec![], vec![1.5]));
    }
}
