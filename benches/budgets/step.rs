//! A training step against the peak of fused multiply-adds.

use esper::{
    engine::scenario::{Optimizer, Sgd},
    kernels::peak::measure_fma_peak_gflops,
};

use crate::{
    row::Row,
    support::{
        hosts::{Shape, flops_per_step, take_steps},
        timing::{median, seconds},
    },
};

const N_ROUNDS: usize = 31;
/// A round takes a few milliseconds whatever the shape.
const FLOPS_PER_ROUND: f64 = 1e8;

pub fn measure() -> Vec<Row> {
    let shapes = [(&[64, 32, 10], 64, 2.0), (&[784, 128, 10], 128, 1.25)];
    shapes
        .iter()
        .flat_map(|(layers, batch, budget)| against_peak(*layers, *batch, *budget))
        .collect()
}

fn against_peak(layers: &[usize], batch: usize, budget: f64) -> [Row; 3] {
    let shape = Shape::new(layers, batch, Optimizer::Sgd(Sgd::default()));
    let mut host = shape.host(16);
    let flops = flops_per_step(&mut host, 160);
    let n_steps = (FLOPS_PER_ROUND / flops).ceil() as usize;
    let (mut ratios, mut times, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..N_ROUNDS {
        let time = seconds(|| take_steps(&mut host, n_steps)) / n_steps as f64;
        let peak = measure_fma_peak_gflops();
        ratios.push(time * peak * 1e9 / flops);
        times.push(time);
        peaks.push(peak);
    }
    let name = format!("{}, batch {batch}, SGD step", shape.name());
    [
        Row::at_most(format!("{name} / (FLOPs / peak)"), median(ratios), "x", budget),
        Row::shown(format!("  {:.2} MFLOPs a step, time", flops / 1e6), median(times) * 1e6, "us"),
        Row::shown("  peak of one core", median(peaks), "GFLOP/s"),
    ]
}
