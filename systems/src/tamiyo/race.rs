//! Races: candidates incubate side by side at every site that is open, and the best is grafted.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use esper_engine::{
    ids::{BlueprintId, HostId, SiteId},
    stage::Stage,
    world::gate::Gate,
};
use serde::{Deserialize, Serialize};

use super::{
    config::TamiyoConfig,
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
    lost_in_row: u32,
}

/// A race, from germination to the verdict on the one that was grafted.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
struct Race {
    /// What entered, and where.
    entrants: Vec<Entrant>,
    n_halvings: u32,
    /// What is grafted, once that is known.
    best: Option<(BlueprintId, Entrant)>,
}

/// A family at a site.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Entrant {
    site: SiteId,
    kind: Kind,
    family: String,
    /// Whether it saved something at the first halving; of one that was never halved, yes.
    is_of_use: bool,
}

impl Entrant {
    fn new(site: SiteId, candidate: &Candidate) -> Self {
        let kind = Kind::of(candidate.contract);
        Self { site, kind, family: candidate.family.clone(), is_of_use: true }
    }

    fn named(&self) -> (Kind, &str) {
        (self.kind, &self.family)
    }
}

impl Races {
    /// Takes in how the last race ended: none of the host's seeds lives.
    pub fn conclude(&mut self, view: &Observation<'_>, host: HostId, standings: &mut Standings) {
        let Some(Race { entrants, best, .. }) = self.current.take() else { return };
        let kept = best.filter(|(blueprint, of)| {
            let past = view.past(host, of.site, *blueprint);
            past.is_some_and(|trial| trial.stage == Stage::Fossilized)
        });
        let kept = kept.map(|(_, entrant)| entrant);
        for site in entrants.iter().map(|it| it.site).collect::<BTreeSet<_>>() {
            let at_site = self.sites.entry(site).or_default();
            match &kept {
                None => at_site.lost_in_row += 1,
                Some(kept) if kept.site == site => at_site.lost_in_row = 0,
                // Another site had more to offer: that says nothing of this one.
                Some(_) => {}
            }
        }
        let mut entered = BTreeMap::new();
        for entrant in &entrants {
            *entered.entry(entrant.named()).or_default() |= entrant.is_of_use;
        }
        standings.observe(&entered, kept.as_ref().map(Entrant::named));
    }

    /// Begins a race at every site where something can race.
    pub fn begin(
        &mut self,
        view: &Observation<'_>,
        host: &HostReport,
        config: &TamiyoConfig,
        standings: &Standings,
        commands: &mut Vec<SeedCommand>,
    ) {
        let mut race = Race::default();
        for dormant in self.open_sites(view, host.host) {
            let n_left = config.tamiyo.incubate_max.saturating_sub(race.entrants.len());
            let here = entrants(view, host, &dormant, config, standings);
            for candidate in here.into_iter().take(n_left) {
                let blueprint = candidate.blueprint;
                race.entrants.push(Entrant::new(dormant.site, candidate));
                let (seed, germinate) = (dormant.seed, SeedAction::GerminateBeside { blueprint });
                commands.push(SeedCommand { seed, action: germinate });
            }
        }
        self.current = (!race.entrants.is_empty()).then_some(race);
    }

    /// Inserts the module whose turn it is, as it is, at the first site where one may be.
    pub fn insert(
        &mut self,
        view: &Observation<'_>,
        host: &HostReport,
        config: &TamiyoConfig,
        standings: &Standings,
        commands: &mut Vec<SeedCommand>,
    ) {
        for dormant in self.open_sites(view, host.host) {
            let here = entrants(view, host, &dormant, config, standings);
            let Some(candidate) = here.first() else { continue };
            let (blueprint, entrant) = (candidate.blueprint, Entrant::new(dormant.site, candidate));
            let best = Some((blueprint, entrant.clone()));
            self.current = Some(Race { entrants: vec![entrant], n_halvings: 0, best });
            let action = SeedAction::Germinate { blueprint };
            commands.push(SeedCommand { seed: dormant.seed, action });
            return;
        }
    }

    /// A dormant seed of each site that is worth a race; those come first that are asked to change most for their size.
    fn open_sites(&self, view: &Observation<'_>, host: HostId) -> Vec<DormantSeed> {
        let mut sites: BTreeMap<SiteId, DormantSeed> = BTreeMap::new();
        for seed in view.dormant().iter().filter(|seed| seed.host == host) {
            if self.sites.get(&seed.site).is_none_or(|it| it.lost_in_row < LOST_MAX) {
                sites.entry(seed.site).or_insert(*seed);
            }
        }
        let mut sites: Vec<DormantSeed> = sites.into_values().collect();
        sites.sort_by(|a, b| b.urgency().total_cmp(&a.urgency()).then(a.site.cmp(&b.site)));
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
        let mut racing: Vec<&SeedReport> = view.in_training(host).collect();
        let is_waited_for = view.seeds_of(host).any(|seed| seed.stage == Stage::Germinated);
        let Some(age) = racing.iter().map(|seed| seed.stage_steps).min() else { return };
        if is_waited_for {
            return;
        }
        // What somebody else had germinate races as well.
        let race = self.current.get_or_insert_default();
        racing.sort_by(|a, b| gain(b).total_cmp(&gain(a)).then(a.seed.cmp(&b.seed)));
        let cancel = |seed: &&SeedReport| seed.command(SeedAction::Cancel);
        if config.train_min_steps <= age {
            if racing.iter().any(|seed| seed.gate_state.last.is_none()) {
                return; // Ranking waits for the last of those that incubate at once.
            }
            let best = racing[0].gate_state.has_passed(Gate::G2).then(|| racing.remove(0));
            commands.extend(racing.iter().map(cancel));
            if let Some(best) = best {
                commands.push(best.command(SeedAction::Graft));
                let of = best.blueprint.and_then(|it| view.candidate(it));
                race.best = of.map(|it| (it.blueprint, Entrant::new(best.site, it)));
            }
            return;
        }
        let halves_at = config.train_min_steps >> (HALVINGS - race.n_halvings);
        if race.n_halvings < HALVINGS && halves_at <= age {
            race.n_halvings += 1;
            if race.n_halvings == 1 {
                race.look_at_use(view, &racing);
            }
            if UNHALVED_MAX < racing.len() {
                commands.extend(racing[racing.len().div_ceil(2)..].iter().map(cancel));
            }
        }
    }
}

impl Race {
    /// Notes which entrants save anything by now.
    fn look_at_use(&mut self, view: &Observation<'_>, racing: &[&SeedReport]) {
        for entrant in &mut self.entrants {
            entrant.is_of_use = racing.iter().any(|seed| {
                let family = seed.blueprint.and_then(|it| view.candidate(it));
                let is_it = family.is_some_and(|it| it.family == entrant.family);
                seed.site == entrant.site && is_it && gain(seed) > 0.0
            });
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
    entrants
}
