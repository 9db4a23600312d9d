//! The order in which training examples are visited.

use esper_kernels::random::SplitMix64;

/// Visits every example once an epoch, each epoch in an order of its own.
///
/// The order is a function of `(run_seed, stream, epoch)`, so that `(epoch, position)` is all a
/// checkpoint needs. A clone goes on exactly as the original does: a twin sees the same batches.
#[derive(Clone, Debug)]
pub struct Order {
    run_seed: u64,
    stream: u64,
    epoch: u64,
    position: usize,
    /// `u32[n_examples]`: the permutation of `epoch`.
    perm: Vec<u32>,
}

/// A checkpoint's position lies beyond the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "position {position} is beyond the {n_examples} training examples; the data set is not the \
     one this run began with"
)]
pub struct PositionError {
    /// The position asked for.
    pub position: usize,
    /// How many examples there are.
    pub n_examples: usize,
}

impl Order {
    /// The start of epoch 0 over `n_examples`. Hosts of one run differ in their `stream`.
    ///
    /// # Panics
    ///
    /// If `n_examples` is zero or more than `u32::MAX`; no loaded data set is either.
    pub fn new(run_seed: u64, stream: u64, n_examples: usize) -> Self {
        let len = u32::try_from(n_examples).expect("at most u32::MAX examples");
        assert!(0 < len, "a data set has at least one example");
        let perm = (0..len).collect();
        let mut order = Self { run_seed, stream, epoch: 0, position: 0, perm };
        order.permute();
        order
    }

    /// The next examples: `batch_max` of them, or those left in the epoch.
    ///
    /// The last batch of an epoch may be smaller, as with PyTorch's `drop_last=False`. After it,
    /// the next call begins another epoch. Nothing is allocated.
    ///
    /// # Panics
    ///
    /// If `batch_max` is zero.
    pub fn next_batch(&mut self, batch_max: usize) -> &[u32] {
        assert!(0 < batch_max, "a batch holds at least one example");
        if self.is_at_epoch_end() {
            self.epoch += 1;
            self.position = 0;
            self.permute();
        }
        let start = self.position;
        self.position = start.saturating_add(batch_max).min(self.perm.len());
        &self.perm[start..self.position]
    }

    /// The last `n_examples` of this epoch that were visited: of the last batch, its length.
    ///
    /// # Panics
    ///
    /// If fewer have been visited.
    pub fn last(&self, n_examples: usize) -> &[u32] {
        &self.perm[self.position - n_examples..self.position]
    }

    /// The epoch of the last batch, from zero.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many examples of this epoch have been visited.
    pub fn position(&self) -> usize {
        self.position
    }

    /// How many examples an epoch visits.
    pub fn n_examples(&self) -> usize {
        self.perm.len()
    }

    /// Whether every example of this epoch has been visited.
    pub fn is_at_epoch_end(&self) -> bool {
        self.position == self.perm.len()
    }

    /// Goes to where `epoch` and `position` were read, earlier or later.
    ///
    /// # Errors
    ///
    /// Returns a [`PositionError`] and stays where it is when `position` lies beyond the end of an
    /// epoch.
    pub fn reseek(&mut self, epoch: u64, position: usize) -> Result<(), PositionError> {
        let n_examples = self.perm.len();
        if n_examples < position {
            return Err(PositionError { position, n_examples });
        }
        self.position = position;
        if epoch != self.epoch {
            self.epoch = epoch;
            self.permute();
        }
        Ok(())
    }

    fn permute(&mut self) {
        // From the identity each time: the last epoch's order must not shape this one's.
        (0..).zip(&mut self.perm).for_each(|(index, slot)| *slot = index);
        SplitMix64::keyed(&[self.run_seed, self.stream, self.epoch]).shuffle(&mut self.perm);
    }
}

/// How many batches of at most `batch_max` an epoch over `n_examples` takes.
pub fn steps_per_epoch(n_examples: usize, batch_max: usize) -> usize {
    n_examples.div_ceil(batch_max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn epoch_of(order: &mut Order, batch_max: usize) -> Vec<u32> {
        let n_steps = steps_per_epoch(order.n_examples(), batch_max);
        let mut next = || {
            let batch = order.next_batch(batch_max).to_vec();
            assert_eq!(batch, order.last(batch.len()));
            batch
        };
        let visited = (0..n_steps).flat_map(|_| next()).collect();
        assert!(order.is_at_epoch_end());
        visited
    }

    proptest! {
        #[test]
        fn an_epoch_visits_every_example_once(
            seed: u64, stream: u64, n_examples in 1_usize..300, batch_max in 1_usize..320,
        ) {
            let mut order = Order::new(seed, stream, n_examples);
            for epoch in 0..3 {
                let mut visited = epoch_of(&mut order, batch_max);
                prop_assert_eq!(order.epoch(), epoch);
                visited.sort_unstable();
                prop_assert!(visited.into_iter().eq(0..n_examples as u32));
            }
        }

        #[test]
        fn epoch_and_position_are_all_that_is_needed_to_resume(
            seed: u64, n_examples in 1_usize..200, batch_max in 1_usize..64,
            n_steps in 0_usize..40, elsewhere in 0_u64..9,
        ) {
            let mut order = Order::new(seed, 1, n_examples);
            (0..n_steps).for_each(|_| {
                order.next_batch(batch_max);
            });
            let mut resumed = Order::new(seed, 1, n_examples);
            resumed.reseek(elsewhere, 0).expect("the start of any epoch is a position");
            resumed.reseek(order.epoch(), order.position()).expect("it was a position");
            for _ in 0..40 {
                prop_assert_eq!(resumed.next_batch(batch_max), order.next_batch(batch_max));
                prop_assert_eq!(resumed.epoch(), order.epoch());
            }
        }
    }

    #[test]
    fn epochs_streams_and_seeds_differ() {
        let mut order = Order::new(1, 0, 100);
        let first = epoch_of(&mut order, 100);
        let second = epoch_of(&mut order, 100);
        let other_stream = epoch_of(&mut Order::new(1, 1, 100), 100);
        let other_seed = epoch_of(&mut Order::new(2, 0, 100), 100);
        let mut all = vec![first, second, other_stream, other_seed];
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn the_order_is_the_same_in_every_build() {
        // Pinned: a change of these numbers breaks resuming from every checkpoint there is.
        let mut order = Order::new(0, 0, 10);
        assert_eq!(epoch_of(&mut order, 4), [5, 9, 3, 6, 1, 7, 8, 4, 2, 0]);
        assert_eq!(epoch_of(&mut order, 4), [4, 0, 6, 3, 2, 9, 7, 8, 5, 1]);
    }

    #[test]
    fn the_permutation_is_rebuilt_in_place() {
        let mut order = Order::new(3, 0, 50);
        let before = order.perm.as_ptr();
        (0..20).for_each(|_| {
            order.next_batch(7);
        });
        assert!(0 < order.epoch());
        assert_eq!(order.perm.as_ptr(), before);
        assert_eq!(order.perm.capacity(), 50);
    }

    #[test]
    fn a_position_beyond_the_data_is_refused_and_changes_nothing() {
        let mut order = Order::new(3, 0, 50);
        order.next_batch(7);
        let error = order.reseek(4, 51).expect_err("beyond the end");
        assert_eq!(error, PositionError { position: 51, n_examples: 50 });
        assert_eq!((order.epoch(), order.position()), (0, 7));
        order.reseek(4, 50).expect("the end of an epoch is a position");
        assert_eq!((order.next_batch(7).len(), order.epoch()), (7, 5));
    }
}
