//! Passes that train nothing: validation, counterfactuals, verdicts, the test.

use super::{host::HostRuntime, visit::Visit};
use crate::{
    data::{Dataset, Targets},
    program::GradMask,
    world::ids::SeedId,
};

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

/// Which purse the arithmetic is paid from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlopsAccount {
    /// `flops.validation`.
    Validation,
    /// `flops.evaluation`.
    Evaluation,
}

/// What an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean loss an example.
    pub loss: f64,
    /// Share classified right; `None` for regression.
    pub accuracy: Option<f64>,
    /// Examples.
    pub n_examples: usize,
}

impl HostRuntime {
    /// Evaluates the host as it stands, its blended seeds included.
    ///
    /// `forced` lets one seed act at a scale of its own: an incubating seed as if it were grafted, a blended one as
    /// if it were not. `losses` receives each example's loss, in order.
    pub fn evaluate(
        &mut self,
        part: Split,
        account: FlopsAccount,
        forced: Option<(SeedId, f32)>,
        mut losses: Option<&mut Vec<f32>>,
    ) -> Evaluation {
        let config = self.config.clone();
        let program = self.program.clone();
        let examples = match part {
            Split::Train => &config.data.train,
            Split::Validation => &config.data.validation,
            Split::Test => &config.data.test,
        };
        if let Some(losses) = losses.as_deref_mut() {
            losses.clear();
        }
        let spent = self.state.flops;
        let (mut loss_sum, mut n_correct, mut start) = (0.0, 0, 0);
        while start < examples.len() {
            let rows = config.batch.min(examples.len() - start);
            self.load_rows(examples, start, rows);
            let (mut tensors, mut visitor, pass) =
                self.borrow_for(rows, Visit::Evaluate { forced }, GradMask::default());
            n_correct += config.device.forward(&program, 0, &mut tensors, pass, &mut visitor);
            let batch_losses = &self.losses[..rows];
            loss_sum += batch_losses.iter().map(|loss| f64::from(*loss)).sum::<f64>();
            if let Some(losses) = losses.as_deref_mut() {
                losses.extend_from_slice(batch_losses);
            }
            start += rows;
        }
        // What blended seeds spent was counted as evaluation while the passes ran.
        let seeds = self.state.flops.evaluation - spent.evaluation;
        self.state.flops = spent;
        let flops = program.flops_forward() * examples.len() as u64 + seeds;
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
        Evaluation { loss: loss_sum / examples.len() as f64, accuracy, n_examples: examples.len() }
    }

    fn load_rows(&mut self, examples: &Dataset, start: usize, rows: usize) {
        let elems = examples.elems();
        let input = self.program.regions[self.program.input.0 as usize];
        let offset = input.offset * self.config.batch;
        examples.load(start, rows, &mut self.workspace[offset..offset + rows * elems]);
        match &examples.targets {
            Targets::Classes { .. } | Targets::NextTokens(_) => {
                let n_labels = rows * examples.labels_per_example();
                examples.load_labels(start, rows, &mut self.labels[..n_labels]);
            }
            Targets::Values { values, width } => {
                self.values[..rows * width]
                    .copy_from_slice(&values[start * width..(start + rows) * width]);
            }
        }
    }
}
