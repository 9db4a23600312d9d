//! Scenarios: the file as written, and the run it resolves to.
//!
//! Nothing here knows a subsystem. A [`Section`] names its keys once, for reading, for writing and for messages; whoever
//! reads it registers it with [`Sections`], with the rules that tie it to others. A [`ScenarioFile`] is what was written,
//! a [`Scenario`] the sections by type, and a [`Resolved`] scenario one that was checked.

mod data;
mod error;
mod file;
mod keys;
mod overrides;
mod registry;
mod rules;
mod section;
#[cfg(test)]
mod tests;
mod train;
mod value;
mod word;

pub use self::{
    data::DATA,
    error::{Place, Problem, ScenarioError},
    file::{Content, Findings, Node, Origin, ScenarioFile},
    keys::{Given, Keys, Table},
    overrides::Override,
    registry::{Check, Resolved, Scenario, Sections},
    rules::Rules,
    section::{Key, Section},
    train::{NAMES, TRAIN},
    value::{Interval, LOWERCASE, List, PATH, SEED_MAX, Text, Value},
    word::read_word,
};
pub use crate::{word_values, words};
