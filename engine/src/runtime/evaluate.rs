//! Passes that train nothing: validation, counterfactuals, verdicts, the test.

use esper_data::{Draw, Targets};
use esper_nn::{
    device::DeviceError,
    plan::{StepArgs, UnitIndex, Variant},
};

use super::{host::HostRuntime, progress::Evaluation};
use crate::ids::SeedId;

/// Which examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What gradients are computed on.
    Train,
    /// What decisions are made on.
    Validation,
    /// What is read once, at the end.
    Test,
}

/// Which account the arithmetic is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlopsAccount {
    /// `flops.validation`.
    Validation,
    /// `flops.evaluation`.
    Evaluation,
}

impl HostRuntime {
    /// Evaluates the host as it stands, its blended modules included.
    ///
    /// `tried` lets one module act at a scale of its own: an incubating one as if it were grafted, a blended one as if it
    /// were not. `losses` receives each example's loss, in order.
    ///
    /// # Errors
    ///
    /// Fails when the device does.
    ///
    /// # Panics
    ///
    /// If the module that is tried is not bound.
    pub fn evaluate(
        &mut self,
        split: Split,
        account: FlopsAccount,
        tried: Option<(SeedId, f32)>,
        mut losses: Option<&mut Vec<f32>>,
    ) -> Result<Evaluation, DeviceError> {
        let config = self.config.clone();
        let (examples, on_device) = match split {
            Split::Train => (&config.data.train, &config.on_device.train),
            Split::Validation => (&config.data.validation, &config.on_device.validation),
            Split::Test => (&config.data.test, &config.on_device.test),
        };
        if let Some(losses) = losses.as_deref_mut() {
            losses.clear();
        }
        // Between steps a blend stands where the last step left it.
        self.fill_args(self.state.step.saturating_sub(1));
        let variant = match tried {
            None => Variant::Evaluate,
            Some((seed, alpha)) => {
                let unit = self.place_of(seed).expect("a module that is tried is bound") + 1;
                self.plan.rebuild_trial(unit as UnitIndex);
                config.device.prepare(&self.plan)?;
                self.args.units[unit].alpha = alpha;
                Variant::Trial
            }
        };
        let draw = Draw {
            run_seed: config.run_seed,
            stream: config.stream,
            epoch: self.state.epoch,
            is_training: false,
        };
        let (mut loss_sum, mut n_correct) = (0.0, 0);
        let mut indices = std::mem::take(&mut self.args.indices);
        for start in (0..examples.len()).step_by(config.batch) {
            let rows = config.batch.min(examples.len() - start);
            indices.clear();
            indices.extend(start as u32..(start + rows) as u32);
            let args = StepArgs {
                average_rate: 0.0,
                step: self.state.step,
                batch: examples.batch(&indices, draw),
                units: &self.args.units,
                groups: &self.args.groups,
            };
            let memory = &mut self.memory;
            let outcome = config.device.run(&self.plan, variant, memory, Some(on_device), &args)?;
            loss_sum += outcome.loss_sum;
            n_correct += outcome.n_correct;
            if let Some(losses) = losses.as_deref_mut() {
                losses.resize(start + rows, 0.0);
                config.device.download_f32(self.memory.losses(), 0, &mut losses[start..]);
            }
        }
        self.args.indices = indices;
        let flops = self.plan.list(variant).flops.total(examples.len());
        match account {
            FlopsAccount::Validation => self.state.flops.validation += flops,
            FlopsAccount::Evaluation => self.state.flops.evaluation += flops,
        }
        let accuracy = match examples.targets {
            Targets::Classes { .. } | Targets::NextTokens(_) => {
                Some(n_correct as f64 / (examples.len() * examples.labels_per_example()) as f64)
            }
            Targets::Values { .. } => None,
        };
        let loss = loss_sum / examples.len() as f64;
        Ok(Evaluation { loss, accuracy, n_examples: examples.len() })
    }
}
