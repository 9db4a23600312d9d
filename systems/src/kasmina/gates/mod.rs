//! The gates of a seed's life, in the order in which it passes them.
//!
//! | gate | file | before | asks |
//! | --- | --- | --- | --- |
//! | G0, G1 | `binding` | TRAINING | contract kept, parameters finite; kernel validated, limits kept |
//! | G2 | `incubation` | GRAFTING | finite, and of use on validation data at some scale |
//! | G3, G4 | `settling` | STABILIZATION, EVALUATING | the host's loss not harmed, at full blend and over a window |
//! | G5 | `twin`, `verdict`, `prior` | FINE_TUNING, FOSSILIZED | better than the twin, on the same validation examples, by more than drift tells |

pub(super) mod binding;
pub(super) mod incubation;
mod interval;
mod prior;
pub(super) mod settling;
pub(super) mod twin;
mod verdict;

pub use interval::{Interval, paired_interval};
pub use prior::shipped_prior;
pub use verdict::{Drift, Gain, look_level, spent_rate};

use bevy_ecs::prelude::*;
use esper_engine::{
    stage::Stage,
    world::{
        components::{Active, Telemetry, Withdrawing},
        gate::Gate,
    },
};

use super::lifecycle::{Lifecycle, Seed, SeedData};

/// Measures G2 and G5 for every seed whose time has come.
pub(super) fn judge_seeds(
    seeds: Query<SeedData, (With<Active>, Without<Withdrawing>)>,
    mut telemetry: Query<&mut Telemetry>,
    mut lifecycle: Lifecycle,
) {
    let mut due: Vec<Seed> =
        seeds.iter().map(Seed::from).filter(|seed| is_due(seed, &lifecycle)).collect();
    due.sort_unstable_by_key(|seed| seed.id);
    for mut seed in due {
        let mut telemetry = telemetry.get_mut(seed.entity).expect("a living seed has telemetry");
        match seed.stage {
            Stage::Training => incubation::judge(&mut lifecycle, &mut seed, &mut telemetry),
            // What has passed is looked at no more.
            Stage::FineTuning => lifecycle.waive(&mut seed, Gate::G5),
            _ => twin::judge(&mut lifecycle, &mut seed, &mut telemetry),
        }
    }
}

fn is_due(seed: &Seed, lifecycle: &Lifecycle) -> bool {
    // The numbers of a failed step are nobody's evidence.
    if lifecycle.hosts.fault(seed.host).is_some() {
        return false;
    }
    let step = lifecycle.step(seed);
    match seed.stage {
        Stage::Training => {
            let youngest = seed.clock.entered_step + lifecycle.config.kasmina.train_min_steps;
            seed.gate_state.next_step.max(youngest) <= step || !seed.is_finite
        }
        Stage::Evaluating | Stage::FineTuning => seed.gate_state.next_step <= step,
        _ => false,
    }
}
