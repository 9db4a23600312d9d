//! The work: one blueprint's kernels, judged on a worker thread.

use esper_engine::{
    program::{Program, Variant},
    world::catalog::{KernelStatus, SafetySheet},
};

use super::{
    benchmark,
    components::{Candidate, ValidateJob, Verdict},
    diagnostics::PASSED,
    numerics, safety, structure,
};

/// Judges every candidate of `job`, in the order given.
pub(super) fn validate(job: &ValidateJob) -> Vec<Verdict> {
    let reference =
        Variant::Reference.compile(&job.graph).expect("a candidate was compiled from this graph");
    let mut verdicts: Vec<Verdict> =
        job.candidates.iter().map(|candidate| examine(job, candidate, &reference)).collect();
    let is_sound = |verdict: &Verdict| verdict.sheet.reasons.is_empty();
    let sound = job.candidates.iter().zip(&verdicts).filter(|(_, verdict)| is_sound(verdict));
    let mut programs = vec![&reference];
    programs.extend(sound.map(|(candidate, _)| candidate.program.as_ref()));
    if programs.len() == 1 {
        return verdicts;
    }
    let mut measured = benchmark::measure(&programs, &job.rules).into_iter().skip(1);
    for verdict in verdicts.iter_mut().filter(|verdict| is_sound(verdict)) {
        let measured = measured.next().expect("every sound program was measured");
        let latency_us = (measured.forward_ns + measured.backward_ns) / 1000;
        if job.rules.latency_max_us < latency_us {
            let limit = job.rules.latency_max_us;
            verdict.sheet.reasons.push(format!("benchmark: slower than `latency_max_us`, {limit}"));
        } else {
            verdict.status = KernelStatus::Validated;
            verdict.sheet.reasons.push(PASSED.to_owned());
        }
        verdict.measured = Some(measured);
    }
    verdicts
}

/// Everything but the benchmark. A verdict without reasons has nothing against it yet.
fn examine(job: &ValidateJob, candidate: &Candidate, reference: &Program) -> Verdict {
    let mut sheet = SafetySheet::default();
    let program = &candidate.program;
    let mut reasons = structure::check(program, reference, job.contract);
    if reasons.is_empty() {
        reasons = safety::check_resources(program, &job.rules, &mut sheet);
    }
    if reasons.is_empty() {
        reasons = numerics::check(&job.graph, program, reference, job.must_grow, &mut sheet);
        reasons.extend(safety::check_growth(program, &job.rules, &mut sheet));
    }
    sheet.reasons = reasons;
    Verdict { kernel: candidate.id, status: KernelStatus::Rejected, sheet, measured: None }
}
