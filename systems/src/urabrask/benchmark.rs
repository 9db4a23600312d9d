//! Fourth: how fast is it, measured in turns with `reference` so that both see the same machine.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use esper_engine::world::kernel::Measured;
use esper_nn::program::Program;

use super::{
    config::Rules,
    probe::{Probe, batch_of, work_of},
};

/// Repeats below which a median is not worth the name.
const REPEATS_MIN: usize = 3;
/// Work of all repeats, as [`work_of`] counts it: some 100 ms. Long passes vary less, and need fewer of them.
const FLOPS_MAX: u64 = 5_000_000_000;
/// Passes of the latency limit that a benchmark may take: what is that slow needs no exact figure.
const PATIENCE: u32 = 4;

/// How long a program takes.
pub(super) struct Timing {
    /// Medians.
    pub measured: Measured,
    /// The fastest forward and backward pass of the batch: what it takes when nothing else wants the machine.
    pub least_us: u64,
}

/// Times every program, in turns; ratios are to the one at `baseline`.
pub(super) fn measure(programs: &[&Program], baseline: usize, rules: &Rules) -> Vec<Timing> {
    let (x, dy) = batch_of(programs[0], rules.batch);
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
    let least_us = |times: &[Vec<u64>; 2]| {
        let [forward, backward] = times.each_ref().map(|times| times.iter().min());
        (forward.unwrap_or(&0) + backward.unwrap_or(&0)) / 1000
    };
    let least: Vec<u64> = times.iter().map(least_us).collect();
    let medians: Vec<[u64; 2]> =
        times.iter_mut().map(|times| times.each_mut().map(|times| median(times))).collect();
    let total = |[forward, backward]: [u64; 2]| (forward + backward).max(1) as f64;
    let timing = |nth: usize| Timing {
        measured: Measured {
            forward_ns: medians[nth][0],
            backward_ns: medians[nth][1],
            reference_ratio: total(medians[nth]) / total(medians[baseline]),
            batch: rules.batch as u32,
            n_runs: times[nth][0].len() as u32,
            tags: Vec::new(),
        },
        least_us: least[nth],
    };
    (0..programs.len()).map(timing).collect()
}

fn n_repeats(programs: &[&Program], rules: &Rules) -> usize {
    let work = programs.iter().map(|it| work_of(it)).sum::<u64>() * rules.batch as u64;
    ((FLOPS_MAX / work.max(1)) as usize).max(REPEATS_MIN).min(rules.bench_repeats)
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
