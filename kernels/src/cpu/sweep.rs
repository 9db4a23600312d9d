//! Walks over slices: elementwise maps, folds in a fixed order, column folds.
//!
//! The only place, beside the matrix product, where vectors meet memory.

use super::lanes::{Lanes, REDUCTION_LANES, Vector, join};

/// `writes = f(reads, writes)`, element by element. All slices have one length.
#[inline(always)]
pub(crate) fn map<L: Lanes, const R: usize, const W: usize>(
    lanes: L,
    reads: [&[f32]; R],
    writes: [&mut [f32]; W],
    f: impl Fn([Vector<L>; R], [Vector<L>; W]) -> [Vector<L>; W],
) {
    let len = writes.first().map_or(0, |write| write.len());
    assert!(reads.iter().all(|read| read.len() == len), "operands differ in length");
    assert!(writes.iter().all(|write| write.len() == len), "operands differ in length");
    let reads = reads.map(<[f32]>::as_ptr);
    let writes = writes.map(<[f32]>::as_mut_ptr);
    let mut at = 0;
    while at + L::LANES <= len {
        // SAFETY: `at + LANES` is within every slice.
        unsafe {
            let sources = reads.map(|read| Vector::new(lanes, lanes.load(read.add(at))));
            let targets =
                writes.map(|write| Vector::new(lanes, lanes.load(write.add(at).cast_const())));
            let results = f(sources, targets);
            for (write, result) in writes.iter().zip(results) {
                lanes.store(write.add(at), result.raw);
            }
        }
        at += L::LANES;
    }
    if at < len {
        let mask = lanes.first(len - at);
        // SAFETY: `mask` ends where the slices do.
        unsafe {
            let sources =
                reads.map(|read| Vector::new(lanes, lanes.load_masked(mask, read.add(at))));
            let targets = writes.map(|write| {
                Vector::new(lanes, lanes.load_masked(mask, write.add(at).cast_const()))
            });
            let results = f(sources, targets);
            for (write, result) in writes.iter().zip(results) {
                lanes.store_masked(mask, write.add(at), result.raw);
            }
        }
    }
}

/// Folds slices of one length into `A` numbers, each in the fixed order of [`join`].
///
/// Element `i` goes to partial result `i % 16`, in order of `i`.
#[inline(always)]
pub(crate) fn fold<L: Lanes, const R: usize, const A: usize>(
    lanes: L,
    reads: [&[f32]; R],
    start: f32,
    step: impl Fn([Vector<L>; A], [Vector<L>; R]) -> [Vector<L>; A],
    op: impl Fn(Vector<L>, Vector<L>) -> Vector<L>,
) -> [f32; A] {
    let len = reads.first().map_or(0, |read| read.len());
    assert!(reads.iter().all(|read| read.len() == len), "operands differ in length");
    let reads = reads.map(<[f32]>::as_ptr);
    let n_parts = REDUCTION_LANES / L::LANES;
    let mut parts = [[Vector::splat(lanes, start); A]; REDUCTION_LANES];
    let mut at = 0;
    while at + REDUCTION_LANES <= len {
        for (part, sums) in parts.iter_mut().take(n_parts).enumerate() {
            // SAFETY: sixteen values from `at` are within every slice.
            let sources = reads.map(|read| unsafe {
                Vector::new(lanes, lanes.load(read.add(at + part * L::LANES)))
            });
            *sums = step(*sums, sources);
        }
        at += REDUCTION_LANES;
    }
    for (part, sums) in parts.iter_mut().take(n_parts).enumerate() {
        let from = at + part * L::LANES;
        if from < len {
            let mask = lanes.first(len - from);
            // SAFETY: `mask` ends where the slices do.
            let sources = reads
                .map(|read| unsafe { Vector::new(lanes, lanes.load_masked(mask, read.add(from))) });
            let next = step(*sums, sources);
            *sums = core::array::from_fn(|a| next[a].select(mask, sums[a]));
        }
    }
    core::array::from_fn(|a| join(parts.map(|sums| sums[a]), &op))
}

/// [`fold`] by addition, from zero.
#[inline(always)]
pub(crate) fn fold_sums<L: Lanes, const R: usize, const A: usize>(
    lanes: L,
    reads: [&[f32]; R],
    step: impl Fn([Vector<L>; A], [Vector<L>; R]) -> [Vector<L>; A],
) -> [f32; A] {
    fold(lanes, reads, 0.0, step, |a, b| a + b)
}

/// Matrices a column fold walks over, all `f32[rows, width]`, and `f32[rows]` beside them.
pub(crate) struct Columns<'a, const R: usize, const S: usize, const W: usize> {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    /// Matrices read.
    pub(crate) reads: [&'a [f32]; R],
    /// Numbers of each row.
    pub(crate) scalars: [&'a [f32]; S],
    /// Matrices read and written.
    pub(crate) writes: [&'a mut [f32]; W],
}

/// `A` sums for each column, `f32[width]`, row after row from zero; with `accumulate` the finished sums
/// are added to what is there.
#[inline(always)]
pub(crate) fn fold_columns<
    L: Lanes,
    const R: usize,
    const S: usize,
    const W: usize,
    const A: usize,
>(
    lanes: L,
    columns: Columns<'_, R, S, W>,
    sums: [&mut [f32]; A],
    accumulate: bool,
    step: impl Fn(
        [Vector<L>; A],
        [Vector<L>; R],
        [Vector<L>; S],
        [Vector<L>; W],
    ) -> ([Vector<L>; A], [Vector<L>; W]),
) {
    let Columns { rows, width, reads, scalars, writes } = columns;
    let len = rows.checked_mul(width).expect("a matrix fits in memory");
    assert!(reads.iter().all(|read| read.len() == len), "operands differ in length");
    assert!(writes.iter().all(|write| write.len() == len), "operands differ in length");
    assert!(scalars.iter().all(|scalar| scalar.len() == rows), "one number a row");
    assert!(sums.iter().all(|sum| sum.len() == width), "one sum a column");
    let reads = reads.map(<[f32]>::as_ptr);
    let scalars = scalars.map(<[f32]>::as_ptr);
    let writes = writes.map(<[f32]>::as_mut_ptr);
    let sums = sums.map(<[f32]>::as_mut_ptr);
    for column in (0..width).step_by(L::LANES) {
        let mask = lanes.first(width - column);
        let load = |src: *const f32| {
            // SAFETY: `mask` ends where the row does.
            Vector::new(lanes, unsafe { lanes.load_masked(mask, src) })
        };
        let mut totals = [Vector::splat(lanes, 0.0); A];
        for row in 0..rows {
            let at = row * width + column;
            // SAFETY: row and column are within the matrices.
            unsafe {
                let sources = reads.map(|read| load(read.add(at)));
                let numbers = scalars.map(|scalar| Vector::splat(lanes, scalar.add(row).read()));
                let targets = writes.map(|write| load(write.add(at).cast_const()));
                let results;
                (totals, results) = step(totals, sources, numbers, targets);
                for (write, result) in writes.iter().zip(results) {
                    lanes.store_masked(mask, write.add(at), result.raw);
                }
            }
        }
        for (sum, mut total) in sums.iter().zip(totals) {
            // SAFETY: `mask` ends where the sums do.
            unsafe {
                let sum = sum.add(column);
                if accumulate {
                    total = load(sum.cast_const()) + total;
                }
                lanes.store_masked(mask, sum, total.raw);
            }
        }
    }
}
