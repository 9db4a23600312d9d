//! Episodes of a controller's research, and what the innovation line does to a step.

use std::{sync::Arc, thread::available_parallelism, time::Instant};

use esper::{
    HostSpec,
    engine::forge::JobsOut,
    prelude::*,
    scenario::{self, Adam, Mode, Optimizer},
    systems::{tezzeret::CompileJob, urabrask::ValidateJob},
};
use rayon::prelude::*;

use crate::{
    row::Row,
    step::{on_pool, seconds_per_flop},
    support::timing::{median, seconds},
};

/// 60 epochs of 64-32-10 on digits, batch 64: 3,060 steps.
const N_EPISODES: u32 = 64;
const N_ROUNDS: usize = 5;

pub fn measure() -> Vec<Row> {
    let data = data::load(&DataConfig::new("digits"), std::path::Path::new("."));
    let data = Arc::new(data.expect("digits ship with Esper"));
    let n_cores = available_parallelism().map_or(1, usize::from);
    let name = "episodes a second (60 epochs of 64-32-10 on digits)";
    let mut rows = Vec::new();
    for n_threads in [1, n_cores] {
        let apart = median((0..N_ROUNDS).map(|_| apart(n_threads, &data)).collect());
        let together = median((0..N_ROUNDS).map(|_| together(n_threads, &data)).collect());
        let peak = on_pool(n_threads, || 1.0 / seconds_per_flop());
        let share = 100.0 * apart * flops_of_episode(&data) / peak;
        rows.extend([
            Row::shown(format!("{name}, {n_threads} threads"), apart, "/s"),
            Row::shown("  share of the peak of their fused multiply-adds", share, "%"),
            Row::shown("  with all 64 in one world", together, "/s"),
        ]);
    }
    rows.extend(innovation(&data));
    rows
}

fn episode(seed: u64) -> Scenario {
    let mut episode = scenario::defaults();
    episode[RUN].epochs = 60;
    episode[RUN].seed = seed;
    episode[RUN].threads = 1;
    episode[RUN].steps_per_tick = 100;
    episode[DATA].source = "digits".into();
    episode[HOST] = scenario::Host::mlp([64, 32, 10]);
    episode[TRAIN].optimizer = Optimizer::AdamW(Adam { lr: 1e-2, ..Adam::default() });
    episode[TAMIYO].policy = "off".to_owned();
    episode
}

fn run(scenario: Scenario, data: &Arc<SplitData>) -> Summary {
    let run = Run::start(RunOptions::new(scenario).data(data.clone()));
    run.expect("the scenario is sound").finish().expect("it goes well")
}

fn flops_of_episode(data: &Arc<SplitData>) -> f64 {
    run(episode(0), data).flops.total() as f64
}

/// Episodes a second, each in a world of its own, as cells of a sweep are run.
fn apart(n_threads: usize, data: &Arc<SplitData>) -> f64 {
    let all = || {
        on_pool(n_threads, || {
            (0..N_EPISODES).into_par_iter().with_max_len(1).for_each(|seed| {
                run(episode(seed.into()), data);
            });
        });
    };
    f64::from(N_EPISODES) / seconds(all)
}

/// Episodes a second, all in one world.
fn together(n_threads: usize, data: &Arc<SplitData>) -> f64 {
    let mut scenario = episode(0);
    scenario[RUN].threads = n_threads;
    let options = RunOptions::new(scenario).data(data.clone());
    let add = |options: RunOptions, seed| options.host(HostSpec::new().seed(u64::from(seed)));
    let options = (0..N_EPISODES).fold(options, add);
    let all = || _ = Run::start(options).expect("it is sound").finish().expect("it goes well");
    f64::from(N_EPISODES) / seconds(all)
}

/// Ticks timed of each kind.
const N_TICKS: usize = 20_000;

/// Times of a tick of one step while blueprints are compiled and validated on the other core, and while none is.
fn innovation(data: &Arc<SplitData>) -> Vec<Row> {
    let mut scenario = episode(0);
    scenario[RUN].epochs = 1_000_000;
    scenario[RUN].steps_per_tick = 1;
    scenario[TAMIYO].policy = "heuristic".to_owned();
    // Nothing germinates in the time that is looked at.
    scenario[TAMIYO].germinate_share = 1.0;
    scenario[TAMIYO].germinate_until_share = 1.0;
    scenario[TAMIYO].plateau_epochs = 1e6;
    scenario[TEZZERET].mode = Mode::Free;
    let mut run = Run::start(RunOptions::new(scenario).data(data.clone())).expect("it is sound");
    // The first tick builds the schedule.
    run.engine_mut().tick();
    let [mut idle, mut busy]: [Vec<f64>; 2] = Default::default();
    while idle.len() < N_TICKS {
        let began = Instant::now();
        run.engine_mut().tick();
        let time = began.elapsed().as_secs_f64() * 1e6;
        let world = run.engine().world();
        let is_idle = world.resource::<JobsOut<CompileJob>>().is_empty()
            && world.resource::<JobsOut<ValidateJob>>().is_empty();
        let times = if is_idle { &mut idle } else { &mut busy };
        if times.len() < N_TICKS {
            times.push(time);
        }
    }
    let row = |name: &str, times: &mut Vec<f64>, share: f64| {
        times.sort_by(f64::total_cmp);
        let at = ((times.len() as f64 * share) as usize).min(times.len() - 1);
        Row::shown(name.to_owned(), times[at], "us")
    };
    vec![
        row("a tick of one step, innovation line idle: median", &mut idle, 0.5),
        row("  99th percentile", &mut idle, 0.99),
        row("a tick of one step, innovation line busy: median", &mut busy, 0.5),
        row("  99th percentile", &mut busy, 0.99),
    ]
}
