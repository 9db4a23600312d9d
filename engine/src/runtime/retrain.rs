//! What a host trains by and on, changed between two steps.

use esper_data::Order;
use esper_nn::{device::DeviceError, optim::Train};

use super::{
    host::HostRuntime,
    training::{DataView, TrainPlan},
};

impl HostRuntime {
    /// What it is trained by.
    pub fn train_plan(&self) -> &TrainPlan {
        &self.train
    }

    /// What it is trained on.
    pub fn data_view(&self) -> DataView {
        self.view
    }

    /// Trains by `train` from the next step on.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room for the moments.
    pub fn set_train_plan(&mut self, train: &TrainPlan) -> Result<(), DeviceError> {
        if self.train == *train {
            return Ok(());
        }
        self.train.clone_from(train);
        let Train { optimizer, clip_norm, .. } = &train.0;
        self.plan.set_rule(optimizer.clone(), *clip_norm);
        self.fit_moments()?;
        self.config.device.prepare(&self.plan)
    }

    /// Trains on `view` from the next step on.
    pub fn set_data_view(&mut self, view: DataView) {
        self.view = view;
        self.fit_order();
    }

    /// Has the moments be those of the rule; new ones are counted from the start.
    pub(super) fn fit_moments(&mut self) -> Result<(), DeviceError> {
        let has_second = self.train.0.optimizer.has_second_moment();
        let device = &*self.config.device;
        for (unit, memory) in self.memory.units.iter_mut().enumerate() {
            if !memory.fit_moments(device, has_second)? {
                continue;
            }
            match unit.checked_sub(1) {
                Some(place) => self.modules[place].group.n_updates = 0,
                None => self.state.groups.iter_mut().for_each(|group| group.n_updates = 0),
            }
        }
        Ok(())
    }

    /// Has the order visit the examples of the view; another number of them is another pass.
    pub(super) fn fit_order(&mut self) {
        let n_examples = self.view.n_examples(&self.config);
        if self.order.n_examples() != n_examples {
            let (epoch, is_fresh) = (self.order.epoch(), self.order.position() == 0);
            self.order = Order::new(self.config.run_seed, self.config.stream, n_examples);
            // At the end of a pass: the next step begins another.
            let position = if is_fresh { 0 } else { n_examples };
            self.order.reseek(epoch, position).expect("it is a position");
            (self.state.epoch, self.state.position) = (epoch, position);
        }
    }
}
