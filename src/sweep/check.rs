//! Whether the cells of a sweep can begin, before any of them does.

use super::{
    apply::{Source, has_width, needs_width},
    arm::{Arm, Basis},
    axis::Settings,
    cell::DataCache,
    error::SweepError,
    spec::{SweepSpec, Task},
};
use crate::{
    Plan, RunError, RunOptions,
    scenario::{HOST, Network, TAMIYO},
};

/// Settings with a choice each whose runs are planned before any is begun.
const PLANS_MAX: usize = 64;

impl SweepSpec {
    /// Resolves every task with every setting and choice, and holds arms to what the task has for them. Of settings and
    /// choices beyond the first 64, limits and catalogues are not looked at: there a cell fails by itself.
    ///
    /// # Errors
    ///
    /// Fails at the first that is not sound.
    pub fn check(&self) -> Result<(), SweepError> {
        let data = DataCache::default();
        for task in &self.tasks {
            let mut n_planned = 0;
            for settings in self.settings() {
                for arm in self.sweep.arms.iter().copied() {
                    self.check_arm(task, &settings, arm)?;
                }
                for choice in self.choices() {
                    let mut all = settings.clone();
                    all.extend(choice);
                    task.resolve(&all).map_err(|error| self.at_axes(task, &all, error))?;
                    if n_planned < PLANS_MAX {
                        n_planned += 1;
                        self.check_plans(task, &all, &data)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Plans the runs of the arms that stand alone.
    fn check_plans(
        &self,
        task: &Task,
        settings: &Settings,
        data: &DataCache,
    ) -> Result<(), SweepError> {
        for arm in self.sweep.arms.iter().copied().filter(|arm| arm.basis() == Basis::None) {
            self.check_plan(task, settings, arm, data).map_err(|source| {
                let cell = format!("{}/{arm}", task.name);
                self.at_axis(task, settings, &source).unwrap_or_else(|| {
                    let source = Box::new(source);
                    SweepError::Cell { cell, source }
                })
            })?;
        }
        Ok(())
    }

    fn check_plan(
        &self,
        task: &Task,
        settings: &Settings,
        arm: Arm,
        data: &DataCache,
    ) -> Result<(), RunError> {
        let scenario = (*task.resolve(settings)?).clone();
        let data = data.load(&scenario, &task.base_dir)?;
        let source = Source {
            scenario,
            base_dir: &task.base_dir,
            data: data.clone(),
            seed: 0,
            oracle: self.oracle(&task.name),
            growth: None,
        };
        let prepared = source.prepare(arm)?;
        let options = RunOptions::new(prepared.scenario).base_dir(&task.base_dir).data(data);
        let options = match prepared.graph {
            Some(graph) => options.host(graph),
            None => options,
        };
        Plan::new(options).map(|_| ())
    }

    fn check_arm(&self, task: &Task, settings: &Settings, arm: Arm) -> Result<(), SweepError> {
        let resolved = task.resolve(settings);
        let scenario = resolved.map_err(|error| self.at_axes(task, settings, error))?;
        let unfit =
            |what: String, help: &str| Err(SweepError::Unfit { what, help: help.to_owned() });
        let name = &task.name;
        if needs_width(arm) && !has_width(&scenario[HOST].network) {
            let what = format!("arm `{arm}` needs a host of another width, and `{name}` has none");
            return unfit(what, "leave the arm out for this task");
        }
        if arm == Arm::Adapters && scenario[HOST].init.is_none() {
            let what = format!("arm `adapters` is for a given host, and `{name}` has none");
            return unfit(what, "write `host.init`, or leave the arm out");
        }
        if arm == Arm::Fixed && scenario[TAMIYO].timetable.is_empty() {
            let what = format!("arm `fixed` needs a timetable, and `{name}` has none");
            return unfit(what, "write `tamiyo.timetable`, or leave the arm out");
        }
        if arm == Arm::Oracle && self.oracle(name).is_none() {
            let what = format!("arm `oracle` has no blueprint for `{name}`");
            return unfit(what, "name its families in `sweep.oracle`, or leave the arm out");
        }
        if arm.basis() == Basis::None && arm != Arm::Off && arm != Arm::Scenario {
            let is_bare = scenario[HOST].sites.is_empty()
                && !matches!(scenario[HOST].network, Network::Graph(_));
            if is_bare {
                let what = format!("arm `{arm}` grows, and `{name}` has no sites");
                return unfit(what, "name sites in `host.sites`");
            }
        }
        Ok(())
    }
}
