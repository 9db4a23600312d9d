//! `random`: chance among the legal actions, the control that any gate_state has to beat.

use esper_engine::world::{gate::Gate, stage::Stage};
use esper_nn::rng::{Purpose, draw_below, draw_unit, stream_key};

use super::{config::TamiyoConfig, observation::Observation, policy::Policy};
use crate::oona::{SeedAction, SeedCommand, SeedReport};

/// Acts on each seed with a fixed probability a tick, each legal action alike.
///
/// Draws are keyed by (run seed, seed, tick), so there is no state to save.
pub struct Random {
    run_seed: u64,
    action_rate: f64,
    is_direct: bool,
}

impl Random {
    /// The rate of `config`.
    pub fn new(config: &TamiyoConfig) -> Self {
        Self {
            run_seed: config.run_seed,
            action_rate: config.tamiyo.action_rate,
            is_direct: config.is_direct,
        }
    }

    fn legal(&self, seed: &SeedReport) -> Vec<SeedAction> {
        let passed = |gate| seed.gate_state.has_passed(gate);
        match seed.stage {
            Stage::Germinated => vec![SeedAction::Cancel],
            Stage::Training if passed(Gate::G2) || self.is_direct => {
                vec![SeedAction::Graft, SeedAction::Cull, SeedAction::Cancel]
            }
            Stage::Training => vec![SeedAction::Cull, SeedAction::Cancel],
            Stage::Grafting | Stage::Stabilization => vec![SeedAction::Cull],
            Stage::Evaluating if passed(Gate::G5) => {
                vec![SeedAction::FineTune, SeedAction::Fossilize, SeedAction::Cull]
            }
            Stage::FineTuning if passed(Gate::G5) => vec![SeedAction::Fossilize, SeedAction::Cull],
            Stage::Evaluating | Stage::FineTuning => vec![SeedAction::Cull],
            _ => Vec::new(),
        }
    }
}

impl Policy for Random {
    fn decide(&mut self, view: &Observation<'_>, commands: &mut Vec<SeedCommand>) {
        for seed in view.seeds {
            let key = stream_key(self.run_seed, Purpose::Policy, seed.seed.0);
            if draw_unit(key, 2 * view.tick) < self.action_rate {
                let legal = self.legal(seed);
                if !legal.is_empty() {
                    let choice = draw_below(key, 2 * view.tick + 1, legal.len() as u64);
                    commands.push(SeedCommand { seed: seed.seed, action: legal[choice as usize] });
                }
            }
        }
        for seed in view.dormant() {
            let key = stream_key(self.run_seed, Purpose::Policy, seed.seed.0);
            if draw_unit(key, 2 * view.tick) >= self.action_rate {
                continue;
            }
            let is_open = |blueprint| view.past(seed.host, seed.site, blueprint).is_none();
            let candidates = view.candidates().iter();
            let fitting: Vec<_> = candidates
                .filter(|candidate| {
                    candidate.contract == seed.contract && is_open(candidate.blueprint)
                })
                .collect();
            if !fitting.is_empty() {
                let choice = draw_below(key, 2 * view.tick + 1, fitting.len() as u64);
                let blueprint = fitting[choice as usize].blueprint;
                commands.push(SeedCommand {
                    seed: seed.seed,
                    action: SeedAction::Germinate { blueprint },
                });
            }
        }
    }
}
