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
