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

use bevy_ecs::{entity::EntityHashMap, prelude::*};
use esper_engine::{
    stage::Stage,
    world::{
        components::{Active, Telemetry, Withdrawing},
        gate::Gate,
    },
};

use super::lifecycle::{Lifecycle, Seed, SeedData};

/// Why a seed that is judged has telemetry.
const HAS: &str = "a living seed has telemetry";

/// Measures G2 and G5 for every seed whose time has come.
pub(super) fn judge_seeds(
    seeds: Query<SeedData, (With<Active>, Without<Withdrawing>)>,
    mut telemetry: Query<&mut Telemetry>,
    mut lifecycle: Lifecycle,
) {
    let mut training: EntityHashMap<usize> = EntityHashMap::default();
    for seed in seeds.iter().filter(|seed| *seed.stage == Stage::Training) {
        *training.entry(seed.of.0).or_default() += 1;
    }
    let n_beside = |seed: &Seed| training.get(&seed.host).copied().unwrap_or_default();
    let due = seeds.iter().map(Seed::from).filter(|it| is_due(it, n_beside(it), &lifecycle));
    let mut due: Vec<Seed> = due.collect();
    due.sort_unstable_by_key(|seed| (lifecycle.hosts.id(seed.host), seed.id));
    for of_host in due.chunk_by_mut(|a, b| a.host == b.host) {
        let (incubating, grafted): (Vec<_>, Vec<_>) =
            of_host.iter_mut().partition(|seed| seed.stage == Stage::Training);
        for seed in grafted {
            let mut telemetry = telemetry.get_mut(seed.entity).expect(HAS);
            match seed.stage {
                // What has passed is looked at no more.
                Stage::FineTuning => lifecycle.waive(seed, Gate::G5),
                _ => twin::judge(&mut lifecycle, seed, &mut telemetry),
            }
        }
        let found = incubation::measure(&mut lifecycle, &incubating);
        for (seed, found) in incubating.into_iter().zip(found) {
            let mut telemetry = telemetry.get_mut(seed.entity).expect(HAS);
            incubation::judge(&mut lifecycle, seed, found, &mut telemetry);
        }
    }
}

/// Whether a seed, one of so many that incubate in its host, is to be judged now.
fn is_due(seed: &Seed, n_incubating: usize, lifecycle: &Lifecycle) -> bool {
    // The numbers of a failed step are nobody's evidence.
    if lifecycle.hosts.fault(seed.host).is_some() {
        return false;
    }
    let step = lifecycle.step(seed);
    match seed.stage {
        Stage::Training => {
            let min_steps = lifecycle.config.kasmina.train_min_steps;
            let youngest = seed.clock.entered_step + incubation::first_age(min_steps, n_incubating);
            seed.gate_state.next_step.max(youngest) <= step || !seed.is_finite
        }
        Stage::Evaluating | Stage::FineTuning => seed.gate_state.next_step <= step,
        _ => false,
    }
}
