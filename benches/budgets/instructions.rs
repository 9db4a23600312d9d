//! Where the time of a large host's step goes: instruction by instruction, on one thread.

use std::{collections::BTreeMap, sync::Arc};

use esper::engine::program::Instr;

use crate::{
    row::Row,
    step::seconds_per_flop,
    support::{
        clocked::ClockedCpu,
        hosts::take_steps,
        setup::Setup,
        timing::{best_in_turns, seconds},
    },
};

/// What the columns are.
pub const HEADER: &str = "instruction                                        n          time  of step       GFLOP   GFLOP/s  of peak";

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
    let [time, _, time_per_flop] = best_in_turns([
        &mut || seconds(|| take_steps(&mut host, 1)),
        &mut || seconds(|| take_steps(&mut clocked, 1)),
        &mut seconds_per_flop,
    ]);
    let [forward, backward] = clocked_cpu.best_seconds();
    let best = forward.iter().chain(&backward);
    let steps = host.program.forward.iter().chain(&host.program.backward);
    let mut sums = BTreeMap::<String, Sum>::new();
    for (step, seconds) in steps.zip(best) {
        let flops = (step.flops * setup.batch as u64) as f64;
        let sum = Sum { n: 1, seconds: *seconds, flops };
        sums.entry(label(&step.instr)).or_default().add(sum);
    }
    let mut all = Sum::default();
    sums.values().for_each(|sum| all.add(*sum));
    let mut sums: Vec<(String, Sum)> = sums.into_iter().collect();
    sums.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
    let rest = Sum { n: 1, seconds: time - all.seconds, flops: 0.0 };
    sums.push(("all instructions".to_owned(), all));
    sums.push(("batch, checks and update".to_owned(), rest));
    let title = format!("{}: a step {:.3} ms", setup.name, time * 1e3);
    let lines = sums.iter().map(|(label, sum)| line(label, *sum, time, time_per_flop));
    std::iter::once(title).chain(lines).map(Row::plain).collect()
}

fn line(label: &str, sum: Sum, time: f64, time_per_flop: f64) -> String {
    let Sum { n, seconds, flops } = sum;
    let [ms, gflop, rate] = [seconds * 1e3, flops / 1e9, flops / seconds / 1e9];
    let [of_step, of_peak] = [seconds / time, flops * time_per_flop / seconds].map(|it| 100.0 * it);
    format!(
        "  {label:<46} {n:>3} {ms:>10.4} ms {of_step:>6.1} % {gflop:>11.6} {rate:>9.1} {of_peak:>6.1} %"
    )
}

/// The instruction's kind, and the shape of a product.
fn label(instr: &Instr) -> String {
    let name = format!("{instr:?}");
    let kind = name.split(' ').next().unwrap_or_default();
    match instr {
        Instr::Linear { spec, .. }
        | Instr::LinearGradWeight { spec, .. }
        | Instr::LinearGradInput { spec, .. } => {
            format!("{kind} {} -> {}", spec.inputs, spec.outputs)
        }
        Instr::Conv2d { spec, .. }
        | Instr::Conv2dGradWeight { spec, .. }
        | Instr::Conv2dGradInput { spec, .. } => {
            let ([_, side], [_, stride]) = (spec.kernel, spec.stride);
            let [channels, outputs] = [spec.in_channels, spec.out_channels];
            let image = format!("{channels}x{}x{}", spec.height, spec.width);
            format!("{kind} {image} -> {outputs}, {side}x{side} / {stride}")
        }
        _ => kind.to_owned(),
    }
}
