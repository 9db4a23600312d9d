//! The work: one blueprint's kernels, judged on a worker thread.

use esper_engine::{
    forge::Job,
    program::{Program, Variant},
    world::kernel::{KernelStatus, SafetySheet},
};

use super::{
    benchmark, differences,
    job::{Candidate, ValidateJob, Verdict},
    numerics::{self, Asked},
    probe::rows_of,
    safety, structure,
};

/// The one reason of a kernel that was validated.
pub(super) const PASSED: &str = "passed structure, numerics, safety and benchmark";

impl Job for ValidateJob {
    type Output = Vec<Verdict>;

    fn run(self) -> Vec<Verdict> {
        validate(&self)
    }
}

/// Judges every candidate of `job`, in the order given.
fn validate(job: &ValidateJob) -> Vec<Verdict> {
    let reference =
        Variant::Reference.compile(&job.graph).expect("a candidate was compiled from this graph");
    let mut verdicts: Vec<Verdict> =
        job.candidates.iter().map(|candidate| inspect(job, candidate, &reference)).collect();
    if verdicts.iter().any(is_sound) {
        let gradient_error = differences::gradient_error(&job.graph, &reference);
        for (candidate, verdict) in job.candidates.iter().zip(&mut verdicts) {
            if is_sound(verdict) {
                verdict.sheet.gradient_error = gradient_error;
                run(job, candidate, &reference, &mut verdict.sheet);
            }
        }
    }
    time(job, &reference, &mut verdicts);
    verdicts
}

/// Whether nothing speaks against a kernel yet.
fn is_sound(verdict: &Verdict) -> bool {
    verdict.sheet.reasons.is_empty()
}

/// What can be known without running the program.
fn inspect(job: &ValidateJob, candidate: &Candidate, reference: &Program) -> Verdict {
    let mut sheet = SafetySheet::default();
    let program = &candidate.program;
    sheet.reasons = structure::check(program, reference, &job.graph, job.contract);
    if sheet.reasons.is_empty() {
        sheet.reasons = safety::check_resources(program, &job.rules, &mut sheet);
    }
    Verdict { kernel: candidate.id, status: KernelStatus::Rejected, sheet, measured: None }
}

/// What running it shows.
fn run(job: &ValidateJob, candidate: &Candidate, reference: &Program, sheet: &mut SafetySheet) {
    let program = &candidate.program;
    let rows = rows_of(reference);
    let asked = Asked { rows, must_grow: job.must_grow, is_causal: job.contract.is_causal() };
    let mut reasons = numerics::check(program, reference, asked, sheet);
    reasons.extend(safety::check_growth(program, rows, &job.rules, sheet));
    sheet.reasons = reasons;
}

/// Measures what is sound so far, and gives the last word.
fn time(job: &ValidateJob, reference: &Program, verdicts: &mut [Verdict]) {
    let each = job.candidates.iter().zip(&*verdicts);
    let sound: Vec<&Candidate> =
        each.filter(|(_, verdict)| is_sound(verdict)).map(|(candidate, _)| candidate).collect();
    if sound.is_empty() {
        return;
    }
    let mut programs: Vec<&Program> = sound.iter().map(|it| it.program.as_ref()).collect();
    let is_reference = |candidate: &&Candidate| candidate.variant == Variant::Reference.name();
    let baseline = sound.iter().position(is_reference).unwrap_or_else(|| {
        programs.push(reference);
        programs.len() - 1
    });
    let timings = benchmark::measure(&programs, baseline, &job.rules);
    for (verdict, timing) in verdicts.iter_mut().filter(|it| is_sound(it)).zip(timings) {
        // Not the median: what else the machine does must not decide.
        if job.rules.latency_max_us < timing.least_us {
            let limit = job.rules.latency_max_us;
            let reason = format!("benchmark: slower than `latency_max_us`, {limit}");
            verdict.sheet.reasons.push(reason);
        } else {
            verdict.status = KernelStatus::Validated;
            verdict.sheet.reasons.push(PASSED.to_owned());
        }
        verdict.measured = Some(timing.measured);
    }
}
