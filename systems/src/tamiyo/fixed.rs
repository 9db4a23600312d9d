//! `fixed`: growth on a timetable.

use std::{collections::BTreeMap, sync::Arc};

use esper_engine::world::{
    gate::Gate,
    ids::{HostId, SeedId, SiteId},
    stage::Stage,
};
use serde::{Deserialize, Serialize};

use super::{
    config::{Action, ScheduledAction, TamiyoConfig},
    host_progress::epochs,
    observation::Observation,
    policy::Policy,
};
use crate::oona::{SeedAction, SeedCommand, SeedReport};

/// Takes each scheduled once a host, from its epoch on until it can be taken.
///
/// Where the timetable names no end, a seed that passes G5 is kept.
pub struct Fixed {
    timetable: Vec<ScheduledAction>,
    sites: BTreeMap<HostId, Arc<[String]>>,
    is_direct: bool,
    /// Scheduled actions taken, by host.
    kept: Vec<(HostId, usize)>,
}

#[derive(Serialize, Deserialize)]
struct Kept(Vec<(HostId, usize)>);

impl Fixed {
    /// The timetable of `config`.
    pub fn new(config: &TamiyoConfig) -> Self {
        Self {
            timetable: config.tamiyo.timetable.clone(),
            sites: config.sites.clone(),
            is_direct: config.is_direct,
            kept: Vec::new(),
        }
    }

    fn keep(
        &self,
        view: &Observation<'_>,
        host: HostId,
        scheduled: &ScheduledAction,
    ) -> Option<SeedCommand> {
        let sites = self.sites.get(&host)?;
        let site = SiteId(sites.iter().position(|name| *name == scheduled.site)? as u16);
        let command = |seed: SeedId, action| Some(SeedCommand { seed, action });
        let in_stage = |wanted: &[Stage]| -> Option<&SeedReport> {
            view.seeds_of(host).find(|it| it.site == site && wanted.contains(&it.stage))
        };
        match scheduled.action {
            Action::Germinate => {
                let dormant = view.dormant();
                let seed = dormant.iter().find(|it| it.host == host && it.site == site)?;
                let wanted = scheduled.blueprint.as_deref();
                let candidate = view.candidates().iter().find(|candidate| {
                    candidate.contract == seed.contract
                        && wanted.is_none_or(|family| candidate.family == family)
                        && view.past(host, site, candidate.blueprint).is_none()
                })?;
                command(seed.seed, SeedAction::Germinate { blueprint: candidate.blueprint })
            }
            Action::Graft => {
                let seed = in_stage(&[Stage::Training])?;
                (seed.gate_state.has_passed(Gate::G2) || self.is_direct)
                    .then(|| command(seed.seed, SeedAction::Graft))?
            }
            Action::FineTune => command(in_stage(&[Stage::Evaluating])?.seed, SeedAction::FineTune),
            Action::Fossilize => {
                let seed = in_stage(&[Stage::Evaluating, Stage::FineTuning])?;
                seed.gate_state
                    .has_passed(Gate::G5)
                    .then(|| command(seed.seed, SeedAction::Fossilize))?
            }
            Action::Cull => {
                let living = [
                    Stage::Training,
                    Stage::Grafting,
                    Stage::Stabilization,
                    Stage::Evaluating,
                    Stage::FineTuning,
                ];
                command(in_stage(&living)?.seed, SeedAction::Cull)
            }
            Action::Cancel => {
                command(in_stage(&[Stage::Germinated, Stage::Training])?.seed, SeedAction::Cancel)
            }
        }
    }
}

impl Policy for Fixed {
    fn decide(&mut self, view: &Observation<'_>, commands: &mut Vec<SeedCommand>) {
        let has_ends = self.timetable.iter().any(|it| it.action == Action::Fossilize);
        for report in view.hosts {
            for (n, scheduled) in self.timetable.iter().enumerate() {
                let place = (report.host, n);
                if epochs(report) < scheduled.epoch || self.kept.contains(&place) {
                    continue;
                }
                if let Some(command) = self.keep(view, report.host, scheduled) {
                    commands.push(command);
                    self.kept.push(place);
                    break; // One scheduled a host and tick: the next one sees what came of this.
                }
            }
        }
        if !has_ends {
            let passed = view.seeds.iter().filter(|seed| {
                matches!(seed.stage, Stage::Evaluating | Stage::FineTuning)
                    && seed.gate_state.has_passed(Gate::G5)
            });
            commands.extend(
                passed.map(|seed| SeedCommand { seed: seed.seed, action: SeedAction::Fossilize }),
            );
        }
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&Kept(self.kept.clone())).expect("plain data serialises")
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), String> {
        let Kept(kept) = postcard::from_bytes(saved).map_err(|error| error.to_string())?;
        self.kept = kept;
        Ok(())
    }
}
