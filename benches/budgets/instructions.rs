//! Where the time of a large host's step goes: instruction by instruction, on one thread.

use std::{collections::BTreeMap, sync::Arc};

use esper::{
    engine::program::{Backward, Forward, GradMask, Program},
    kernels::cpu::{Conv2dShape, LinearShape},
};

use crate::{
    row::Row,
    step::{on_pool, seconds_per_flop},
    support::{
        clocked::ClockedCpu,
        hosts::{flops_of_step, take_steps},
        setup::Setup,
        timing::{best_in_turns, seconds},
    },
};

/// What the columns are.
pub const HEADER: &str = "instruction                                        n          time   of all       GFLOP  \
                          GFLOP/s  of peak";

/// What instructions of one kind and shape take together.
#[derive(Clone, Copy, Default)]
struct Sum {
    n: usize,
    seconds: f64,
    flops: f64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.n += other.n;
        self.seconds += other.seconds;
        self.flops += other.flops;
    }
}

/// The large hosts, the slowest instructions of each first.
pub fn measure() -> Vec<Row> {
    Setup::large().iter().flat_map(of_host).collect()
}

fn of_host(setup: &Setup) -> Vec<Row> {
    let clocked_cpu = Arc::new(ClockedCpu::default());
    let (mut host, mut clocked) = (setup.host(), setup.host_on(clocked_cpu.clone(), 1));
    let mut step = || seconds(|| take_steps(&mut host, 1));
    let mut clocked_step = || seconds(|| take_steps(&mut clocked, 1));
    let [time, _, time_per_flop] =
        on_pool(1, || best_in_turns([&mut step, &mut clocked_step, &mut seconds_per_flop]));
    let mut sums: Vec<(String, Sum)> = by_label(setup, host.program(), &clocked_cpu);
    let mut all = Sum::default();
    sums.iter().for_each(|(_, sum)| all.add(*sum));
    sums.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
    sums.push(("all instructions".to_owned(), all));
    let whole = Sum { n: 1, seconds: time, flops: flops_of_step(&mut host) };
    sums.push(("a step, with batch, checks and update".to_owned(), whole));
    let lines = sums.iter().map(|(label, sum)| line(label, *sum, all.seconds, time_per_flop));
    std::iter::once(setup.name.clone()).chain(lines).map(Row::plain).collect()
}

/// What the instructions of a training step took, those of a kind and shape together.
fn by_label(setup: &Setup, program: &Program, clocked: &ClockedCpu) -> Vec<(String, Sum)> {
    let training = GradMask { params: true, sites: 0 };
    let [forward, backward] = clocked.best_seconds();
    let forward = program.forward.iter().zip(forward);
    let forward = forward.map(|(step, seconds)| (label_forward(&step.instr), step.flops, seconds));
    let backward =
        program.backward.iter().zip(backward).filter(|(step, _)| step.mask.is_met_by(training));
    let backward =
        backward.map(|(step, seconds)| (label_backward(&step.instr), step.flops, seconds));
    let mut sums = BTreeMap::<String, Sum>::new();
    for (label, flops, seconds) in forward.chain(backward) {
        let flops = (flops * setup.batch as u64) as f64;
        sums.entry(label).or_default().add(Sum { n: 1, seconds, flops });
    }
    sums.into_iter().collect()
}

fn line(label: &str, sum: Sum, all_seconds: f64, time_per_flop: f64) -> String {
    let Sum { n, seconds, flops } = sum;
    let [ms, gflop, rate] = [seconds * 1e3, flops / 1e9, flops / seconds / 1e9];
    let shares = [seconds / all_seconds, flops * time_per_flop / seconds];
    let [of_all, of_peak] = shares.map(|it| 100.0 * it);
    format!(
        "  {label:<46} {n:>3} {ms:>10.4} ms {of_all:>6.1} % {gflop:>11.6} {rate:>9.1} {of_peak:>6.1} %"
    )
}

/// The instruction's kind, and the shape of a product.
fn label_forward(instr: &Forward) -> String {
    match instr {
        Forward::Linear(it) => label_linear("Linear", it.shape),
        Forward::Conv2d(it) => label_conv("Conv2d", it.shape),
        _ => kind(&format!("{instr:?}")),
    }
}

/// The instruction's kind, and the shape of a product.
fn label_backward(instr: &Backward) -> String {
    match instr {
        Backward::LinearGradWeight(it) => label_linear("LinearGradWeight", it.shape),
        Backward::LinearGradInput(it) => label_linear("LinearGradInput", it.shape),
        Backward::Conv2dGradWeight(it) => label_conv("Conv2dGradWeight", it.shape),
        Backward::Conv2dGradInput(it) => label_conv("Conv2dGradInput", it.shape),
        _ => format!("{}Grad", kind(&format!("{instr:?}"))),
    }
}

/// The variant's name.
fn kind(instr: &str) -> String {
    instr.split('(').next().unwrap_or_default().to_owned()
}

fn label_linear(kind: &str, shape: LinearShape) -> String {
    format!("{kind} {} -> {}", shape.inputs, shape.outputs)
}

fn label_conv(kind: &str, shape: Conv2dShape) -> String {
    let ([_, side], [_, stride]) = (shape.kernel, shape.stride);
    let [channels, outputs] = [shape.in_channels, shape.out_channels];
    let image = format!("{channels}x{}x{}", shape.height, shape.width);
    format!("{kind} {image} -> {outputs}, {side}x{side} / {stride}")
}
