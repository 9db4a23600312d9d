//! Passes that train nothing: validation, counterfactuals, verdicts, the test.

use std::{num::NonZeroUsize, ops::Range};

use esper_data::{Dataset, Draw, Targets};
use esper_nn::{
    device::{DeviceError, Examples as OnDevice, StepMemory},
    plan::{StepArgs, StepOutcome, UnitIndex, Variant},
};

use super::{config::HostConfig, host::HostRuntime, progress::Evaluation};
use crate::ids::SeedId;

/// Which examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What gradients are computed on.
    Train,
    /// What decisions are made on.
    Validation,
    /// What is read once, at the end.
    Test,
}

/// Which of a split's examples: those that rank candidates are none of those that judge the one that was chosen, or the
/// choice would be tested on what it was made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subset {
    /// Every example.
    All,
    /// Every third, from the first on.
    Ranking,
    /// The others.
    Judging,
}

/// Examples of a split. A [`Split`] alone stands for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Examples {
    /// The split.
    pub split: Split,
    /// Which part of it; a split of fewer than three examples is not parted.
    pub subset: Subset,
    /// How many of the part at most, evenly spaced over it; `None` for all.
    pub examples_max: Option<NonZeroUsize>,
}

impl From<Split> for Examples {
    fn from(split: Split) -> Self {
        Self { split, subset: Subset::All, examples_max: None }
    }
}

impl Examples {
    /// How many there are, of a split of `n` examples.
    pub fn len_of(&self, n: usize) -> usize {
        self.examples_max.map_or(usize::MAX, NonZeroUsize::get).min(self.part_len(n))
    }

    /// The numbers of examples `range` of them, in the order of the split of `n` examples.
    pub(super) fn indices(&self, n: usize, range: Range<usize>) -> impl Iterator<Item = u32> {
        let (part, len, subset) = (self.part_len(n), self.len_of(n), self.subset_of(n));
        range.map(move |place| {
            let place = (place as u128 * part as u128 / len as u128) as usize;
            let index = match subset {
                Subset::All => place,
                Subset::Ranking => RANKING_EVERY * place,
                // One, two; four, five; seven, eight.
                Subset::Judging => place + place / (RANKING_EVERY - 1) + 1,
            };
            index as u32
        })
    }

    fn subset_of(&self, n: usize) -> Subset {
        if n < RANKING_EVERY { Subset::All } else { self.subset }
    }

    fn part_len(&self, n: usize) -> usize {
        let n_ranking = n.div_ceil(RANKING_EVERY);
        match self.subset_of(n) {
            Subset::All => n,
            Subset::Ranking => n_ranking,
            Subset::Judging => n - n_ranking,
        }
    }
}

/// Of so many examples one ranks, and the others judge.
const RANKING_EVERY: usize = 3;

/// Which account the arithmetic is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlopsAccount {
    /// `flops.validation`.
    Validation,
    /// `flops.evaluation`.
    Evaluation,
}

/// What a host would lose with other modules in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// Mean loss of the host as it is.
    pub loss: f64,
    /// Mean loss by module and scale, in the order in which they were asked for.
    pub tried: Vec<Vec<f64>>,
    /// How many examples that is over.
    pub n_examples: usize,
}

impl HostRuntime {
    /// Evaluates the host as it stands, its blended modules included.
    ///
    /// `tried` lets one module act at a scale of its own: an incubating one as if it were grafted, a blended one as if it
    /// were not. `losses` receives each example's loss, in the order of the split.
    ///
    /// # Errors
    ///
    /// Fails when the device does.
    ///
    /// # Panics
    ///
    /// If the module that is tried is not bound.
    pub fn evaluate(
        &mut self,
        which: impl Into<Examples>,
        account: FlopsAccount,
        tried: Option<(SeedId, f32)>,
        mut losses: Option<&mut Vec<f32>>,
    ) -> Result<Evaluation, DeviceError> {
        let which = which.into();
        let config = self.config.clone();
        if let Some(losses) = losses.as_deref_mut() {
            losses.clear();
        }
        // Between steps a blend stands where the last step left it.
        self.fill_args(self.state.step.saturating_sub(1));
        let variant = match tried {
            None => Variant::Evaluate,
            Some((seed, alpha)) => {
                let unit = self.place_of(seed).expect("a module that is tried is bound") + 1;
                self.plan.rebuild_trial(unit as UnitIndex);
                config.device.prepare(&self.plan)?;
                self.args.units[unit].alpha = alpha;
                Variant::Trial
            }
        };
        let (mut loss_sum, mut n_correct) = (0.0, 0);
        let n_examples = self.pass_over(which, variant, account, |memory, outcome, rows| {
            loss_sum += outcome.loss_sum;
            n_correct += outcome.n_correct;
            if let Some(losses) = losses.as_deref_mut() {
                losses.resize(rows.end, 0.0);
                config.device.download_f32(memory.losses(), 0, &mut losses[rows.start..]);
            }
        })?;
        let (examples, _) = part_of(&config, which.split);
        let accuracy = match examples.targets {
            Targets::Classes { .. } | Targets::NextTokens(_) => {
                Some(n_correct as f64 / (n_examples * examples.labels_per_example()) as f64)
            }
            Targets::Values { .. } => None,
        };
        Ok(Evaluation { loss: loss_sum / n_examples as f64, accuracy, n_examples })
    }

    /// What the host would lose with each of `seeds`' modules in it as if it were grafted, at each of `scales`.
    ///
    /// The host's pass up to a site is one for all modules there, and so is the pass that says what it loses as it is: it
    /// costs less than to [`evaluate`](Self::evaluate) each. Modules that are blended in at a site come before those that
    /// are tried there.
    ///
    /// # Errors
    ///
    /// Fails when the device does.
    ///
    /// # Panics
    ///
    /// If one of the modules is not bound.
    pub fn rank(
        &mut self,
        which: Examples,
        account: FlopsAccount,
        seeds: &[SeedId],
        scales: &[f32],
    ) -> Result<Ranking, DeviceError> {
        let device = self.config.device.clone();
        let place = |seed: &SeedId| self.place_of(*seed).expect("a module that is tried is bound");
        let units: Vec<UnitIndex> = seeds.iter().map(|seed| place(seed) as UnitIndex + 1).collect();
        self.fill_args(self.state.step.saturating_sub(1));
        self.plan.rebuild_ranking(&units, scales);
        device.prepare(&self.plan)?;
        self.memory.make_ranking_room(&*device, seeds.len() * scales.len())?;
        let mut loss = 0.0;
        let mut sums = vec![0.0; seeds.len() * scales.len()];
        let n_examples = self.pass_over(which, Variant::Rank, account, |memory, outcome, _| {
            loss += outcome.loss_sum;
            for (sum, kept) in sums.iter_mut().zip(&memory.kept_losses) {
                *sum += kept;
            }
        })?;
        let mean = |sum: &f64| sum / n_examples as f64;
        let tried = sums.chunks(scales.len()).map(|it| it.iter().map(mean).collect()).collect();
        Ok(Ranking { loss: mean(&loss), tried, n_examples })
    }

    /// Runs `variant` over the examples, batch by batch, and says how many they were. `each` is shown what a batch came
    /// to, and which of them it was.
    fn pass_over(
        &mut self,
        which: Examples,
        variant: Variant,
        account: FlopsAccount,
        mut each: impl FnMut(&StepMemory, StepOutcome, Range<usize>),
    ) -> Result<usize, DeviceError> {
        let config = self.config.clone();
        let (examples, on_device) = part_of(&config, which.split);
        let draw = Draw {
            run_seed: config.run_seed,
            stream: config.stream,
            epoch: self.state.epoch,
            is_training: false,
        };
        let n_examples = which.len_of(examples.len());
        let mut indices = std::mem::take(&mut self.args.indices);
        for start in (0..n_examples).step_by(config.batch) {
            let rows = start..n_examples.min(start + config.batch);
            indices.clear();
            indices.extend(which.indices(examples.len(), rows.clone()));
            let args = StepArgs {
                average_rate: 0.0,
                step: self.state.step,
                batch: examples.batch(&indices, draw),
                units: &self.args.units,
                groups: &self.args.groups,
            };
            let memory = &mut self.memory;
            let outcome = config.device.run(&self.plan, variant, memory, Some(on_device), &args)?;
            each(memory, outcome, rows);
        }
        self.args.indices = indices;
        let flops = self.plan.list(variant).flops.total(n_examples);
        match account {
            FlopsAccount::Validation => self.state.flops.validation += flops,
            FlopsAccount::Evaluation => self.state.flops.evaluation += flops,
        }
        Ok(n_examples)
    }
}

/// A split in the processor's memory and on the device.
fn part_of(config: &HostConfig, split: Split) -> (&Dataset, &OnDevice) {
    match split {
        Split::Train => (&config.data.train, &config.on_device.train),
        Split::Validation => (&config.data.validation, &config.on_device.validation),
        Split::Test => (&config.data.test, &config.on_device.test),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(subset: Subset, examples_max: usize, n: usize) -> Vec<u32> {
        let examples_max = NonZeroUsize::new(examples_max);
        let which = Examples { split: Split::Validation, subset, examples_max };
        which.indices(n, 0..which.len_of(n)).collect()
    }

    #[test]
    fn what_ranks_and_what_judges_are_the_whole_split_and_share_nothing() {
        for n in 3..40 {
            let (ranking, judging) =
                (numbers(Subset::Ranking, 0, n), numbers(Subset::Judging, 0, n));
            assert!(ranking.iter().all(|index| index % 3 == 0));
            assert!(judging.is_sorted() && ranking.is_sorted());
            let mut both = [ranking, judging].concat();
            both.sort_unstable();
            assert_eq!(both, numbers(Subset::All, 0, n));
        }
        assert_eq!(numbers(Subset::Judging, 0, 9), [1, 2, 4, 5, 7, 8]);
        assert_eq!(numbers(Subset::Judging, 0, 2), [0, 1], "too few to be parted");
    }

    #[test]
    fn a_limit_takes_examples_that_are_evenly_spaced() {
        assert_eq!(numbers(Subset::Ranking, 3, 18), [0, 6, 12]);
        assert_eq!(numbers(Subset::Judging, 100, 6), [1, 2, 4, 5]);
        assert_eq!(numbers(Subset::All, 4, 10), [0, 2, 5, 7]);
    }
}
