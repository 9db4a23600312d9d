//! What a seed adds to a host's step, against the arithmetic it adds.

use esper::engine::{
    runtime::HostRuntime,
    scenario::{Adam, Incubation, Optimizer},
};

use crate::{
    row::Row,
    support::{
        hosts::{Shape, flops_per_step, graft, plant, residual_mlp, take_steps},
        timing::{median, seconds},
    },
};

const N_ROUNDS: usize = 41;
/// A round takes a few milliseconds whatever the shape.
const FLOPS_PER_ROUND: f64 = 1e8;

pub fn measure() -> Vec<Row> {
    let shapes: [(&[usize], usize); 2] = [(&[64, 32, 10], 64), (&[784, 128, 10], 128)];
    shapes.iter().flat_map(|(layers, batch)| of_shape(layers, *batch)).collect()
}

/// A `residual_mlp` as wide as its site, at the last hidden layer.
fn of_shape(layers: &[usize], batch: usize) -> Vec<Row> {
    let shape = Shape::new(layers, batch, Optimizer::AdamW(Adam::default()));
    let mut plain = shape.host(16);
    let site = plain.program.sites.len() - 1;
    let width = layers[layers.len() - 2];
    let grown = |plain: &HostRuntime, incubation| {
        let mut host = plain.clone();
        plant(&mut host, site, &residual_mlp(width, width), incubation);
        host
    };
    let mut straight = grown(&plain, Incubation::StraightThrough);
    let mut shadow = grown(&plain, Incubation::Shadow);
    let mut grafted = grown(&plain, Incubation::StraightThrough);
    graft(&mut grafted);
    let name = shape.name();
    [
        ("TRAINING, straight_through", &mut straight),
        ("TRAINING, shadow", &mut shadow),
        ("GRAFTING", &mut grafted),
    ]
    .into_iter()
    .flat_map(|(stage, host)| compare(&format!("{name}, seed in {stage}"), &mut plain, host))
    .collect()
}

fn compare(name: &str, plain: &mut HostRuntime, grown: &mut HostRuntime) -> [Row; 2] {
    let flops_ratio = flops_per_step(grown, 160) / flops_per_step(plain, 160);
    let n_steps = (FLOPS_PER_ROUND / flops_per_step(plain, 16)).ceil() as usize;
    // Every round is the same steps: what was learnt changes how fast some arithmetic is.
    let young = [plain.to_snapshot(), grown.to_snapshot()];
    let mut time_ratios = Vec::new();
    for _ in 0..N_ROUNDS {
        let round = |host: &mut HostRuntime, young| {
            host.copy_state_from(young);
            seconds(|| take_steps(host, n_steps))
        };
        let before = round(plain, &young[0]);
        let with = round(grown, &young[1]);
        let after = round(plain, &young[0]);
        time_ratios.push(2.0 * with / (before + after));
    }
    let time_ratio = median(time_ratios);
    [
        Row::at_most(format!("{name}: time / FLOPs"), time_ratio / flops_ratio, "x", 1.10),
        Row::shown(format!("  FLOPs x {flops_ratio:.3}, time"), time_ratio, "x"),
    ]
}
