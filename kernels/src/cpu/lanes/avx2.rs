//! Eight lanes: AVX2 with fused multiply-add.
#![cfg(target_arch = "x86_64")]

use super::Lanes;
use crate::cpu::place::{Dst, Src};
use core::arch::x86_64::{__m256, __m256i, _CMP_LE_OQ, _CMP_LT_OQ, _CMP_UNORD_Q};
use pulp::x86::V3;

impl Lanes for V3 {
    const LANES: usize = 8;
    // 16 registers: 8 + 1 and 2 * 6 + 2 leave room for the broadcasts.
    const TILE_ROWS: [usize; 2] = [8, 6];
    type Narrower = Self;
    type F32 = __m256;
    type U32 = __m256i;
    type Mask = __m256i;

    #[inline(always)]
    fn narrower(self) -> Self {
        self
    }
    // One caller or many: inlined, the tiles of a product make a function that takes minutes to compile.
    #[inline(never)]
    fn call<R>(self, f: impl FnOnce() -> R) -> R {
        self.vectorize(f)
    }

    #[inline(always)]
    fn first(self, len_elems: usize) -> __m256i {
        let len = self.avx._mm256_set1_epi32(len_elems.min(8) as i32);
        self.avx2._mm256_cmpgt_epi32(len, self.iota())
    }
    #[inline(always)]
    fn end_of(self, mask: __m256i) -> usize {
        let lanes = self.avx._mm256_movemask_ps(self.avx._mm256_castsi256_ps(mask));
        (i32::BITS - lanes.leading_zeros()) as usize
    }
    #[inline(always)]
    unsafe fn load(self, src: Src) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { self.avx._mm256_loadu_ps(src.readable(8)) }
    }
    #[inline(always)]
    unsafe fn store(self, dst: Dst, value: __m256) {
        // SAFETY: the caller's promise.
        unsafe { self.avx._mm256_storeu_ps(dst.writable(8), value) }
    }
    #[inline(always)]
    unsafe fn load_masked(self, mask: __m256i, src: Src) -> __m256 {
        // SAFETY: lanes outside `mask` are not read; the caller's promise covers the others.
        unsafe { self.avx._mm256_maskload_ps(src.readable(self.checked_end_of(mask)), mask) }
    }
    #[inline(always)]
    unsafe fn store_masked(self, mask: __m256i, dst: Dst, value: __m256) {
        // SAFETY: lanes outside `mask` are not written; the caller's promise covers the others.
        unsafe {
            self.avx._mm256_maskstore_ps(dst.writable(self.checked_end_of(mask)), mask, value);
        }
    }
    #[inline(always)]
    unsafe fn pack_rows(
        self,
        src: Src,
        stride: usize,
        n_rows: usize,
        depth: usize,
        dst: Dst,
        step: usize,
    ) {
        let mut rows = [0; 8];
        for (lane, row) in rows.iter_mut().enumerate() {
            *row = lane.min(n_rows - 1) * stride;
        }
        let mut k = 0;
        while k + 4 <= depth {
            // SAFETY: four values from column `k` of rows below `n_rows`, and four packed columns.
            unsafe {
                let mut quads = [self.splat(0.0); 4];
                for (i, quad) in quads.iter_mut().enumerate() {
                    *quad = self.gather_quads(src.add(k), &rows, i);
                }
                for (column, value) in self.transpose_quads(quads).iter().enumerate() {
                    self.store(dst.add((k + column) * step), *value);
                }
            }
            k += 4;
        }
        for k in k..depth {
            for (lane, row) in rows.iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { dst.add(k * step + lane).write(src.add(row + k).read()) }
            }
        }
    }

    #[inline(always)]
    unsafe fn unpack_rows(
        self,
        src: Src,
        step: usize,
        n_rows: usize,
        depth: usize,
        dst: Dst,
        stride: usize,
    ) {
        for k in (0..depth).step_by(4) {
            let n_columns = (depth - k).min(4);
            let mut columns = [self.splat(0.0); 4];
            for (column, value) in columns[..n_columns].iter_mut().enumerate() {
                // SAFETY: a register of column `k + column`.
                *value = unsafe { self.load(src.add((k + column) * step)) };
            }
            for (i, quads) in self.transpose_quads(columns).iter().enumerate() {
                // SAFETY: rows below `n_rows`, and columns below `depth`.
                unsafe { self.scatter_quads(*quads, i, n_rows, n_columns, dst.add(k), stride) };
            }
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        self.avx._mm256_set1_ps(value)
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_add_ps(a, b)
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_sub_ps(a, b)
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_mul_ps(a, b)
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_div_ps(a, b)
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // The instruction gives its second operand unless the first is greater.
        self.avx._mm256_max_ps(b, a)
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        self.fma._mm256_fmadd_ps(a, b, c)
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        self.avx._mm256_sqrt_ps(a)
    }
    #[inline(always)]
    fn less(self, a: __m256, b: __m256) -> __m256i {
        self.avx._mm256_castps_si256(self.avx._mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn less_equal(self, a: __m256, b: __m256) -> __m256i {
        self.avx._mm256_castps_si256(self.avx._mm256_cmp_ps::<_CMP_LE_OQ>(a, b))
    }
    #[inline(always)]
    fn is_nan(self, a: __m256) -> __m256i {
        self.avx._mm256_castps_si256(self.avx._mm256_cmp_ps::<_CMP_UNORD_Q>(a, a))
    }
    #[inline(always)]
    fn select(self, mask: __m256i, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_blendv_ps(b, a, self.avx._mm256_castsi256_ps(mask))
    }
    #[inline(always)]
    fn rotate(self, a: __m256, distance: usize) -> __m256 {
        match distance {
            4 => self.avx._mm256_permute2f128_ps::<0b0000_0001>(a, a),
            2 => self.avx._mm256_permute_ps::<0b01_00_11_10>(a),
            _ => self.avx._mm256_permute_ps::<0b00_11_10_01>(a),
        }
    }
    #[inline(always)]
    fn head(self, a: __m256) -> f32 {
        self.sse._mm_cvtss_f32(self.avx._mm256_castps256_ps128(a))
    }

    #[inline(always)]
    fn bits_of(self, a: __m256) -> __m256i {
        self.avx._mm256_castps_si256(a)
    }
    #[inline(always)]
    fn of_bits(self, a: __m256i) -> __m256 {
        self.avx._mm256_castsi256_ps(a)
    }
    #[inline(always)]
    fn of_i32(self, a: __m256i) -> __m256 {
        self.avx._mm256_cvtepi32_ps(a)
    }
    #[inline(always)]
    fn splat_u32(self, value: u32) -> __m256i {
        self.avx._mm256_set1_epi32(value.cast_signed())
    }
    #[inline(always)]
    fn iota(self) -> __m256i {
        self.avx._mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)
    }
    #[inline(always)]
    fn add_u32(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_add_epi32(a, b)
    }
    #[inline(always)]
    fn sub_u32(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_sub_epi32(a, b)
    }
    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_and_si256(a, b)
    }
    #[inline(always)]
    fn or(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_or_si256(a, b)
    }
    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_xor_si256(a, b)
    }
    #[inline(always)]
    fn shl<const N: u32>(self, a: __m256i) -> __m256i {
        self.avx2._mm256_sll_epi32(a, self.sse2._mm_cvtsi32_si128(N.cast_signed()))
    }
    #[inline(always)]
    fn shr<const N: u32>(self, a: __m256i) -> __m256i {
        self.avx2._mm256_srl_epi32(a, self.sse2._mm_cvtsi32_si128(N.cast_signed()))
    }
    #[inline(always)]
    fn mul_wide(self, a: __m256i, b: __m256i) -> (__m256i, __m256i) {
        let unit = self.avx2;
        let even = unit._mm256_mul_epu32(a, b);
        let odd =
            unit._mm256_mul_epu32(unit._mm256_srli_epi64::<32>(a), unit._mm256_srli_epi64::<32>(b));
        let low = unit._mm256_blend_epi32::<0xAA>(even, unit._mm256_slli_epi64::<32>(odd));
        let high = unit._mm256_blend_epi32::<0xAA>(unit._mm256_srli_epi64::<32>(even), odd);
        (low, high)
    }
    #[inline(always)]
    fn equal_u32(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_cmpeq_epi32(a, b)
    }
}

/// Four columns of eight rows at a time, by groups of four lanes.
trait Quads: Sized {
    /// Group `g` of the result is `src[rows[4 g + i]..][..4]`.
    ///
    /// # Safety
    ///
    /// Those four values are readable.
    unsafe fn gather_quads(self, src: Src, rows: &[usize; 8], i: usize) -> __m256;
    /// Writes group `g` to `dst[(4 g + i) * stride..][..n_columns]`, for rows below `n_rows`.
    ///
    /// # Safety
    ///
    /// Those values, four at most, are writable.
    unsafe fn scatter_quads(
        self,
        quads: __m256,
        i: usize,
        n_rows: usize,
        n_columns: usize,
        dst: Dst,
        stride: usize,
    );
    /// Transposes the four by four matrix in each group of four lanes.
    fn transpose_quads(self, quads: [__m256; 4]) -> [__m256; 4];
}

impl Quads for V3 {
    #[inline(always)]
    unsafe fn gather_quads(self, src: Src, rows: &[usize; 8], i: usize) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe {
            let low = self
                .avx
                ._mm256_castps128_ps256(self.sse._mm_loadu_ps(src.add(rows[i]).readable(4)));
            self.avx._mm256_insertf128_ps::<1>(
                low,
                self.sse._mm_loadu_ps(src.add(rows[4 + i]).readable(4)),
            )
        }
    }

    #[inline(always)]
    unsafe fn scatter_quads(
        self,
        quads: __m256,
        i: usize,
        n_rows: usize,
        n_columns: usize,
        dst: Dst,
        stride: usize,
    ) {
        let groups =
            [self.avx._mm256_castps256_ps128(quads), self.avx._mm256_extractf128_ps::<1>(quads)];
        for (group, quad) in groups.iter().enumerate() {
            if 4 * group + i < n_rows {
                // SAFETY: the caller's promise.
                unsafe {
                    let dst = dst.add((4 * group + i) * stride).writable(n_columns);
                    if n_columns == 4 {
                        self.sse._mm_storeu_ps(dst, *quad);
                    } else {
                        let mask = self.avx._mm256_castsi256_si128(self.first(n_columns));
                        self.avx._mm_maskstore_ps(dst, mask, *quad);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn transpose_quads(self, [a, b, c, d]: [__m256; 4]) -> [__m256; 4] {
        let unit = self.avx;
        let [ab_low, ab_high] = [unit._mm256_unpacklo_ps(a, b), unit._mm256_unpackhi_ps(a, b)];
        let [cd_low, cd_high] = [unit._mm256_unpacklo_ps(c, d), unit._mm256_unpackhi_ps(c, d)];
        [
            unit._mm256_shuffle_ps::<0b01_00_01_00>(ab_low, cd_low),
            unit._mm256_shuffle_ps::<0b11_10_11_10>(ab_low, cd_low),
            unit._mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
            unit._mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
        ]
    }
}
