//! Fossils: the graph with a seed's module in it is asked for, and swapped in once it comes back compiled.

use std::sync::Arc;

use bevy_ecs::{prelude::*, system::SystemParam};
use esper_engine::{
    ids::{Index, SeedId},
    runtime::module_prefix,
    stage::Stage,
    world::{
        components::{Blend, Recompiling},
        hosts::HostsMut,
        plugin::RunStatus,
    },
};
use esper_nn::{
    graph::{self, NetworkGraph},
    module::Composition,
    op::{self, Op},
};

use super::{
    config::Counterfactual,
    graft::drop_twin,
    lifecycle::{Lifecycle, Seed},
    plant::{SeedPlaces, sample_planted_sites},
};
use crate::oona::{HostSwapped, ProgramChangeRequested, ProgramReady, Transfer};

/// Where programs of hosts are asked for.
#[derive(SystemParam)]
pub(super) struct HostPrograms<'w> {
    requests: MessageWriter<'w, ProgramChangeRequested>,
}

/// The seed becomes part of its host: the twin goes, and a program with its module in it is asked for.
///
/// Until that program is swapped in, the bound module goes on doing the same arithmetic.
pub(super) fn fossilize(
    lifecycle: &mut Lifecycle,
    programs: &mut HostPrograms,
    seed: &mut Seed,
    reason: &str,
) {
    lifecycle.set_training(seed, true);
    drop_twin(lifecycle, seed);
    programs.requests.write(ProgramChangeRequested {
        freeze: lifecycle.hosts.runtime(seed.host).config.train.freeze.clone(),
        host: lifecycle.hosts.id(seed.host),
        graph: Arc::new(grown_graph(lifecycle, seed)),
        transfer: Transfer::Fossilize { seed: seed.id },
    });
    lifecycle.commands.entity(seed.host).insert(Recompiling);
    let note = match lifecycle.config.kasmina.counterfactual {
        Counterfactual::Gate => " (judged by gate, not by twin)",
        Counterfactual::Twin | Counterfactual::OtherStream => "",
    };
    lifecycle.enter(seed, Stage::Fossilized, format!("{reason}{note}"));
}

/// The host's network with the seed's module joined to it.
fn grown_graph(lifecycle: &Lifecycle, seed: &Seed) -> NetworkGraph {
    let config = &lifecycle.config.kasmina;
    let alpha = config.alpha_target as f32;
    let join = match config.composition {
        Composition::Blend => Op::Blend(op::Blend { alpha }),
        Composition::Residual | Composition::Gate => Op::Residual(op::Residual { alpha }),
    };
    let (_, blueprint) =
        lifecycle.blueprint(seed.module().blueprint).expect("a bound blueprint lives");
    let host = &lifecycle.hosts.runtime(seed.host).graph;
    let ends = lifecycle.hosts.sites(seed.host).ends(seed.site);
    let grown = graph::fossilize_span(host, ends, &blueprint.graph, join, &module_prefix(seed.id));
    grown.expect("G0 checked the contract")
}

/// Swaps in every host program that came back from the workers.
pub(super) fn swap_programs(
    mut ready: MessageReader<ProgramReady>,
    mut hosts: HostsMut,
    index: Res<Index<SeedId>>,
    seeds: SeedPlaces,
    mut status: ResMut<RunStatus>,
    mut swaps: MessageWriter<HostSwapped>,
    mut commands: Commands,
) {
    for ProgramReady { request, program } in ready.read() {
        let ProgramChangeRequested { host: id, graph, transfer, .. } = request;
        let Transfer::Fossilize { seed } = *transfer;
        let program = match program {
            Ok(program) => program.clone(),
            Err(reason) => {
                status.fail(format!("{id} with {seed} in it: {reason}"));
                return;
            }
        };
        let Some(host) = hosts.entity(*id) else { continue };
        commands.entity(host).remove::<Recompiling>();
        if let Some(seed) = index.entity(seed) {
            commands.entity(seed).remove::<Blend>();
        }
        let runtime = hosts.runtime_mut(host);
        if runtime.binding(seed).is_none() {
            continue; // Rolled back behind the fossil: there is nothing to take in.
        }
        if let Err(error) = runtime.merge(seed, graph.clone(), program) {
            status.fail(error.to_string());
            continue;
        }
        let (step, params_elems) = (runtime.state.step, runtime.program().params_elems());
        sample_planted_sites(&mut hosts, host, &seeds);
        swaps.write(HostSwapped { host: *id, seed, step, params_elems });
    }
}
