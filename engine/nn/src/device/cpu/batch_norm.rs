//! Batch norm, which is cut twice: its statistics by channels, what they are applied to by examples.

use esper_kernels::cpu;

use super::{DISJOINT, split::by_examples};
use crate::{
    device::pass::ProgramPass,
    op::{BatchNormForward, BatchNormGrad},
    tensor::Param,
};

impl ProgramPass<'_> {
    pub(super) fn batch_norm(&mut self, it: &BatchNormForward) {
        let BatchNormForward { shape: example, weight, bias, running, .. } = *it;
        let BatchNormForward { eps, momentum, rectify, .. } = *it;
        let (rows, shape, params) =
            (self.pass.rows, example.times(self.pass.rows), self.tensors.params);
        let n_parts = self.n_parts_moving(3 * shape.channels * shape.len);
        let (gamma, beta) = (&params[weight.range()], &params[bias.range()]);
        let ranges = [it.x, it.mean, it.rstd, it.y].map(|id| self.range(id));
        let [x, mean, rstd, y] = self.tensors.workspace.get_disjoint_mut(ranges).expect(DISJOINT);
        let places = [running.mean, running.var, running.batches].map(Param::range);
        let [running_mean, running_var, batches] =
            self.tensors.buffers.get_disjoint_mut(places).expect(DISJOINT);
        if !self.pass.is_training {
            let (mean, var) = (&*running_mean, &*running_var);
            cpu::batch_norm_inference(shape, eps, x, gamma, beta, mean, var, rectify, y);
            return;
        }
        let (mean, rstd) = (&mut mean[..shape.channels], &mut rstd[..shape.channels]);
        let updates = self.pass.updates_buffers;
        batches[0] += f32::from(u8::from(updates));
        if n_parts < 2 {
            let running = updates.then_some((running_mean, running_var));
            cpu::batch_norm_forward(
                shape, eps, momentum, x, gamma, beta, running, mean, rstd, rectify, y,
            );
            return;
        }
        let x = &*x;
        let writes = [&mut *mean, &mut *rstd, running_mean, running_var];
        by_examples(n_parts, 0..shape.channels, [], writes, &mut [], &|channels, [], writes, _| {
            let [mean, rstd, running_mean, running_var] = writes;
            let running = updates.then_some((running_mean, running_var));
            cpu::batch_norm_statistics(shape, channels, eps, momentum, x, running, mean, rstd);
        });
        let (mean, rstd) = (&*mean, &*rstd);
        by_examples(n_parts, 0..rows, [x], [y], &mut [], &|rows, [x], [y], _| {
            let shape = example.times(rows.len());
            cpu::batch_norm_normalize(shape, x, gamma, beta, mean, rstd, rectify, y);
        });
    }

    pub(super) fn batch_norm_grad(&mut self, it: &BatchNormGrad) {
        let BatchNormGrad { shape: example, rectified, weight, bias, accumulate, .. } = *it;
        let BatchNormGrad { dy, x, mean, rstd, dx, .. } = *it;
        let wants_params = self.pass.wanted.params;
        let (rows, shape, width) =
            (self.pass.rows, example.times(self.pass.rows), example.channels);
        let n_parts = self.n_parts_moving(4 * width * shape.len);
        let gamma = &self.tensors.params[weight.range()];
        let ([dy, x, mean, rstd, dx], [dgamma, dbeta], rectified) = match rectified {
            Some(y) => {
                let ([dy, x, y, mean, rstd, dx], gradients) =
                    self.get_with_gradients([dy, x, y, mean, rstd, dx], [weight, bias]);
                ([dy, x, mean, rstd, dx], gradients, Some(&*y))
            }
            None => {
                let (tensors, gradients) =
                    self.get_with_gradients([dy, x, mean, rstd, dx], [weight, bias]);
                (tensors, gradients, None)
            }
        };
        let (mean, rstd) = (&mean[..width], &rstd[..width]);
        // Where nobody wants the parameters' gradients there is no place for their sums, which the input's needs.
        if n_parts < 2 || !wants_params {
            #[rustfmt::skip]
            cpu::batch_norm_backward(
                shape, dy, x, gamma, mean, rstd, rectified, dx, dgamma, dbeta, accumulate,
                wants_params,
            );
            return;
        }
        let (dy, x) = (&*dy, &*x);
        let (reads, writes) = ([mean, rstd], [&mut *dgamma, &mut *dbeta]);
        by_examples(n_parts, 0..width, reads, writes, &mut [], &|channels, reads, writes, _| {
            let ([mean, rstd], [dgamma, dbeta]) = (reads, writes);
            #[rustfmt::skip]
            cpu::batch_norm_grad_params(
                shape, channels, dy, x, mean, rstd, rectified, dgamma, dbeta,
            );
        });
        let (dgamma, dbeta) = (&*dgamma, &*dbeta);
        // Without a rectifier its output's place is taken by `x`, which is not looked at.
        let reads = [dy, x, rectified.unwrap_or(x)];
        by_examples(n_parts, 0..rows, reads, [dx], &mut [], &|rows, [dy, x, y], [dx], _| {
            let (n_values, shape) = (shape.batch * shape.len, example.times(rows.len()));
            let rectified = rectified.map(|_| y);
            #[rustfmt::skip]
            cpu::batch_norm_grad_input(
                shape, n_values, dy, x, gamma, mean, rstd, rectified, dgamma, dbeta, dx,
                accumulate,
            );
        });
    }
}
