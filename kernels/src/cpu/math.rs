//! Elementary functions, one lane apart from the next: polynomials in fused multiply-adds.
//!
//! No library function is called, so that every vector unit gives the same bits. The errors stated
//! are the largest found by the tests of this file over the ranges they scan. NaN gives NaN.
//!
//! The coefficients of `exp`, `expm1`, `ln` and `sin_cos_turn` are the single-precision minimax fits
//! that Norbert Juffa published on Stack Overflow; the tests below hold them to `f64`.

use super::lanes::{Lanes, Vector};
use core::f32::consts::{LN_2, LOG2_E};

/// `1.5 * 2^23`: added to a small number, leaves its nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;
/// `ln 2`, split so that `n * LN_2_HIGH` is exact for every exponent `n`.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;

/// `x = n ln 2 + r` with `n` an integer and `|r| <= ln 2 / 2`: the bits of `n` and `r`.
#[inline(always)]
fn reduce<L: Lanes>(x: Vector<L>) -> (L::U32, Vector<L>) {
    let lanes = x.lanes;
    let shifted = x.mul_add(x.constant(LOG2_E), x.constant(ROUND));
    let n = shifted - x.constant(ROUND);
    let rest = n.mul_add(x.constant(-LN_2_HIGH), x);
    let rest = n.mul_add(x.constant(-LN_2_LOW), rest);
    (lanes.sub_u32(lanes.bits_of(shifted.raw), lanes.splat_u32(ROUND.to_bits())), rest)
}

/// Horner's rule, highest coefficient first.
#[inline(always)]
fn polynomial<L: Lanes, const N: usize>(x: Vector<L>, coefficients: [f32; N]) -> Vector<L> {
    let mut sum = x.constant(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = sum.mul_add(x, x.constant(*coefficient));
    }
    sum
}

/// `e^x`, within 0.9 ulp; zero below -87.336 (where results would be subnormal), infinite above 88.7228.
#[inline(always)]
pub(crate) fn exp<L: Lanes>(x: Vector<L>) -> Vector<L> {
    let lanes = x.lanes;
    let (n, r) = reduce(x);
    let fit = [1.378_059_4e-3, 8.373_124_5e-3, 4.166_953_6e-2, 1.666_647_2e-1, 4.999_998_5e-1];
    let power = polynomial(r, fit).mul_add(r, x.constant(1.0)).mul_add(r, x.constant(1.0));
    let scaled = lanes.add_u32(lanes.bits_of(power.raw), lanes.shl::<23>(n));
    let value = Vector::new(lanes, lanes.of_bits(scaled));
    let value = x.constant(0.0).select(x.less(x.constant(-87.336)), value);
    let value = x.constant(f32::INFINITY).select(x.constant(88.7228).less(x), value);
    x.select(lanes.is_nan(x.raw), value)
}

/// `2^x` for `x <= 127`, within 1.1 ulp; zero below -126, where results would be subnormal.
///
/// Five operations fewer than [`exp`], for powers that can not be large. The coefficients of degree two
/// to six are a minimax fit of `2^x` on `[-1/2, 1/2]` by Lawson's algorithm (1961), its relative error
/// 3.0e-9, each rounded to `f32` before the next was fitted.
#[inline(always)]
pub(crate) fn exp2<L: Lanes>(x: Vector<L>) -> Vector<L> {
    /// Leaves in the low bits the biased exponent of a power.
    const ROUND_BIASED: f32 = ROUND + 127.0;
    let lanes = x.lanes;
    let shifted = x + x.constant(ROUND_BIASED);
    let r = x - (shifted - x.constant(ROUND_BIASED));
    let fit = [1.532_931e-4, 1.339_097e-3, 9.618_499e-3, 5.550_359_6e-2, 2.402_264_8e-1, LN_2, 1.0];
    let scale = Vector::new(lanes, lanes.of_bits(lanes.shl::<23>(lanes.bits_of(shifted.raw))));
    x.constant(0.0).select(x.less(x.constant(-126.0)), polynomial(r, fit) * scale)
}

/// `e^x - 1` for `0 <= x <= 80`, within 1.5 ulp.
#[inline(always)]
fn exp_minus_one<L: Lanes>(x: Vector<L>) -> Vector<L> {
    let lanes = x.lanes;
    let (n, r) = reduce(x);
    let fit = [1.973_509_8e-4, 1.393_090_7e-3, 8.333_44e-3, 4.166_680_2e-2, 1.666_667_2e-1, 0.5];
    let tail = (polynomial(r, fit) * r).mul_add(r, r);
    let one = lanes.splat_u32(1.0f32.to_bits());
    let scale = Vector::new(lanes, lanes.of_bits(lanes.add_u32(one, lanes.shl::<23>(n))));
    scale.mul_add(tail, scale - x.constant(1.0))
}

/// `tanh x`, within 2.5 ulp; 1 from 9.1 on.
#[inline(always)]
pub(crate) fn tanh<L: Lanes>(x: Vector<L>) -> Vector<L> {
    let limit = x.constant(9.1);
    let magnitude = x.abs();
    let clamped = limit.select(limit.less(magnitude), magnitude);
    let e = exp_minus_one(clamped + clamped);
    let value = (e / (e + x.constant(2.0))).copysign(x);
    x.select(x.lanes.is_nan(x.raw), value)
}

/// `1 / (1 + e^-x)`, within 2.5 ulp; zero below -88.7228.
#[inline(always)]
pub(crate) fn sigmoid<L: Lanes>(x: Vector<L>) -> Vector<L> {
    let one = x.constant(1.0);
    one / (one + exp(-x))
}

/// The standard normal distribution function, within 1.2e-7, and `e^(-x^2 / 2)`.
///
/// The tail beyond `a >= 0` is `e^(-a^2 / 2)` times a ratio of polynomials, a minimax fit on `[0, 5.5]` as
/// that of [`exp2`], its relative error 5.1e-8. Beyond 13.2 the tail is zero.
#[inline(always)]
pub(crate) fn normal<L: Lanes>(x: Vector<L>) -> (Vector<L>, Vector<L>) {
    let (magnitude, limit) = (x.abs(), x.constant(14.0));
    let a = limit.select(limit.less(magnitude), magnitude);
    let power = exp2(a * a * x.constant(-0.5 * LOG2_E));
    let above = polynomial(a, [1.317_181_4e-2, 1.023_682_4e-1, 3.305_851e-1, 0.5]);
    let below = polynomial(a, [3.304_101_5e-2, 2.559_774_2e-1, 8.689_152e-1, 1.459_052_8, 1.0]);
    let tail = power * (above / below);
    (tail.select(x.less(x.constant(0.0)), x.constant(1.0) - tail), power)
}

/// `ln x` for normal positive `x`, within 0.9 ulp.
#[inline(always)]
pub(crate) fn ln<L: Lanes>(x: Vector<L>) -> Vector<L> {
    let lanes = x.lanes;
    let bits = lanes.bits_of(x.raw);
    // Two thirds: the mantissa is brought to [2/3, 4/3).
    let above = lanes.sub_u32(bits, lanes.splat_u32(0x3F2A_AAAB));
    let exponent = lanes.and(above, lanes.splat_u32(0xFF80_0000));
    let mantissa = Vector::new(lanes, lanes.of_bits(lanes.sub_u32(bits, exponent)));
    let n = Vector::new(lanes, lanes.of_i32(exponent)) * x.constant(1.0 / 8_388_608.0);
    let f = mantissa - x.constant(1.0);
    let s = f * f;
    let odd = polynomial(s, [1.408_691_4e-1, 1.398_148_5e-1, 2.001_203_5e-1]);
    let even = polynomial(s, [-1.303_100_6e-1, -1.214_835_1e-1, -1.668_461_3e-1, -2.499_962e-1]);
    let fit = odd.mul_add(f, even);
    let fit = fit.mul_add(f, x.constant(3.333_319_7e-1)).mul_add(f, x.constant(-0.5));
    let value = n.mul_add(x.constant(LN_2), fit.mul_add(s, f));
    x.select(lanes.is_nan(x.raw), value)
}

/// Sine and cosine of `2 pi x` for `0 <= x < 1`, within 1.1 ulp of one.
#[inline(always)]
pub(crate) fn sin_cos_turn<L: Lanes>(x: Vector<L>) -> (Vector<L>, Vector<L>) {
    let lanes = x.lanes;
    // x = quarter / 4 + t / 2, |t| <= 1/4: the angle is quarter * pi / 2 + pi t.
    let shifted = x.mul_add(x.constant(4.0), x.constant(ROUND));
    let quarter = lanes.bits_of(shifted.raw);
    let t = (shifted - x.constant(ROUND)).mul_add(x.constant(-0.5), x + x);
    let s = t * t;
    let cosine = [2.313_842_8e-1, -1.335_022, 4.058_704, -4.934_802, 1.0];
    let cosine = polynomial(s, cosine);
    let sine = polynomial(s, [-5.957_031e-1, 2.550_399_5, -5.167_724]) * (t * s);
    let sine = t.mul_add(x.constant(core::f32::consts::PI), sine);
    // Odd quarters exchange the two; the sign of the sine flips in quarters 2 and 3, of the cosine in
    // 1 and 2.
    let one = lanes.splat_u32(1);
    let odd = lanes.equal_u32(lanes.and(quarter, one), one);
    let flip = |value: Vector<L>, quarters: L::U32| {
        let sign = lanes.shl::<30>(lanes.and(quarters, lanes.splat_u32(2)));
        Vector::new(lanes, lanes.of_bits(lanes.xor(lanes.bits_of(value.raw), sign)))
    };
    let sin = flip(cosine.select(odd, sine), quarter);
    let cos = flip(sine.select(odd, cosine), lanes.add_u32(quarter, one));
    (sin, cos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::lanes::Portable;
    use crate::oracle::Real;

    fn apply(f: impl Fn(Vector<Portable>) -> Vector<Portable>, x: f32) -> f32 {
        f(Vector::splat(Portable, x)).raw
    }

    /// The largest error in units of the last place of the true value, over `n` points of a range.
    fn worst_ulp(
        f: impl Fn(Vector<Portable>) -> Vector<Portable>,
        truth: impl Fn(f64) -> f64,
        range: [f32; 2],
    ) -> f64 {
        let n_points = 400_000;
        let mut worst = 0.0f64;
        for i in 0..n_points {
            let x = range[0] + (range[1] - range[0]) * (i as f32 / n_points as f32);
            let want = truth(f64::from(x));
            let ulp = f64::from((want.abs() as f32).max(f32::MIN_POSITIVE).next_up())
                - f64::from((want.abs() as f32).max(f32::MIN_POSITIVE));
            worst = worst.max((f64::from(apply(&f, x)) - want).abs() / ulp);
        }
        worst
    }

    #[test]
    fn elementary_functions_keep_their_stated_errors() {
        let cases = [
            ("exp", worst_ulp(exp, f64::exp, [-87.3, 88.7]), 0.9),
            ("exp near zero", worst_ulp(exp, f64::exp, [-1.0, 1.0]), 0.9),
            ("exp2", worst_ulp(exp2, f64::exp2, [-126.0, 127.0]), 1.1),
            ("exp2 near zero", worst_ulp(exp2, f64::exp2, [-1.0, 1.0]), 1.1),
            ("expm1", worst_ulp(exp_minus_one, f64::exp_m1, [0.0, 20.0]), 1.5),
            ("tanh", worst_ulp(tanh, f64::tanh, [-10.0, 10.0]), 2.5),
            ("tanh near zero", worst_ulp(tanh, f64::tanh, [-0.1, 0.1]), 2.5),
            ("sigmoid", worst_ulp(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), [-80.0, 40.0]), 2.5),
            ("ln", worst_ulp(ln, f64::ln, [1e-6, 4.0]), 0.9),
            ("ln of large", worst_ulp(ln, f64::ln, [4.0, 1e9]), 0.9),
        ];
        for (name, worst, bound) in cases {
            assert!(worst <= bound, "{name}: {worst} ulp, stated {bound}");
        }
    }

    #[test]
    fn the_normal_distribution_keeps_its_stated_error_and_its_tail_is_relatively_exact() {
        let (mut worst, mut worst_of_tail) = (0.0f64, 0.0f64);
        for i in -200_000..=200_000 {
            let x = i as f32 * 5e-5;
            let wide = f64::from(x);
            let want = 0.5 * (1.0 + Real::erf(wide * core::f64::consts::FRAC_1_SQRT_2));
            let (cdf, power) = normal(Vector::splat(Portable, x));
            worst = worst.max((f64::from(cdf.raw) - want).abs());
            assert!((f64::from(power.raw) - (-0.5 * wide * wide).exp()).abs() < 1.2e-7, "{x}");
            // Further out the sum of the truth's series has no digits left.
            if (-3.0..0.0).contains(&x) {
                worst_of_tail = worst_of_tail.max((f64::from(cdf.raw) / want - 1.0).abs());
            }
        }
        assert!(worst <= 1.2e-7, "{worst}");
        assert!(worst_of_tail <= 1e-6, "{worst_of_tail}");
    }

    #[test]
    fn a_turn_of_sine_and_cosine_keeps_its_stated_error() {
        let mut worst = 0.0f64;
        for i in 0..1 << 20 {
            let x = i as f32 / (1 << 20) as f32;
            let (sin, cos) = sin_cos_turn(Vector::splat(Portable, x));
            let angle = f64::from(x) * core::f64::consts::TAU;
            worst = worst.max((f64::from(sin.raw) - angle.sin()).abs());
            worst = worst.max((f64::from(cos.raw) - angle.cos()).abs());
        }
        assert!(worst <= 1.1 * f64::from(f32::EPSILON), "{worst}");
    }

    #[test]
    fn elementary_functions_are_exact_at_the_ends_of_their_ranges() {
        let infinity = f32::INFINITY;
        assert_eq!([apply(exp, 0.0), apply(exp, infinity)], [1.0, infinity]);
        assert_eq!(
            [apply(exp, -infinity), apply(exp, -200.0), apply(exp, 89.0)],
            [0.0, 0.0, infinity]
        );
        assert_eq!([apply(exp2, 0.0), apply(exp2, -126.0)], [1.0, f32::MIN_POSITIVE]);
        assert_eq!([apply(exp2, -127.0), apply(exp2, -1e30), apply(exp2, -infinity)], [0.0; 3]);
        assert_eq!([apply(tanh, 0.0), apply(tanh, 50.0), apply(tanh, -infinity)], [0.0, 1.0, -1.0]);
        assert_eq!([apply(sigmoid, 0.0), apply(sigmoid, infinity)], [0.5, 1.0]);
        assert_eq!([apply(sigmoid, -infinity), apply(ln, 1.0)], [0.0; 2]);
        let cdf = |x| normal(x).0;
        assert_eq!(
            [apply(cdf, -infinity), apply(cdf, -0.0), apply(cdf, infinity)],
            [0.0, 0.5, 1.0]
        );
        for f in [exp, exp2, tanh, sigmoid, cdf, ln] {
            assert!(apply(f, f32::NAN).is_nan());
            assert!(apply(f, f32::from_bits(0x7FC0_0123)).is_nan());
        }
    }
}
