//! Whether the cells of a sweep can begin, before any of them does.

use super::{
    apply::{has_width, needs_width},
    arm::Arm,
    axis::Settings,
    error::SweepError,
    spec::{SweepSpec, Task},
};
use crate::scenario::{HOST, TAMIYO};

impl SweepSpec {
    /// Resolves every task with every setting and choice, and holds arms to what the task has for them.
    ///
    /// # Errors
    ///
    /// Fails at the first that is not sound.
    pub fn check(&self) -> Result<(), SweepError> {
        for task in &self.tasks {
            for settings in self.settings() {
                for choice in self.choices() {
                    let mut all = settings.clone();
                    all.extend(choice);
                    task.resolve(&all)?;
                }
                for arm in &self.sweep.arms {
                    self.check_arm(task, &settings, *arm)?;
                }
            }
        }
        Ok(())
    }

    fn check_arm(&self, task: &Task, settings: &Settings, arm: Arm) -> Result<(), SweepError> {
        let scenario = task.resolve(settings)?;
        let unfit =
            |what: String, help: &str| Err(SweepError::Unfit { what, help: help.to_owned() });
        let name = &task.name;
        if needs_width(arm) && !has_width(&scenario[HOST].network) {
            let what = format!("arm `{arm}` needs a host of another width, and `{name}` has none");
            return unfit(what, "leave the arm out for this task");
        }
        if arm == Arm::Fixed && scenario[TAMIYO].timetable.is_empty() {
            let what = format!("arm `fixed` needs a timetable, and `{name}` has none");
            return unfit(what, "write `tamiyo.timetable`, or leave the arm out");
        }
        if arm == Arm::Oracle && self.oracle(name).is_none() {
            let what = format!("arm `oracle` has no blueprint for `{name}`");
            return unfit(what, "name its families in `sweep.oracle`, or leave the arm out");
        }
        if arm.basis() == super::arm::Basis::None && arm != Arm::Off && arm != Arm::Scenario {
            let is_bare = scenario[HOST].sites.is_empty()
                && !matches!(scenario[HOST].network, crate::scenario::Network::Graph(_));
            if is_bare {
                let what = format!("arm `{arm}` grows, and `{name}` has no sites");
                return unfit(what, "name sites in `host.sites`");
            }
        }
        Ok(())
    }
}
