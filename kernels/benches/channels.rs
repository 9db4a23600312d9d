//! Kernels bound by memory against a copy of as many values, measured in the same run.
//!
//! After each figure of criterion comes a line with the best sample's time per value, its rate over the
//! arrays of the data's length that it has to read and to write, and its time over the copy's.

use core::hint::black_box;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use esper_kernels::cpu::*;
use std::time::Instant;

criterion_group!(benches, norms, pools, maps, rows, optimizers);
criterion_main!(benches);

/// Batch, channels, height and width: the images of the networks that budgets name, and plain vectors.
const SHAPES: [[usize; 4]; 5] =
    [[64, 16, 28, 28], [64, 32, 14, 14], [64, 16, 32, 32], [64, 64, 8, 8], [2048, 128, 1, 1]];
const EPS: f32 = 1e-5;

/// Data of a shape, their gradients and what a kernel may write.
struct Data {
    shape: ChannelShape,
    x: Vec<f32>,
    dy: Vec<f32>,
    y: Vec<f32>,
    dx: Vec<f32>,
    params: [Vec<f32>; 2],
    grads: [Vec<f32>; 2],
}

impl Data {
    fn new([batch, channels, height, width]: [usize; 4]) -> Self {
        let shape = ChannelShape { batch, channels, len: height * width };
        let len = shape.data_len();
        let params = [numbers(channels), numbers(channels)];
        let grads = [numbers(channels), numbers(channels)];
        let [x, dy, y, dx] = [numbers(len), numbers(len), numbers(len), numbers(len)];
        Self { shape, x, dy, y, dx, params, grads }
    }
}

fn norms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("norms");
    for sizes in SHAPES {
        let Data { shape, x, dy, mut y, mut dx, params, mut grads } = Data::new(sizes);
        let ([gamma, beta], [dgamma, dbeta]) = (&params, &mut grads);
        let (mut mean, mut rstd) = (numbers(shape.channels), numbers(shape.channels));
        let copy_s = copy_s(x.len());
        let mut measure = |name: &str, n_arrays: usize, f: &mut dyn FnMut()| {
            against_copy(&mut group, &format!("{name} {sizes:?}"), x.len(), n_arrays, copy_s, f);
        };
        measure("batch_norm_forward, rectified", 2, &mut || {
            batch_norm_forward(
                shape, EPS, 0.1, &x, gamma, beta, None, &mut mean, &mut rstd, true, &mut y,
            );
        });
        measure("batch_norm_inference", 2, &mut || {
            batch_norm_inference(shape, EPS, &x, gamma, beta, &mean, &rstd, false, &mut dx);
        });
        measure("batch_norm_backward", 3, &mut || {
            batch_norm_backward(
                shape, &dy, &x, gamma, &mean, &rstd, None, &mut dx, dgamma, dbeta, false, true,
            );
        });
        measure("batch_norm_backward, rectified", 4, &mut || {
            batch_norm_backward(
                shape,
                &dy,
                &x,
                gamma,
                &mean,
                &rstd,
                Some(&y),
                &mut dx,
                dgamma,
                dbeta,
                false,
                true,
            );
        });
        let (mut mean, mut rstd) = (numbers(shape.batch * 4), numbers(shape.batch * 4));
        measure("group_norm_forward, 4 groups", 2, &mut || {
            group_norm_forward(shape, 4, EPS, &x, gamma, beta, &mut mean, &mut rstd, &mut y);
        });
        measure("group_norm_backward, 4 groups", 3, &mut || {
            group_norm_backward(
                shape, 4, &dy, &x, gamma, &mean, &rstd, &mut dx, dgamma, dbeta, false, true,
            );
        });
    }
}

fn pools(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pools");
    for sizes in &SHAPES[..4] {
        let [batch, channels, height, width] = *sizes;
        for [kernel, stride, padding] in [[2, 2, 0], [3, 2, 1], [3, 1, 1]] {
            let shape = PoolShape {
                batch,
                channels,
                height,
                width,
                kernel: [kernel; 2],
                stride: [stride; 2],
                padding: [padding; 2],
            };
            let (x, mut dx) = (numbers(shape.x_len()), numbers(shape.x_len()));
            let (mut y, dy) = (numbers(shape.y_len()), numbers(shape.y_len()));
            let copy_s = copy_s(x.len());
            let mut measure = |name: &str, n_arrays: usize, f: &mut dyn FnMut()| {
                let name = format!("{name} {kernel}/{stride} {sizes:?}");
                against_copy(&mut group, &name, x.len(), n_arrays, copy_s, f);
            };
            measure("max_pool2d_forward", 1, &mut || max_pool2d_forward(shape, &x, &mut y));
            measure("max_pool2d_grad", 2, &mut || {
                max_pool2d_grad(shape, &dy, &x, &y, &mut dx, false);
            });
            measure("avg_pool2d_forward", 1, &mut || avg_pool2d_forward(shape, &x, &mut y));
            measure("avg_pool2d_grad", 1, &mut || avg_pool2d_grad(shape, &dy, &mut dx, false));
        }
    }
}

fn maps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("maps");
    for sizes in SHAPES {
        let Data { shape, x, dy, mut y, mut dx, params, mut grads } = Data::new(sizes);
        let ([w, _], [dw, _]) = (&params, &mut grads);
        let mut s = numbers(shape.batch * shape.channels);
        let copy_s = copy_s(x.len());
        let mut measure = |name: &str, n_arrays: usize, f: &mut dyn FnMut()| {
            against_copy(&mut group, &format!("{name} {sizes:?}"), x.len(), n_arrays, copy_s, f);
        };
        measure("channel_mean", 1, &mut || channel_mean(shape, &x, &mut s));
        measure("channel_multiply", 2, &mut || channel_multiply(shape, &x, &s, &mut y));
        measure("channel_bias", 2, &mut || channel_bias(shape, &x, w, &mut y));
        measure("channel_bias_grad", 1, &mut || channel_bias_grad(shape, &dy, dw));
        measure("channel_gate_backward", 3, &mut || {
            channel_gate_backward(shape, &dy, &x, w, &mut dx, dw, false, true);
        });
    }
}

fn rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rows");
    for (rows, width) in [(2048, 64), (2048, 128)] {
        let Data { x, dy, mut y, mut dx, params, mut grads, .. } = Data::new([rows, width, 1, 1]);
        let ([gamma, beta], [dgamma, dbeta]) = (&params, &mut grads);
        let (mut mean, mut rstd) = (numbers(rows), numbers(rows));
        let copy_s = copy_s(x.len());
        let mut measure = |name: &str, n_arrays: usize, f: &mut dyn FnMut()| {
            let name = format!("{name} [{rows}, {width}]");
            against_copy(&mut group, &name, x.len(), n_arrays, copy_s, f);
        };
        measure("layer_norm_forward", 2, &mut || {
            layer_norm_forward(rows, width, EPS, &x, gamma, beta, &mut mean, &mut rstd, &mut y);
        });
        measure("layer_norm_backward", 3, &mut || {
            layer_norm_backward(
                rows, width, &dy, &x, gamma, &mean, &rstd, &mut dx, dgamma, dbeta, false, true,
            );
        });
    }
}

fn optimizers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("optimizers");
    let config = AdamConfig {
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 1e-2,
        decoupled: true,
    };
    for len in [4096, 800_000] {
        let (grads, mut params) = (numbers(len), numbers(len));
        let (mut m, mut v) = (vec![0.0; len], vec![0.0; len]);
        let copy_s = copy_s(len);
        // Three of the four arrays are read and written.
        against_copy(&mut group, &format!("AdamW, {len} values"), len, 7, copy_s, &mut || {
            adam_step(config, 10, 1.0, &mut params, &grads, &mut m, &mut v);
        });
        against_copy(
            &mut group,
            &format!("sum_squares, {len} values"),
            len,
            1,
            copy_s,
            &mut || {
                black_box(sum_squares(&grads));
            },
        );
    }
}

/// The least time, in seconds, of two hundred copies of `len` values.
fn copy_s(len: usize) -> f64 {
    let (x, mut y) = (numbers(len), numbers(len));
    let copies = (0..200).map(|_| {
        let start = Instant::now();
        y.copy_from_slice(black_box(&x));
        black_box(&y);
        start.elapsed().as_secs_f64()
    });
    copies.fold(f64::INFINITY, f64::min)
}

/// Measures `f`, and prints the best sample against the copy.
fn against_copy(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    len: usize,
    n_arrays: usize,
    copy_s: f64,
    f: &mut dyn FnMut(),
) {
    let mut best_s = f64::INFINITY;
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|n_calls| {
            let start = Instant::now();
            for _ in 0..n_calls {
                let call = Instant::now();
                f();
                best_s = best_s.min(call.elapsed().as_secs_f64());
            }
            start.elapsed()
        });
    });
    if best_s.is_finite() {
        let ns = best_s * 1e9 / len as f64;
        let rate = (n_arrays * len * size_of::<f32>()) as f64 / best_s / 1e9;
        let over_copy = best_s / copy_s;
        println!("{name}: {ns:.3} ns a value, {rate:.1} GB/s, {over_copy:.2} x a copy");
    }
}

fn numbers(len: usize) -> Vec<f32> {
    let mut out = vec![0.0; len];
    fill_uniform(1, len as u64, -1.0, 1.0, &mut out);
    out
}
