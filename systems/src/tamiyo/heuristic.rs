//! `heuristic`: candidates race at a site, the best is grafted, and what the twin proves is kept.

use std::collections::BTreeMap;

use esper_engine::{ids::HostId, stage::Stage, world::gate::Gate};
use serde::{Deserialize, Serialize};

use super::{
    config::TamiyoConfig, host_progress::progress, observation::Observation, policy::Policy,
    race::Races, standings::Standings,
};
use crate::oona::{HostReport, SeedAction, SeedCommand, SeedReport};

/// Races, one at a time a host, each followed by the graft of its best.
///
/// - **When**: from `germinate_share` of the run on, or from a plateau if that is sooner (validation loss lower by less
///   than `plateau_relative` over `plateau_epochs`), until `germinate_until_share`; never when what is left of the run
///   could not hold incubation, graft and every look of the verdict, nor where a verdict would pass the limit on
///   evaluation; never while a seed of the host incubates or is grafted.
/// - **Where**: at every site at once, since what a module would save at one site can be held against what another would
///   at another. Taking sites in turn costs a fifth less and finds less: of 10 seeds each, 79 against 82 % on MNIST-1D, 91.3
///   against 92.2 % with a convolutional host on digits. A site is left alone once two races in a row kept nothing there.
/// - **Who**: every blueprint that is ready, fits, keeps `limits.params_max` and was not taken from that site before, one
///   seed each, up to `incubate_max`; a family that keeps losing at that kind of site enters fewer races: one that lost `l`
///   in a row, those whose number is divisible by `2^min(l / 2, 3)`, and saving nothing before the race is first halved
///   counts as two.
/// - **How**: by the loss that G2 finds each would save. While there are more than four, the worse half is cancelled at a
///   quarter and at a half of `train_min_steps`. At its end the best is grafted if it saves anything, and the others are
///   cancelled.
/// - **Then** the twin decides; what passes is fine-tuned where that is asked for, and kept.
pub struct Heuristic {
    config: TamiyoConfig,
    state: State,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
struct State {
    /// Validation losses of each host, an epoch each.
    losses: BTreeMap<HostId, Vec<f64>>,
    /// Races of each host.
    races: BTreeMap<HostId, Races>,
    /// How families fared in the races of all hosts.
    standings: Standings,
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

    /// Whether what is left of the run can hold a seed's life up to the last look of its verdict, and a verdict is within
    /// the limit on evaluation.
    fn can_be_judged(&self, host: &HostReport) -> bool {
        host.can_judge && host.step + self.config.life_steps <= host.total_steps
    }

    /// Begins, goes on with or ends the host's race.
    fn race(&mut self, view: &Observation<'_>, host: &HostReport, commands: &mut Vec<SeedCommand>) {
        let is_time = self.is_time_to_germinate(host) && self.can_be_judged(host);
        let State { races, standings, .. } = &mut self.state;
        let races = races.entry(host.host).or_default();
        if view.seeds_of(host.host).next().is_none() {
            races.conclude(view, host.host, standings);
            match self.config.is_direct {
                _ if !is_time => {}
                true => races.insert(view, host, &self.config, standings, commands),
                false => races.begin(view, host, &self.config, standings, commands),
            }
        } else if view.seeds_of(host.host).all(|seed| !seed.stage.is_grafted()) {
            match self.config.is_direct {
                true => {
                    let mut training = view.in_training(host.host);
                    commands.extend(training.next().map(|seed| seed.command(SeedAction::Graft)));
                }
                false => races.go_on(view, host.host, &self.config, commands),
            }
        }
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
        Some(seed.command(action))
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
            self.race(view, host, commands);
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
