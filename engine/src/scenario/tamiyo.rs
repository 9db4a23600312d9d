//! `[tamiyo]`: who decides, and within what bounds.

use super::{
    innovation::BLUEPRINT,
    keys::{Keys, Section},
    value::{Interval, List, Text},
    word::words,
};

/// Who decides what grows where, and when (DESIGN §5, §10).
#[derive(Clone, Debug, PartialEq)]
pub struct Tamiyo {
    /// Who decides. Default `heuristic`.
    pub policy: Policy,
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
    /// Seeds of one host that incubate at once, 1 to 1024. Default 4.
    pub incubate_max: usize,
    /// Probability of an action a tick and host under `random`, above 0 and at most 1.
    /// Default 0.05.
    pub action_rate: f64,
    /// What `fixed` does, and when; at most 10,000 entries. Default: nothing.
    pub timetable: Vec<ScheduledAction>,
}

words! {
    /// Who decides.
    Policy {
        /// Nobody: the host trains alone.
        Off = "off",
        /// The timetable.
        Fixed = "fixed",
        /// Chance, among the legal actions.
        Random = "random",
        /// Plateaus, past verdicts and the ranking of incubating seeds.
        Heuristic = "heuristic",
    }
    later "graph"
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
    fn keys(&mut self, keys: &mut impl Keys) {
        let share = Interval::from(0.0).to(1.0);
        keys.key("policy", &mut self.policy, ());
        keys.key("germinate_share", &mut self.germinate_share, share);
        keys.key("germinate_until_share", &mut self.germinate_until_share, share);
        keys.key("plateau_epochs", &mut self.plateau_epochs, Interval::above(0.0).to(1e6));
        keys.key("plateau_relative", &mut self.plateau_relative, Interval::above(0.0).below(1.0));
        keys.key("incubate_max", &mut self.incubate_max, 1..=1024);
        keys.key("action_rate", &mut self.action_rate, Interval::above(0.0).to(1.0));
        let timetable = List { len: 0..=10_000, item: (), is_distinct: false };
        keys.key("timetable", &mut self.timetable, timetable);
    }
}

impl Section for ScheduledAction {
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
        keys.key("blueprint", &mut self.blueprint, BLUEPRINT);
    }
}

impl Default for Tamiyo {
    fn default() -> Self {
        Self {
            policy: Policy::Heuristic,
            germinate_share: 0.1,
            germinate_until_share: 1.0 / 3.0,
            plateau_epochs: 2.0,
            plateau_relative: 0.05,
            incubate_max: 4,
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
