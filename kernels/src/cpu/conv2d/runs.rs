//! Registers of outputs that follow each other over rows and examples, and copies of what they read.

use super::windows::Windows;
use crate::cpu::dispatch::Once;
use crate::cpu::lanes::{Lanes, Vector};
use crate::cpu::place::{Dst, Src};

/// The runs of a register: outputs in one row of an image, which read neighbours.
#[derive(Clone, Copy)]
pub(super) struct Runs {
    runs: [RowRun; MAX_LANES],
    len: usize,
}

#[derive(Clone, Copy)]
struct RowRun {
    /// Where lane zero would read, were the run that long.
    source: Src,
    /// The lane of the first output.
    first: usize,
}

/// Lanes of the widest unit.
const MAX_LANES: usize = 16;

/// Goes through the outputs of all examples. It does not divide: that took half of the time of copying
/// the windows of few taps.
pub(super) struct Walk<'a> {
    windows: Windows<'a>,
    example: usize,
    row: usize,
    column: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(windows: Windows<'a>) -> Self {
        Self { windows, example: 0, row: 0, column: 0 }
    }

    /// Example of the next output, and its number there.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.example, self.row * self.windows.size[1] + self.column)
    }

    /// The runs of the next outputs, at most a register of them.
    #[inline(always)]
    pub(super) fn take(&mut self, n_outputs: usize) -> Runs {
        let windows = self.windows;
        let [rows, columns] = windows.size;
        let mut taken = Runs::none(windows);
        let (mut lane, mut len) = (0, 0);
        while lane < n_outputs {
            let source = self.example * windows.example_len + windows.at(self.row, self.column);
            let source = Src::of(windows.values).wrapping_add(source).wrapping_sub(lane);
            taken.runs[len] = RowRun { source, first: lane };
            len += 1;
            let n_taken = (columns - self.column).min(n_outputs - lane);
            lane += n_taken;
            self.column += n_taken;
            if self.column == columns {
                (self.row, self.column) = (self.row + 1, 0);
            }
            if self.row == rows {
                (self.example, self.row) = (self.example + 1, 0);
            }
        }
        taken.len = len.max(1);
        taken
    }
}

impl Runs {
    /// Runs of a register without outputs, which may read where the planes begin.
    #[inline(always)]
    pub(super) fn none(windows: Windows<'_>) -> Self {
        Self { runs: [RowRun { source: Src::of(windows.values), first: 0 }; MAX_LANES], len: 1 }
    }

    /// Copies a register for each offset, `step` apart.
    ///
    /// # Safety
    ///
    /// The runs are readable at the offsets, and beyond them to the end of a register; `dst` is writable
    /// for a register at every step.
    #[inline(always)]
    pub(super) unsafe fn copy<L: Lanes>(&self, lanes: L, offsets: &[u32], dst: Dst, step: usize) {
        // One copy of this code for each unit: it is read in several places.
        let once = Once;
        lanes.call(
            #[inline(always)]
            || {
                let _consumed = once;
                // SAFETY: the caller's promise.
                unsafe {
                    match self.len {
                        1 => self.copy_runs::<L, 1>(lanes, offsets, dst, step),
                        2 => self.copy_runs::<L, 2>(lanes, offsets, dst, step),
                        3 => self.copy_runs::<L, 3>(lanes, offsets, dst, step),
                        _ => self.copy_runs::<L, MAX_LANES>(lanes, offsets, dst, step),
                    }
                }
            },
        );
    }

    /// [`Self::copy`] for so many runs, or at most as many as there are lanes.
    ///
    /// # Safety
    ///
    /// As for [`Self::copy`].
    #[inline(always)]
    unsafe fn copy_runs<L: Lanes, const MAX: usize>(
        &self,
        lanes: L,
        offsets: &[u32],
        dst: Dst,
        step: usize,
    ) {
        let len = if MAX == MAX_LANES { self.len } else { MAX };
        // Copies: what is written might be these, for all that the compiler knows.
        let mut sources = [self.runs[0].source; MAX];
        let mut before = [lanes.first(0); MAX];
        for r in 0..len {
            sources[r] = self.runs[r].source;
            before[r] = lanes.first(self.runs[r].first);
        }
        for (row, offset) in offsets.iter().enumerate() {
            let offset = *offset as usize;
            // SAFETY: the caller's promise. Lanes before a run's first are those of runs before it, which
            // lie before it in memory: what is read there is within the planes.
            unsafe {
                let mut value = Vector::new(lanes, lanes.load(sources[0].wrapping_add(offset)));
                for r in 1..len {
                    let run = Vector::new(lanes, lanes.load(sources[r].wrapping_add(offset)));
                    value = value.select(before[r], run);
                }
                lanes.store(dst.add(row * step), value.raw);
            }
        }
    }
}
