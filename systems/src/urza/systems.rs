//! What Urza does each tick: it sees what changed and hands it to the recorder.

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::{prelude::*, query::QueryData, system::SystemParam};
use esper_engine::{
    ids::{BlueprintId, Index, KernelId, SeedId},
    world::{
        blueprint::{Blueprint, BlueprintStatus},
        components::{ModuleContract, SeedModule, Telemetry},
        kernel::{Kernel, KernelOf, KernelStatus, Measured, SafetySheet},
        kernel_cache::KernelCache,
        plugin::RunStatus,
    },
};
use esper_nn::contract::Contract;

use super::{
    open_library::{OpenLibrary, Unread},
    record::{DeploymentRecord, KernelRecord, TwinGain},
    recorder::Changes,
};
use crate::oona::{KernelJudged, StageChanged};

/// A blueprint that is new, or whose status is.
type ChangedBlueprint = Or<(Changed<Blueprint>, Changed<BlueprintStatus>)>;
/// A kernel that is new, or was judged.
type ChangedKernel = Or<(Changed<Kernel>, Changed<KernelStatus>, Changed<Measured>)>;

/// What the library wants to know of a kernel.
#[derive(QueryData)]
pub(super) struct KernelFacts {
    id: &'static KernelId,
    kernel: &'static Kernel,
    status: &'static KernelStatus,
    of: &'static KernelOf,
    measured: Option<&'static Measured>,
    safety: Option<&'static SafetySheet>,
}

/// Where names lead.
#[derive(SystemParam)]
pub(super) struct Names<'w, 's> {
    seeds: Res<'w, Index<SeedId>>,
    blueprints: Res<'w, Index<BlueprintId>>,
    kernels: Res<'w, Index<KernelId>>,
    parents: Query<'w, 's, (&'static BlueprintId, &'static ModuleContract)>,
    germs: Query<'w, 's, (&'static SeedModule, Option<&'static Telemetry>)>,
}

/// Whether a blueprint or kernel has changed, a stage has, or a program is still to be had.
pub(super) fn is_anything_to_send(
    blueprints: Query<(), ChangedBlueprint>,
    kernels: Query<(), ChangedKernel>,
    stages: Res<Messages<StageChanged>>,
    unread: Res<Unread>,
) -> bool {
    let is_any_changed = !blueprints.is_empty() || !kernels.is_empty();
    is_any_changed || !stages.is_empty() || !unread.0.is_empty()
}

/// Sends what the tick changed to the recorder, in the order of names.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a part of the world that the library records"
)]
pub(super) fn send_changes(
    library: Res<OpenLibrary>,
    names: Names,
    blueprints: Query<
        (&BlueprintId, &Blueprint, &ModuleContract, &BlueprintStatus),
        ChangedBlueprint,
    >,
    changed_kernels: Query<KernelFacts, ChangedKernel>,
    kernels: Query<KernelFacts>,
    cache: Res<KernelCache>,
    mut unread: ResMut<Unread>,
    mut verdicts: MessageReader<KernelJudged>,
    mut stages: MessageReader<StageChanged>,
) {
    let mut changes = Changes::default();
    for (id, blueprint, contract, status) in &blueprints {
        changes.blueprints.push((*id, blueprint.clone(), contract.0, *status));
    }
    changes.blueprints.sort_by_key(|(id, ..)| *id);

    let reasons: BTreeMap<KernelId, &[String]> =
        verdicts.read().map(|verdict| (verdict.kernel, verdict.reasons.as_slice())).collect();
    let mut facts: BTreeMap<KernelId, KernelFactsItem> =
        changed_kernels.iter().map(|kernel| (*kernel.id, kernel)).collect();
    for id in &unread.0 {
        let late = cache.get(*id).and_then(|_| names.kernels.entity(*id));
        facts.extend(late.and_then(|entity| kernels.get(entity).ok()).map(|kernel| (*id, kernel)));
    }
    for (id, kernel) in facts {
        let (blueprint, contract) =
            names.parents.get(kernel.of.0).expect("a kernel's blueprint has a name and a contract");
        let mut record = kernel_record(&kernel, *blueprint, contract.0, &library.run);
        if let Some(reasons) = reasons.get(&id) {
            record.reasons = reasons.to_vec();
        }
        let program = cache.get(id).map(Arc::clone);
        if program.is_some() || library.holds_program(id) {
            unread.0.remove(&id);
        } else {
            unread.0.insert(id);
        }
        changes.kernels.push((record, program));
    }
    for change in stages.read().filter(|change| change.to.is_terminal()) {
        changes.deployments.extend(deployment(change, &names, &library.run));
    }
    if !changes.is_empty() {
        library.recorder.send(changes);
    }
}

/// Fails the run when the library could not be written. Ticks do not wait for it; checkpoints do.
pub(super) fn report_failure(library: Res<OpenLibrary>, mut commands: Commands) {
    if let Some(reason) = library.recorder.failure() {
        RunStatus::fail_later(&mut commands, reason);
    }
}

fn kernel_record(
    facts: &KernelFactsItem,
    blueprint: BlueprintId,
    contract: Contract,
    run: &str,
) -> KernelRecord {
    let mut record =
        KernelRecord::new(*facts.id, blueprint, contract, facts.kernel, *facts.status, run);
    if let Some(measured) = facts.measured {
        record.tags.clone_from(&measured.tags);
        record.measured = Some(measured.clone());
    }
    if let Some(safety) = facts.safety {
        record.reasons.clone_from(&safety.reasons);
        record.safety = Some(safety.clone());
    }
    record
}

/// What became of the kernel of a seed that ended; `None` when none was ever bound to it.
fn deployment(change: &StageChanged, names: &Names, run: &str) -> Option<DeploymentRecord> {
    let (seed_module, telemetry) = names.germs.get(names.seeds.entity(change.seed)?).ok()?;
    let (_, contract) = names.parents.get(names.blueprints.entity(seed_module.blueprint)?).ok()?;
    let gain = telemetry.and_then(|seen| {
        Some(TwinGain {
            mean: seen.twin_gain?.into(),
            low: seen.twin_gain_low?.into(),
            high: seen.twin_gain_high?.into(),
        })
    });
    Some(DeploymentRecord {
        kernel: KernelId(seed_module.kernel?),
        run: run.to_owned(),
        host: change.host,
        seed: change.seed,
        site: change.site.clone(),
        contract: contract.0,
        outcome: change.to,
        step: change.step,
        gain,
    })
}
