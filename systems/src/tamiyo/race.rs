//! Races: candidates incubate side by side at one site, and the best is grafted.

use std::{cmp::Reverse, collections::BTreeMap};

use esper_engine::{
    ids::{BlueprintId, HostId, SiteId},
    stage::Stage,
    world::gate::Gate,
};
use serde::{Deserialize, Serialize};

use super::{
    config::TamiyoConfig,
    heuristic::{command, in_training, urgency},
    observation::{Candidate, DormantSeed, Observation},
    standings::{Kind, Standings},
};
use crate::oona::{HostReport, SeedAction, SeedCommand, SeedReport};

/// Races in a row that may keep nothing at a site before it is left alone.
pub(super) const LOST_MAX: u32 = 2;
/// Candidates that are raced to the end without being halved.
pub(super) const UNHALVED_MAX: usize = 4;
/// Halvings of a race.
const HALVINGS: u32 = 2;

/// The races of a host.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub(super) struct Races {
    sites: BTreeMap<SiteId, SiteRaces>,
    current: Option<Race>,
}

/// What came of the races at a site.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
struct SiteRaces {
    n_races: u32,
    lost_in_row: u32,
}

/// A race, from germination to the verdict on the one that was grafted.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Race {
    site: SiteId,
    kind: Kind,
    /// Families that entered.
    families: Vec<String>,
    n_halvings: u32,
    /// What is grafted, once that is known.
    best: Option<(BlueprintId, String)>,
}

impl Race {
    fn of(seed: &SeedReport) -> Self {
        let kind = Kind::of(seed.contract);
        Self { site: seed.site, kind, families: Vec::new(), n_halvings: 0, best: None }
    }
}

impl Races {
    /// Takes in how the last race ended: none of the host's seeds lives.
    pub fn conclude(&mut self, view: &Observation<'_>, host: HostId, standings: &mut Standings) {
        let Some(Race { site, kind, families, best, .. }) = self.current.take() else { return };
        let kept = best.filter(|(blueprint, _)| {
            let past = view.past(host, site, *blueprint);
            past.is_some_and(|trial| trial.stage == Stage::Fossilized)
        });
        let at_site = self.sites.entry(site).or_default();
        at_site.n_races += 1;
        at_site.lost_in_row = if kept.is_some() { 0 } else { at_site.lost_in_row + 1 };
        standings.observe(kind, &families, kept.as_ref().map(|(_, family)| family.as_str()));
    }

    /// Begins a race at the site whose turn it is, if anything can race there.
    pub fn begin(
        &mut self,
        view: &Observation<'_>,
        host: &HostReport,
        config: &TamiyoConfig,
        standings: &Standings,
        commands: &mut Vec<SeedCommand>,
    ) {
        for dormant in self.sites_in_turn(view, host.host) {
            let entrants = entrants(view, host, &dormant, config, standings);
            if entrants.is_empty() {
                continue;
            }
            let germinate = |candidate: &&Candidate| {
                let blueprint = candidate.blueprint;
                let action = match config.is_direct {
                    true => SeedAction::Germinate { blueprint },
                    false => SeedAction::GerminateBeside { blueprint },
                };
                SeedCommand { seed: dormant.seed, action }
            };
            commands.extend(entrants.iter().map(germinate));
            let first = config.is_direct.then(|| entrants[0]);
            self.current = Some(Race {
                site: dormant.site,
                kind: Kind::of(dormant.contract),
                families: entrants.iter().map(|it| it.family.clone()).collect(),
                n_halvings: 0,
                best: first.map(|it| (it.blueprint, it.family.clone())),
            });
            return;
        }
    }

    /// A dormant seed of each site that is worth a race, sites in turn.
    fn sites_in_turn(&self, view: &Observation<'_>, host: HostId) -> Vec<DormantSeed> {
        let of = |site| self.sites.get(&site).copied().unwrap_or_default();
        let mut sites: BTreeMap<SiteId, DormantSeed> = BTreeMap::new();
        for seed in view.dormant().iter().filter(|seed| seed.host == host) {
            if of(seed.site).lost_in_row < LOST_MAX {
                sites.entry(seed.site).or_insert(*seed);
            }
        }
        let mut sites: Vec<DormantSeed> = sites.into_values().collect();
        sites.sort_by(|a, b| {
            let turn = of(a.site).n_races.cmp(&of(b.site).n_races);
            turn.then(urgency(b).total_cmp(&urgency(a))).then(a.site.cmp(&b.site))
        });
        sites
    }

    /// Halves the candidates when it is time, and grafts the best at the end.
    pub fn go_on(
        &mut self,
        view: &Observation<'_>,
        host: HostId,
        config: &TamiyoConfig,
        commands: &mut Vec<SeedCommand>,
    ) {
        let mut racing: Vec<&SeedReport> = in_training(view, host).collect();
        let is_waited_for = view.seeds_of(host).any(|seed| seed.stage == Stage::Germinated);
        let Some(age) = racing.iter().map(|seed| seed.stage_steps).min() else { return };
        if is_waited_for {
            return;
        }
        // What somebody else had germinate races as well.
        let race = self.current.get_or_insert_with(|| Race::of(racing[0]));
        racing.sort_by(|a, b| gain(b).total_cmp(&gain(a)).then(a.seed.cmp(&b.seed)));
        let cancel = |seed: &&SeedReport| command(seed, SeedAction::Cancel);
        if config.train_min_steps <= age {
            if racing.iter().any(|seed| seed.gate_state.last.is_none()) {
                return; // Ranking waits for the last of those that incubate at once.
            }
            let best = racing[0].gate_state.has_passed(Gate::G2).then(|| racing.remove(0));
            commands.extend(racing.iter().map(cancel));
            if let Some(best) = best {
                commands.push(command(best, SeedAction::Graft));
                let of = best.blueprint.and_then(|it| view.candidate(it));
                race.best = of.map(|it| (it.blueprint, it.family.clone()));
            }
            return;
        }
        let halves_at = config.train_min_steps >> (HALVINGS - race.n_halvings);
        if race.n_halvings < HALVINGS && halves_at <= age {
            race.n_halvings += 1;
            if UNHALVED_MAX < racing.len() {
                commands.extend(racing[racing.len().div_ceil(2)..].iter().map(cancel));
            }
        }
    }
}

/// The loss that G2 found the seed would save; of one that was not tried, less than any.
fn gain(seed: &SeedReport) -> f32 {
    seed.telemetry.counterfactual_gain.filter(|it| !it.is_nan()).unwrap_or(f32::NEG_INFINITY)
}

/// The blueprints that race at a site: who lost least, then by size; none while a kernel is still on its way.
fn entrants<'v>(
    view: &'v Observation<'_>,
    host: &HostReport,
    site: &DormantSeed,
    config: &TamiyoConfig,
    standings: &Standings,
) -> Vec<&'v Candidate> {
    let kind = Kind::of(site.contract);
    let fits = |it: &&Candidate| it.contract == site.contract;
    if view.candidates().iter().filter(fits).any(|it| !it.is_ready) {
        return Vec::new();
    }
    let may_enter = |it: &&Candidate| {
        let was_removed = view
            .past(site.host, site.site, it.blueprint)
            .is_some_and(|trial| matches!(trial.stage, Stage::Culled | Stage::RolledBack));
        host.params_elems + it.params_elems <= config.params_max && !was_removed
    };
    let all: Vec<&Candidate> =
        view.candidates().iter().filter(fits).filter(|it| may_enter(it)).collect();
    let in_turn = all.iter().copied().filter(|it| standings.enters(kind, &it.family));
    let mut entrants: Vec<&Candidate> = in_turn.collect();
    if entrants.is_empty() {
        entrants = all;
    }
    entrants.sort_by_key(|it| {
        (standings.lost_in_row(kind, &it.family), Reverse(it.params_elems), it.blueprint)
    });
    entrants.truncate(if config.is_direct { 1 } else { config.tamiyo.incubate_max });
    entrants
}
