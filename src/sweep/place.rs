//! What is wrong with settings, told at the axes of the sweep that set them.

use super::{
    axis::Settings,
    error::SweepError,
    spec::{SweepSpec, Task},
};
use crate::{
    RunError,
    scenario::{Place, Problem, ScenarioError},
};

/// What to do about values that are sound alone and not together.
const HELP: &str = "leave out the value, or change what it contradicts";

impl SweepSpec {
    /// The problems of `task` with `settings`, which it does not have without them.
    pub(super) fn at_axes(
        &self,
        task: &Task,
        settings: &Settings,
        error: ScenarioError,
    ) -> SweepError {
        let told = |problem: &Problem| {
            let set = match &problem.place {
                Place::Override { key } => Some(key.as_str()),
                Place::Text { .. } | Place::Made => None,
            };
            let axis = set.and_then(|key| self.axis_of(key));
            let axis = axis.or_else(|| self.axis_about(&problem.key, &problem.message));
            self.told_at(
                &axis.unwrap_or_else(|| "sweep.set".to_owned()),
                &[problem.key.as_str(), problem.message.as_str()],
                problem.help.as_deref(),
                (task, settings),
            )
        };
        let problems = error.problems.iter().flat_map(|it| told(it).problems).collect();
        SweepError::File(ScenarioError { file: self.file_name(), problems })
    }

    /// What stands in the way of a run of `task` with `settings`, if an axis is about it.
    pub(super) fn at_axis(
        &self,
        task: &Task,
        settings: &Settings,
        error: &RunError,
    ) -> Option<SweepError> {
        if let RunError::Scenario(error) = error {
            return Some(self.at_axes(task, settings, error.clone()));
        }
        let key = error.scenario_key()?;
        let (message, help) = match error {
            RunError::Unfit { message, help, .. } => (message.clone(), Some(help.as_str())),
            error => (error.to_string(), None),
        };
        let axis = self.axis_about(key, &message)?;
        Some(SweepError::File(self.told_at(&axis, &[key, &message], help, (task, settings))))
    }

    fn told_at(
        &self,
        axis: &str,
        words: &[&str],
        help: Option<&str>,
        (task, settings): (&Task, &Settings),
    ) -> ScenarioError {
        let words: Vec<&str> = words.iter().copied().filter(|it| !it.is_empty()).collect();
        let set: Vec<String> =
            settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let message = format!("`{}` with {}: {}", task.name, set.join(", "), words.join(": "));
        self.file.refuse(axis, message, Some(help.unwrap_or(HELP).to_owned()))
    }

    /// The axis that sets `key`, or else one whose key the message names.
    fn axis_about(&self, key: &str, message: &str) -> Option<String> {
        self.axis_of(key).or_else(|| {
            let keys = self.axis_keys();
            let mut named = keys.iter().filter(|(key, _)| message.contains(&format!("`{key}`")));
            named.next().map(|(_, place)| place.clone())
        })
    }

    /// The axis that sets `key`, or a table that `key` is in, or a key that is in the table `key`.
    fn axis_of(&self, key: &str) -> Option<String> {
        let is_within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|it| it.is_empty() || it.starts_with('.'))
        };
        let keys = self.axis_keys();
        let mut fit = keys.iter().filter(|(set, _)| is_within(key, set) || is_within(set, key));
        fit.next().map(|(_, place)| place.clone())
    }

    /// Every key that the sweep sets, with the place that sets it.
    fn axis_keys(&self) -> Vec<(String, String)> {
        let lists =
            [("set", &self.sweep.set), ("search", &self.sweep.search), ("tune", &self.sweep.tune)];
        let place = |(name, texts): (&str, &Vec<String>)| {
            let of = |(index, text): (usize, &String)| {
                let key = text.split('=').next().unwrap_or_default().trim().to_owned();
                (key, format!("sweep.{name}[{index}]"))
            };
            texts.iter().enumerate().map(of).collect::<Vec<_>>()
        };
        lists.into_iter().flat_map(place).collect()
    }

    fn file_name(&self) -> String {
        self.file.refuse("sweep", String::new(), None).file
    }
}
