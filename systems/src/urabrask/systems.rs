//! Kernels leave in `Dispatch`; verdicts come back in `Admit`.

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::prelude::*;
use esper_engine::{
    program::{Program, Variant},
    world::{
        catalog::{
            Blueprint, BlueprintStatus, Kernel, KernelCache, KernelOf, KernelStatus, Measured,
            SafetySheet,
        },
        components::Contract,
        forge::{Admission, Outcome, Workers},
        ids::{BlueprintId, Index, KernelId},
    },
};

use super::{
    components::{Candidate, ValidateJob, Verdict},
    config::Rules,
    diagnostics::{admitted, judged},
    tags::{Figures, tags},
};
use crate::oona::{JobAdmitted, KernelJudged};

/// Writes verdicts on the kernels they are about.
pub(super) fn admit_verdicts(
    mut workers: Workers<ValidateJob>,
    blueprint_index: Res<Index<BlueprintId>>,
    kernel_index: Res<Index<KernelId>>,
    blueprints: Query<&Blueprint>,
    kernels: Query<(&Kernel, Option<&Measured>)>,
    mut admissions: MessageWriter<JobAdmitted>,
    mut judgements: MessageWriter<KernelJudged>,
    mut commands: Commands,
) {
    let mut verdicts: BTreeMap<KernelId, (BlueprintId, Verdict)> = BTreeMap::new();
    for admission in workers.admit() {
        admissions.write(admitted(&admission));
        let blueprint = admission.job.blueprint;
        let found = verdicts_of(admission);
        let is_any_valid = found.iter().any(|verdict| verdict.status == KernelStatus::Validated);
        if let Some(entity) = blueprint_index.entity(blueprint) {
            let status =
                if is_any_valid { BlueprintStatus::Compiled } else { BlueprintStatus::Invalid };
            commands.entity(entity).insert(status);
        }
        verdicts.extend(found.into_iter().map(|verdict| (verdict.kernel, (blueprint, verdict))));
    }
    if verdicts.is_empty() {
        return;
    }
    let kernel_of =
        |id: KernelId| kernel_index.entity(id).and_then(|it| Some((it, kernels.get(it).ok()?.0)));
    let mut population: Vec<Figures> = kernels
        .iter()
        .filter_map(|(kernel, measured)| Some(Figures::new(kernel, measured?)))
        .collect();
    population.extend(verdicts.values().filter_map(|(_, verdict)| {
        Some(Figures::new(kernel_of(verdict.kernel)?.1, verdict.measured.as_ref()?))
    }));
    for (id, verdict) in verdicts.into_values() {
        let Some((entity, kernel)) = kernel_of(verdict.kernel) else { continue };
        if let Some(Ok(blueprint)) = blueprint_index.entity(id).map(|it| blueprints.get(it)) {
            judgements.write(judged(&verdict, id, blueprint, kernel));
        }
        let mut entity = commands.entity(entity);
        entity.insert((verdict.status, verdict.sheet));
        if let Some(measured) = verdict.measured {
            let tags = tags(&Figures::new(kernel, &measured), &population);
            entity.insert(Measured { tags, ..measured });
        }
    }
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

/// Sends the kernels that wait, one job a blueprint, in the order of ids, as far as the queue has room.
pub(super) fn send_kernels(
    mut workers: Workers<ValidateJob>,
    rules: Res<Rules>,
    cache: Res<KernelCache>,
    kernels: Query<(&KernelId, &Kernel, &KernelStatus, &KernelOf)>,
    blueprints: Query<(&BlueprintId, &Blueprint, &Contract)>,
) {
    let mut waiting: BTreeMap<BlueprintId, (Entity, Vec<(KernelId, &Kernel)>)> = BTreeMap::new();
    for (id, kernel, status, of) in &kernels {
        if *status == KernelStatus::PendingBenchmarking
            && let Ok((blueprint, ..)) = blueprints.get(of.0)
        {
            waiting.entry(*blueprint).or_insert((of.0, Vec::new())).1.push((*id, kernel));
        }
    }
    workers.jobs().iter().for_each(|(_, _, job)| drop(waiting.remove(&job.blueprint)));
    for (id, (entity, mut kernels)) in waiting {
        let (_, blueprint, contract) = blueprints.get(entity).expect("it was just found");
        kernels.sort_unstable_by_key(|(id, _)| *id);
        let candidate = |(id, kernel): (KernelId, &Kernel)| {
            let program = program_of(&cache, id, kernel, blueprint)?;
            Some(Candidate { id, variant: kernel.variant.clone(), program })
        };
        let job = ValidateJob {
            blueprint: id,
            contract: *contract,
            graph: blueprint.graph.clone(),
            must_grow: blueprint.is_trainable && !blueprint.is_control(),
            rules: *rules,
            candidates: kernels.into_iter().filter_map(candidate).collect(),
        };
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
