//! What the randomness of a batch is keyed by.

use esper_nn::rng::{Purpose, draw_below, stream_key};

/// Says of which host and epoch a batch is, for whatever is drawn when it is gathered.
///
/// Nothing else enters: a twin, a run resumed and any number of threads draw the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The seed of the run.
    pub run_seed: u64,
    /// Which of the run's random streams are the host's.
    pub stream: u64,
    /// The epoch of the batch, from zero.
    pub epoch: u64,
    /// Whether gradients are computed on the batch; without, nothing is drawn at all.
    pub is_training: bool,
}

impl Draw {
    /// A number below `bound`, the same for the whole epoch: where its windows of text begin.
    pub(super) fn cut(self, bound: usize) -> usize {
        let key = stream_key(self.run_seed, Purpose::Cut, self.stream);
        draw_below(key, self.epoch, bound as u64) as usize
    }

    /// The key of what images are varied by.
    pub(super) fn augment_key(self) -> u64 {
        stream_key(self.run_seed, Purpose::Augment, self.stream)
    }
}
