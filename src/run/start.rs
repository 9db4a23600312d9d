//! A new run.

use esper_engine::{forge::Scripts, journal::EVENTS_FORMAT, run_dir::RunDir, runtime::StateDict};
use esper_nn::digest::Digest;
use esper_systems::{
    kasmina::KasminaConfig,
    nissa::{self, KernelAdopted, RunStarted},
    tolaria,
};

use super::{
    Run, adoption,
    assemble::{LibraryChoice, assemble, spawn_hosts},
    commands::RecordedCommands,
    manifest,
    options::{Place, Prepared, RunOptions},
};
use crate::{
    RunError,
    hosts::HostGroup,
    scenario::{RUN, URZA},
};

/// What a run does because another one did.
#[derive(Default)]
pub(super) struct Recorded {
    /// When workers' results were admitted.
    pub scripts: Scripts,
    /// What was adopted from a shared library.
    pub adopted: Vec<KernelAdopted>,
    /// What was asked from outside.
    pub commands: RecordedCommands,
}

impl Run {
    /// Begins a new run, ready for its first tick.
    ///
    /// # Errors
    ///
    /// Fails when the scenario is not sound, its data can not be had or does not fit it, or its folder can not be
    /// written; a folder that was made is then removed.
    pub fn start(options: impl Into<RunOptions>) -> Result<Self, RunError> {
        let mut options = options.into();
        let resolved = options.resolve(true)?;
        let Some(dir) = create_folder(&options.place, &resolved)? else {
            return begin(options, &resolved, None);
        };
        begin(options, &resolved, Some(dir.clone())).inspect_err(|_| {
            // It holds nothing yet that anybody could miss; a folder that can not be removed does no harm.
            let _ = dir.discard();
        })
    }

    /// Begins a run in memory that does what `recorded` says of another one.
    pub(super) fn start_recorded(
        options: RunOptions,
        resolved: &Prepared,
        recorded: Recorded,
    ) -> Result<Self, RunError> {
        let Recorded { scripts, adopted, commands } = recorded;
        let mut run = assemble(options, resolved, None, (LibraryChoice::Memory, Some(scripts)))?;
        run.engine.world_mut().insert_resource(commands);
        spawn_hosts(&mut run.engine, &resolved.groups)?;
        let adopted = match plants_seeds(&run) {
            true => adoption::adopt_recorded(run.engine.world_mut(), &adopted),
            false => Vec::new(),
        };
        run.begin_record(resolved, &adopted)?;
        Ok(run)
    }

    /// Writes the first events and the first checkpoint.
    fn begin_record(
        &mut self,
        resolved: &Prepared,
        adopted: &[KernelAdopted],
    ) -> Result<(), RunError> {
        let Prepared { scenario, groups, .. } = resolved;
        let started = RunStarted {
            format: EVENTS_FORMAT,
            scenario: scenario[RUN].name.clone(),
            scenario_digest: Digest(scenario.digest()),
            seed: scenario[RUN].seed,
            n_hosts: groups.last().map_or(0, |group| group.ids.end),
            init: init_digest(groups),
        };
        let dir = self.dir.clone();
        let world = self.engine.world_mut();
        nissa::start(world, dir.as_ref(), &started)?;
        nissa::record_adoptions(world, adopted)?;
        tolaria::begin(world, dir.as_ref().map(RunDir::checkpoints))?;
        self.deliver_events()
    }
}

fn create_folder(place: &Place, resolved: &Prepared) -> Result<Option<RunDir>, RunError> {
    let toml = resolved.scenario.to_toml();
    let manifest = || manifest::describe(resolved);
    Ok(match place {
        Place::Memory => None,
        Place::At(root) => Some(RunDir::create_at(root, &manifest(), &toml)?),
        Place::In(runs) => Some(RunDir::create(runs, &manifest(), &toml)?),
    })
}

/// Begins a run in `dir`, a folder without a journal or checkpoints, or in memory.
pub(super) fn begin(
    options: RunOptions,
    resolved: &Prepared,
    dir: Option<RunDir>,
) -> Result<Run, RunError> {
    let mut run = assemble(options, resolved, dir, (LibraryChoice::AsScenario, None))?;
    spawn_hosts(&mut run.engine, &resolved.groups)?;
    let is_shared = resolved.scenario[URZA].path.is_some();
    let adopted = match is_shared && plants_seeds(&run) {
        true => adoption::adopt_known(run.engine.world_mut(), &resolved.scenario)?,
        false => Vec::new(),
    };
    run.begin_record(resolved, &adopted)?;
    Ok(run)
}

fn plants_seeds(run: &Run) -> bool {
    run.engine.world().resource::<KasminaConfig>().plants_seeds
}

/// The digest of the weights that hosts begin with: of one file, or of the digests of several in the order of hosts.
fn init_digest(groups: &[HostGroup]) -> Option<Digest> {
    let digests: Vec<Digest> =
        groups.iter().filter_map(|it| it.init.as_ref().map(StateDict::digest)).collect();
    match digests[..] {
        [] => None,
        [digest] => Some(digest),
        _ => Some(Digest::of(&digests.iter().flat_map(|digest| digest.0).collect::<Vec<u8>>())),
    }
}
