//! Fourth: how fast is it, measured in turns with `reference` so that both see the same machine.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use esper_engine::{program::Program, world::catalog::Measured};

use super::{
    config::Rules,
    probe::{Probe, WANTED, unit_normal},
};

/// Repeats below which a median is not worth the name.
const REPEATS_MIN: usize = 3;
/// Arithmetic above which repeats are cut down to [`REPEATS_MIN`]: some 100 ms, and long passes vary less.
const FLOPS_MAX: u64 = 10_000_000_000;
/// Passes of the latency limit that a benchmark may take: what is that slow needs no exact figure.
const PATIENCE: u32 = 4;

/// Medians of every program, taken in turns; ratios are to the one at `baseline`.
pub(super) fn measure(programs: &[&Program], baseline: usize, rules: &Rules) -> Vec<Measured> {
    let width = programs[0].input_shape.iter().product();
    let (x, dy) = (unit_normal(0, rules.batch, width), unit_normal(1, rules.batch, width));
    let mut probes: Vec<Probe<'_>> =
        programs.iter().map(|program| Probe::at_birth(program, rules.batch)).collect();
    let mut times: Vec<[Vec<u64>; 2]> = programs.iter().map(|_| [Vec::new(), Vec::new()]).collect();
    let n_repeats = n_repeats(programs, rules);
    let patience = Duration::from_micros(rules.latency_max_us).saturating_mul(PATIENCE);
    let began = Instant::now();
    // The first round brings code and data into the caches and is not counted.
    for round in 0..=n_repeats {
        for (probe, times) in probes.iter_mut().zip(&mut times) {
            let forward = timed(|| _ = black_box(probe.forward(&x)));
            let backward = timed(|| _ = black_box(probe.backward(&dy)));
            if round != 0 {
                times[0].push(forward);
                times[1].push(backward);
            }
        }
        if REPEATS_MIN <= round && patience < began.elapsed() {
            break;
        }
    }
    let medians: Vec<[u64; 2]> =
        times.iter_mut().map(|times| times.each_mut().map(|times| median(times))).collect();
    let total = |[forward, backward]: [u64; 2]| (forward + backward).max(1) as f64;
    let measured = medians.iter().zip(&times).map(|(own, times)| Measured {
        forward_ns: own[0],
        backward_ns: own[1],
        reference_ratio: total(*own) / total(medians[baseline]),
        batch: rules.batch as u32,
        n_runs: times[0].len() as u32,
        tags: Vec::new(),
    });
    measured.collect()
}

fn n_repeats(programs: &[&Program], rules: &Rules) -> usize {
    let flops = |it: &&Program| it.flops_forward() + it.flops_backward(WANTED);
    let flops_a_round = programs.iter().map(flops).sum::<u64>() * rules.batch as u64;
    let n_affordable = (FLOPS_MAX / flops_a_round.max(1)) as usize;
    n_affordable.max(REPEATS_MIN).min(rules.bench_repeats)
}

fn timed(run: impl FnOnce()) -> u64 {
    let began = Instant::now();
    run();
    began.elapsed().as_nanos() as u64
}

fn median(times: &mut [u64]) -> u64 {
    let middle = times.len() / 2;
    *times.select_nth_unstable(middle).1
}
