//! A decision of the heuristic about 64 living seeds, in a run on the digits.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use esper::{
    prelude::*,
    systems::tamiyo::{Heuristic, TamiyoConfig},
};

use crate::{row::Row, support::timing::median};

const N_SEEDS: usize = 64;
const N_HOSTS: usize = 32;

/// What a decision took, with the number of living seeds it was about.
type Decisions = Arc<Mutex<Vec<(usize, f64)>>>;

/// The heuristic, timed.
struct Timed {
    heuristic: Heuristic,
    decisions: Decisions,
}

impl Policy for Timed {
    fn decide(&mut self, view: &Observation<'_>, commands: &mut Vec<SeedCommand>) {
        let start = Instant::now();
        self.heuristic.decide(view, commands);
        let taken = start.elapsed().as_secs_f64();
        self.decisions.lock().expect("nothing panics in it").push((view.seeds.len(), taken));
    }
}

pub fn measure() -> Vec<Row> {
    let mut scenario = scenario::defaults();
    scenario[RUN].epochs = 30;
    scenario[RUN].replicas = N_HOSTS;
    scenario[DATA].source = "digits".into();
    scenario[HOST] = scenario::Host::mlp([64, 8, 10]);
    scenario[HOST].sites = vec!["input".into(), "hidden0".into()];
    scenario[TAMIYO].incubate_max = N_SEEDS / N_HOSTS;
    let decisions = Decisions::default();
    let sites = [(HostId(0), scenario[HOST].sites.clone().into())].into();
    let heuristic = Heuristic::new(&TamiyoConfig::new(&scenario, sites));
    let timed = Timed { heuristic, decisions: decisions.clone() };
    let mut run =
        Run::start(RunOptions::new(scenario).policy(timed)).expect("the scenario is sound");
    run.finish().expect("the run ends well");
    let decisions = decisions.lock().expect("nothing panics in it");
    let times: Vec<f64> =
        decisions.iter().filter(|(n, _)| *n == N_SEEDS).map(|(_, time)| *time).collect();
    let n_decisions = times.len();
    let name = format!("heuristic decision, {N_SEEDS} seeds in {N_HOSTS} hosts");
    vec![
        Row::at_most(name, median(times) * 1e6, "us", 10.0),
        Row::shown("  decisions about that many", n_decisions as f64, ""),
    ]
}
