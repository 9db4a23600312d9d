//! What an attribution found: plain data, and tables for people.

use std::fmt::{self, Write as _};

use esper_engine::{
    ids::{HostId, SeedId},
    runtime::{Evaluation, Split},
    stage::Stage,
};
use esper_stats::Interval;
use esper_systems::nissa::table;
use serde::Serialize;

/// What takes the place of a module that is absent.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// What the module says is multiplied by zero where it joins: `y = (1 - a) x` after a blend, `y = x` after a residual.
    GateZero,
    /// The join passes its input on: `y = x`.
    Bypass,
    /// The same, and running statistics of batch norms are estimated anew, of the whole host too, so that a host is not
    /// charged for statistics that no longer are those of its activations.
    Recalibrated,
}

impl Meaning {
    /// Every meaning.
    pub const ALL: [Self; 3] = [Self::GateZero, Self::Bypass, Self::Recalibrated];

    const fn text(self) -> &'static str {
        match self {
            Self::GateZero => "gate at zero",
            Self::Bypass => "bypass",
            Self::Recalibrated => "bypass, recalibrated",
        }
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// A mean loss and an accuracy.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Mean loss an example, in nats (or squared units).
    pub loss: f64,
    /// Share classified right; `None` for regression.
    pub accuracy: Option<f64>,
}

impl Score {
    pub(super) fn of(found: &Evaluation) -> Self {
        Self { loss: found.loss, accuracy: found.accuracy }
    }
}

/// What is known of a run's modules, checkpoint by checkpoint.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Attribution {
    /// The examples that losses are means over.
    pub split: &'static str,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Every host at every checkpoint that was kept, the newest last.
    pub hosts: Vec<HostAttribution>,
    /// What was left out; a sentence each.
    pub notes: Vec<String>,
}

/// What is known of a host's modules at a checkpoint.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct HostAttribution {
    /// The checkpoint's tick.
    pub tick: u64,
    /// Optimizer steps of the host.
    pub step: u64,
    /// The host.
    pub host: HostId,
    /// The examples that losses are means over.
    pub split: &'static str,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// How many examples there are.
    pub n_examples: usize,
    /// The host as it is.
    pub full: Score,
    /// Its modules.
    pub modules: Vec<ModuleFacts>,
    /// What they are worth, by what their absence means; empty where there are none.
    pub meanings: Vec<MeaningAttribution>,
    /// How often a network was evaluated, over all meanings.
    pub n_evaluations: usize,
}

/// A module that acts in a host.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct ModuleFacts {
    /// The seed it is of.
    pub seed: SeedId,
    /// The site it is at.
    pub site: Option<String>,
    /// Its blueprint's family.
    pub family: Option<String>,
    /// The seed's stage.
    pub stage: Option<Stage>,
    /// How far it is blended in.
    pub alpha: Option<f32>,
}

/// How Shapley values were found.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Method {
    /// From every set of modules; intervals are over examples.
    Exact,
    /// From orders that were drawn, each and its reverse; intervals are over orders.
    Sampled {
        /// How many were drawn.
        n_orders: usize,
    },
}

/// What a host's modules are worth in one meaning of their absence.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct MeaningAttribution {
    /// The meaning.
    pub meaning: Meaning,
    /// The meaning that gives the same networks here, where that is another.
    pub same_as: Option<Meaning>,
    /// Training batches that running statistics were estimated anew from, where they were.
    pub n_batches: Option<usize>,
    /// How Shapley values were found.
    pub method: Method,
    /// The host with all of the modules: as it is, or recalibrated as without some of them, so that what new statistics
    /// alone change is no module's doing.
    pub all: Score,
    /// The host without any of the modules.
    pub none: Score,
    /// What each module is worth.
    pub modules: Vec<ModuleWorth>,
    /// What two modules are worth together, pair by pair.
    pub interactions: Vec<Pair>,
    /// The sets of modules that were evaluated.
    pub subsets: Vec<SubsetScore>,
}

/// What a module is worth.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct ModuleWorth {
    /// The seed it is of.
    pub seed: SeedId,
    /// The host without this module, all others there.
    pub without: Score,
    /// By how much the loss is higher then, with its paired interval over examples.
    pub loss_increase: Interval,
    /// Its share of what all modules lower the loss by.
    pub shapley: Interval,
}

/// The sets of other modules that an interaction is an average over.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Around {
    /// Every set: the Shapley interaction index.
    AnySet,
    /// All others: where there are too many sets.
    AllOthers,
}

/// What two modules are to each other.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PairKind {
    /// Worth more together than apart, beyond the interval.
    Symbiosis,
    /// Worth less together than apart, beyond the interval.
    Parasitism,
    /// The interval does not tell.
    Undecided,
}

impl PairKind {
    pub(super) fn of(interaction: &Interval) -> Self {
        match interaction {
            it if it.low > 0.0 => Self::Symbiosis,
            it if it.high < 0.0 => Self::Parasitism,
            _ => Self::Undecided,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Symbiosis => "symbiosis",
            Self::Parasitism => "parasitism",
            Self::Undecided => "undecided",
        }
    }
}

/// What two modules are worth together beyond what each is worth.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// One of them.
    pub first: SeedId,
    /// The other.
    pub second: SeedId,
    /// What it is an average over.
    pub around: Around,
    /// By how much both lower the loss beyond the sum of what each lowers it by, with its interval over examples.
    pub interaction: Interval,
    /// What that makes them.
    pub kind: PairKind,
}

/// The host with some of its modules.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct SubsetScore {
    /// Those that act.
    pub modules: Vec<SeedId>,
    /// How the host scores then.
    #[serde(flatten)]
    pub score: Score,
}

/// How an interaction went over the checkpoints that were kept.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Course {
    /// The host.
    pub host: HostId,
    /// What absence means.
    pub meaning: Meaning,
    /// One of the modules.
    pub first: SeedId,
    /// The other.
    pub second: SeedId,
    /// The interaction wherever both acted, oldest first.
    pub points: Vec<CoursePoint>,
}

/// An interaction at a checkpoint.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct CoursePoint {
    /// The checkpoint's tick.
    pub tick: u64,
    /// Optimizer steps of the host.
    pub step: u64,
    /// The interaction, with its interval over examples.
    pub interaction: Interval,
    /// What that makes the two.
    pub kind: PairKind,
}

pub(super) const fn split_word(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Validation => "validation",
        Split::Test => "test",
    }
}

impl Attribution {
    /// The hosts at the newest checkpoint.
    pub fn newest(&self) -> impl Iterator<Item = &HostAttribution> {
        let tick = self.hosts.iter().map(|it| it.tick).max();
        self.hosts.iter().filter(move |it| Some(it.tick) == tick)
    }

    /// How each interaction went over the checkpoints that were kept, in the order of hosts, meanings and seeds; meanings
    /// that are another's are left out.
    pub fn courses(&self) -> Vec<Course> {
        let mut courses: Vec<Course> = Vec::new();
        for host in &self.hosts {
            for it in host.meanings.iter().filter(|it| it.same_as.is_none()) {
                for pair in &it.interactions {
                    let Pair { first, second, interaction, kind, .. } = *pair;
                    let key = (host.host, it.meaning, first, second);
                    let point = CoursePoint { tick: host.tick, step: host.step, interaction, kind };
                    let is_of =
                        |it: &&mut Course| key == (it.host, it.meaning, it.first, it.second);
                    match courses.iter_mut().find(is_of) {
                        Some(course) => course.points.push(point),
                        None => {
                            let (host, meaning, ..) = key;
                            let points = vec![point];
                            courses.push(Course { host, meaning, first, second, points });
                        }
                    }
                }
            }
        }
        courses.sort_by_key(|it| (it.host, it.meaning as u8, it.first, it.second));
        courses
    }
}

impl HostAttribution {
    /// The figures in columns, for people.
    pub fn to_text(&self) -> String {
        let Self { host, step, n_examples, split, full, .. } = self;
        let mut text = format!(
            "{host} after step {step}: loss {:.4}{} on {n_examples} {split} examples",
            full.loss,
            accuracy(full)
        );
        if self.modules.is_empty() {
            text.push_str("; it has no modules: nothing was kept, and nothing is grafted\n");
            return text;
        }
        writeln!(text, "; {} evaluations", self.n_evaluations).expect(STRING);
        let percent = 100.0 * self.confidence;
        for of_meaning in &self.meanings {
            write!(text, "\n{}: {}\n", of_meaning.meaning, of_meaning.remark()).expect(STRING);
            if of_meaning.same_as.is_some() {
                continue;
            }
            let interval = format!("{percent:.0} % interval");
            let header = [
                "seed",
                "site",
                "blueprint",
                "stage",
                "loss without",
                "difference",
                &interval,
                "Shapley",
                &interval,
            ];
            let rows = self.modules.iter().zip(&of_meaning.modules);
            let rows: Vec<Vec<String>> = rows.map(|(facts, worth)| facts.row(worth)).collect();
            text.push_str(&table(&header, &rows));
            if !of_meaning.interactions.is_empty() {
                let header = ["pair", "interaction", &interval, "which is"];
                let rows: Vec<Vec<String>> =
                    of_meaning.interactions.iter().map(Pair::row).collect();
                text.push('\n');
                text.push_str(&table(&header, &rows));
            }
        }
        text
    }
}

const STRING: &str = "a string takes all";

impl MeaningAttribution {
    /// What else there is to know of this meaning.
    fn remark(&self) -> String {
        if let Some(other) = self.same_as {
            let why = match self.meaning {
                Meaning::Recalibrated => "the host has no running statistics",
                _ => "every module is joined as a residual",
            };
            return format!("as {other}, for {why}");
        }
        let mut text = format!("loss without any {:.4}{}", self.none.loss, accuracy(&self.none));
        if let Some(n_batches) = self.n_batches {
            let Score { loss, .. } = self.all;
            write!(text, ", with all {loss:.4}; statistics are of {n_batches} training batches")
                .expect(STRING);
        }
        if let Method::Sampled { n_orders } = self.method {
            let n_subsets = self.subsets.len();
            write!(text, "; Shapley values are of {n_orders} orders and their reverses, {n_subsets} sets of modules; ")
                .expect(STRING);
            text.push_str("a pair is seen with all other modules there");
        }
        text
    }
}

fn accuracy(score: &Score) -> String {
    score.accuracy.map_or_else(String::new, |share| format!(", accuracy {share:.4}"))
}

fn figures(interval: &Interval) -> [String; 2] {
    let Interval { estimate, low, high } = interval;
    [format!("{estimate:+.5}"), format!("[{low:+.5}, {high:+.5}]")]
}

impl ModuleFacts {
    fn row(&self, worth: &ModuleWorth) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let stage = self.stage.map(|stage| match (stage, self.alpha) {
            (Stage::Fossilized, _) | (_, None) => stage.to_string(),
            (_, Some(alpha)) => format!("{stage} (a = {alpha})"),
        });
        let mut row = vec![
            self.seed.to_string(),
            or_dash(self.site.clone()),
            or_dash(self.family.clone()),
            or_dash(stage),
            format!("{:.5}", worth.without.loss),
        ];
        row.extend(figures(&worth.loss_increase));
        row.extend(figures(&worth.shapley));
        row
    }
}

impl Pair {
    fn row(&self) -> Vec<String> {
        let mut row = vec![format!("{} with {}", self.first, self.second)];
        row.extend(figures(&self.interaction));
        row.push(self.kind.word().to_owned());
        row
    }
}

impl Course {
    /// The course in columns, for people.
    pub fn to_text(&self) -> String {
        let Self { host, meaning, first, second, points } = self;
        let row = |it: &CoursePoint| {
            let mut row = vec![it.tick.to_string(), it.step.to_string()];
            row.extend(figures(&it.interaction));
            row.push(it.kind.word().to_owned());
            row
        };
        let rows: Vec<Vec<String>> = points.iter().map(row).collect();
        let header = ["tick", "step", "interaction", "interval", "which is"];
        format!("{first} with {second} in {host} over time ({meaning}):\n{}", table(&header, &rows))
    }
}
