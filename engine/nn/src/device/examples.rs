//! Examples on a device: what batches are gathered from.

use std::{ops::Range, sync::Arc};

use esper_kernels::cpu::AugmentShape;

use super::{Buffer, Device, DeviceError};

/// What a network sees of each example.
#[derive(Debug)]
pub enum ExampleFeatures {
    /// `f32[len, width]`, one example after another.
    Dense {
        /// The numbers.
        values: Buffer,
        /// Values an example.
        width: usize,
        /// How images are varied to train on; `None` leaves them as they are.
        augment: Option<AugmentShape>,
    },
    /// Windows of a text that lie end to end: `u32[n_tokens]`, `context` an example.
    Windows {
        /// The tokens of the whole text.
        tokens: Buffer,
        /// Those that are seen and predicted here.
        part: Range<usize>,
        /// Tokens an example.
        context: usize,
    },
}

/// What a network should say of each example.
#[derive(Debug)]
pub enum ExampleTargets {
    /// A class: `u32[len]`.
    Classes(Buffer),
    /// Values: `f32[len, width]`.
    Values {
        /// The numbers.
        values: Buffer,
        /// Values an example.
        width: usize,
    },
    /// The token after each of the window's.
    NextTokens,
}

/// A part of a data set on a device, shared by every host that reads it.
#[derive(Debug)]
pub struct Examples {
    /// What a network sees.
    pub features: ExampleFeatures,
    /// What it should say.
    pub targets: ExampleTargets,
}

impl Examples {
    /// Labels of an example: one, or of text one a token; none where values are predicted.
    pub const fn labels_per_example(&self) -> usize {
        match (&self.targets, &self.features) {
            (ExampleTargets::Classes(_), _) => 1,
            (ExampleTargets::NextTokens, ExampleFeatures::Windows { context, .. }) => *context,
            _ => 0,
        }
    }

    /// Values to predict, an example.
    pub const fn values_per_example(&self) -> usize {
        match &self.targets {
            ExampleTargets::Values { width, .. } => *width,
            _ => 0,
        }
    }

    /// Puts dense features with classes on `device`.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    pub fn classes(
        device: &dyn Device,
        features: Arc<[f32]>,
        labels: Arc<[u32]>,
    ) -> Result<Self, DeviceError> {
        let width = features.len() / labels.len().max(1);
        let values = device.share_f32(features)?;
        let features = ExampleFeatures::Dense { values, width, augment: None };
        Ok(Self { features, targets: ExampleTargets::Classes(device.share_u32(labels)?) })
    }
}
