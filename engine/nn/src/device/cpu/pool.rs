//! Pools.

use esper_kernels::cpu;

use super::split::by_examples;
use crate::{
    device::pass::ProgramPass,
    op::{AvgPool2dForward, AvgPool2dGrad, MaxPool2dForward, MaxPool2dGrad},
};

impl ProgramPass<'_> {
    pub(super) fn max_pool2d(&mut self, it: &MaxPool2dForward) {
        let MaxPool2dForward { shape, x, y } = *it;
        let (rows, n_parts) = (self.pass.rows, self.n_parts_moving(self.width(x)));
        let [x, y] = self.get([x, y]);
        by_examples(n_parts, 0..rows, [x], [y], &mut [], &|rows, [x], [y], _| {
            cpu::max_pool2d_forward(shape.times(rows.len()), x, y);
        });
    }

    pub(super) fn max_pool2d_grad(&mut self, it: &MaxPool2dGrad) {
        let MaxPool2dGrad { shape, dy, x, y, dx, accumulate } = *it;
        let (rows, n_parts) = (self.pass.rows, self.n_parts_moving(2 * self.width(x)));
        let [dy, x, y, dx] = self.get([dy, x, y, dx]);
        let reads = [&*dy, &*x, &*y];
        by_examples(n_parts, 0..rows, reads, [dx], &mut [], &|rows, [dy, x, y], [dx], _| {
            cpu::max_pool2d_grad(shape.times(rows.len()), dy, x, y, dx, accumulate);
        });
    }

    pub(super) fn avg_pool2d(&mut self, it: &AvgPool2dForward) {
        let shape = it.shape.times(self.pass.rows);
        let [x, y] = self.get([it.x, it.y]);
        cpu::avg_pool2d_forward(shape, x, y);
    }

    pub(super) fn avg_pool2d_grad(&mut self, it: &AvgPool2dGrad) {
        let shape = it.shape.times(self.pass.rows);
        let [dy, dx] = self.get([it.dy, it.dx]);
        cpu::avg_pool2d_grad(shape, dy, dx, it.accumulate);
    }
}
