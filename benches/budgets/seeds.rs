//! What a seed adds to a host's step, against the arithmetic it adds.

use esper::{
    engine::runtime::HostRuntime,
    scenario::{Adam, Incubation, Optimizer},
};

use crate::{
    row::Row,
    support::{
        hosts::{flops_of_step, graft, plant, take_steps},
        modules::fitting,
        setup::Setup,
        timing::{best_in_turns, seconds},
    },
};

/// A round of a small host is so many of its steps that it takes about a millisecond.
const FLOPS_PER_ROUND: f64 = 1e8;

pub fn measure() -> Vec<Row> {
    let adamw = || Optimizer::AdamW(Adam::default());
    let small = [Setup::mlp(&[64, 32, 10], 64, adamw()), Setup::mlp(&[784, 128, 10], 128, adamw())];
    small.iter().chain(&Setup::large()).flat_map(in_host).collect()
}

/// A module as wide as its site, in the middle of the host.
fn in_host(setup: &Setup) -> Vec<Row> {
    let mut plain = setup.host();
    let site = plain.program().site(setup.site).expect("the host has it");
    let module = fitting(&plain.program().sites[site].shape);
    let grown = |incubation, is_grafted| {
        let mut host = setup.host();
        plant(&mut host, site, &module, incubation);
        if is_grafted {
            graft(&mut host);
        }
        host
    };
    [
        ("TRAINING", grown(Incubation::StraightThrough, false)),
        ("TRAINING, shadow", grown(Incubation::Shadow, false)),
        ("GRAFTING", grown(Incubation::StraightThrough, true)),
    ]
    .iter_mut()
    .flat_map(|(stage, host)| compare(&format!("{}: {stage}", setup.name), &mut plain, host))
    .collect()
}

fn compare(name: &str, plain: &mut HostRuntime, grown: &mut HostRuntime) -> [Row; 2] {
    // Every round is the same steps: what was learnt changes how fast some arithmetic is.
    let young =
        [plain.to_snapshot().expect("there is room"), grown.to_snapshot().expect("there is room")];
    let flops = flops_of_step(plain);
    let flops_ratio = flops_of_step(grown) / flops;
    let n_steps = (FLOPS_PER_ROUND / flops).ceil() as usize;
    let round = |host: &mut HostRuntime, young| {
        host.restore(young).expect("there is room");
        seconds(|| take_steps(host, n_steps))
    };
    let [without, with] =
        best_in_turns([&mut || round(plain, &young[0]), &mut || round(grown, &young[1])]);
    let time_ratio = with / without;
    [
        Row::at_most(format!("{name}: time / FLOPs"), time_ratio / flops_ratio, "x", 1.10),
        Row::shown(format!("  FLOPs x {flops_ratio:.3}, time"), time_ratio, "x"),
    ]
}
