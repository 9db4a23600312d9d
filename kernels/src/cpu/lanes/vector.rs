//! A register of `f32` with ordinary operators, so that formulas read as formulas.

use super::{Lanes, REDUCTION_LANES};
use crate::cpu::place::{Dst, Src};
use core::ops::{Add, Div, Mul, Neg, Sub};

/// One register of a unit.
#[derive(Clone, Copy)]
pub(crate) struct Vector<L: Lanes> {
    pub(crate) lanes: L,
    pub(crate) raw: L::F32,
}

impl<L: Lanes> Vector<L> {
    #[inline(always)]
    pub(crate) fn new(lanes: L, raw: L::F32) -> Self {
        Self { lanes, raw }
    }

    #[inline(always)]
    pub(crate) fn splat(lanes: L, value: f32) -> Self {
        Self { lanes, raw: lanes.splat(value) }
    }

    /// The same value in every lane, on the unit of `self`.
    #[inline(always)]
    pub(crate) fn constant(self, value: f32) -> Self {
        Self::splat(self.lanes, value)
    }

    /// `self * b + c`, rounded once.
    #[inline(always)]
    pub(crate) fn mul_add(self, b: Self, c: Self) -> Self {
        Self { raw: self.lanes.mul_add(self.raw, b.raw, c.raw), ..self }
    }

    #[inline(always)]
    pub(crate) fn sqrt(self) -> Self {
        Self { raw: self.lanes.sqrt(self.raw), ..self }
    }

    #[inline(always)]
    pub(crate) fn less(self, b: Self) -> L::Mask {
        self.lanes.less(self.raw, b.raw)
    }

    #[inline(always)]
    pub(crate) fn less_equal(self, b: Self) -> L::Mask {
        self.lanes.less_equal(self.raw, b.raw)
    }

    /// `mask ? self : other`
    #[inline(always)]
    pub(crate) fn select(self, mask: L::Mask, other: Self) -> Self {
        Self { raw: self.lanes.select(mask, self.raw, other.raw), ..self }
    }

    /// `other` where it is larger, `self` elsewhere; a NaN in `other` is ignored.
    #[inline(always)]
    pub(crate) fn max(self, other: Self) -> Self {
        Self { raw: self.lanes.max(self.raw, other.raw), ..self }
    }

    #[inline(always)]
    pub(crate) fn abs(self) -> Self {
        let bits = self.lanes.and(self.lanes.bits_of(self.raw), self.lanes.splat_u32(!SIGN));
        Self { raw: self.lanes.of_bits(bits), ..self }
    }

    /// The magnitude of `self` with the sign of `sign`.
    #[inline(always)]
    pub(crate) fn copysign(self, sign: Self) -> Self {
        let lanes = self.lanes;
        let sign = lanes.and(lanes.bits_of(sign.raw), lanes.splat_u32(SIGN));
        Self { raw: lanes.of_bits(lanes.or(lanes.bits_of(self.abs().raw), sign)), lanes }
    }

    /// Reads `LANES` values.
    #[inline(always)]
    pub(crate) fn load(lanes: L, src: &[f32]) -> Self {
        assert!(L::LANES <= src.len());
        // SAFETY: the slice holds `LANES` values.
        Self { raw: unsafe { lanes.load(Src::of(src)) }, lanes }
    }

    /// Writes as many values as `dst` has, at most `LANES`.
    #[inline(always)]
    pub(crate) fn store_first(self, dst: &mut [f32]) {
        assert!(dst.len() <= L::LANES);
        // SAFETY: the mask ends where the slice does.
        unsafe {
            self.lanes.store_masked(self.lanes.first(dst.len()), Dst::of(dst), self.raw);
        }
    }

    /// Writes `LANES` values.
    #[inline(always)]
    pub(crate) fn store(self, dst: &mut [f32]) {
        assert!(L::LANES <= dst.len());
        // SAFETY: the slice holds `LANES` values.
        unsafe { self.lanes.store(Dst::of(dst), self.raw) }
    }
}

/// Joins sixteen partial results, held in the first `16 / LANES` registers, by a fixed tree: lane `l`
/// with `l + 8`, then `+ 4`, `+ 2`, `+ 1`.
#[inline(always)]
pub(crate) fn join<L: Lanes>(
    mut parts: [Vector<L>; REDUCTION_LANES],
    op: impl Fn(Vector<L>, Vector<L>) -> Vector<L>,
) -> f32 {
    let mut n_parts = REDUCTION_LANES / L::LANES;
    while 1 < n_parts {
        n_parts /= 2;
        for part in 0..n_parts {
            parts[part] = op(parts[part], parts[part + n_parts]);
        }
    }
    let mut value = parts[0];
    let mut distance = L::LANES / 2;
    while 0 < distance {
        let rotated = Vector { raw: value.lanes.rotate(value.raw, distance), ..value };
        value = op(value, rotated);
        distance /= 2;
    }
    value.lanes.head(value.raw)
}

const SIGN: u32 = 0x8000_0000;

impl<L: Lanes> Add for Vector<L> {
    type Output = Self;
    #[inline(always)]
    fn add(self, b: Self) -> Self {
        Self { raw: self.lanes.add(self.raw, b.raw), ..self }
    }
}

impl<L: Lanes> Sub for Vector<L> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        Self { raw: self.lanes.sub(self.raw, b.raw), ..self }
    }
}

impl<L: Lanes> Mul for Vector<L> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        Self { raw: self.lanes.mul(self.raw, b.raw), ..self }
    }
}

impl<L: Lanes> Div for Vector<L> {
    type Output = Self;
    #[inline(always)]
    fn div(self, b: Self) -> Self {
        Self { raw: self.lanes.div(self.raw, b.raw), ..self }
    }
}

impl<L: Lanes> Neg for Vector<L> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        let lanes = self.lanes;
        let flipped = lanes.xor(lanes.bits_of(self.raw), lanes.splat_u32(SIGN));
        Self { raw: lanes.of_bits(flipped), lanes }
    }
}
