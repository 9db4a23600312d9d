//! Which tensors an instruction touches.

use super::{Instr, TensorId};

impl Instr {
    /// Every tensor the instruction touches; the last of a forward instruction is the one it writes.
    pub fn tensors(&self) -> Vec<TensorId> {
        self.forward_tensors().unwrap_or_else(|| self.backward_tensors())
    }

    fn forward_tensors(&self) -> Option<Vec<TensorId>> {
        Some(match *self {
            Self::Linear { x, pre, y, .. } => {
                [Some(x), pre, Some(y)].into_iter().flatten().collect()
            }
            Self::Conv2d { x, y, .. }
            | Self::Embedding { x, y, .. }
            | Self::Patches { x, y, .. }
            | Self::Bias { x, y, .. }
            | Self::FeatureMap { x, y, .. }
            | Self::Activation { x, y, .. }
            | Self::Scale { x, y, .. }
            | Self::Dropout { x, y, .. }
            | Self::MaxPool { x, y, .. }
            | Self::AvgPool { x, y, .. }
            | Self::ChannelMean { x, y, .. }
            | Self::MeanPositions { x, y, .. }
            | Self::CopyColumns { x, y, .. }
            | Self::Copy { x, y } => vec![x, y],
            Self::Attention { x, lse, y, .. } => vec![x, lse, y],
            Self::LayerNorm { x, mean, rstd, y, .. }
            | Self::GroupNorm { x, mean, rstd, y, .. }
            | Self::BatchNorm { x, mean, rstd, y, .. } => vec![x, mean, rstd, y],
            Self::RmsNorm { x, rstd, y, .. } => vec![x, rstd, y],
            Self::Add { a, b, y } | Self::Multiply { a, b, y } => vec![a, b, y],
            Self::ChannelMultiply { x, scales, y, .. } => vec![x, scales, y],
            Self::Residual { x, f, y, .. } => vec![x, f, y],
            Self::Blend { x, m, y, .. } => vec![x, m, y],
            Self::Site { x, .. } => vec![x],
            Self::CrossEntropy { logits, gradient, .. } => vec![logits, gradient],
            Self::MeanSquaredError { prediction, gradient } => vec![prediction, gradient],
            _ => return None,
        })
    }

    fn backward_tensors(&self) -> Vec<TensorId> {
        match *self {
            Self::LinearGradWeight { dy, x, .. }
            | Self::Conv2dGradWeight { dy, x, .. }
            | Self::EmbeddingGrad { dy, x, .. } => vec![dy, x],
            Self::BiasGrad { dy, .. } => vec![dy],
            Self::ActivationGrad { saved, dy, .. } | Self::ActivationBiasGrad { saved, dy, .. } => {
                vec![saved, dy]
            }
            Self::LayerNormGrad { dy, x, mean, rstd, dx, .. }
            | Self::GroupNormGrad { dy, x, mean, rstd, dx, .. } => vec![dy, x, mean, rstd, dx],
            Self::BatchNormGrad { dy, x, rectified, mean, rstd, dx, .. } => {
                let all = [Some(dy), Some(x), rectified, Some(mean), Some(rstd), Some(dx)];
                all.into_iter().flatten().collect()
            }
            Self::RmsNormGrad { dy, x, rstd, dx, .. } => vec![dy, x, rstd, dx],
            Self::AttentionGrad { dy, x, y, lse, dx, .. } => vec![dy, x, y, lse, dx],
            Self::MaxPoolGrad { dy, x, y, dx, .. } => vec![dy, x, y, dx],
            Self::LinearGradInput { dy, dx, .. }
            | Self::Conv2dGradInput { dy, dx, .. }
            | Self::PatchesGrad { dy, dx, .. }
            | Self::PassGrad { dy, dx, .. }
            | Self::ScaleGrad { dy, dx, .. }
            | Self::DropoutGrad { dy, dx, .. }
            | Self::AvgPoolGrad { dy, dx, .. }
            | Self::ChannelMeanGrad { dy, dx, .. }
            | Self::MeanPositionsGrad { dy, dx, .. }
            | Self::TakeColumns { dy, dx, .. } => vec![dy, dx],
            Self::MultiplyGrad { dy, other, dx, .. } => vec![dy, other, dx],
            Self::ChannelMultiplyGrad { dy, scales, dx, .. } => vec![dy, scales, dx],
            Self::ChannelScalesGrad { dy, x, dx, .. } | Self::FeatureMapGrad { dy, x, dx, .. } => {
                vec![dy, x, dx]
            }
            Self::SiteGrad { x, gradient, .. } => vec![x, gradient],
            _ => unreachable!("forward instructions were looked up first: {self:?}"),
        }
    }
}
