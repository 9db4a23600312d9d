//! `[tamiyo]`: who decides, and within what bounds.

use std::{collections::BTreeMap, sync::Arc};

use esper_engine::{
    ids::HostId,
    scenario::{
        Interval, Key, Keys, LOWERCASE, List, Rules, Scenario, Section, Table, Text, words,
    },
};
use esper_nn::module::Incubation;

/// The key of `[tamiyo]`.
pub const TAMIYO: Key<Tamiyo> = Key::new();

/// The policy that decides nothing: no seed is planted.
pub const OFF: &str = "off";
/// The policy of the timetable.
pub const FIXED: &str = "fixed";
/// The policy that draws among the legal actions.
pub const RANDOM: &str = "random";
/// The policy of plateaus, past verdicts and the ranking of incubating seeds.
pub const HEURISTIC: &str = "heuristic";

/// The policies that ship with Esper.
pub const BUILT_IN: [&str; 4] = [FIXED, HEURISTIC, OFF, RANDOM];

/// Who decides, and what a policy plans with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TamiyoConfig {
    /// The scenario's `[tamiyo]`.
    pub tamiyo: Tamiyo,
    /// Whether seeds are inserted without learning first.
    pub is_direct: bool,
    /// Whether a seed trains on with the host once it is judged.
    pub fine_tunes: bool,
    /// The shortest incubation, in steps.
    pub train_min_steps: u64,
    /// Steps from germination to the last look of the verdict: a seed for which a run is too short is never judged.
    pub life_steps: u64,
    /// Parameters of one host, grafts included.
    pub params_max: u64,
    /// Every host's sites by name, in the order of its program.
    pub sites: BTreeMap<HostId, Arc<[String]>>,
    /// What a policy's random streams are keyed by.
    pub run_seed: u64,
}

impl TamiyoConfig {
    /// What `scenario` says, for hosts with these sites.
    pub fn new(scenario: &Scenario, sites: BTreeMap<HostId, Arc<[String]>>) -> Self {
        let incubation = scenario.value("kasmina.incubation");
        let fine_tune_steps = scenario.value::<u64>("kasmina.fine_tune_steps");
        Self {
            tamiyo: scenario.or_default(),
            is_direct: incubation == Some(Incubation::None),
            fine_tunes: fine_tune_steps.is_some_and(|steps| 0 < steps),
            train_min_steps: scenario.value("kasmina.train_min_steps").unwrap_or_default(),
            life_steps: life_steps(scenario),
            params_max: scenario.value("limits.params_max").unwrap_or(u64::MAX),
            sites,
            run_seed: scenario.value("run.seed").unwrap_or_default(),
        }
    }
}

/// Steps from a seed's germination to the last look of its verdict, where nothing has to be waited for.
pub fn life_steps(scenario: &Scenario) -> u64 {
    let steps = |key: &str| scenario.value::<u64>(key).unwrap_or_default();
    let is_direct = scenario.value("kasmina.incubation") == Some(Incubation::None);
    let incubation = if is_direct { 0 } else { steps("kasmina.train_min_steps") };
    let (first, max) = (steps("kasmina.verdict_after_steps"), steps("kasmina.verdict_max_steps"));
    let pause = steps("kasmina.verdict_extend_steps").max(1);
    // A tick each to germinate, to be bound and to be grafted.
    let ticks = 3 * steps("run.steps_per_tick");
    incubation + first + max.saturating_sub(first) / pause * pause + ticks
}

/// Who decides what grows where, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Tamiyo {
    /// Who decides: the name of a policy that is registered, one of Esper's or of your own. Default `heuristic`.
    pub policy: String,
    /// Share of the run's steps after which seeds germinate, 0 to 1. Default 0.1. A plateau
    /// germinates them sooner.
    pub germinate_share: f64,
    /// Share of the run's steps after which no seed germinates any more, `germinate_share` to 1.
    /// Default 1/3.
    pub germinate_until_share: f64,
    /// Epochs a loss must have stood still to be on a plateau, above 0 and at most 1,000,000.
    /// Default 2.
    pub plateau_epochs: f64,
    /// Relative improvement over `plateau_epochs` below which a loss stands still, above 0 and
    /// below 1. Default 0.05.
    pub plateau_relative: f64,
    /// Seeds of one host that incubate at once, 1 to 1024: the candidates of a race. Default 64.
    pub incubate_max: usize,
    /// Probability of an action a tick and host under `random`, above 0 and at most 1.
    /// Default 0.05.
    pub action_rate: f64,
    /// What `fixed` does, and when; at most 10,000 entries. Default: nothing.
    pub timetable: Vec<ScheduledAction>,
}

/// One line of a timetable.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduledAction {
    /// When, in epochs since the start of the run, 0 to `run.epochs`. Required.
    pub epoch: f64,
    /// What is done. Required.
    pub action: Action,
    /// Where: one of `host.sites`. Required.
    pub site: String,
    /// Which blueprint; required for `germinate` and refused for any other action.
    pub blueprint: Option<String>,
}

words! {
    /// What a timetable can ask for.
    Action {
        /// A dormant seed takes a blueprint.
        Germinate = "germinate",
        /// A trained seed begins to blend into the host.
        Graft = "graft",
        /// An evaluated seed trains together with the host.
        FineTune = "fine_tune",
        /// An evaluated seed becomes part of the host.
        Fossilize = "fossilize",
        /// A seed is removed, as judged not worth it.
        Cull = "cull",
        /// A seed is withdrawn before it touched the host.
        Cancel = "cancel",
    }
}

impl Section for Tamiyo {
    const NAME: &'static str = "tamiyo";

    fn keys(&mut self, keys: &mut impl Keys) {
        let share = Interval::from(0.0).to(1.0);
        keys.key("policy", &mut self.policy, Text { example: HEURISTIC, ..LOWERCASE });
        keys.key("germinate_share", &mut self.germinate_share, share);
        keys.key("germinate_until_share", &mut self.germinate_until_share, share);
        keys.key("plateau_epochs", &mut self.plateau_epochs, Interval::above(0.0).to(1e6));
        keys.key("plateau_relative", &mut self.plateau_relative, Interval::above(0.0).below(1.0));
        keys.key("incubate_max", &mut self.incubate_max, 1..=1024);
        keys.key("action_rate", &mut self.action_rate, Interval::above(0.0).to(1.0));
        let timetable = List { len: 0..=10_000, item: (), is_distinct: false };
        keys.key("timetable", &mut self.timetable, timetable);
    }

    fn check(&self, rules: &mut Rules<'_, '_>) {
        let (from, until) = (self.germinate_share, self.germinate_until_share);
        rules.hold(
            from <= until,
            &["tamiyo.germinate_until_share", "tamiyo.germinate_share"],
            format!("must be at least `tamiyo.germinate_share` ({from}), is {until}"),
            format!("for example `germinate_until_share = {}`", (from + 1.0) / 2.0),
        );
        rules.hold(
            self.policy != FIXED || !self.timetable.is_empty(),
            &["tamiyo.timetable", "tamiyo.policy"],
            "must say what policy \"fixed\" does".to_owned(),
            "for example `timetable = [{ epoch = 3.0, action = \"germinate\", site = \"hidden0\", \
             blueprint = \"residual_mlp\" }]`",
        );
        for (index, entry) in self.timetable.iter().enumerate() {
            entry.check(index, rules);
        }
    }
}

impl ScheduledAction {
    /// Holds the entry of that index to say which blueprint where one is needed, and only there.
    fn check(&self, index: usize, rules: &mut Rules<'_, '_>) {
        let path = |name: &str| format!("tamiyo.timetable[{index}].{name}");
        let (needs, has) = (self.action == Action::Germinate, self.blueprint.is_some());
        rules.hold(
            !needs || has,
            &[&path("blueprint"), &path("action")],
            "is required for \"germinate\"".to_owned(),
            "for example `blueprint = \"residual_mlp\"`",
        );
        rules.hold(
            needs || !has,
            &[&path("blueprint"), &path("action")],
            format!("has no meaning for \"{}\"", self.action),
            "remove it: the seed at the site has its blueprint",
        );
    }
}

/// Holds the timetable to end with the run.
pub(super) fn check_timetable(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let Some(epochs) = scenario.value::<u64>("run.epochs") else { return };
    for (index, entry) in scenario[TAMIYO].timetable.iter().enumerate() {
        rules.hold(
            entry.epoch <= epochs as f64,
            &[&format!("tamiyo.timetable[{index}].epoch"), "run.epochs"],
            format!("must be at most `run.epochs` ({epochs}), is {}", entry.epoch),
            "what is scheduled after the end is never done",
        );
    }
}

impl Table for ScheduledAction {
    fn keys(&mut self, keys: &mut impl Keys) {
        let site = Text {
            form: "one of `host.sites`",
            example: "hidden0",
            is_one: |text| (1..=64).contains(&text.len()),
            all: &[],
        };
        keys.required("epoch", &mut self.epoch, Interval::from(0.0).to(1e6));
        keys.required("action", &mut self.action, ());
        keys.required("site", &mut self.site, site);
        keys.key("blueprint", &mut self.blueprint, Text { example: "residual_mlp", ..LOWERCASE });
    }
}

impl Default for Tamiyo {
    fn default() -> Self {
        Self {
            policy: HEURISTIC.to_owned(),
            germinate_share: 0.1,
            germinate_until_share: 1.0 / 3.0,
            plateau_epochs: 2.0,
            plateau_relative: 0.05,
            incubate_max: 64,
            action_rate: 0.05,
            timetable: Vec::new(),
        }
    }
}

impl Default for ScheduledAction {
    fn default() -> Self {
        Self { epoch: 0.0, action: Action::Germinate, site: "input".to_owned(), blueprint: None }
    }
}
