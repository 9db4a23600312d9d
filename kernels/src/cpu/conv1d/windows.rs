//! What each output position reads, as rows of a matrix.

use super::Conv1dShape;
use crate::cpu::lanes::Lanes;
use crate::cpu::sweep::map;

/// For each example a matrix `f32[in_channels * kernel, out_len]` whose rows may overlap.
#[derive(Clone, Copy)]
pub(super) struct Windows<'a> {
    values: &'a [f32],
    /// How far apart examples lie.
    stride: usize,
    /// Rows that follow each other one position apart.
    pub(super) taps: usize,
    /// How far apart runs of such rows lie.
    pub(super) channel: usize,
}

impl<'a> Windows<'a> {
    /// Scratch, in values, that [`Self::of`] takes.
    pub(super) fn scratch_len(shape: Conv1dShape) -> usize {
        if shape.stride != 1 {
            shape.batch * shape.patch() * shape.out_len()
        } else if shape.padding != 0 {
            shape.batch * shape.in_channels * padded_len(shape)
        } else {
            0
        }
    }

    /// The windows of `x`: in place, of a padded copy, or, where strides leave positions out, copied one
    /// by one; and what is left of the scratch.
    #[inline(always)]
    pub(super) fn of<L: Lanes>(
        lanes: L,
        shape: Conv1dShape,
        x: &'a [f32],
        scratch: &'a mut [f32],
    ) -> (Self, &'a mut [f32]) {
        let (copy, scratch) = scratch.split_at_mut(Self::scratch_len(shape));
        let (values, taps, channel, n_channels) = if shape.stride != 1 {
            gather(shape, x, copy);
            (&*copy, 1, shape.out_len(), shape.patch())
        } else if shape.padding != 0 {
            pad(lanes, shape, x, copy);
            (&*copy, shape.kernel, padded_len(shape), shape.in_channels)
        } else {
            (x, shape.kernel, shape.len, shape.in_channels)
        };
        (Self { values, stride: channel * n_channels, taps, channel }, scratch)
    }

    /// The windows of one example.
    #[inline(always)]
    pub(super) fn example(self, example: usize) -> &'a [f32] {
        &self.values[example * self.stride..][..self.stride]
    }

    /// Where row `row` of an example begins.
    #[inline(always)]
    pub(super) fn row(self, row: usize) -> usize {
        row / self.taps * self.channel + row % self.taps
    }
}

fn padded_len(shape: Conv1dShape) -> usize {
    shape.len + 2 * shape.padding
}

/// Copies each channel with its zeros.
#[inline(always)]
fn pad<L: Lanes>(lanes: L, shape: Conv1dShape, x: &[f32], padded: &mut [f32]) {
    padded.fill(0.0);
    let channels = padded.chunks_exact_mut(padded_len(shape)).zip(x.chunks_exact(shape.len.max(1)));
    for (padded, x) in channels {
        let inner = &mut padded[shape.padding..][..shape.len];
        map(
            lanes,
            [x],
            [inner],
            #[inline(always)]
            |[x], _| [x],
        );
    }
}

/// Copies what each tap of each output position reads.
fn gather(shape: Conv1dShape, x: &[f32], patches: &mut [f32]) {
    patches.fill(0.0);
    for (row, patch) in patches.chunks_exact_mut(shape.out_len()).enumerate() {
        let (channel, tap) = (row / shape.kernel, row % shape.kernel);
        let inside = shape.inside(tap);
        if !inside.is_empty() {
            let x = &x[channel * shape.len..][..shape.len];
            let x = x[shape.source(inside.start, tap)..].iter().step_by(shape.stride);
            patch[inside].iter_mut().zip(x).for_each(|(patch, x)| *patch = *x);
        }
    }
}

/// Adds up, at each input position of a channel, what each tap of each output position adds to it, tap
/// after tap.
pub(super) fn scatter(shape: Conv1dShape, rows: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for (tap, row) in rows.chunks_exact(shape.out_len()).enumerate() {
        let inside = shape.inside(tap);
        if !inside.is_empty() {
            let sums = sums[shape.source(inside.start, tap)..].iter_mut().step_by(shape.stride);
            sums.zip(&row[inside]).for_each(|(sum, value)| *sum += value);
        }
    }
}
