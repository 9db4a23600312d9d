//! `[sweep]` and `[front]`: what a sweep file says.

use esper_engine::scenario::{
    Interval, Key, Keys, LOWERCASE, List, PATH, Rules, SEED_MAX, Section, Sections, Text,
};

use super::{
    arm::{Arm, Basis},
    axis::{Axis, AxisError, Draw, parse_seeds},
};

/// The key of `[sweep]`.
pub const SWEEP: Key<Sweep> = Key::new();
/// The key of `[front]`.
pub const FRONT: Key<Front> = Key::new();

/// Which runs a sweep is made of: every seed of every setting of every arm of every scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Scenarios, a task each; relative paths start at the sweep file's folder, 1 to 64. Required.
    pub scenarios: Vec<String>,
    /// Seeds of the runs that are compared, such as `0..30` or `1,4,10..12`. Default `0..3`.
    pub seeds: String,
    /// What is compared, 1 to 16 arms. Default: the policy that the scenario names.
    pub arms: Vec<Arm>,
    /// The arm whose cost, network and actions others are made from. Default: `heuristic` if it is one of `arms`, or else the
    /// first of them that grows.
    pub growth: Option<Arm>,
    /// Keys of the scenario to set, each with its values: `key=value,value`. Every combination is run. Default none.
    pub set: Vec<String>,
    /// Keys to draw instead, each with a distribution: `key=log_uniform(low, high)`, `key=uniform(low, high)` or
    /// `key=choice(value, value)`. Default none.
    pub search: Vec<String>,
    /// Draws of `search`, 0 to 10,000. Default 0.
    pub samples: usize,
    /// What draws are keyed by. Default 0.
    pub search_seed: u64,
    /// Keys chosen for each arm on validation data before it is compared, each with its values. Default none.
    pub tune: Vec<String>,
    /// Seeds of the runs that choose, none of `seeds`. Default `1000000..1000003`.
    pub tune_seeds: String,
    /// Families of blueprints of the arm `oracle`: `TASK=family,family`. Default none.
    pub oracle: Vec<String>,
}

/// The static front of a task: hosts of its kind that do not grow, over width, depth and length of training.
#[derive(Clone, Debug, PartialEq)]
pub struct Front {
    /// Widths, as multiples of the scenario's host, at most 16. Default none, and no front.
    pub widths: Vec<f64>,
    /// Hidden layers or blocks more than the scenario's host, at most 8. Default 0.
    pub depths: Vec<u64>,
    /// Epochs, as multiples of the scenario's, at most 8. Default 1.
    pub epochs: Vec<f64>,
    /// Seeds of each host. Default `2000000..2000003`.
    pub seeds: String,
}

/// The sections of a sweep file.
pub(super) fn sections() -> Sections {
    let mut sections = Sections::default();
    sections.add::<Sweep>().add::<Front>();
    sections
}

/// A line of a list that is read further; what it says is checked with the rest.
const ITEM: Text = Text { form: "1 to 4096 bytes without control characters", ..PATH };
const SEEDS: Text = Text { example: "0..30", ..ITEM };

impl Section for Sweep {
    const NAME: &'static str = "sweep";

    fn keys(&mut self, keys: &mut impl Keys) {
        let list = |example, n_max| List {
            len: 0..=n_max,
            item: Text { example, ..ITEM },
            is_distinct: true,
        };
        let scenarios = Text { example: "scenarios/digits_mlp.toml", ..PATH };
        let scenarios = List { len: 1..=64, item: scenarios, is_distinct: true };
        keys.required("scenarios", &mut self.scenarios, scenarios);
        keys.key("seeds", &mut self.seeds, SEEDS);
        keys.key("arms", &mut self.arms, List { len: 1..=16, item: (), is_distinct: true });
        keys.key("growth", &mut self.growth, ());
        keys.key("set", &mut self.set, list("tamiyo.incubate_max=2,4", 64));
        keys.key(
            "search",
            &mut self.search,
            list("train.optimizer.lr=log_uniform(1e-4, 1e-1)", 64),
        );
        keys.key("samples", &mut self.samples, 0..=10_000);
        keys.key("search_seed", &mut self.search_seed, 0..=SEED_MAX);
        keys.key("tune", &mut self.tune, list("train.optimizer.lr=1e-3,3e-3,1e-2", 8));
        keys.key("tune_seeds", &mut self.tune_seeds, SEEDS);
        keys.key("oracle", &mut self.oracle, list("mnist1d_mlp=conv1d_two", 64));
    }

    fn check(&self, rules: &mut Rules<'_, '_>) {
        check_axes(rules, "sweep.set", &self.set, |text| Axis::parse(text).map(|it| it.key));
        check_axes(rules, "sweep.tune", &self.tune, |text| Axis::parse(text).map(|it| it.key));
        check_axes(rules, "sweep.search", &self.search, |text| Draw::parse(text).map(|it| it.key));
        self.check_keys(rules);
        self.check_arms(rules);
        let seeds = check_seeds(rules, "sweep.seeds", &self.seeds);
        let tune_seeds = check_seeds(rules, "sweep.tune_seeds", &self.tune_seeds);
        let shared = tune_seeds.iter().find(|it| seeds.contains(it));
        rules.hold(
            shared.is_none() || self.tune.is_empty(),
            &["sweep.tune_seeds", "sweep.seeds"],
            format!("must have none of `sweep.seeds`, has {}", shared.copied().unwrap_or_default()),
            "what is chosen on a seed must not be judged on it",
        );
        rules.hold(
            self.search.is_empty() == (self.samples == 0),
            &["sweep.samples", "sweep.search"],
            format!("`search` and `samples` need each other, and `samples` is {}", self.samples),
            "for example `samples = 20`",
        );
    }
}

impl Sweep {
    /// The arm that others are made from.
    pub(super) fn growth_arm(&self) -> Option<Arm> {
        let usual = self.arms.contains(&Arm::Heuristic).then_some(Arm::Heuristic);
        let first = || self.arms.iter().copied().find(|arm| arm.is_growth());
        self.growth.or(usual).or_else(first)
    }

    /// Holds keys to be set in one way only, and what a sweep sets itself to be left to it.
    fn check_keys(&self, rules: &mut Rules<'_, '_>) {
        let key = |text: &String| text.split('=').next().unwrap_or_default().trim().to_owned();
        let named = [("set", &self.set), ("search", &self.search), ("tune", &self.tune)];
        let mut seen: Vec<String> = Vec::new();
        for (list, texts) in named {
            for (index, text) in texts.iter().enumerate() {
                let (key, at) = (key(text), format!("sweep.{list}[{index}]"));
                rules.hold(
                    !seen.contains(&key),
                    &[&at],
                    format!("`{key}` is set more than once"),
                    "name every key in one of `set`, `search` and `tune`",
                );
                let is_within = |inner: &str, outer: &str| {
                    inner.strip_prefix(outer).is_some_and(|it| it.starts_with('.'))
                };
                let other = seen.iter().find(|it| is_within(it, &key) || is_within(&key, it));
                rules.hold(
                    other.is_none(),
                    &[&at],
                    format!(
                        "`{key}` and `{}` set the same key, one as a part of the other",
                        other.map_or("", String::as_str)
                    ),
                    "set the whole table, or keys of it, and not both",
                );
                rules.hold(
                    !["run.seed", "run.name", "run.threads", "tamiyo.policy"].contains(&&*key),
                    &[&at],
                    format!("`{key}` is set by the sweep itself"),
                    "use `seeds`, `arms` and `--jobs`",
                );
                self.check_own_keys(rules, &at, &key, list != "set" || n_values(text) > 1);
                seen.push(key);
            }
        }
    }

    /// Holds a key that has several values to be none that an arm sets itself.
    fn check_own_keys(&self, rules: &mut Rules<'_, '_>, at: &str, key: &str, is_varied: bool) {
        let owner = self.arms.iter().find(|arm| arm.own_keys().contains(&key));
        rules.hold(
            !is_varied || owner.is_none(),
            &[at, "sweep.arms"],
            format!(
                "`{key}` has several values, and the arm `{}` sets it itself",
                owner.map_or("", |arm| arm.word())
            ),
            "leave the arm out, or run it in a sweep of its own",
        );
    }

    fn check_arms(&self, rules: &mut Rules<'_, '_>) {
        let growth = self.growth_arm();
        for (index, arm) in self.arms.iter().enumerate() {
            let at = format!("sweep.arms[{index}]");
            rules.hold(
                arm.basis() == Basis::None || growth.is_some(),
                &[&at, "sweep.growth"],
                format!("`{arm}` is made from an arm that grows, and there is none"),
                "for example `arms = [\"heuristic\", ...]`",
            );
            rules.hold(
                *arm != Arm::Oracle || !self.oracle.is_empty(),
                &[&at, "sweep.oracle"],
                "`oracle` needs the blueprints that are right for each task".to_owned(),
                "for example `oracle = [\"mnist1d_mlp=conv1d_two\"]`",
            );
        }
        rules.hold(
            self.growth.is_none_or(|it| it.is_growth() && self.arms.contains(&it)),
            &["sweep.growth", "sweep.arms"],
            "must be one of `sweep.arms` that grows".to_owned(),
            "for example `growth = \"heuristic\"`",
        );
        for (index, text) in self.oracle.iter().enumerate() {
            let is_sound = text.split_once('=').is_some_and(|(task, families)| {
                let is_name = |it: &str| (LOWERCASE.is_one)(it.trim());
                !task.trim().is_empty() && families.split(',').all(is_name)
            });
            rules.hold(
                is_sound,
                &[&format!("sweep.oracle[{index}]")],
                "names no task and families of blueprints".to_owned(),
                "for example `oracle = [\"mnist1d_mlp=conv1d_two\"]`",
            );
        }
    }
}

/// Values of an axis; what is no axis is told of elsewhere.
fn n_values(text: &str) -> usize {
    Axis::parse(text).map_or(1, |it| it.values.len())
}

fn check_axes(
    rules: &mut Rules<'_, '_>,
    key: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<String, AxisError>,
) {
    for (index, text) in texts.iter().enumerate() {
        if let Err(AxisError { message, help }) = parse(text) {
            rules.hold(false, &[&format!("{key}[{index}]")], message, help);
        }
    }
}

fn check_seeds(rules: &mut Rules<'_, '_>, key: &str, text: &str) -> Vec<u64> {
    let seeds = parse_seeds(text);
    if let Err(message) = &seeds {
        rules.hold(false, &[key], message.clone(), "for example `seeds = \"0..30\"`");
    }
    seeds.unwrap_or_default()
}

impl Section for Front {
    const NAME: &'static str = "front";

    fn keys(&mut self, keys: &mut impl Keys) {
        let factors = |n_max| List {
            len: 0..=n_max,
            item: Interval::above(0.0).to(1024.0),
            is_distinct: true,
        };
        keys.key("widths", &mut self.widths, factors(16));
        keys.key("depths", &mut self.depths, List { len: 1..=8, item: 0..=64, is_distinct: true });
        keys.key("epochs", &mut self.epochs, List { len: 1..=8, ..factors(8) });
        keys.key("seeds", &mut self.seeds, SEEDS);
    }

    fn check(&self, rules: &mut Rules<'_, '_>) {
        check_seeds(rules, "front.seeds", &self.seeds);
    }
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            scenarios: vec!["scenarios/digits_mlp.toml".to_owned()],
            seeds: "0..3".to_owned(),
            arms: vec![Arm::Scenario],
            growth: None,
            set: Vec::new(),
            search: Vec::new(),
            samples: 0,
            search_seed: 0,
            tune: Vec::new(),
            tune_seeds: "1000000..1000003".to_owned(),
            oracle: Vec::new(),
        }
    }
}

impl Default for Front {
    fn default() -> Self {
        Self {
            widths: Vec::new(),
            depths: vec![0],
            epochs: vec![1.0],
            seeds: "2000000..2000003".to_owned(),
        }
    }
}
