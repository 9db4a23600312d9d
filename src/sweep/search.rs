//! Random search over static hosts, with the compute of a growth.

use esper_engine::runtime::Flops;
use esper_kernels::random::hash_words;
use esper_nn::rng::{draw_below, draw_unit};

use super::{
    apply::{Source, front_host, spent},
    arm::Arm,
    cell::{Job, Outcome, Wanted, make_cell},
    hosts::{kinds_beside, predicted_flops},
    stop::Stop,
};
use crate::{
    Plan, RunError, RunOptions,
    scenario::{HOST, Host, Scenario, TRAIN},
};

/// The best of the static hosts that were tried.
pub(super) struct Searched {
    pub best: Outcome,
    /// What the others cost.
    pub flops_before: Flops,
}

/// Hosts that are drawn at most.
const DRAWS_MAX: u64 = 1000;
/// Hosts drawn in a row that cost more than is left, after which the search is over.
const MISSES_MAX: u64 = 20;

/// Tries static hosts as long as the growth's FLOPs pay for them, and keeps the best on validation data; `None` if it was
/// stopped. The first is the scenario's own.
///
/// A host is drawn with a width of 1/4 to 16 times the scenario's and 0 to 2 layers more, both on a logarithmic scale,
/// a learning rate of 1/4 to 4 times the scenario's, and 1/2, 1 or 2 times its epochs.
pub(super) fn search(
    source: Source<'_>,
    arm: Arm,
    stop: &Stop,
) -> Result<Option<Searched>, RunError> {
    let Some(growth) = source.growth.filter(|it| it.summary.is_some()) else {
        return Err(RunError::Failed("the growth of its pair failed".to_owned()));
    };
    let mut left = spent(growth).total() as f64;
    let stream = hash_words(&[source.seed, 0x7365_6172_6368]);
    let (mut best, mut flops_tried): (Option<Outcome>, Flops) = (None, Flops::default());
    let (mut failure, mut n_misses) = (None, 0);
    for number in 0..DRAWS_MAX {
        let drawn = match number {
            0 => alone(&source),
            _ => draw(&source, arm, hash_words(&[stream, number])),
        };
        let candidate = drawn.and_then(|scenario| {
            let options = RunOptions::new(scenario.clone()).base_dir(source.base_dir);
            let cost = predicted_flops(&Plan::new(options.data(source.data.clone()))?);
            Ok((scenario, cost))
        });
        let (scenario, cost) = match candidate {
            Ok(candidate) => candidate,
            // A kind of host that does not fit the data, or a host beyond a limit.
            Err(error) => {
                failure = Some(error);
                continue;
            }
        };
        if number > 0 && left < cost {
            n_misses += 1;
            if n_misses == MISSES_MAX {
                break;
            }
            continue;
        }
        n_misses = 0;
        let job = Job {
            scenario,
            base_dir: source.base_dir.to_owned(),
            data: source.data.clone(),
            graph: None,
            dir: None,
            tensorboard: false,
        };
        let Some(outcome) = job.run(Wanted::default(), stop)? else { return Ok(None) };
        left -= outcome.summary.flops.total() as f64;
        let is_better = best.as_ref().is_none_or(|it| val_score(it) < val_score(&outcome));
        flops_tried += outcome.summary.flops;
        if is_better {
            best = Some(outcome);
        }
    }
    let none = || RunError::Failed("no static host could be tried".to_owned());
    let best = best.ok_or_else(|| failure.unwrap_or_else(none))?;
    let flops_before = flops_tried.saturating_sub(best.summary.flops);
    Ok(Some(Searched { best, flops_before }))
}

/// The scenario's host.
fn alone(source: &Source<'_>) -> Result<Scenario, RunError> {
    let mut scenario = source.scenario.clone();
    make_cell(&mut scenario, source.seed, source.base_dir);
    front_host(scenario, (1.0, 0, 1.0))
}

fn draw(source: &Source<'_>, arm: Arm, stream: u64) -> Result<Scenario, RunError> {
    let mut scenario = source.scenario.clone();
    make_cell(&mut scenario, source.seed, source.base_dir);
    let network = scenario[HOST].network.clone();
    let kinds = match arm {
        Arm::BestStaticAny => kinds_beside(&network),
        _ => vec![network],
    };
    let kind = kinds[draw_below(stream, 0, kinds.len() as u64) as usize].clone();
    scenario[HOST] = Host { init: None, ..Host::new(kind) };
    let width = (-2.0 + 6.0 * draw_unit(stream, 1)).exp2();
    let epochs = [0.5, 1.0, 2.0][draw_below(stream, 2, 3) as usize];
    let rate = (-2.0 + 4.0 * draw_unit(stream, 3)).exp2();
    let optimizer = &mut scenario[TRAIN].optimizer;
    optimizer.set_lr(optimizer.lr() * rate);
    front_host(scenario, (width, draw_below(stream, 4, 3), epochs))
}

fn val_score(outcome: &Outcome) -> f64 {
    let scores = outcome.summary.scores;
    scores.val_accuracy.or(scores.val_loss.map(|loss| -loss)).unwrap_or(f64::NEG_INFINITY)
}
