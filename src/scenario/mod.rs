//! Scenarios with the sections that Esper reads, and what they are made of.
//!
//! ```
//! use esper::prelude::*;
//!
//! let mut scenario = scenario::defaults();
//! scenario[RUN].epochs = 3;
//! scenario[KASMINA].rho = 20.0;
//! let error = scenario.resolve().unwrap_err();
//! assert!(error.to_string().starts_with("kasmina.rho: must be above 0 and at most 10, is 20"));
//! ```

mod host;

pub use esper_data::{Augment, DataConfig, Standardize, Task, Tokens};
pub use esper_engine::{
    forge::Mode,
    scenario::{
        Check, DATA, Given, Interval, Key, Keys, List, Override, PATH, Place, Problem, Resolved,
        Rules, SEED_MAX, Scenario, ScenarioError, ScenarioFile, Section, Sections, TRAIN, Table,
        Text, Value,
    },
};
pub use esper_nn::{
    module::{Composition, Incubation},
    optim::{Adam, Course, CourseKind, Curve, Optimizer, OptimizerKind, Schedule, Sgd, Train},
};
pub use esper_systems::{
    karn::{KARN, Karn},
    kasmina::{Counterfactual, KASMINA, Kasmina, LIMITS, Level, Limits, Prior},
    nissa::{NISSA, Nissa},
    tamiyo::{Action, ScheduledAction, TAMIYO, Tamiyo},
    tezzeret::{TEZZERET, Tezzeret},
    tolaria::{CHECKPOINT, Checkpoint, GOVERNOR, Governor, RUN, RunSettings},
    urabrask::{URABRASK, Urabrask},
    urza::{URZA, Urza},
};

use self::host::check_sites;
pub use self::host::{
    Cnn, GraphFile, HOST, Host, HostKind, ImageNormKind, Mlp, Network, Transformer,
    TransformerForm, TransformerKind,
};

/// The sections that Esper reads, to which those of one's own are added.
pub fn sections() -> Sections {
    let mut sections = Sections::default();
    // What has to be written comes first.
    sections.add::<RunSettings>().add::<DataConfig>().add::<Host>();
    sections.add_all(&esper_systems::sections()).add_check(check_sites);
    sections
}

/// A scenario of [`sections`] in which every key has its default.
pub fn defaults() -> Scenario {
    sections().scenario()
}

/// Reads a scenario of [`sections`]; see [`Sections::parse`].
///
/// # Errors
///
/// Fails with everything that is wrong with it.
pub fn parse(text: &str, name: &str, overrides: &[Override]) -> Result<Resolved, ScenarioError> {
    sections().parse(text, name, overrides)
}
