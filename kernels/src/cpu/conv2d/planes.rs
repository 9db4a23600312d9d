//! Images laid out so that a window is read at fixed offsets from where it begins.

use crate::cpu::dispatch::Once;
use crate::cpu::interleave::Pairs;
use crate::cpu::place::{Dst, Src};

/// Padded copies of the channels of an image: for each channel one plane for each residue of rows and
/// columns by the steps, so that neighbours in a plane are one step apart in the image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Planes {
    /// Height and width of the image.
    pub(super) image: [usize; 2],
    /// The row and column of the image where planes begin; beyond the image there are zeros.
    pub(super) first: [isize; 2],
    /// Rows and columns of the image from one to the next of a plane.
    pub(super) step: [usize; 2],
    /// Planes of a channel, by residue: at most the steps.
    pub(super) n_phases: [usize; 2],
    /// Rows and columns of a plane.
    pub(super) size: [usize; 2],
}

impl Planes {
    /// Values of a channel.
    pub(super) fn channel_len(self) -> usize {
        self.n_phases[0] * self.n_phases[1] * self.size[0] * self.size[1]
    }

    /// How far after the begin of a channel the value `at` rows and columns from `first` lies.
    pub(super) fn offset(self, at: [usize; 2]) -> usize {
        let phase = at[0] % self.step[0] * self.n_phases[1] + at[1] % self.step[1];
        (phase * self.size[0] + at[0] / self.step[0]) * self.size[1] + at[1] / self.step[1]
    }

    /// Copies the channels of `x` to planes whose borders are zero already.
    #[inline(always)]
    pub(super) fn fill<L: Pairs>(self, lanes: L, x: &[f32], planes: &mut [f32]) {
        // One copy of this code for each unit: it is called in several places.
        let once = Once;
        lanes.call(
            #[inline(always)]
            || {
                let _consumed = once;
                let image_len = self.image[0] * self.image[1];
                if image_len == 0 {
                    return;
                }
                let (channel_len, plane_len) = (self.channel_len(), self.size[0] * self.size[1]);
                for phase in 0..self.n_phases[0] * self.n_phases[1] {
                    let (vertical, horizontal) =
                        (phase / self.n_phases[1], phase % self.n_phases[1]);
                    let (row, column) = (self.run(0, vertical), self.run(1, horizontal));
                    if row.len == 0 || column.len == 0 {
                        continue;
                    }
                    let rows = Rows {
                        n_rows: row.len,
                        len: column.len,
                        src_pitch: self.step[0] * self.image[1],
                        dst_pitch: self.size[1],
                    };
                    let source = row.source * self.image[1] + column.source;
                    let target = phase * plane_len + row.target * self.size[1] + column.target;
                    let channels =
                        x.chunks_exact(image_len).zip(planes.chunks_exact_mut(channel_len));
                    for (x, channel) in channels {
                        rows.copy(lanes, self.step[1], &x[source..], &mut channel[target..]);
                    }
                }
            },
        );
    }

    /// What a residue takes from the image along an axis.
    fn run(self, axis: usize, phase: usize) -> Span {
        let (step, size) = (self.step[axis], self.size[axis]);
        // A division takes as long as a row of a small image.
        let steps = |len: usize| if step == 1 { len } else { len.div_ceil(step) };
        // Value `t` is that at `begin + t * step` of the image.
        let begin = self.first[axis] + phase.cast_signed();
        let target = steps(begin.min(0).unsigned_abs()).min(size);
        let source = (begin + (target * step).cast_signed()).cast_unsigned();
        let len = steps(self.image[axis].saturating_sub(source)).min(size - target);
        Span { source: if len == 0 { 0 } else { source }, target, len }
    }
}

/// Values of a plane that come from the image.
#[derive(Clone, Copy)]
struct Span {
    source: usize,
    target: usize,
    len: usize,
}

/// Rows to copy.
#[derive(Clone, Copy)]
struct Rows {
    n_rows: usize,
    len: usize,
    /// How far apart they lie.
    src_pitch: usize,
    dst_pitch: usize,
}

impl Rows {
    /// `dst[row, i] = src[row, i * step]`
    #[inline(always)]
    fn copy<L: Pairs>(self, lanes: L, step: usize, src: &[f32], dst: &mut [f32]) {
        let Self { n_rows, len, src_pitch, dst_pitch } = self;
        assert!((n_rows - 1) * src_pitch + (len - 1) * step < src.len(), "rows are within");
        assert!((n_rows - 1) * dst_pitch + len <= dst.len(), "rows are within");
        // SAFETY: rows are within, as asserted.
        unsafe {
            match step {
                1 => self.copy_neighbours(lanes, Src::of(src), Dst::of(dst)),
                2 => self.copy_evens(lanes, Src::of(src), Dst::of(dst)),
                _ => {
                    for row in 0..n_rows {
                        let src = src[row * src_pitch..].iter().step_by(step);
                        let dst = &mut dst[row * dst_pitch..][..len];
                        dst.iter_mut().zip(src).for_each(|(dst, src)| *dst = *src);
                    }
                }
            }
        }
    }

    /// [`Self::copy`] with a step of one.
    ///
    /// # Safety
    ///
    /// Rows are readable and writable.
    #[inline(always)]
    unsafe fn copy_neighbours<L: Pairs>(self, lanes: L, src: Src, dst: Dst) {
        let full = self.len - self.len % L::LANES;
        let mask = lanes.first(self.len - full);
        for row in 0..self.n_rows {
            // SAFETY: the caller's promise; `mask` ends where a row does.
            unsafe {
                let (src, dst) = (src.add(row * self.src_pitch), dst.add(row * self.dst_pitch));
                for at in (0..full).step_by(L::LANES) {
                    lanes.store(dst.add(at), lanes.load(src.add(at)));
                }
                if full < self.len {
                    let value = lanes.load_masked(mask, src.add(full));
                    lanes.store_masked(mask, dst.add(full), value);
                }
            }
        }
    }

    /// [`Self::copy`] with a step of two.
    ///
    /// # Safety
    ///
    /// Rows are readable, to the last value copied, and writable.
    #[inline(always)]
    unsafe fn copy_evens<L: Pairs>(self, lanes: L, src: Src, dst: Dst) {
        for row in 0..self.n_rows {
            for at in (0..self.len).step_by(L::LANES) {
                let n_values = L::LANES.min(self.len - at);
                let span = 2 * n_values - 1;
                // SAFETY: the caller's promise; masks end where the values do.
                unsafe {
                    let src = src.add(row * self.src_pitch + 2 * at);
                    let low = lanes.load_masked(lanes.first(span), src);
                    let mask = lanes.first(span.saturating_sub(L::LANES));
                    let high = lanes.load_masked(mask, src.wrapping_add(L::LANES));
                    let [even, _] = lanes.unzip(low, high);
                    let dst = dst.add(row * self.dst_pitch + at);
                    lanes.store_masked(lanes.first(n_values), dst, even);
                }
            }
        }
    }
}
