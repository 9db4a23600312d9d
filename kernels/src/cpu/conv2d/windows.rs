//! Windows of planes: what outputs read.

use super::planes::Planes;

/// Windows of planes, one for each output.
#[derive(Clone, Copy)]
pub(super) struct Windows<'a> {
    /// Channels of each example, from a register's width of slack on at the end.
    pub(super) values: &'a [f32],
    pub(super) planes: Planes,
    /// Rows and columns of taps.
    pub(super) kernel: [usize; 2],
    /// Row and column of a plane where the window of the first output begins.
    pub(super) begin: [usize; 2],
    pub(super) n_channels: usize,
    /// How far apart examples lie.
    pub(super) example_len: usize,
    pub(super) n_examples: usize,
    /// Rows and columns of outputs.
    pub(super) size: [usize; 2],
}

impl Windows<'_> {
    /// Taps of a window.
    pub(super) fn k(&self) -> usize {
        self.n_channels * self.kernel[0] * self.kernel[1]
    }

    /// Outputs of an example.
    pub(super) fn positions(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Values from the first plane to the end of the last, and what may be read beyond it.
    pub(super) fn len(&self) -> usize {
        let last = self.n_examples.saturating_sub(1) * self.example_len;
        last + self.n_channels * self.planes.channel_len() + SLACK_LEN
    }

    /// Where the window of an output of the first example begins.
    pub(super) fn at(&self, row: usize, column: usize) -> usize {
        (self.begin[0] + row) * self.planes.size[1] + self.begin[1] + column
    }

    /// Asserts that every window lies within its planes.
    pub(super) fn assert_within(&self) {
        assert!(self.len() <= self.values.len(), "planes have slack");
        for axis in 0..2 {
            let Planes { step, n_phases, size, .. } = self.planes;
            let (kernel, last) = (self.kernel[axis], self.begin[axis] + self.size[axis] - 1);
            assert!(kernel.min(step[axis]) <= n_phases[axis], "there is a plane for every tap");
            let reach = if step[axis] == 1 { kernel - 1 } else { (kernel - 1) / step[axis] };
            assert!(last + reach < size[axis], "windows lie within planes");
        }
    }

    /// Taps from `from` on, at most `len`.
    pub(super) fn taps(&self, from: usize, len: usize) -> Taps {
        let len = len.min(self.k() - from);
        Taps { planes: self.planes, kernel: self.kernel, from, len }
    }
}

/// Values that may be read beyond the last plane.
pub(super) const SLACK_LEN: usize = 16;

/// Examples whose planes are laid out together: small images fill panels only together.
pub(super) fn examples_at_once(batch: usize, positions: usize) -> usize {
    256_usize.div_ceil(positions.max(1)).min(batch.max(1))
}

/// Taps whose offsets are known at once.
pub(super) const TABLE_LEN: usize = 1024;

/// Offsets of windows' taps, kept from one product to the next.
pub(super) struct Table {
    offsets: [u32; TABLE_LEN],
    /// What they are the offsets of.
    held: Option<Taps>,
}

/// Taps of a window from one on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Taps {
    planes: Planes,
    kernel: [usize; 2],
    from: usize,
    len: usize,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self { offsets: [0; TABLE_LEN], held: None }
    }

    /// The offsets of taps, which follow each other by row of the kernel and channel.
    pub(super) fn hold(&mut self, taps: Taps) -> &[u32] {
        if self.held != Some(taps) {
            self.held = Some(taps);
            let [height, width] = taps.kernel;
            for (at, offset) in (taps.from..).zip(&mut self.offsets[..taps.len]) {
                let (channel, tap) = (at / (height * width), at % (height * width));
                let in_channel = taps.planes.offset([tap / width, tap % width]);
                let offset_len = channel * taps.planes.channel_len() + in_channel;
                *offset = u32::try_from(offset_len).expect("an image is shorter than 2^32 values");
            }
        }
        &self.offsets[..taps.len]
    }
}
