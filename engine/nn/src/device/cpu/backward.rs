//! Which kernel an instruction of the backward pass is.

use crate::{device::pass::ProgramPass, op::Backward};

impl ProgramPass<'_> {
    /// Runs one instruction.
    pub(super) fn backward(&mut self, instr: &Backward) {
        match instr {
            Backward::LinearGradWeight(it) => self.linear_grad_weight(it),
            Backward::LinearGradInput(it) => self.linear_grad_input(it),
            Backward::Conv2dGradWeight(it) => self.conv2d_grad_weight(it),
            Backward::Conv2dGradInput(it) => self.conv2d_grad_input(it),
            Backward::Embedding(it) => self.embedding_grad(it),
            Backward::Patches(it) => self.patches_grad(it),
            Backward::Attention(it) => self.attention_grad(it),
            Backward::Bias(it) => self.bias_grad(it),
            Backward::LayerScale(it) => self.layer_scale_grad(it),
            Backward::Gate(it) => self.gate_grad(it),
            Backward::Activation(it) => self.activation_grad(it),
            Backward::ActivationBias(it) => self.activation_bias_grad(it),
            Backward::LayerNorm(it) => self.layer_norm_grad(it),
            Backward::RmsNorm(it) => self.rms_norm_grad(it),
            Backward::GroupNorm(it) => self.group_norm_grad(it),
            Backward::BatchNorm(it) => self.batch_norm_grad(it),
            Backward::Pass(it) => self.pass_grad(it),
            Backward::Scale(it) => self.scale_grad(it),
            Backward::Multiply(it) => self.multiply_grad(it),
            Backward::ChannelMultiply(it) => self.channel_multiply_grad(it),
            Backward::ChannelScales(it) => self.channel_scales_grad(it),
            Backward::Dropout(it) => self.dropout_grad(it),
            Backward::MaxPool2d(it) => self.max_pool2d_grad(it),
            Backward::AvgPool2d(it) => self.avg_pool2d_grad(it),
            Backward::GlobalAvgPool(it) => self.global_avg_pool_grad(it),
            Backward::MeanPositions(it) => self.mean_positions_grad(it),
            Backward::TakeColumns(it) => self.take_columns(it),
            // What seeds do there, the plan has instructions for.
            Backward::Site(_) => {}
            Backward::Softplus(it) => self.softplus_grad(it),
        }
    }
}
