//! Registers of values that lie side by side, in pairs, or a stride apart.

use crate::cpu::lanes::{Lanes, Portable, REDUCTION_LANES, Vector};
use crate::cpu::place::Src;
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

/// Registers taken apart into even and odd elements.
pub(super) trait Pairs: Lanes {
    /// The even and the odd elements of `a` followed by `b`.
    fn unzip(self, a: Self::F32, b: Self::F32) -> [Self::F32; 2];
    /// The two registers whose even elements are `even` and odd ones `odd`.
    fn zip(self, even: Self::F32, odd: Self::F32) -> [Self::F32; 2];
}

impl Pairs for Portable {
    #[inline(always)]
    fn unzip(self, a: f32, b: f32) -> [f32; 2] {
        [a, b]
    }
    #[inline(always)]
    fn zip(self, even: f32, odd: f32) -> [f32; 2] {
        [even, odd]
    }
}

#[cfg(target_arch = "x86_64")]
impl Pairs for V3 {
    #[inline(always)]
    fn unzip(self, a: Self::F32, b: Self::F32) -> [Self::F32; 2] {
        // By halves of 128 bits: a0 a2 b0 b2, a4 a6 b4 b6; then quarters 0, 2, 1, 3.
        let in_order = |x| {
            let quarters = self.avx._mm256_castps_pd(x);
            let quarters = self.avx2._mm256_permute4x64_pd::<0b11_01_10_00>(quarters);
            self.avx._mm256_castpd_ps(quarters)
        };
        [
            in_order(self.avx._mm256_shuffle_ps::<0b10_00_10_00>(a, b)),
            in_order(self.avx._mm256_shuffle_ps::<0b11_01_11_01>(a, b)),
        ]
    }
    #[inline(always)]
    fn zip(self, even: Self::F32, odd: Self::F32) -> [Self::F32; 2] {
        let low = self.avx._mm256_unpacklo_ps(even, odd);
        let high = self.avx._mm256_unpackhi_ps(even, odd);
        [
            self.avx._mm256_permute2f128_ps::<0x20>(low, high),
            self.avx._mm256_permute2f128_ps::<0x31>(low, high),
        ]
    }
}

#[cfg(target_arch = "x86_64")]
impl Pairs for V4 {
    #[inline(always)]
    fn unzip(self, a: Self::F32, b: Self::F32) -> [Self::F32; 2] {
        let unit = self.avx512f;
        let even = self.shl::<1>(self.iota());
        let odd = self.or(even, self.splat_u32(1));
        [unit._mm512_permutex2var_ps(a, even, b), unit._mm512_permutex2var_ps(a, odd, b)]
    }
    #[inline(always)]
    fn zip(self, even: Self::F32, odd: Self::F32) -> [Self::F32; 2] {
        let unit = self.avx512f;
        // Element 2 i is element i of `even`, and 2 i + 1 element i of `odd`, number 16 + i.
        let low = unit._mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let high = self.add_u32(low, self.splat_u32(8));
        [unit._mm512_permutex2var_ps(even, low, odd), unit._mm512_permutex2var_ps(even, high, odd)]
    }
}

/// The values of `x`, at most a register, and zeros.
#[inline(always)]
pub(super) fn load_first<L: Lanes>(lanes: L, x: &[f32]) -> Vector<L> {
    // SAFETY: the mask ends where the slice does.
    let raw = unsafe { lanes.load_masked(lanes.first(x.len()), Src::of(x)) };
    Vector::new(lanes, raw)
}

/// At most a register of values, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Strided<L: Lanes> {
    pub(super) lanes: L,
    stride: usize,
    n_values: usize,
    /// From the first value to the last.
    span: usize,
    /// The values, or with a stride of two what they lie among, in two registers.
    masks: [L::Mask; 2],
}

impl<L: Pairs> Strided<L> {
    #[inline(always)]
    pub(super) fn of(lanes: L, stride: usize, n_values: usize) -> Self {
        let span = (n_values - 1) * stride + 1;
        let masks = [lanes.first(span), lanes.first(span.saturating_sub(L::LANES))];
        Self { lanes, stride, n_values, span, masks }
    }

    /// Values of `x` from `at` on, and zeros.
    #[inline(always)]
    pub(super) fn load(self, x: &[f32], at: usize) -> Vector<L> {
        let x = &x[at..][..self.span];
        let lanes = self.lanes;
        match self.stride {
            // SAFETY: the masks end where the slice does.
            1 => Vector::new(lanes, unsafe { lanes.load_masked(self.masks[0], Src::of(x)) }),
            2 => {
                let rest = Src::of(x).wrapping_add(L::LANES);
                // SAFETY: the masks end where the slice does.
                let [low, high] = unsafe {
                    [
                        lanes.load_masked(self.masks[0], Src::of(x)),
                        lanes.load_masked(self.masks[1], rest),
                    ]
                };
                Vector::new(lanes, lanes.unzip(low, high)[0])
            }
            _ => {
                let mut values = [0.0; REDUCTION_LANES];
                for (value, x) in
                    values[..self.n_values].iter_mut().zip(x.iter().step_by(self.stride))
                {
                    *value = *x;
                }
                Vector::load(lanes, &values)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{dispatch, simd_levels, with_simd_level};

    fn check<L: Pairs>(lanes: L) {
        let numbers: Vec<f32> = (0..2 * L::LANES).map(|i| i as f32).collect();
        let (a, b) = (Vector::load(lanes, &numbers), Vector::load(lanes, &numbers[L::LANES..]));
        let mut found = vec![0.0; L::LANES];
        let [even, odd] = lanes.unzip(a.raw, b.raw);
        for (offset, raw) in [(0, even), (1, odd)] {
            Vector::new(lanes, raw).store(&mut found);
            let want: Vec<f32> = (0..L::LANES).map(|i| (2 * i + offset) as f32).collect();
            assert_eq!(found, want);
        }
        for (half, raw) in lanes.zip(even, odd).into_iter().enumerate() {
            Vector::new(lanes, raw).store(&mut found);
            assert_eq!(found, numbers[half * L::LANES..][..L::LANES]);
        }
    }

    #[test]
    fn pairs_come_apart_and_together_again_on_every_unit() {
        for level in simd_levels() {
            with_simd_level(level, || dispatch!(lanes => check(lanes)));
        }
    }
}
