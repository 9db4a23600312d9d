//! Which kernel an instruction of the forward pass is.

use crate::{device::pass::ProgramPass, op::Forward};

impl ProgramPass<'_> {
    /// Runs one instruction and returns how many examples it found classified right.
    pub(super) fn forward(&mut self, instr: &Forward) -> usize {
        match instr {
            Forward::Linear(it) => self.linear(it),
            Forward::Conv2d(it) => self.conv2d(it),
            Forward::Embedding(it) => self.embedding(it),
            Forward::Patches(it) => self.patches(it),
            Forward::Attention(it) => self.attention(it),
            Forward::Bias(it) => self.bias(it),
            Forward::LayerScale(it) => self.layer_scale(it),
            Forward::Gate(it) => self.gate(it),
            Forward::Activation(it) => self.activation(it),
            Forward::LayerNorm(it) => self.layer_norm(it),
            Forward::RmsNorm(it) => self.rms_norm(it),
            Forward::GroupNorm(it) => self.group_norm(it),
            Forward::BatchNorm(it) => self.batch_norm(it),
            Forward::Add(it) => self.add(it),
            Forward::Multiply(it) => self.multiply(it),
            Forward::ChannelMultiply(it) => self.channel_multiply(it),
            Forward::Residual(it) => self.residual(it),
            Forward::Blend(it) => self.blend(it),
            Forward::Scale(it) => self.scale(it),
            Forward::Dropout(it) => self.dropout(it),
            Forward::MaxPool2d(it) => self.max_pool2d(it),
            Forward::AvgPool2d(it) => self.avg_pool2d(it),
            Forward::GlobalAvgPool(it) => self.global_avg_pool(it),
            Forward::MeanPositions(it) => self.mean_positions(it),
            Forward::CopyColumns(it) => self.copy_columns(it),
            Forward::Copy(it) => self.copy(it),
            // What seeds do there, the plan has instructions for.
            Forward::Site(_) => {}
            Forward::CrossEntropy(it) => return self.cross_entropy(it),
            Forward::MeanSquaredError(it) => self.mean_squared_error(it),
            Forward::Softplus(it) => self.softplus(it),
        }
        0
    }
}
