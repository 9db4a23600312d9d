//! Kernels against the arithmetic peak of one core, measured in the same run.
//!
//! After each figure of criterion comes a line with the best sample's rate and its time over
//! `FLOPs / peak`: 1.0 is what multiply-adds that never leave their registers take. The `gemm` crate
//! runs the same products as a yardstick.

use core::hint::black_box;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use esper_kernels::cpu::*;
use esper_kernels::peak::measure_fma_peak_gflops;
use std::time::Instant;

criterion_group!(benches, products, convolutions, attention, steps, elementwise);
criterion_main!(benches);

/// Rows, inputs and outputs of the layers of the two networks that budgets name, and of larger ones.
const LAYERS: [[usize; 3]; 6] =
    [[64, 64, 32], [64, 32, 10], [64, 64, 8], [128, 784, 128], [128, 128, 10], [128, 256, 256]];

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("products");
    for [rows, inputs, outputs] in LAYERS {
        let shape = LinearShape { rows, inputs, outputs };
        let name = |product: &str| format!("{product} {rows}x{inputs}x{outputs}");
        let (x, w) = (numbers(rows * inputs), numbers(outputs * inputs));
        let (bias, dy) = (numbers(outputs), numbers(rows * outputs));
        let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
        let mut scratch = vec![0.0; linear_scratch_len(shape)];
        let relu = Some(Activation::Relu);
        against_peak(&mut group, &name("forward"), shape.flops(), || {
            linear_forward(shape, &x, &w, Some(&bias), relu, None, &mut y, &mut scratch);
        });
        against_peak(&mut group, &name("grad_input"), shape.flops(), || {
            linear_grad_input(shape, &dy, &w, &mut dx, false, &mut scratch);
        });
        against_peak(&mut group, &name("grad_weight"), shape.flops(), || {
            linear_grad_weight(shape, &dy, &x, &mut dw, false, &mut scratch);
        });
        let (transposed, plain) = ([1, inputs], [inputs, 1]);
        against_peak(&mut group, &name("gemm crate, forward"), shape.flops(), || {
            yardstick([rows, outputs, inputs], &mut y, (&x, plain), (&w, transposed));
        });
        let by_columns = [1, outputs];
        against_peak(&mut group, &name("gemm crate, grad_weight"), shape.flops(), || {
            yardstick([outputs, inputs, rows], &mut dw, (&dy, by_columns), (&x, plain));
        });
    }
}

/// Input and output channels, height, width, kernel and stride of layers at batch 64: of a small network on
/// 28 x 28 digits, of a ResNet on 32 x 32 images, of one on sequences; then a depthwise one.
const CONVOLUTIONS: [([usize; 4], [usize; 2], usize); 10] = [
    ([1, 16, 28, 28], [3, 3], 1),
    ([16, 32, 14, 14], [3, 3], 1),
    ([3, 16, 32, 32], [3, 3], 1),
    ([16, 16, 32, 32], [3, 3], 1),
    ([16, 32, 32, 32], [3, 3], 2),
    ([16, 32, 32, 32], [1, 1], 2),
    ([32, 32, 16, 16], [3, 3], 1),
    ([64, 64, 8, 8], [3, 3], 1),
    ([64, 64, 8, 8], [1, 1], 1),
    ([16, 32, 1, 20], [1, 5], 1),
];

fn convolutions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("convolutions");
    for ([in_channels, out_channels, height, width], kernel, stride) in CONVOLUTIONS {
        let shape = Conv2dShape {
            batch: 64,
            in_channels,
            out_channels,
            height,
            width,
            kernel,
            stride: [stride.min(height), stride],
            padding: kernel.map(|taps| taps / 2),
            groups: 1,
        };
        convolution(&mut group, shape);
    }
    let depthwise = Conv2dShape {
        batch: 64,
        in_channels: 16,
        out_channels: 16,
        height: 16,
        width: 16,
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        groups: 16,
    };
    convolution(&mut group, depthwise);
}

fn convolution(group: &mut BenchmarkGroup<'_, WallTime>, shape: Conv2dShape) {
    let Conv2dShape { in_channels, out_channels, height, width, kernel, stride, groups, .. } =
        shape;
    let name = |product: &str| {
        let image = format!("{in_channels}->{out_channels} of {height}x{width}");
        format!("{product} {image}, kernel {kernel:?}, stride {}, groups {groups}", stride[1])
    };
    let (x, w, bias) = (numbers(shape.x_len()), numbers(shape.w_len()), numbers(out_channels));
    let dy = numbers(shape.y_len());
    let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
    let mut scratch = vec![0.0; conv2d_scratch_len(shape)];
    against_peak(group, &name("forward"), shape.flops(), || {
        conv2d_forward(shape, &x, &w, Some(&bias), true, &mut y, &mut scratch);
    });
    against_peak(group, &name("grad_input"), shape.flops(), || {
        conv2d_grad_input(shape, &dy, &w, &mut dx, false, &mut scratch);
    });
    against_peak(group, &name("grad_weight"), shape.flops(), || {
        conv2d_grad_weight(shape, &dy, &x, &mut dw, false, &mut scratch);
    });
}

/// `c = a b` by the `gemm` crate, on one thread; `a`, `b` with row and column strides.
fn yardstick(
    [m, n, k]: [usize; 3],
    c: &mut [f32],
    (a, a_strides): (&[f32], [usize; 2]),
    (b, b_strides): (&[f32], [usize; 2]),
) {
    assert_eq!([c.len(), a.len(), b.len()], [m * n, m * k, k * n]);
    let [[a_row, a_column], [b_row, b_column]] =
        [a_strides, b_strides].map(|strides| strides.map(|stride| stride as isize));
    let (c, c_row) = (c.as_mut_ptr(), n as isize);
    let (a, b) = (a.as_ptr(), b.as_ptr());
    let serial = gemm::Parallelism::None;
    // SAFETY: the three matrices have the lengths asserted above.
    unsafe {
        gemm::gemm(
            m, n, k, c, 1, c_row, false, a, a_column, a_row, b, b_column, b_row, 0.0, 1.0, false,
            false, false, serial,
        );
    }
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("steps");
    for (rows, layers) in [(64, [64, 32, 10]), (64, [64, 8, 10]), (128, [784, 128, 10])] {
        let mut network = Network::new(rows, layers);
        let name = format!("{}-{}-{} batch {rows}", layers[0], layers[1], layers[2]);
        against_peak(&mut group, &name, network.flops(), || network.step());
    }
}

/// A network of one hidden layer: what a training step costs when nothing but kernels runs.
struct Network {
    shapes: [LinearShape; 2],
    x: Vec<f32>,
    labels: Vec<u32>,
    params: Vec<f32>,
    grads: Vec<f32>,
    momentum: Vec<f32>,
    hidden: Vec<f32>,
    dhidden: Vec<f32>,
    logits: Vec<f32>,
    dlogits: Vec<f32>,
    losses: Vec<f32>,
    scratch: Vec<f32>,
}

impl Network {
    fn new(rows: usize, [inputs, hidden, classes]: [usize; 3]) -> Self {
        let shapes = [(inputs, hidden), (hidden, classes)].map(|(inputs, outputs)| LinearShape {
            rows,
            inputs,
            outputs,
        });
        let n_params: usize = shapes.iter().map(|shape| shape.outputs * (shape.inputs + 1)).sum();
        let scratch_len = shapes.map(linear_scratch_len).into_iter().max().expect("two layers");
        let mut params = numbers(n_params);
        scale_assign(&mut params, 0.1);
        Self {
            shapes,
            x: numbers(rows * inputs),
            labels: (0..rows).map(|row| (row % classes) as u32).collect(),
            params,
            grads: vec![0.0; n_params],
            momentum: vec![0.0; n_params],
            hidden: vec![0.0; rows * hidden],
            dhidden: vec![0.0; rows * hidden],
            logits: vec![0.0; rows * classes],
            dlogits: vec![0.0; rows * classes],
            losses: vec![0.0; rows],
            scratch: vec![0.0; scratch_len],
        }
    }

    /// Two products for the first layer, whose input needs no gradient, and three for the second.
    fn flops(&self) -> u64 {
        2 * self.shapes[0].flops() + 3 * self.shapes[1].flops()
    }

    fn step(&mut self) {
        let [first, second] = self.shapes;
        let LinearShape { rows, inputs, outputs: hidden } = first;
        let classes = second.outputs;
        let cuts = [hidden * inputs, hidden, classes * hidden];
        let (w1, rest) = self.params.split_at(cuts[0]);
        let (b1, rest) = rest.split_at(cuts[1]);
        let (w2, b2) = rest.split_at(cuts[2]);
        let (dw1, rest) = self.grads.split_at_mut(cuts[0]);
        let (db1, rest) = rest.split_at_mut(cuts[1]);
        let (dw2, db2) = rest.split_at_mut(cuts[2]);
        let Self { x, hidden: h, dhidden: dh, logits, dlogits, losses, scratch, labels, .. } = self;
        let relu = Activation::Relu;
        linear_forward(first, x, w1, Some(b1), Some(relu), None, h, scratch);
        linear_forward(second, h, w2, Some(b2), None, None, logits, scratch);
        black_box(softmax_cross_entropy(rows, classes, logits, labels, losses, Some(dlogits)));
        bias_grad(rows, classes, dlogits, db2, false);
        linear_grad_weight(second, dlogits, h, dw2, false, scratch);
        linear_grad_input(second, dlogits, w2, dh, false, scratch);
        activation_bias_grad(relu, rows, hidden, h, dh, db1);
        linear_grad_weight(first, dh, x, dw1, false, scratch);
        let config = SgdConfig {
            lr: 1e-3,
            momentum: 0.9,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
        };
        sgd_step(config, false, 1.0, &mut self.params, &self.grads, &mut self.momentum);
    }
}

fn elementwise(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("elementwise");
    let len = 4096;
    let (x, mut y) = (numbers(len), numbers(len));
    for activation in Activation::ALL {
        let flops = activation.flops_per_elem() * len as u64;
        against_peak(&mut group, &format!("{activation:?}, {len} values"), flops, || {
            activation_forward(activation, &x, &mut y);
        });
    }
    let config = AdamConfig {
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 1e-2,
        decoupled: true,
    };
    let (mut m, mut v) = (vec![0.0; len], vec![0.0; len]);
    against_peak(&mut group, &format!("AdamW, {len} values"), 16 * len as u64, || {
        adam_step(config, 10, 1.0, &mut y, &x, &mut m, &mut v);
    });
}

fn attention(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention");
    for (len, head_width) in [(64, 16), (64, 32), (128, 16), (128, 32)] {
        for is_causal in [false, true] {
            let shape = AttentionShape { batch: 16, len, heads: 4, head_width, is_causal };
            let y_len = 16 * len * 4 * head_width;
            let (qkv, dy) = (numbers(3 * y_len), numbers(y_len));
            let (mut y, mut lse) = (vec![0.0; y_len], vec![0.0; 16 * len * 4]);
            let mut dqkv = vec![0.0; qkv.len()];
            let mut scratch = vec![0.0; attention_scratch_len(shape)];
            let kind = if is_causal { "causal" } else { "full" };
            let name = |pass: &str| format!("{pass} {kind} 16x{len}x4x{head_width}");
            against_peak(&mut group, &name("forward"), shape.flops_forward(), || {
                attention_forward(shape, &qkv, &mut y, &mut lse, &mut scratch);
            });
            against_peak(&mut group, &name("backward"), shape.flops_backward(), || {
                attention_backward(shape, &dy, &qkv, &y, &lse, &mut dqkv, false, &mut scratch);
            });
        }
    }
}

/// Measures `f`, and prints the best sample against the peak.
fn against_peak(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    flops: u64,
    mut f: impl FnMut(),
) {
    let peak = measure_fma_peak_gflops();
    let mut best_s = f64::INFINITY;
    group.throughput(Throughput::Elements(flops));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|n_calls| {
            let start = Instant::now();
            (0..n_calls).for_each(|_| f());
            let elapsed = start.elapsed();
            best_s = best_s.min(elapsed.as_secs_f64() / n_calls as f64);
            elapsed
        });
    });
    if best_s.is_finite() {
        let gflops = flops as f64 / best_s / 1e9;
        println!("{name}: {gflops:.1} of {peak:.1} GFLOP/s, {:.2} x (FLOPs / peak)", peak / gflops);
    }
}

fn numbers(len: usize) -> Vec<f32> {
    let mut out = vec![0.0; len];
    fill_uniform(1, len as u64, -1.0, 1.0, &mut out);
    out
}
