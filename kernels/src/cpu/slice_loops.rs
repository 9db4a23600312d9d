//! Loops over slices: elementwise maps, folds in a fixed order, column folds.

use super::lanes::{Lanes, REDUCTION_LANES, Vector, join};
use super::place::{Dst, Src};

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
    let reads = reads.map(Src::of);
    let writes = writes.map(Dst::of);
    let full = len - len % L::LANES;
    for at in (0..full).step_by(L::LANES) {
        // SAFETY: `at + LANES` is within every slice.
        unsafe {
            let sources = load_each(lanes, reads, at);
            let targets = load_each(lanes, writes.map(Dst::src), at);
            let results = f(sources, targets);
            for (write, result) in writes.iter().zip(&results) {
                lanes.store(write.add(at), result.raw);
            }
        }
    }
    if full < len {
        let mask = lanes.first(len - full);
        // SAFETY: `mask` ends where the slices do.
        unsafe {
            let sources = load_each_masked(lanes, mask, reads, full);
            let targets = writes.map(Dst::src);
            let targets = load_each_masked(lanes, mask, targets, full);
            let results = f(sources, targets);
            for (write, result) in writes.iter().zip(&results) {
                lanes.store_masked(mask, write.add(full), result.raw);
            }
        }
    }
}

/// A register from each slice, from element `at` on.
///
/// # Safety
///
/// Each is readable for `LANES` values from there.
#[inline(always)]
pub(super) unsafe fn load_each<L: Lanes, const N: usize>(
    lanes: L,
    slices: [Src; N],
    at: usize,
) -> [Vector<L>; N] {
    // A loop: closures handed to the library's `array::map` are not always inlined, and code that is
    // not inlined is not compiled for the vector unit.
    let mut values = [Vector::splat(lanes, 0.0); N];
    for (value, slice) in values.iter_mut().zip(&slices) {
        // SAFETY: the caller's promise.
        value.raw = unsafe { lanes.load(slice.add(at)) };
    }
    values
}

/// The lanes of `mask` of a register from each slice, from element `at` on.
///
/// # Safety
///
/// Each is readable in those lanes.
#[inline(always)]
pub(super) unsafe fn load_each_masked<L: Lanes, const N: usize>(
    lanes: L,
    mask: L::Mask,
    slices: [Src; N],
    at: usize,
) -> [Vector<L>; N] {
    let mut values = [Vector::splat(lanes, 0.0); N];
    for (value, slice) in values.iter_mut().zip(&slices) {
        // SAFETY: the caller's promise.
        value.raw = unsafe { lanes.load_masked(mask, slice.add(at)) };
    }
    values
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
    let reads = reads.map(Src::of);
    let n_parts = REDUCTION_LANES / L::LANES;
    let mut parts = [[Vector::splat(lanes, start); A]; REDUCTION_LANES];
    let full = len - len % REDUCTION_LANES;
    for at in (0..full).step_by(REDUCTION_LANES) {
        for (part, sums) in parts[..n_parts].iter_mut().enumerate() {
            // SAFETY: sixteen values from `at` are within every slice.
            *sums = step(*sums, unsafe { load_each(lanes, reads, at + part * L::LANES) });
        }
    }
    for (part, sums) in parts[..n_parts].iter_mut().enumerate() {
        let at = full + part * L::LANES;
        if at < len {
            let mask = lanes.first(len - at);
            // SAFETY: `mask` ends where the slices do.
            let next = step(*sums, unsafe { load_each_masked(lanes, mask, reads, at) });
            for (sum, next) in sums.iter_mut().zip(&next) {
                *sum = next.select(mask, *sum);
            }
        }
    }
    let mut results = [0.0; A];
    for (a, result) in results.iter_mut().enumerate() {
        let mut column = [Vector::splat(lanes, start); REDUCTION_LANES];
        for (part, sums) in column[..n_parts].iter_mut().zip(&parts) {
            *part = sums[a];
        }
        *result = join(column, &op);
    }
    results
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
    let reads = reads.map(Src::of);
    let scalars = scalars.map(Src::of);
    let writes = writes.map(Dst::of);
    let sums = sums.map(Dst::of);
    // Sums that are added to what is there when finished can not stop in its place.
    let in_block = if accumulate { rows } else { (BLOCK_ELEMS / width.max(1)).max(1) };
    for first in (0..rows.max(1)).step_by(in_block.max(1)) {
        for column in (0..width).step_by(L::LANES) {
            let mask = lanes.first(width - column);
            let mut totals = [Vector::splat(lanes, 0.0); A];
            if 0 < first {
                // SAFETY: `mask` ends where the sums do.
                totals = unsafe { load_each_masked(lanes, mask, sums.map(Dst::src), column) };
            }
            for row in first..rows.min(first + in_block) {
                let at = row * width + column;
                // SAFETY: row and column are within the matrices.
                unsafe {
                    let sources = load_each_masked(lanes, mask, reads, at);
                    let targets = writes.map(Dst::src);
                    let targets = load_each_masked(lanes, mask, targets, at);
                    let mut numbers = [Vector::splat(lanes, 0.0); S];
                    for (number, scalar) in numbers.iter_mut().zip(&scalars) {
                        *number = Vector::splat(lanes, scalar.add(row).read());
                    }
                    let results;
                    (totals, results) = step(totals, sources, numbers, targets);
                    for (write, result) in writes.iter().zip(&results) {
                        lanes.store_masked(mask, write.add(at), result.raw);
                    }
                }
            }
            // SAFETY: `mask` ends where the sums do.
            unsafe {
                let before = load_each_masked(lanes, mask, sums.map(Dst::src), column);
                for ((sum, total), before) in sums.iter().zip(&totals).zip(&before) {
                    let total = if accumulate { *before + *total } else { *total };
                    lanes.store_masked(mask, sum.add(column), total.raw);
                }
            }
        }
    }
}

/// Values of a block of rows whose columns are folded together: it stays in a second-level cache, while a column of a
/// large matrix would touch a page a row. The chains go on from block to block, with a stop in memory.
const BLOCK_ELEMS: usize = 16_384;
