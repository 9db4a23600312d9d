//! The processor with a clock on every instruction.

use std::sync::Mutex;

use esper_nn::{
    device::{Cpu, Device, DeviceError, Examples, StepMemory},
    plan::{HOST, Space, StepArgs, StepInstr, StepOutcome, StepPlan, Variant},
};

use super::timing::seconds;

/// Runs the instructions of a host's program one by one and remembers how fast each has been.
#[derive(Default)]
pub struct ClockedCpu {
    best: Mutex<[Vec<f64>; 2]>,
}

const FORWARD: usize = 0;
const BACKWARD: usize = 1;

impl ClockedCpu {
    /// Least seconds that each instruction of the forward and of the backward pass took; infinite for one that has
    /// not run.
    pub fn best_seconds(&self) -> [Vec<f64>; 2] {
        self.best.lock().expect("nothing panics in it").clone()
    }

    fn note(&self, pass: usize, at: u32, taken: f64) {
        let best = &mut self.best.lock().expect("nothing panics in it")[pass];
        let at = at as usize;
        if best.len() <= at {
            best.resize(at + 1, f64::INFINITY);
        }
        best[at] = best[at].min(taken);
    }
}

/// The instructions of a list, those of the host's program one by one; each with its pass and place there.
fn one_by_one(list: &[StepInstr]) -> Vec<(StepInstr, Option<(usize, u32)>)> {
    let mut all = Vec::new();
    for instr in list {
        match *instr {
            StepInstr::Forward { unit: HOST, space: space @ Space::Host, ref range } => {
                all.extend(range.clone().map(|at| {
                    let range = at..at + 1;
                    (StepInstr::Forward { unit: HOST, space, range }, Some((FORWARD, at)))
                }));
            }
            StepInstr::Backward { unit: HOST, space: space @ Space::Host, ref range, wanted } => {
                all.extend(range.clone().map(|at| {
                    let range = at..at + 1;
                    let instr = StepInstr::Backward { unit: HOST, space, range, wanted };
                    (instr, Some((BACKWARD, at)))
                }));
            }
            ref other => all.push((other.clone(), None)),
        }
    }
    all
}

impl Device for ClockedCpu {
    fn name(&self) -> String {
        "clocked_cpu".to_owned()
    }

    fn run(
        &self,
        plan: &StepPlan,
        variant: Variant,
        memory: &mut StepMemory,
        examples: Option<&Examples>,
        args: &StepArgs<'_>,
    ) -> Result<StepOutcome, DeviceError> {
        let mut whole = StepOutcome::default();
        for (instr, place) in one_by_one(&plan.list(variant).instrs) {
            let alone = plan.with_instrs(variant, vec![instr]);
            let mut outcome = Ok(StepOutcome::default());
            let taken = seconds(|| outcome = Cpu.run(&alone, variant, memory, examples, args));
            let StepOutcome { loss_sum, n_correct, fault } = outcome?;
            if let Some((pass, at)) = place {
                self.note(pass, at, taken);
            }
            whole.n_correct += n_correct;
            whole.fault = whole.fault.or(fault);
            // Only the instruction that observes the loss gives it.
            whole.loss_sum = whole.loss_sum.max(loss_sum);
        }
        Ok(whole)
    }
}
