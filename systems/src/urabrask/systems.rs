//! Kernels leave in `Dispatch`; verdicts come back in `Admit`.

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::{prelude::*, system::SystemParam};
use esper_engine::{
    forge::{Admission, Outcome, Workers},
    ids::{BlueprintId, Index, KernelId},
    world::{
        blueprint::{Blueprint, BlueprintStatus},
        components::ModuleContract,
        kernel::{InnovationFlops, Kernel, KernelOf, KernelStatus, Measured, SafetySheet},
        kernel_cache::KernelCache,
    },
};
use esper_nn::{
    contract::Contract,
    program::{Program, Variant},
};

use super::{
    config::{Rules, VALIDATE},
    job::{Candidate, ValidateJob, Verdict},
    tags::{Figures, tags},
};
use crate::oona::{JobAdmitted, KernelJudged};

/// Finds blueprints and kernels by their lasting names.
#[derive(SystemParam)]
pub(super) struct Catalogued<'w, 's> {
    blueprint_index: Res<'w, Index<BlueprintId>>,
    kernel_index: Res<'w, Index<KernelId>>,
    blueprints: Query<'w, 's, (&'static Blueprint, &'static ModuleContract)>,
    kernels: Query<'w, 's, (&'static Kernel, &'static KernelOf, Option<&'static Measured>)>,
}

impl Catalogued<'_, '_> {
    fn blueprint(&self, id: BlueprintId) -> Option<(Entity, &Blueprint)> {
        let entity = self.blueprint_index.entity(id)?;
        Some((entity, self.blueprints.get(entity).ok()?.0))
    }

    fn kernel(&self, id: KernelId) -> Option<(Entity, &Kernel, Contract)> {
        let entity = self.kernel_index.entity(id)?;
        let (kernel, KernelOf(blueprint), _) = self.kernels.get(entity).ok()?;
        Some((entity, kernel, self.blueprints.get(*blueprint).ok()?.1.0))
    }

    /// What was measured before, by the sites it is for: those of other shapes are no yardstick.
    fn populations(&self) -> BTreeMap<Contract, Vec<Figures>> {
        let mut populations: BTreeMap<Contract, Vec<Figures>> = BTreeMap::new();
        for (kernel, KernelOf(blueprint), measured) in &self.kernels {
            if let (Some(measured), Ok((_, contract))) = (measured, self.blueprints.get(*blueprint))
            {
                populations.entry(contract.0).or_default().push(Figures::new(kernel, measured));
            }
        }
        populations
    }
}

/// Writes verdicts on the kernels they are about.
pub(super) fn admit_verdicts(
    mut workers: Workers<ValidateJob>,
    catalogued: Catalogued,
    mut admissions: MessageWriter<JobAdmitted>,
    mut verdict_messages: MessageWriter<KernelJudged>,
    mut spent: ResMut<InnovationFlops>,
    mut commands: Commands,
) {
    let mut verdicts: BTreeMap<KernelId, (BlueprintId, Verdict)> = BTreeMap::new();
    for admission in workers.admit() {
        admissions.write(admitted(&admission));
        let blueprint = admission.job.blueprint;
        let found = verdicts_of(admission);
        let is_any_valid = found.iter().any(|verdict| verdict.status == KernelStatus::Validated);
        if let Some((entity, _)) = catalogued.blueprint(blueprint) {
            let status =
                if is_any_valid { BlueprintStatus::Validated } else { BlueprintStatus::Invalid };
            commands.entity(entity).insert(status);
        }
        verdicts.extend(found.into_iter().map(|verdict| (verdict.kernel, (blueprint, verdict))));
    }
    if verdicts.is_empty() {
        return;
    }
    let mut populations = catalogued.populations();
    for (_, verdict) in verdicts.values() {
        if let Some((_, kernel, contract)) = catalogued.kernel(verdict.kernel)
            && let Some(measured) = &verdict.measured
        {
            populations.entry(contract).or_default().push(Figures::new(kernel, measured));
        }
    }
    for (id, verdict) in verdicts.into_values() {
        let Some((entity, kernel, contract)) = catalogued.kernel(verdict.kernel) else { continue };
        if let Some((_, blueprint)) = catalogued.blueprint(id) {
            verdict_messages.write(judged(&verdict, id, blueprint, kernel));
        }
        let mut entity = commands.entity(entity);
        entity.insert((verdict.status, verdict.sheet));
        if let Some(measured) = verdict.measured {
            spent.0 += flops_of(kernel, &measured);
            let tags = tags(&Figures::new(kernel, &measured), &populations[&contract]);
            entity.insert(Measured { tags, ..measured });
        }
    }
}

/// What timing a kernel took, the round that is not counted included.
fn flops_of(kernel: &Kernel, measured: &Measured) -> u64 {
    let pass = (kernel.flops_forward + kernel.flops_backward) * u64::from(measured.batch);
    pass * (u64::from(measured.n_runs) + 1)
}

/// What came of an admission; a validation that did not end well is a verdict too.
fn verdicts_of(admission: Admission<ValidateJob>) -> Vec<Verdict> {
    let reason = match admission.outcome {
        Outcome::Done(verdicts) => return verdicts,
        Outcome::Panicked => "validation panicked",
        Outcome::TimedOut => "validation took longer than `timeout_ms`",
    };
    let reject = |candidate: Candidate| Verdict {
        kernel: candidate.id,
        status: KernelStatus::Rejected,
        sheet: SafetySheet { reasons: vec![reason.to_owned()], ..SafetySheet::default() },
        measured: None,
    };
    admission.job.candidates.into_iter().map(reject).collect()
}

/// The journal's line about an admission.
fn admitted(admission: &Admission<ValidateJob>) -> JobAdmitted {
    JobAdmitted {
        forge: VALIDATE.to_owned(),
        ticket: admission.ticket.0,
        outcome: admission.outcome.kind(),
    }
}

/// The journal's line about a verdict.
fn judged(
    verdict: &Verdict,
    id: BlueprintId,
    blueprint: &Blueprint,
    kernel: &Kernel,
) -> KernelJudged {
    KernelJudged {
        kernel: verdict.kernel,
        blueprint: id,
        family: blueprint.family.clone(),
        variant: kernel.variant.clone(),
        status: verdict.status,
        reasons: verdict.sheet.reasons.clone(),
    }
}

/// Whether a kernel waits for its verdict.
pub(super) fn is_any_kernel_pending(kernels: Query<&KernelStatus>) -> bool {
    kernels.iter().any(|status| *status == KernelStatus::PendingBenchmarking)
}

/// Sends the kernels that wait, one job a blueprint, in the order of ids, as far as the queue has room.
pub(super) fn send_kernels(
    mut workers: Workers<ValidateJob>,
    rules: Res<Rules>,
    cache: Res<KernelCache>,
    kernels: Query<(&KernelId, &Kernel, &KernelStatus, &KernelOf)>,
    blueprints: Query<(&BlueprintId, &Blueprint, &ModuleContract)>,
) {
    let mut waiting: BTreeMap<BlueprintId, ValidateJob> = BTreeMap::new();
    let is_out = |workers: &Workers<ValidateJob>, id| {
        workers.jobs().iter().any(|(.., job)| job.blueprint == id)
    };
    for (kernel_id, kernel, status, of) in &kernels {
        if *status == KernelStatus::PendingBenchmarking
            && let Ok((id, blueprint, contract)) = blueprints.get(of.0)
            && !is_out(&workers, *id)
            && let Some(program) = program_of(&cache, *kernel_id, kernel, blueprint)
        {
            let job = waiting.entry(*id).or_insert_with(|| ValidateJob {
                blueprint: *id,
                contract: contract.0,
                graph: blueprint.graph.clone(),
                must_grow: blueprint.is_trainable && !blueprint.is_control(),
                rules: *rules,
                candidates: Vec::new(),
            });
            let variant = kernel.variant.clone();
            job.candidates.push(Candidate { id: *kernel_id, variant, program });
        }
    }
    for mut job in waiting.into_values() {
        job.candidates.sort_unstable_by_key(|candidate| candidate.id);
        if workers.send(job).is_err() {
            return; // The queue is full; the rest waits for a later tick.
        }
    }
}

/// A kernel's program: from the cache, or after a resume compiled again, which gives the same.
fn program_of(
    cache: &KernelCache,
    id: KernelId,
    kernel: &Kernel,
    blueprint: &Blueprint,
) -> Option<Arc<Program>> {
    let compile =
        || Variant::from_name(&kernel.variant)?.compile(&blueprint.graph).ok().map(Arc::new);
    cache.get(id).cloned().or_else(compile)
}
