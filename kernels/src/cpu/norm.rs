//! Layer normalization and root-mean-square normalization.

use super::dispatch::dispatch;
use super::lanes::{Lanes, REDUCTION_LANES, Vector};
use super::slice_loops::{Columns, fold_columns, fold_sums, map};

/// `y = (x - mean) rstd gamma + beta`, each row by its own mean and standard deviation.
///
/// `rstd = 1 / sqrt(variance + eps)`, the variance over `width`, in two passes (Ba, Kiros and Hinton
/// 2016, "Layer Normalization", eq. 4, with PyTorch's `eps`). `x`, `y`: `f32[rows, width]`; `gamma`,
/// `beta`: `f32[width]`; `mean_out`, `rstd_out`: `f32[rows]`, for [`layer_norm_backward`].
pub fn layer_norm_forward(
    rows: usize,
    width: usize,
    eps: f32,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    mean_out: &mut [f32],
    rstd_out: &mut [f32],
    y: &mut [f32],
) {
    assert_matrices(rows, width, [x, y]);
    assert_eq!([mean_out.len(), rstd_out.len()], [rows; 2], "mean and rstd are f32[rows]");
    if width == 0 {
        return;
    }
    let count = width as f32;
    dispatch!(lanes => {
        let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width));
        for ((x, y), (mean_out, rstd_out)) in rows.zip(mean_out.iter_mut().zip(rstd_out)) {
            let [sum] = fold_sums(lanes, [x], #[inline(always)] |[sum], [x]| [sum + x]);
            let mean = Vector::splat(lanes, sum / count);
            let [squares] = fold_sums(lanes, [x], #[inline(always)] |[sum], [x]| {
                let centered = x - mean;
                [centered.mul_add(centered, sum)]
            });
            *mean_out = sum / count;
            *rstd_out = 1.0 / (squares / count + eps).sqrt();
            let rstd = Vector::splat(lanes, *rstd_out);
            map(lanes, [x, gamma, beta], [y], #[inline(always)] |[x, gamma, beta], _| {
                [((x - mean) * rstd).mul_add(gamma, beta)]
            });
        }
    });
}

/// The gradients of [`layer_norm_forward`].
///
/// With `h = (x - mean) rstd` and `g = gamma dy`: `dx = rstd (g - mean(g) - h mean(g h))`, added to `dx`
/// where `accumulate_dx`. Where `want_params`, `dgamma` and `dbeta`, `f32[width]`, are overwritten with
/// the sums over rows, in order, of `dy h` and `dy`; otherwise they are not touched and may be empty.
pub fn layer_norm_backward(
    rows: usize,
    width: usize,
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    mean: &[f32],
    rstd: &[f32],
    dx: &mut [f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
    accumulate_dx: bool,
    want_params: bool,
) {
    assert_matrices(rows, width, [dy, x, dx]);
    assert_eq!([mean.len(), rstd.len()], [rows; 2], "mean and rstd are f32[rows]");
    if width == 0 {
        return;
    }
    let count = width as f32;
    // Rows that end within a register: a masked write that the next row's masked read overlaps must first
    // reach the cache, so that the parameters' sums take less time apart.
    let sums_by_row = want_params && width.is_multiple_of(REDUCTION_LANES);
    if sums_by_row {
        dgamma.fill(0.0);
        dbeta.fill(0.0);
    }
    dispatch!(lanes => {
        for row in 0..rows {
            let at = row * width..(row + 1) * width;
            let (dy, x, dx) = (&dy[at.clone()], &x[at.clone()], &mut dx[at]);
            let mean = Vector::splat(lanes, mean[row]);
            let rstd = Vector::splat(lanes, rstd[row]);
            let [sum, sum_h] = fold_sums(
                lanes,
                [dy, x, gamma],
                #[inline(always)]
                |[sum, sum_h], [dy, x, gamma]| {
                    let g = gamma * dy;
                    [sum + g, g.mul_add((x - mean) * rstd, sum_h)]
                },
            );
            let mean_g = Vector::splat(lanes, sum / count);
            let mean_gh = Vector::splat(lanes, sum_h / count);
            let means = [mean_g, mean_gh, rstd];
            if sums_by_row {
                map(
                    lanes,
                    [dy, x, gamma],
                    [dx, &mut *dgamma, &mut *dbeta],
                    #[inline(always)]
                    |[dy, x, gamma], [dx, dgamma, dbeta]| {
                        let h = (x - mean) * rstd;
                        let slope = layer_slope(h, gamma, dy, means);
                        let slope = if accumulate_dx { dx + slope } else { slope };
                        [slope, dy.mul_add(h, dgamma), dbeta + dy]
                    },
                );
                continue;
            }
            write_gradient(lanes, [dy, x, gamma], dx, accumulate_dx, #[inline(always)] |dy, x, gamma| {
                layer_slope((x - mean) * rstd, gamma, dy, means)
            });
        }
        if want_params && !sums_by_row {
            let columns =
                Columns { rows, width, reads: [dy, x], scalars: [mean, rstd], writes: [] };
            fold_columns(
                lanes,
                columns,
                [dgamma, dbeta],
                false,
                #[inline(always)]
                |[dgamma, dbeta], [dy, x], [mean, rstd], []| {
                    ([dy.mul_add((x - mean) * rstd, dgamma), dbeta + dy], [])
                },
            );
        }
    });
}

/// `y = x rrms gamma`, each row by its own root mean square.
///
/// `rrms = 1 / sqrt(mean(x^2) + eps)` (Zhang and Sennrich 2019, "Root Mean Square Layer Normalization",
/// eq. 4, with PyTorch's `eps`). `x`, `y`: `f32[rows, width]`; `gamma`: `f32[width]`; `rrms_out`:
/// `f32[rows]`, for [`rms_norm_backward`].
pub fn rms_norm_forward(
    rows: usize,
    width: usize,
    eps: f32,
    x: &[f32],
    gamma: &[f32],
    rrms_out: &mut [f32],
    y: &mut [f32],
) {
    assert_matrices(rows, width, [x, y]);
    assert_eq!(rrms_out.len(), rows, "rrms is f32[rows]");
    if width == 0 {
        return;
    }
    let count = width as f32;
    dispatch!(lanes => {
        let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width));
        for ((x, y), rrms_out) in rows.zip(rrms_out) {
            let [squares] =
                fold_sums(lanes, [x], #[inline(always)] |[sum], [x]| [x.mul_add(x, sum)]);
            *rrms_out = 1.0 / (squares / count + eps).sqrt();
            let rrms = Vector::splat(lanes, *rrms_out);
            map(lanes, [x, gamma], [y], #[inline(always)] |[x, gamma], _| [x * rrms * gamma]);
        }
    });
}

/// The gradients of [`rms_norm_forward`].
///
/// With `h = x rrms` and `g = gamma dy`: `dx = rrms (g - h mean(g h))`, added to `dx` where
/// `accumulate_dx`. Where `want_params`, `dgamma`, `f32[width]`, is overwritten with the sums over rows,
/// in order, of `dy h`; otherwise it is not touched and may be empty.
pub fn rms_norm_backward(
    rows: usize,
    width: usize,
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    rrms: &[f32],
    dx: &mut [f32],
    dgamma: &mut [f32],
    accumulate_dx: bool,
    want_params: bool,
) {
    assert_matrices(rows, width, [dy, x, dx]);
    assert_eq!(rrms.len(), rows, "rrms is f32[rows]");
    if width == 0 {
        return;
    }
    let count = width as f32;
    dispatch!(lanes => {
        for row in 0..rows {
            let at = row * width..(row + 1) * width;
            let (dy, x, dx) = (&dy[at.clone()], &x[at.clone()], &mut dx[at]);
            let rrms = Vector::splat(lanes, rrms[row]);
            let [sum] = fold_sums(
                lanes,
                [dy, x, gamma],
                #[inline(always)]
                |[sum], [dy, x, gamma]| [(gamma * dy).mul_add(x * rrms, sum)],
            );
            let mean_gh = Vector::splat(lanes, sum / count);
            write_gradient(lanes, [dy, x, gamma], dx, accumulate_dx, #[inline(always)] |dy, x, gamma| {
                let h = x * rrms;
                (-h).mul_add(mean_gh, gamma * dy) * rrms
            });
        }
        if want_params {
            let columns = Columns { rows, width, reads: [dy, x], scalars: [rrms], writes: [] };
            fold_columns(
                lanes,
                columns,
                [dgamma],
                false,
                #[inline(always)]
                |[dgamma], [dy, x], [rrms], []| ([dy.mul_add(x * rrms, dgamma)], []),
            );
        }
    });
}

/// `rstd (gamma dy - mean_g - h mean_gh)`
#[inline(always)]
fn layer_slope<L: Lanes>(
    h: Vector<L>,
    gamma: Vector<L>,
    dy: Vector<L>,
    [mean_g, mean_gh, rstd]: [Vector<L>; 3],
) -> Vector<L> {
    (-h).mul_add(mean_gh, gamma.mul_add(dy, -mean_g)) * rstd
}

/// `dx = f(dy, x, gamma)` along a row, added to `dx` where `accumulate`.
#[inline(always)]
fn write_gradient<L: Lanes>(
    lanes: L,
    reads: [&[f32]; 3],
    dx: &mut [f32],
    accumulate: bool,
    f: impl Fn(Vector<L>, Vector<L>, Vector<L>) -> Vector<L>,
) {
    if accumulate {
        map(
            lanes,
            reads,
            [dx],
            #[inline(always)]
            |[dy, x, gamma], [dx]| [dx + f(dy, x, gamma)],
        );
    } else {
        map(
            lanes,
            reads,
            [dx],
            #[inline(always)]
            |[dy, x, gamma], _| [f(dy, x, gamma)],
        );
    }
}

fn assert_matrices<const N: usize>(rows: usize, width: usize, matrices: [&[f32]; N]) {
    let len = rows.checked_mul(width).expect("a matrix fits in memory");
    assert!(matrices.iter().all(|matrix| matrix.len() == len), "matrices are f32[rows, width]");
}
