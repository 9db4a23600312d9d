//! The ends of a host's forward pass.

use esper_kernels::oracle;

use super::Loops;
use crate::{
    device::pass::Targets,
    op::{CrossEntropy, MeanSquaredError},
    tensor::TensorId,
};

impl Loops<'_, '_> {
    /// Softmax cross-entropy; returns how many positions were classified right.
    pub(super) fn cross_entropy(&mut self, it: &CrossEntropy) -> usize {
        let CrossEntropy { positions, logits, gradient } = *it;
        let classes = self.0.width(logits) / positions;
        let Targets::Classes(labels) = self.0.pass.targets else {
            panic!("cross-entropy needs classes");
        };
        let logits = self.read(logits);
        let each = oracle::softmax_cross_entropy(classes, logits, labels);
        let dlogits = oracle::softmax_cross_entropy_grad(classes, logits, labels);
        let n_correct = oracle::n_right(classes, logits, labels);
        let losses: Vec<f32> = each.chunks_exact(positions).map(oracle::mean).collect();
        self.end(gradient, &losses, &dlogits);
        n_correct
    }

    pub(super) fn mean_squared_error(&mut self, it: &MeanSquaredError) {
        let MeanSquaredError { prediction, gradient } = *it;
        let width = self.0.width(prediction);
        let Targets::Values(values) = self.0.pass.targets else {
            panic!("mean squared error needs values");
        };
        let prediction = self.read(prediction);
        let losses = oracle::mean_squared_error(width, prediction, values);
        let slopes = oracle::mean_squared_error_grad(prediction, values);
        self.end(gradient, &losses, &slopes);
    }

    /// Writes the losses, and while training the gradient that the backward pass begins with.
    fn end(&mut self, gradient: TensorId, losses: &[f32], slopes: &[f32]) {
        let rows = self.rows();
        oracle::write(&mut self.0.tensors.losses[..rows], losses, false);
        if self.0.pass.is_training {
            self.write(gradient, slopes, false);
        }
    }
}
