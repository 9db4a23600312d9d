//! What each module of a run is worth to its host, and what two of them are worth together.
//!
//! The modules that a host has kept (fossils), or has grafted at that moment, are the players of a game: a set of them is
//! worth what the host's mean loss on held-out examples drops to with these and none of the others, less in nats (or
//! squared units) being more. What "none of the others" means is said three times, and kept apart: [`Meaning`].
//!
//! This is an account of the host as it is. It is no counterfactual of training: a module that was never grafted would
//! have left a host that learned otherwise, which only the twin tells (gate G5).

mod error;
mod game;
mod report;
mod scores;

pub use error::{AttributionError, FigureError};
pub use report::{
    Around, Attribution, Course, CoursePoint, HostAttribution, Meaning, MeaningAttribution, Method,
    ModuleFacts, ModuleWorth, Pair, PairKind, Score, SubsetScore,
};

use std::{collections::BTreeMap, sync::Arc};

use esper_engine::{
    ids::{BlueprintId, HostId, SeedId, SiteId},
    runtime::{HostRuntime, Split},
    stage::Stage,
    world::{blueprint::Blueprint, components::SeedModule, hosts::HostSites},
};
use esper_nn::graph::NetworkGraph;
use esper_systems::tolaria::{self, HostConfigs, StoredRun};

use self::{
    game::{Game, GameError},
    scores::Scores,
};
use crate::{RunError, RunFolder, RunOptions};

/// How a run is attributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttributionSettings {
    /// The examples that losses are means over. Nothing may be decided by those of [`Split::Test`].
    pub split: Split,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Training batches that running statistics are estimated anew from, at most; a pass over the data is enough.
    pub n_batches_max: usize,
    /// Modules up to which every set of them is evaluated, for Shapley values that are exact.
    pub exact_modules_max: usize,
    /// Sets of modules that are evaluated for sampled Shapley values, at most, a host, a checkpoint and a meaning.
    pub n_subsets_max: usize,
}

impl Default for AttributionSettings {
    fn default() -> Self {
        Self {
            split: Split::Validation,
            confidence: 0.95,
            n_batches_max: 50,
            exact_modules_max: 4,
            n_subsets_max: 256,
        }
    }
}

/// Attributes the hosts of the run in `folder` at each checkpoint that it kept; `options` are the folder's, with what a
/// program of one's own added when the run began. Nothing is written.
///
/// # Errors
///
/// Fails when no checkpoint is sound, the data can not be had or is not what the run began with, or a host without some
/// of its modules gives losses that are not finite.
pub fn attribute(
    folder: &RunFolder,
    options: RunOptions,
    settings: &AttributionSettings,
) -> Result<Attribution, AttributionError> {
    let checkpoints = folder.dir.checkpoints();
    let (newest, _) = tolaria::latest_checkpoint(&checkpoints).map_err(RunError::from)?;
    let configs = folder.host_configs(options)?;
    let mut found = Attribution {
        split: report::split_word(settings.split),
        confidence: settings.confidence,
        hosts: Vec::new(),
        notes: Vec::new(),
    };
    let paths = tolaria::list_checkpoints(&checkpoints);
    on_threads(&configs, || {
        for path in paths {
            match StoredRun::read(&path) {
                Ok(stored) => found.hosts.extend(attribute_stored(&stored, &configs, settings)?),
                Err(error) if path != newest => {
                    found.notes.push(format!("a damaged checkpoint is left out: {error}"));
                }
                Err(error) => return Err(RunError::from(error).into()),
            }
        }
        Ok(found)
    })
}

/// Does `work` with as many threads as the run's large hosts may use.
fn on_threads<T: Send>(
    configs: &HostConfigs,
    work: impl FnOnce() -> Result<T, AttributionError> + Send,
) -> Result<T, AttributionError> {
    let n_threads = configs.0.values().map(|config| config.threads).max().unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
    pool.map_err(|source| AttributionError::Threads { source })?.install(work)
}

fn attribute_stored(
    stored: &StoredRun,
    configs: &HostConfigs,
    settings: &AttributionSettings,
) -> Result<Vec<HostAttribution>, AttributionError> {
    let seeds = StoredSeeds::read(stored)?;
    let tick = stored.info().tick;
    let hosts = stored.hosts(configs).map_err(RunError::from)?;
    hosts.iter().map(|(host, runtime)| seeds.attribute(tick, *host, runtime, settings)).collect()
}

/// What a checkpoint says of seeds.
struct StoredSeeds {
    stages: BTreeMap<SeedId, Stage>,
    sites: BTreeMap<SeedId, SiteId>,
    blueprints: BTreeMap<SeedId, Blueprint>,
    names: BTreeMap<HostId, HostSites>,
}

impl StoredSeeds {
    /// Reads it under the names that the seeds' subsystems save it by.
    fn read(stored: &StoredRun) -> Result<Self, RunError> {
        let designs: Vec<(BlueprintId, Blueprint)> = stored.get("blueprint.design")?;
        let designs: BTreeMap<BlueprintId, Blueprint> = designs.into_iter().collect();
        let modules: Vec<(SeedId, SeedModule)> = stored.get("seed.module")?;
        let blueprint = |(seed, module): (SeedId, SeedModule)| {
            Some((seed, designs.get(&module.blueprint)?.clone()))
        };
        let stages: Vec<(SeedId, Stage)> = stored.get("seed.stage")?;
        let sites: Vec<(SeedId, SiteId)> = stored.get("seed.site")?;
        let names: Vec<(HostId, HostSites)> = stored.get("host.sites")?;
        Ok(Self {
            stages: stages.into_iter().collect(),
            sites: sites.into_iter().collect(),
            blueprints: modules.into_iter().filter_map(blueprint).collect(),
            names: names.into_iter().collect(),
        })
    }

    fn attribute(
        &self,
        tick: u64,
        host: HostId,
        runtime: &HostRuntime,
        settings: &AttributionSettings,
    ) -> Result<HostAttribution, AttributionError> {
        let at = |source| AttributionError::Host { host, tick, source };
        let network = |(seed, it): (&SeedId, &Blueprint)| (*seed, it.graph.clone());
        let networks: BTreeMap<SeedId, Arc<NetworkGraph>> =
            self.blueprints.iter().map(network).collect();
        let joined = runtime.to_joined(&networks).map_err(at)?;
        let modules = joined.seeds().iter().map(|seed| ModuleFacts {
            seed: *seed,
            site: self.site(host, *seed),
            family: self.blueprints.get(seed).map(|it| it.family.clone()),
            stage: self.stages.get(seed).copied(),
            alpha: joined.alpha(*seed),
        });
        let modules = modules.collect();
        let mut scores = Scores::new(&joined, settings);
        let full = scores.full().map_err(at)?;
        let mut of_meanings = Vec::new();
        if !joined.seeds().is_empty() {
            for meaning in Meaning::ALL {
                let solved = Game::new(meaning, settings).solve(&mut scores);
                of_meanings.push(solved.map_err(|error| match error {
                    GameError::Host(source) => at(source),
                    GameError::Figures(source) => AttributionError::Figures { host, tick, source },
                })?);
            }
        }
        Ok(HostAttribution {
            tick,
            step: runtime.state.step,
            host,
            split: report::split_word(settings.split),
            confidence: settings.confidence,
            n_examples: full.evaluation.n_examples,
            full: Score::of(&full.evaluation),
            modules,
            meanings: of_meanings,
            n_evaluations: scores.n_evaluations(),
        })
    }

    fn site(&self, host: HostId, seed: SeedId) -> Option<String> {
        Some(self.names.get(&host)?.name(*self.sites.get(&seed)?).to_owned())
    }
}
