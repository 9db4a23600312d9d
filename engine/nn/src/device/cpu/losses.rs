//! The ends of a host's forward pass.

use esper_kernels::cpu;

use super::DISJOINT;
use crate::{
    device::pass::{ProgramPass, Targets},
    op::{CrossEntropy, MeanSquaredError},
};

impl ProgramPass<'_> {
    /// Softmax cross-entropy; returns how many positions were classified right.
    pub(super) fn cross_entropy(&mut self, it: &CrossEntropy) -> usize {
        let CrossEntropy { positions, logits, gradient } = *it;
        let rows = self.pass.rows * positions;
        let (classes, is_training) = (self.width(logits) / positions, self.pass.is_training);
        let Targets::Classes(labels) = self.pass.targets else {
            panic!("cross-entropy needs classes");
        };
        let ranges = [self.range(logits), self.range(gradient)];
        let [logits, gradient] = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
        let losses = &mut self.tensors.losses[..self.pass.rows];
        let gradient = is_training.then_some(gradient);
        if positions == 1 {
            return cpu::softmax_cross_entropy(rows, classes, logits, labels, losses, gradient);
        }
        let each = &mut self.tensors.scratch[..rows];
        let n_correct = cpu::softmax_cross_entropy(rows, classes, logits, labels, each, gradient);
        for (loss, each) in losses.iter_mut().zip(each.chunks_exact(positions)) {
            *loss = cpu::sum(each) / positions as f32;
        }
        n_correct
    }

    pub(super) fn mean_squared_error(&mut self, it: &MeanSquaredError) {
        let MeanSquaredError { prediction, gradient } = *it;
        let (rows, width, is_training) =
            (self.pass.rows, self.width(prediction), self.pass.is_training);
        let Targets::Values(values) = self.pass.targets else {
            panic!("mean squared error needs values");
        };
        let ranges = [self.range(prediction), self.range(gradient)];
        let [prediction, gradient] =
            self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
        let losses = &mut self.tensors.losses[..rows];
        let gradient = is_training.then_some(gradient);
        cpu::mean_squared_error(rows, width, prediction, values, losses, gradient);
    }
}
