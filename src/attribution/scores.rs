//! Scores of a host by the set of modules that act in it: each is evaluated once, up to eight in one pass.

use std::collections::BTreeMap;

use esper_engine::runtime::{Ablated, AblationError, JoinedHost, Split, Variation};
use esper_nn::graph::Ablation;

use super::{AttributionSettings, report::Meaning};

/// What is known of a host by the modules that act in it. A set is a mask: bit `i` is the module of the `i`-th seed.
pub(super) struct Scores<'a> {
    joined: &'a JoinedHost,
    split: Split,
    n_batches: usize,
    known: BTreeMap<Variation, Ablated>,
}

impl<'a> Scores<'a> {
    pub fn new(joined: &'a JoinedHost, settings: &AttributionSettings) -> Self {
        let n_batches = settings.n_batches_max.clamp(1, joined.n_train_batches());
        Self { joined, split: settings.split, n_batches, known: BTreeMap::new() }
    }

    /// The host.
    pub fn joined(&self) -> &'a JoinedHost {
        self.joined
    }

    /// The set of all modules.
    pub fn all(&self) -> u64 {
        (0..self.joined.seeds().len()).fold(0, |all, place| all | 1 << place)
    }

    /// The meaning that gives the same networks in this host, where that is another.
    pub fn same_as(&self, meaning: Meaning) -> Option<Meaning> {
        let is_same = match meaning {
            Meaning::GateZero => !self.joined.has_blend(),
            Meaning::Bypass => false,
            Meaning::Recalibrated => !self.joined.has_running_statistics(),
        };
        is_same.then_some(Meaning::Bypass)
    }

    /// Training batches that running statistics are estimated anew from, where that means anything.
    pub fn n_batches(&self, meaning: Meaning) -> Option<usize> {
        let is_apart = meaning == Meaning::Recalibrated && self.same_as(meaning).is_none();
        is_apart.then_some(self.n_batches)
    }

    /// Evaluates what is not known yet of `subsets`.
    pub fn evaluate(&mut self, meaning: Meaning, subsets: &[u64]) -> Result<(), AblationError> {
        let variations = subsets.iter().map(|subset| self.variation(meaning, *subset));
        self.find(variations.collect())
    }

    fn find(&mut self, variations: Vec<Variation>) -> Result<(), AblationError> {
        let is_new = |it: &Variation| !self.known.contains_key(it);
        let mut wanted: Vec<Variation> = variations.into_iter().filter(is_new).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let found = self.joined.evaluate(self.split, &wanted)?;
        self.known.extend(wanted.into_iter().zip(found));
        Ok(())
    }

    /// The host with the modules of `subset` alone, which was evaluated.
    pub fn get(&self, meaning: Meaning, subset: u64) -> &Ablated {
        &self.known[&self.variation(meaning, subset)]
    }

    /// The host as it is.
    pub fn full(&mut self) -> Result<Ablated, AblationError> {
        let all = self.all();
        self.evaluate(Meaning::Bypass, &[all])?;
        Ok(self.get(Meaning::Bypass, all).clone())
    }

    /// Passes over the data so far, each of one network.
    pub fn n_evaluations(&self) -> usize {
        self.known.len()
    }

    /// The network of `subset`; sets that mean the same network have the same.
    fn variation(&self, meaning: Meaning, subset: u64) -> Variation {
        let without = self.all() & !subset;
        let whole = Variation { without, ablation: Ablation::Bypass, n_batches: None };
        match self.same_as(meaning).unwrap_or(meaning) {
            Meaning::GateZero if without == 0 => whole,
            Meaning::GateZero => Variation { ablation: Ablation::GateZero, ..whole },
            Meaning::Bypass => whole,
            // The whole host too: what new statistics alone change would otherwise look like a module's doing.
            Meaning::Recalibrated => Variation { n_batches: Some(self.n_batches), ..whole },
        }
    }
}
