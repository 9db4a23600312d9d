//! Images laid out so that a window is read at fixed offsets from where it begins.

use crate::cpu::lanes::Lanes;
use crate::cpu::sweep::map;

/// Padded copies of the channels of an image: for each channel one plane for each residue of rows and
/// columns by the steps, so that neighbours in a plane are one step apart in the image.
#[derive(Clone, Copy)]
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
    pub(super) fn fill<L: Lanes>(self, lanes: L, x: &[f32], planes: &mut [f32]) {
        let image_len = self.image[0] * self.image[1];
        if image_len == 0 {
            return;
        }
        let channels = x.chunks_exact(image_len).zip(planes.chunks_exact_mut(self.channel_len()));
        for (x, channel) in channels {
            let phases = channel.chunks_exact_mut(self.size[0] * self.size[1]);
            for (phase, plane) in phases.enumerate() {
                let (vertical, horizontal) = (phase / self.n_phases[1], phase % self.n_phases[1]);
                let (row, column) = (self.run(0, vertical), self.run(1, horizontal));
                for i in 0..row.len {
                    let source = (row.source + i * self.step[0]) * self.image[1] + column.source;
                    let target = (row.target + i) * self.size[1] + column.target;
                    let dst = &mut plane[target..][..column.len];
                    take_every(lanes, self.step[1], &x[source..], dst);
                }
            }
        }
    }

    /// What a residue takes from the image along an axis.
    fn run(self, axis: usize, phase: usize) -> Run {
        let (step, size) = (self.step[axis], self.size[axis]);
        // Value `t` is that at `begin + t * step` of the image.
        let begin = self.first[axis] + phase.cast_signed();
        let target = begin.min(0).unsigned_abs().div_ceil(step).min(size);
        let source = (begin + (target * step).cast_signed()).cast_unsigned();
        let len = self.image[axis].saturating_sub(source).div_ceil(step).min(size - target);
        Run { source: if len == 0 { 0 } else { source }, target, len }
    }
}

/// Values of a plane that come from the image.
#[derive(Clone, Copy)]
struct Run {
    source: usize,
    target: usize,
    len: usize,
}

/// `dst[i] = src[i * step]`
#[inline(always)]
fn take_every<L: Lanes>(lanes: L, step: usize, src: &[f32], dst: &mut [f32]) {
    match step {
        1 => {
            let src = &src[..dst.len()];
            map(
                lanes,
                [src],
                [dst],
                #[inline(always)]
                |[x], _| [x],
            );
        }
        2 => {
            // Pairs, so that the loop is made of shuffles; the last may lack its second.
            let pairs = src.chunks_exact(2);
            let n_pairs = pairs.len().min(dst.len());
            for (dst, pair) in dst.iter_mut().zip(pairs) {
                *dst = pair[0];
            }
            for i in n_pairs..dst.len() {
                dst[i] = src[2 * i];
            }
        }
        _ => {
            for (dst, src) in dst.iter_mut().zip(src.iter().step_by(step)) {
                *dst = *src;
            }
        }
    }
}
