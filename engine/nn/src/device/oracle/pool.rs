//! Pools.

use esper_kernels::oracle;

use super::Loops;
use crate::op::{AvgPool2dForward, AvgPool2dGrad, MaxPool2dForward, MaxPool2dGrad};

impl Loops<'_, '_> {
    pub(super) fn max_pool2d(&mut self, it: &MaxPool2dForward) {
        let y = oracle::max_pool2d(it.shape.times(self.rows()), self.read(it.x));
        self.write(it.y, &y, false);
    }

    pub(super) fn max_pool2d_grad(&mut self, it: &MaxPool2dGrad) {
        let shape = it.shape.times(self.rows());
        let dx = oracle::max_pool2d_grad(shape, self.read(it.dy), self.read(it.x));
        self.write(it.dx, &dx, it.accumulate);
    }

    pub(super) fn avg_pool2d(&mut self, it: &AvgPool2dForward) {
        let y = oracle::avg_pool2d(it.shape.times(self.rows()), self.read(it.x));
        self.write(it.y, &y, false);
    }

    pub(super) fn avg_pool2d_grad(&mut self, it: &AvgPool2dGrad) {
        let dx = oracle::avg_pool2d_grad(it.shape.times(self.rows()), self.read(it.dy));
        self.write(it.dx, &dx, it.accumulate);
    }
}
