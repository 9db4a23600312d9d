//! Registers of values that lie side by side, in pairs.

use crate::cpu::lanes::{Lanes, Portable};
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

/// Registers taken apart into even and odd elements, and put together again.
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
        let even = self.avx._mm256_shuffle_ps::<0b10_00_10_00>(a, b);
        let odd = self.avx._mm256_shuffle_ps::<0b11_01_11_01>(a, b);
        let even =
            self.avx2._mm256_permute4x64_pd::<0b11_01_10_00>(self.avx._mm256_castps_pd(even));
        let odd = self.avx2._mm256_permute4x64_pd::<0b11_01_10_00>(self.avx._mm256_castps_pd(odd));
        [self.avx._mm256_castpd_ps(even), self.avx._mm256_castpd_ps(odd)]
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
