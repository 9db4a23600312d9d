//! One instruction on several threads.
//!
//! A batch is cut into runs of examples, and a weight's gradient into runs of outputs. Every element is computed by
//! the same chain of operations wherever the cuts fall, so that results have the same bits on any number of threads.

use std::ops::Range;

use crate::device::pass::ProgramPass;

/// Operations that moving a value through memory counts as, where that is what an instruction does.
const FLOPS_PER_MOVE: u64 = 16;

/// Arithmetic of an instruction below which another thread is not asked for help: at 200 GFLOP/s a core, 10
/// microseconds, the time that waking a sleeping thread takes.
const PART_MIN_FLOPS: u64 = 2_000_000;

impl ProgramPass<'_> {
    /// Into how many parts an instruction is cut that moves so many values an example.
    pub(super) fn n_parts_moving(&self, elems_per_example: usize) -> usize {
        self.n_parts(FLOPS_PER_MOVE * elems_per_example as u64)
    }

    /// Into how many parts an instruction of `flops_per_example` is cut.
    ///
    /// One outside of a thread pool: a host that trains on the caller's thread stays there.
    pub(super) fn n_parts(&self, flops_per_example: u64) -> usize {
        if self.tensors.parts_max < 2 || rayon::current_thread_index().is_none() {
            return 1;
        }
        let flops = flops_per_example.saturating_mul(self.pass.rows as u64);
        let worth = usize::try_from(flops / PART_MIN_FLOPS).unwrap_or(usize::MAX);
        worth
            .min(self.tensors.parts_max)
            .min(rayon::current_num_threads())
            .min(self.pass.rows)
            .max(1)
    }
}

/// Runs `work` on `n_parts` runs of `rows`, examples or channels: on which they are, and their shares of what is read,
/// written and used as scratch.
pub(super) fn by_examples<const R: usize, const W: usize>(
    n_parts: usize,
    rows: Range<usize>,
    mut reads: [&[f32]; R],
    mut writes: [&mut [f32]; W],
    scratch: &mut [f32],
    work: &(impl Fn(Range<usize>, [&[f32]; R], [&mut [f32]; W], &mut [f32]) + Sync),
) {
    let (n_rows, n_parts) = (rows.len(), n_parts.min(rows.len()));
    if n_parts < 2 {
        return work(rows, reads, writes, scratch);
    }
    let n_left = n_parts / 2;
    let left_rows = n_rows * n_left / n_parts;
    let middle = rows.start + left_rows;
    let left_scratch = scratch.len() * n_left / n_parts;
    let (scratch, right_scratch) = scratch.split_at_mut(left_scratch);
    let mut right_reads: [&[f32]; R] = [&[]; R];
    for (read, right) in reads.iter_mut().zip(&mut right_reads) {
        (*read, *right) = read.split_at(read.len() / n_rows * left_rows);
    }
    let mut right_writes: [&mut [f32]; W] = std::array::from_fn(|_| <&mut [f32]>::default());
    for (write, right) in writes.iter_mut().zip(&mut right_writes) {
        let whole = std::mem::take(write);
        (*write, *right) = whole.split_at_mut(whole.len() / n_rows * left_rows);
    }
    rayon::join(
        || by_examples(n_left, rows.start..middle, reads, writes, scratch, work),
        || {
            let n_right = n_parts - n_left;
            by_examples(n_right, middle..rows.end, right_reads, right_writes, right_scratch, work);
        },
    );
}

/// Runs `work` on `n_parts` runs of the outputs of a weight whose gradient is `dw: f32[outputs, ..]`: on which they
/// are, their gradient, and their share of the scratch.
pub(super) fn by_outputs(
    n_parts: usize,
    outputs: Range<usize>,
    dw: &mut [f32],
    scratch: &mut [f32],
    work: &(impl Fn(Range<usize>, &mut [f32], &mut [f32]) + Sync),
) {
    let n_outputs = outputs.len();
    let n_parts = n_parts.min(n_outputs);
    if n_parts < 2 {
        return work(outputs, dw, scratch);
    }
    let n_left = n_parts / 2;
    let middle = outputs.start + n_outputs * n_left / n_parts;
    let left_scratch = scratch.len() * n_left / n_parts;
    let (scratch, right_scratch) = scratch.split_at_mut(left_scratch);
    let (dw, right) = dw.split_at_mut(dw.len() / n_outputs * (middle - outputs.start));
    rayon::join(
        || by_outputs(n_left, outputs.start..middle, dw, scratch, work),
        || by_outputs(n_parts - n_left, middle..outputs.end, right, right_scratch, work),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_and_output_is_in_exactly_one_part() {
        let x: Vec<f32> = (0..22).map(|at| at as f32).collect();
        for n_parts in 1..=5 {
            let (mut y, mut scratch) = (vec![0.0; 33], vec![0.0; 5 * n_parts]);
            by_examples(
                n_parts,
                0..11,
                [&x],
                [&mut y],
                &mut scratch,
                &|rows, [x], [y], scratch| {
                    assert!(5 <= scratch.len() && x.len() == 2 * rows.len());
                    assert_eq!(x[0], 2.0 * rows.start as f32);
                    for (x, y) in x.chunks_exact(2).zip(y.chunks_exact_mut(3)) {
                        y.iter_mut().for_each(|y| *y += x[0] + 1.0);
                    }
                },
            );
            let expected: Vec<f32> = (0..33).map(|at| 2.0 * (at / 3) as f32 + 1.0).collect();
            assert_eq!(y, expected, "{n_parts} parts");
            let mut dw = vec![0.0; 14];
            by_outputs(n_parts, 3..10, &mut dw, &mut scratch, &|outputs, dw, _| {
                for (output, dw) in outputs.zip(dw.chunks_exact_mut(2)) {
                    dw.iter_mut().for_each(|dw| *dw += output as f32);
                }
            });
            let expected: Vec<f32> = (0..14).map(|at| (3 + at / 2) as f32).collect();
            assert_eq!(dw, expected, "{n_parts} parts");
        }
    }
}
