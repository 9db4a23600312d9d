//! Averages of a host and of what is blended into it: what verdicts are measured on, and what may be the final model.

use esper_nn::device::{DeviceError, UnitAverage, UnitMemory};

use super::{host::HostRuntime, progress::Averaging};
use crate::ids::SeedId;

/// Share of a network's numbers that the average of a verdict takes up in a step: over the last 50 steps or so, the drift
/// between two trainings that were once equal averages out.
const VERDICT_RATE: f32 = 0.02;

impl HostRuntime {
    /// Begins to average the host, the modules that are blended in, and that of seed `joining`, which is about to be; every
    /// average starts as a copy.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room; nothing is averaged then.
    pub fn begin_averages(&mut self, joining: Option<SeedId>) -> Result<(), DeviceError> {
        self.average(Averaging::Verdict, joining)
    }

    /// Begins the average of the last window, once the run is there, unless a verdict is on: its averages come first.
    pub(super) fn begin_last_averages(&mut self) -> Result<(), DeviceError> {
        let since_step = self.state.step;
        match self.averaging {
            None if self.config.last_window_from_step() <= since_step => {
                self.average(Averaging::LastWindow { since_step }, None)
            }
            _ => Ok(()),
        }
    }

    fn average(
        &mut self,
        averaging: Averaging,
        joining: Option<SeedId>,
    ) -> Result<(), DeviceError> {
        let device = self.config.device.clone();
        let joining = joining.and_then(|seed| Some(self.place_of(seed)? + 1));
        for unit in self.averaged_units().into_iter().chain(joining) {
            let memory = &mut self.memory.units[unit];
            match UnitAverage::of(&*device, &memory.state) {
                Ok(average) => memory.average = Some(average),
                Err(error) => {
                    self.end_averages();
                    return Err(error);
                }
            }
        }
        self.averaging = Some(averaging);
        self.plan.set_averages(true);
        device.prepare(&self.plan)
    }

    /// Share of the numbers that averages take up in the next step.
    pub(super) fn average_rate(&self) -> f32 {
        match self.averaging {
            None | Some(Averaging::Verdict) => VERDICT_RATE,
            Some(Averaging::LastWindow { since_step }) => {
                1.0 / (self.state.step - since_step + 1) as f32
            }
        }
    }

    /// Takes the average of the last window for what the host is from here on, and averages no longer.
    pub fn adopt_averages(&mut self) {
        self.memory.units.iter_mut().for_each(UnitMemory::swap_average);
        self.end_averages();
    }

    /// Averages no longer, and forgets what was averaged.
    pub fn end_averages(&mut self) {
        for unit in &mut self.memory.units {
            unit.average = None;
        }
        self.averaging = None;
        self.plan.set_averages(false);
    }

    /// What it is averaged for, if it is.
    pub fn averaging(&self) -> Option<Averaging> {
        self.averaging
    }

    /// What `work` finds with the averages in the place of the numbers; where nothing is averaged, with the numbers.
    pub fn on_averages<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.memory.units.iter_mut().for_each(UnitMemory::swap_average);
        let found = work(self);
        self.memory.units.iter_mut().for_each(UnitMemory::swap_average);
        found
    }

    /// The averages of `other`, of which this is a copy.
    pub(super) fn copy_averages(&mut self, other: &Self) -> Result<(), DeviceError> {
        let device = self.config.device.clone();
        for (unit, of) in self.memory.units.iter_mut().zip(&other.memory.units) {
            let Some(UnitAverage { params, buffers }) = &of.average else { continue };
            let [params, buffers] = [params, buffers].map(|it| device.duplicate(it));
            unit.average = Some(UnitAverage { params: params?, buffers: buffers? });
        }
        self.averaging = other.averaging;
        self.plan.set_averages(other.plan.averages());
        device.prepare(&self.plan)
    }

    /// The host and the modules that are blended in, by their places in the plan.
    pub(super) fn averaged_units(&self) -> Vec<usize> {
        let blended: Vec<_> = self.blended().collect();
        let modules = self.modules().iter().enumerate();
        let modules = modules.filter(|(_, module)| blended.contains(&module.seed));
        std::iter::once(0).chain(modules.map(|(place, _)| place + 1)).collect()
    }
}
