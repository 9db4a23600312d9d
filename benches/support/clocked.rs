//! The processor with a clock on every instruction.

use std::sync::Mutex;

use esper::engine::{
    device::{Cpu, Device, Pass, SiteVisitor, Tensors},
    program::{Program, Scheduled},
};

use super::timing::seconds;

/// Runs the instructions of one program one by one and remembers how fast each has been.
#[derive(Default)]
pub struct ClockedCpu {
    best: Mutex<[Vec<f64>; 2]>,
}

impl ClockedCpu {
    /// Least seconds that each instruction of the forward and of the backward pass took; infinite for one that has
    /// not run.
    pub fn best_seconds(&self) -> [Vec<f64>; 2] {
        self.best.lock().expect("nothing panics in it").clone()
    }

    /// Runs `steps` by `run`, each in a program of its own, as pass `pass`.
    fn clock<I>(
        &self,
        pass: usize,
        program: &Program,
        steps: &[Scheduled<I>],
        mut run: impl FnMut(&mut Program, &Scheduled<I>),
    ) {
        let mut alone = Program { forward: Vec::new(), backward: Vec::new(), ..program.clone() };
        let mut best = self.best.lock().expect("nothing panics in it");
        best[pass].resize(steps.len(), f64::INFINITY);
        for (best, step) in best[pass].iter_mut().zip(steps) {
            *best = best.min(seconds(|| run(&mut alone, step)));
        }
    }
}

impl Device for ClockedCpu {
    fn name(&self) -> String {
        "clocked_cpu".to_owned()
    }

    fn forward(
        &self,
        program: &Program,
        from: usize,
        tensors: &mut Tensors<'_>,
        pass: Pass<'_>,
        visitor: &mut dyn SiteVisitor,
    ) -> usize {
        assert_eq!(from, 0, "no second pass is clocked");
        let mut n_correct = 0;
        self.clock(0, program, &program.forward, |alone, step| {
            alone.forward.clear();
            alone.forward.push(step.clone());
            n_correct += Cpu.forward(alone, 0, tensors, pass, visitor);
        });
        n_correct
    }

    fn backward(
        &self,
        program: &Program,
        until: usize,
        tensors: &mut Tensors<'_>,
        pass: Pass<'_>,
        visitor: &mut dyn SiteVisitor,
    ) {
        self.clock(1, program, &program.backward[..until], |alone, step| {
            alone.backward.clear();
            alone.backward.push(step.clone());
            Cpu.backward(alone, 1, tensors, pass, visitor);
        });
    }
}
