//! How stages look: colour, lines over it, and a short word.

use esper_engine::stage::Stage;
use esper_systems::nissa::SeedHistory;

use crate::report::canvas::{Hatch, Marker};

/// A part of a seed's life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub stage: Stage,
    /// The host's steps.
    pub from: u64,
    pub to: u64,
}

/// The spans of a seed's life from its germination, the last until `now`.
pub(super) fn spans(seed: &SeedHistory, now: u64) -> Vec<Span> {
    let entered: Vec<(Stage, u64)> =
        seed.stages.iter().filter_map(|it| Some((it.stage, it.step?))).collect();
    let ends = entered.iter().skip(1).map(|(_, step)| *step).chain([now]);
    let spans = entered.iter().zip(ends);
    spans
        .map(|((stage, from), to)| Span { stage: *stage, from: *from, to: to.max(*from) })
        .collect()
}

/// The class that fills a stage's span, and the lines over it.
pub(super) const fn fill(stage: Stage) -> (&'static str, Hatch) {
    match stage {
        Stage::Training => ("fill-sky", Hatch::None),
        Stage::Grafting => ("fill-orange", Hatch::Rising),
        Stage::Stabilization => ("fill-yellow", Hatch::Dots),
        Stage::Evaluating => ("fill-purple", Hatch::Upright),
        Stage::FineTuning => ("fill-vermilion", Hatch::Falling),
        Stage::Fossilized => ("fill-green", Hatch::None),
        _ => ("plain", Hatch::None),
    }
}

/// A stage in a word.
pub(super) const fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Dormant => "dormant",
        Stage::Germinated => "germinated",
        Stage::Training => "training",
        Stage::Grafting => "grafting",
        Stage::Stabilization => "stabilizing",
        Stage::Evaluating => "evaluating",
        Stage::FineTuning => "fine-tuning",
        Stage::Fossilized => "fossilized",
        Stage::Culled => "culled",
        Stage::Cancelled => "cancelled",
        Stage::RolledBack => "rolled back",
    }
}

/// What marks the end of a life, and its class.
pub(super) const fn end_mark(stage: Stage) -> Option<(Marker, &'static str)> {
    match stage {
        Stage::Fossilized => Some((Marker::Diamond, "fill-green")),
        Stage::Culled => Some((Marker::Cross, "thin stroke-vermilion")),
        Stage::Cancelled => Some((Marker::Circle, "hollow stroke-muted")),
        Stage::RolledBack => Some((Marker::Triangle, "fill-vermilion")),
        _ => None,
    }
}

/// `seed1 at input: residual_mlp`.
pub(super) fn name(seed: &SeedHistory) -> String {
    let family = seed.family.as_deref().unwrap_or("no blueprint");
    format!("{} at {}: {family}", seed.seed, seed.site)
}

/// Whether the seed acted on its host at some time.
pub(super) fn was_grafted(seed: &SeedHistory) -> bool {
    seed.stages.iter().any(|it| it.stage == Stage::Grafting)
}

/// At most `n` of `seeds`, in their order: those that were grafted before those that were not, and then the first.
pub(super) fn foremost<'a>(seeds: &[&'a SeedHistory], n: usize) -> Vec<&'a SeedHistory> {
    let mut ranked: Vec<usize> = (0..seeds.len()).collect();
    ranked.sort_by_key(|at| !was_grafted(seeds[*at]));
    ranked.truncate(n);
    ranked.sort_unstable();
    ranked.into_iter().map(|at| seeds[at]).collect()
}

#[cfg(test)]
mod tests {
    use esper_engine::ids::{HostId, SeedId};
    use esper_systems::nissa::StageEntered;

    use super::*;

    #[test]
    fn where_not_all_have_room_those_that_were_grafted_do() {
        let seed = |id: u64| {
            let stage = if id % 4 == 3 { Stage::Grafting } else { Stage::Training };
            SeedHistory {
                seed: SeedId(id),
                host: HostId(0),
                site: "input".to_owned(),
                family: None,
                blueprint: None,
                params_elems: None,
                stages: vec![StageEntered { stage, tick: 1, step: None, reason: String::new() }],
                verdicts: Vec::new(),
            }
        };
        let seeds: Vec<SeedHistory> = (0..12).map(seed).collect();
        let seeds: Vec<&SeedHistory> = seeds.iter().collect();
        let ids = |n| -> Vec<u64> { foremost(&seeds, n).iter().map(|it| it.seed.0).collect() };
        assert_eq!(ids(5), [0, 1, 3, 7, 11]);
        assert_eq!(ids(2), [3, 7]);
        assert_eq!(ids(20), (0..12).collect::<Vec<_>>());
    }
}
