//! The game of a host's modules: Shapley values and interactions, by the figures of `esper_stats`.

use std::convert::Infallible;

use esper_engine::runtime::{Ablated, AblationError};
use esper_stats::{
    Interval, StatsError,
    shapley::{self, EXACT_PLAYERS_MAX, Sampling},
};
use esper_systems::kasmina;

use super::{
    AttributionSettings,
    error::FigureError,
    report::{
        Around, Meaning, MeaningAttribution, Method, ModuleWorth, Pair, PairKind, Score,
        SubsetScore,
    },
    scores::Scores,
};

/// Orders that are drawn where not every set is evaluated, at most.
const ORDERS_MAX: usize = 64;

/// Why a game has no solution.
pub(super) enum GameError {
    Host(AblationError),
    Figures(FigureError),
}

impl From<AblationError> for GameError {
    fn from(error: AblationError) -> Self {
        Self::Host(error)
    }
}

impl From<FigureError> for GameError {
    fn from(error: FigureError) -> Self {
        Self::Figures(error)
    }
}

impl From<StatsError> for GameError {
    fn from(error: StatsError) -> Self {
        Self::Figures(error.into())
    }
}

/// The modules of a host as players, in one meaning of their absence.
pub(super) struct Game<'a> {
    meaning: Meaning,
    settings: &'a AttributionSettings,
}

impl<'a> Game<'a> {
    pub fn new(meaning: Meaning, settings: &'a AttributionSettings) -> Self {
        Self { meaning, settings }
    }

    /// Evaluates what has to be known, and draws the figures from it.
    pub fn solve(&self, scores: &mut Scores<'_>) -> Result<MeaningAttribution, GameError> {
        let n_modules = scores.joined().seeds().len();
        let is_exact = n_modules <= self.settings.exact_modules_max.min(EXACT_PLAYERS_MAX);
        let method = match is_exact {
            true => Method::Exact,
            false => Method::Sampled { n_orders: self.n_orders(n_modules) },
        };
        let asked = match method {
            Method::Exact => (0..=scores.all()).collect(),
            Method::Sampled { n_orders } => self.asked(n_modules, n_orders)?,
        };
        let (all, pairs) = (scores.all(), pairs(n_modules));
        let alone = (0..n_modules).map(|place| all & !(1 << place));
        let without_pairs = pairs.iter().map(|(first, second)| all & !(1 << first | 1 << second));
        let mut subsets: Vec<u64> = asked.iter().copied().chain([0, all]).chain(alone).collect();
        subsets.extend(without_pairs);
        subsets.sort_unstable();
        subsets.dedup();
        scores.evaluate(self.meaning, &subsets)?;
        let values = match method {
            Method::Exact => self.exact(scores, n_modules)?,
            Method::Sampled { n_orders } => self.sampled(scores, n_modules, n_orders)?,
        };
        let pair = |(first, second): (usize, usize)| self.pair(scores, method, first, second);
        let interactions = pairs.into_iter().map(pair).collect::<Result<_, StatsError>>()?;
        let seeds = scores.joined().seeds();
        let subset = |subset: &u64| SubsetScore {
            modules: (0..n_modules)
                .filter(|place| subset >> place & 1 == 1)
                .map(|at| seeds[at])
                .collect(),
            score: Score::of(&scores.get(self.meaning, *subset).evaluation),
        };
        Ok(MeaningAttribution {
            meaning: self.meaning,
            same_as: scores.same_as(self.meaning),
            n_batches: scores.n_batches(self.meaning),
            method,
            all: Score::of(&scores.get(self.meaning, all).evaluation),
            none: Score::of(&scores.get(self.meaning, 0).evaluation),
            modules: (0..n_modules).map(|place| self.worth(scores, place, values[place])).collect(),
            interactions,
            subsets: subsets.iter().map(subset).collect(),
        })
    }

    /// Orders of so many modules that ask for no more than the sets that may be evaluated: each is walked there and back,
    /// and all of them begin and end with the same two sets.
    fn n_orders(&self, n_modules: usize) -> usize {
        let of_order = 2 * (n_modules - 1).max(1);
        (self.settings.n_subsets_max.saturating_sub(2) / of_order).clamp(2, ORDERS_MAX)
    }

    fn sampling(&self, n_orders: usize) -> Sampling {
        Sampling { n_orders, confidence: self.settings.confidence, seed: 0 }
    }

    /// The sets that sampling asks for, which do not depend on their values: so they can be evaluated together.
    fn asked(&self, n_modules: usize, n_orders: usize) -> Result<Vec<u64>, FigureError> {
        let mut asked = Vec::new();
        let ask = |subset: u64| {
            asked.push(subset);
            Ok::<f64, Infallible>(0.0)
        };
        shapley::sampled(n_modules, self.sampling(n_orders), ask)?;
        Ok(asked)
    }

    fn sampled(
        &self,
        scores: &Scores<'_>,
        n_modules: usize,
        n_orders: usize,
    ) -> Result<Vec<Interval>, FigureError> {
        let value = |subset: u64| Ok::<f64, Infallible>(self.value(scores, subset));
        shapley::sampled(n_modules, self.sampling(n_orders), value)
    }

    /// The value of every set, and the intervals of linear figures of them over the examples.
    fn exact(&self, scores: &Scores<'_>, n_modules: usize) -> Result<Vec<Interval>, StatsError> {
        let subsets: Vec<u64> = (0..1 << n_modules).collect();
        let value = |subset| self.value(scores, subset);
        let estimates = shapley::exact(&shapley::table(n_modules, value)?)?;
        let shapley = |place: usize| {
            let share = |values: &[f64]| Ok(shapley::exact(values)?[place]);
            let interval = self.over_examples(scores, &subsets, share)?;
            Ok(Interval { estimate: estimates[place], ..interval })
        };
        (0..n_modules).map(shapley).collect()
    }

    /// A linear figure of the values of `subsets`, example by example: its mean, and the interval of that.
    ///
    /// A figure that is linear is the sum of its weights times the values; each weight is what the figure is where that
    /// set alone is worth one.
    fn over_examples(
        &self,
        scores: &Scores<'_>,
        subsets: &[u64],
        figure: impl Fn(&[f64]) -> Result<f64, StatsError>,
    ) -> Result<Interval, StatsError> {
        let n_examples = scores.get(self.meaning, scores.all()).losses.len();
        let mut of_examples = vec![0.0_f64; n_examples];
        for (place, subset) in subsets.iter().enumerate() {
            let mut unit = vec![0.0; subsets.len()];
            unit[place] = 1.0;
            let weight = figure(&unit)?;
            let losses = &scores.get(self.meaning, *subset).losses;
            let values = of_examples.iter_mut().zip(losses);
            values.for_each(|(sum, loss)| *sum -= weight * f64::from(*loss));
        }
        let zeros = vec![0.0_f64; n_examples];
        Ok(self.paired(&of_examples, &zeros))
    }

    fn pair(
        &self,
        scores: &Scores<'_>,
        method: Method,
        first: usize,
        second: usize,
    ) -> Result<Pair, StatsError> {
        let n_modules = scores.joined().seeds().len();
        let all = scores.all();
        // Of a game that was sampled, the two are the players of one in which everyone else takes part.
        let (around, subsets, of): (_, Vec<u64>, _) = match method {
            Method::Exact => (Around::AnySet, (0..1 << n_modules).collect(), (first, second)),
            Method::Sampled { .. } => {
                let others = all & !(1 << first | 1 << second);
                let bits = [0, 1 << first, 1 << second, 1 << first | 1 << second];
                (Around::AllOthers, bits.map(|bits| others | bits).to_vec(), (0, 1))
            }
        };
        let figure = |values: &[f64]| shapley::interaction(values, of.0, of.1);
        let values: Vec<f64> = subsets.iter().map(|it| self.value(scores, *it)).collect();
        let interval = self.over_examples(scores, &subsets, figure)?;
        let interaction = Interval { estimate: figure(&values)?, ..interval };
        let seeds = scores.joined().seeds();
        let kind = PairKind::of(&interaction);
        Ok(Pair { first: seeds[first], second: seeds[second], around, interaction, kind })
    }

    fn worth(&self, scores: &Scores<'_>, place: usize, shapley: Interval) -> ModuleWorth {
        let all = scores.all();
        let (with, without) =
            (scores.get(self.meaning, all), scores.get(self.meaning, all & !(1 << place)));
        ModuleWorth {
            seed: scores.joined().seeds()[place],
            without: Score::of(&without.evaluation),
            loss_increase: self.increase(without, with),
            shapley,
        }
    }

    fn increase(&self, without: &Ablated, with: &Ablated) -> Interval {
        self.paired(&without.losses, &with.losses)
    }

    fn paired<T: Copy + Into<f64>>(&self, baseline: &[T], candidate: &[T]) -> Interval {
        let found = kasmina::paired_interval(baseline, candidate, self.settings.confidence);
        Interval { estimate: found.mean, low: found.low, high: found.high }
    }

    /// What a set is worth: the loss, turned around.
    fn value(&self, scores: &Scores<'_>, subset: u64) -> f64 {
        -scores.get(self.meaning, subset).evaluation.loss
    }
}

fn pairs(n_modules: usize) -> Vec<(usize, usize)> {
    (0..n_modules).flat_map(|first| (first + 1..n_modules).map(move |it| (first, it))).collect()
}
