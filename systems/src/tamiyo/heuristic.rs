//! `heuristic`: germinate when the host stalls, try several modules at once, keep what the twin proves.

use std::collections::BTreeMap;

use esper_engine::{
    ids::{BlueprintId, HostId, SiteId},
    stage::Stage,
    world::gate::Gate,
};
use serde::{Deserialize, Serialize};

use super::{
    config::TamiyoConfig,
    host_progress::progress,
    observation::{Candidate, DormantSeed, Observation},
    policy::Policy,
};
use crate::oona::{HostReport, SeedAction, SeedCommand, SeedReport};

/// Plateau detection, past verdicts, the G2 ranking, and the twin.
///
/// - Germinates at `germinate_share` of the run, or at a plateau if that is sooner: validation loss lower by less
///   than `plateau_relative` over `plateau_epochs`. Never after `germinate_until_share`.
/// - Fills the incubator up to `incubate_max` seeds a host, sites with the larger relative gradient first, blueprints
///   by how they fared elsewhere in the run, then by how many incubate already, then by size.
/// - Grafts the seed with the largest counterfactual once every incubating seed has been judged.
/// - Keeps or culls by the twin; what passes is fine-tuned and judged once more.
pub struct Heuristic {
    config: TamiyoConfig,
    state: State,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
struct State {
    /// Validation losses of each host, an epoch each.
    losses: BTreeMap<HostId, Vec<f64>>,
}

impl Heuristic {
    /// The thresholds of `config`.
    pub fn new(config: &TamiyoConfig) -> Self {
        Self { config: config.clone(), state: State::default() }
    }

    fn is_time_to_germinate(&self, host: &HostReport) -> bool {
        let tamiyo = &self.config.tamiyo;
        let done = progress(host);
        done < tamiyo.germinate_until_share
            && (tamiyo.germinate_share <= done || self.is_on_plateau(host.host))
    }

    fn is_on_plateau(&self, host: HostId) -> bool {
        let tamiyo = &self.config.tamiyo;
        let Some(losses) = self.state.losses.get(&host) else { return false };
        let span = (tamiyo.plateau_epochs.ceil() as usize).max(1);
        let Some(place) = losses.len().checked_sub(span + 1) else { return false };
        let (before, now) = (losses[place], losses[losses.len() - 1]);
        now > before * (1.0 - tamiyo.plateau_relative)
    }

    fn germinate(
        &self,
        view: &Observation<'_>,
        host: &HostReport,
        commands: &mut Vec<SeedCommand>,
    ) {
        let growing =
            |seed: &&SeedReport| matches!(seed.stage, Stage::Germinated | Stage::Training);
        let n_growing = view.seeds_of(host.host).filter(growing).count();
        let Some(n_free) = self.config.tamiyo.incubate_max.checked_sub(n_growing) else { return };
        if n_free == 0 || !self.is_time_to_germinate(host) {
            return;
        }
        let mut params = host.params_elems + host.seed_params_elems;
        let mut chosen: Vec<(SiteId, BlueprintId)> = view
            .seeds_of(host.host)
            .filter_map(|seed| Some((seed.site, seed.blueprint?)))
            .collect();
        let mut dormant: Vec<&DormantSeed> =
            view.dormant().iter().filter(|seed| seed.host == host.host).collect();
        dormant.sort_by(|a, b| urgency(b).total_cmp(&urgency(a)).then(a.seed.cmp(&b.seed)));
        for seed in dormant.into_iter().take(n_free) {
            let Some(candidate) = self.choose(view, seed, &chosen, params) else { continue };
            params += candidate.params_elems;
            chosen.push((seed.site, candidate.blueprint));
            let action = SeedAction::Germinate { blueprint: candidate.blueprint };
            commands.push(SeedCommand { seed: seed.seed, action });
        }
    }

    /// The blueprint to try at a site: never one tried there, nor one that is growing there now.
    fn choose<'v>(
        &self,
        view: &'v Observation<'_>,
        seed: &DormantSeed,
        chosen: &[(SiteId, BlueprintId)],
        params: u64,
    ) -> Option<&'v Candidate> {
        let rank = |candidate: &&Candidate| {
            let (kept, culled) =
                view.past_anywhere(candidate.blueprint).fold((0, 0), |(k, c), it| match it.stage {
                    Stage::Fossilized => (k + 1, c),
                    Stage::Culled | Stage::RolledBack => (k, c + 1),
                    _ => (k, c),
                });
            let n_growing = chosen.iter().filter(|(_, of)| *of == candidate.blueprint).count();
            // Larger modules first: at equal record an under-sized host is short of parameters.
            (
                culled - kept,
                n_growing,
                std::cmp::Reverse(candidate.params_elems),
                candidate.blueprint,
            )
        };
        view.candidates()
            .iter()
            .filter(|candidate| {
                candidate.is_ready
                    && candidate.contract == seed.contract
                    && params + candidate.params_elems <= self.config.params_max
                    && !chosen.contains(&(seed.site, candidate.blueprint))
                    && view.past(seed.host, seed.site, candidate.blueprint).is_none()
            })
            .min_by_key(rank)
    }

    fn graft(&self, view: &Observation<'_>, host: &HostReport, commands: &mut Vec<SeedCommand>) {
        if !host.can_judge || view.seeds_of(host.host).any(|seed| seed.stage.is_grafted()) {
            return;
        }
        let training = || view.seeds_of(host.host).filter(|seed| seed.stage == Stage::Training);
        if self.config.is_direct {
            commands.extend(training().next().map(graft));
            return;
        }
        if training().any(|seed| seed.gate_state.last.is_none()) {
            return; // Ranking waits for the last of those that incubate at once.
        }
        let passed = training().filter(|seed| seed.gate_state.has_passed(Gate::G2));
        let gain = |seed: &SeedReport| seed.telemetry.counterfactual_gain.unwrap_or(f32::MIN);
        let best = passed.max_by(|a, b| gain(a).total_cmp(&gain(b)).then(b.seed.cmp(&a.seed)));
        commands.extend(best.map(graft));
    }

    fn judge(&self, seed: &SeedReport) -> Option<SeedCommand> {
        if seed.is_withdrawing || !seed.gate_state.has_passed(Gate::G5) {
            return None; // Kasmina culls what G5 refuses.
        }
        let action = match seed.stage {
            Stage::Evaluating if self.config.fine_tunes => SeedAction::FineTune,
            Stage::Evaluating | Stage::FineTuning => SeedAction::Fossilize,
            _ => return None,
        };
        Some(SeedCommand { seed: seed.seed, action })
    }
}

fn graft(seed: &SeedReport) -> SeedCommand {
    SeedCommand { seed: seed.seed, action: SeedAction::Graft }
}

/// How much a site is asked to change for its size; a site not sampled yet comes last.
fn urgency(seed: &DormantSeed) -> f32 {
    match (seed.x_rms, seed.gradient_rms) {
        (Some(x), Some(gradient)) if x > 0.0 => gradient / x,
        _ => f32::MIN,
    }
}

impl Policy for Heuristic {
    fn decide(&mut self, view: &Observation<'_>, commands: &mut Vec<SeedCommand>) {
        for epoch in view.epochs {
            let losses = self.state.losses.entry(epoch.host).or_default();
            // A rollback trains some epochs again: what came after them did not happen.
            losses.truncate(epoch.epoch.saturating_sub(1) as usize);
            losses.push(epoch.val_loss);
        }
        for host in view.hosts {
            self.graft(view, host, commands);
            self.germinate(view, host, commands);
        }
        commands.extend(view.seeds.iter().filter_map(|seed| self.judge(seed)));
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.state).expect("plain data serialises")
    }

    fn load(&mut self, saved: &[u8]) -> Result<(), String> {
        self.state = postcard::from_bytes(saved).map_err(|error| error.to_string())?;
        Ok(())
    }
}
