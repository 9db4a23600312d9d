//! Sixteen lanes: AVX-512.
#![cfg(target_arch = "x86_64")]

use super::Lanes;
use crate::cpu::place::{Dst, Src};
use core::arch::x86_64::{
    __m512, __m512i, __mmask8, __mmask16, _CMP_LE_OQ, _CMP_LT_OQ, _CMP_UNORD_Q,
};
use pulp::x86::{V3, V4};

impl Lanes for V4 {
    const LANES: usize = 16;
    // 32 registers: 15 + 1 and 2 * 12 + 2 leave room for the broadcasts.
    const TILE_ROWS: [usize; 2] = [15, 12];
    type Narrower = V3;
    type F32 = __m512;
    type U32 = __m512i;
    type Mask = __mmask16;

    #[inline(always)]
    fn narrower(self) -> V3 {
        *self
    }
    // One caller or many: inlined, the tiles of a product make a function that takes minutes to compile.
    #[inline(never)]
    fn call<R>(self, f: impl FnOnce() -> R) -> R {
        self.vectorize(f)
    }

    #[inline(always)]
    fn first(self, len_elems: usize) -> __mmask16 {
        if len_elems < 16 { (1 << len_elems) - 1 } else { !0 }
    }
    #[inline(always)]
    fn end_of(self, mask: __mmask16) -> usize {
        (u16::BITS - mask.leading_zeros()) as usize
    }
    #[inline(always)]
    unsafe fn load(self, src: Src) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { self.avx512f._mm512_loadu_ps(src.readable(16)) }
    }
    #[inline(always)]
    unsafe fn store(self, dst: Dst, value: __m512) {
        // SAFETY: the caller's promise.
        unsafe { self.avx512f._mm512_storeu_ps(dst.writable(16), value) }
    }
    #[inline(always)]
    unsafe fn load_masked(self, mask: __mmask16, src: Src) -> __m512 {
        // SAFETY: lanes outside `mask` are not read; the caller's promise covers the others.
        unsafe { self.avx512f._mm512_maskz_loadu_ps(mask, src.readable(self.checked_end_of(mask))) }
    }
    #[inline(always)]
    unsafe fn store_masked(self, mask: __mmask16, dst: Dst, value: __m512) {
        // SAFETY: lanes outside `mask` are not written; the caller's promise covers the others.
        unsafe {
            self.avx512f._mm512_mask_storeu_ps(
                dst.writable(self.checked_end_of(mask)),
                mask,
                value,
            );
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
        let mut rows = [0; 16];
        for (lane, row) in rows.iter_mut().enumerate() {
            *row = lane.min(n_rows - 1) * stride;
        }
        let full = depth - depth % 4;
        for k in (0..full).step_by(4) {
            // SAFETY: four values from column `k` of rows below `n_rows`, and four packed columns.
            unsafe {
                let mut quads = [self.splat(0.0); 4];
                for (i, quad) in quads.iter_mut().enumerate() {
                    *quad = self.gather_quads::<true>(src.add(k), &rows, i, 0b1111);
                }
                for (column, value) in self.transpose_quads(quads).iter().enumerate() {
                    self.store(dst.add((k + column) * step), *value);
                }
            }
        }
        if full < depth {
            let mask = (1 << (depth - full)) - 1;
            // SAFETY: as above, for the columns that are left.
            unsafe {
                let mut quads = [self.splat(0.0); 4];
                for (i, quad) in quads.iter_mut().enumerate() {
                    *quad = self.gather_quads::<false>(src.add(full), &rows, i, mask);
                }
                for (k, value) in (full..depth).zip(&self.transpose_quads(quads)) {
                    self.store(dst.add(k * step), *value);
                }
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
    fn splat(self, value: f32) -> __m512 {
        self.avx512f._mm512_set1_ps(value)
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_add_ps(a, b)
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_sub_ps(a, b)
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_mul_ps(a, b)
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_div_ps(a, b)
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // The instruction gives its second operand unless the first is greater.
        self.avx512f._mm512_max_ps(b, a)
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        self.avx512f._mm512_fmadd_ps(a, b, c)
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        self.avx512f._mm512_sqrt_ps(a)
    }
    #[inline(always)]
    fn less(self, a: __m512, b: __m512) -> __mmask16 {
        self.avx512f._mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b)
    }
    #[inline(always)]
    fn less_equal(self, a: __m512, b: __m512) -> __mmask16 {
        self.avx512f._mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b)
    }
    #[inline(always)]
    fn is_nan(self, a: __m512) -> __mmask16 {
        self.avx512f._mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a)
    }
    #[inline(always)]
    fn select(self, mask: __mmask16, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_mask_blend_ps(mask, b, a)
    }
    #[inline(always)]
    fn rotate(self, a: __m512, distance: usize) -> __m512 {
        match distance {
            8 => self.avx512f._mm512_shuffle_f32x4::<0b01_00_11_10>(a, a),
            4 => self.avx512f._mm512_shuffle_f32x4::<0b00_11_10_01>(a, a),
            2 => self.avx512f._mm512_permute_ps::<0b01_00_11_10>(a),
            _ => self.avx512f._mm512_permute_ps::<0b00_11_10_01>(a),
        }
    }
    #[inline(always)]
    fn head(self, a: __m512) -> f32 {
        self.sse._mm_cvtss_f32(self.avx512f._mm512_castps512_ps128(a))
    }

    #[inline(always)]
    fn bits_of(self, a: __m512) -> __m512i {
        self.avx512f._mm512_castps_si512(a)
    }
    #[inline(always)]
    fn of_bits(self, a: __m512i) -> __m512 {
        self.avx512f._mm512_castsi512_ps(a)
    }
    #[inline(always)]
    fn of_i32(self, a: __m512i) -> __m512 {
        self.avx512f._mm512_cvtepi32_ps(a)
    }
    #[inline(always)]
    fn splat_u32(self, value: u32) -> __m512i {
        self.avx512f._mm512_set1_epi32(value.cast_signed())
    }
    #[inline(always)]
    fn iota(self) -> __m512i {
        self.avx512f._mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    }
    #[inline(always)]
    fn add_u32(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_add_epi32(a, b)
    }
    #[inline(always)]
    fn sub_u32(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_sub_epi32(a, b)
    }
    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_and_si512(a, b)
    }
    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_or_si512(a, b)
    }
    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_xor_si512(a, b)
    }
    #[inline(always)]
    fn shl<const N: u32>(self, a: __m512i) -> __m512i {
        self.avx512f._mm512_slli_epi32::<N>(a)
    }
    #[inline(always)]
    fn shr<const N: u32>(self, a: __m512i) -> __m512i {
        self.avx512f._mm512_srli_epi32::<N>(a)
    }
    #[inline(always)]
    fn mul_wide(self, a: __m512i, b: __m512i) -> (__m512i, __m512i) {
        let unit = self.avx512f;
        let even = unit._mm512_mul_epu32(a, b);
        let odd =
            unit._mm512_mul_epu32(unit._mm512_srli_epi64::<32>(a), unit._mm512_srli_epi64::<32>(b));
        let low = unit._mm512_mask_blend_epi32(0xAAAA, even, unit._mm512_slli_epi64::<32>(odd));
        let high = unit._mm512_mask_blend_epi32(0xAAAA, unit._mm512_srli_epi64::<32>(even), odd);
        (low, high)
    }
    #[inline(always)]
    fn equal_u32(self, a: __m512i, b: __m512i) -> __mmask16 {
        self.avx512f._mm512_cmpeq_epi32_mask(a, b)
    }
}

/// Four columns of sixteen rows at a time, by groups of four lanes.
trait Quads: Sized {
    /// Group `g` of the result is `src[rows[4 g + i]..][..4]`, unless `FULL` within `mask`.
    ///
    /// # Safety
    ///
    /// Those values are readable.
    unsafe fn gather_quads<const FULL: bool>(
        self,
        src: Src,
        rows: &[usize; 16],
        i: usize,
        mask: __mmask8,
    ) -> __m512;
    /// Writes group `g` to `dst[(4 g + i) * stride..][..n_columns]`, for rows below `n_rows`.
    ///
    /// # Safety
    ///
    /// Those values, four at most, are writable.
    unsafe fn scatter_quads(
        self,
        quads: __m512,
        i: usize,
        n_rows: usize,
        n_columns: usize,
        dst: Dst,
        stride: usize,
    );
    /// Transposes the four by four matrix in each group of four lanes.
    fn transpose_quads(self, quads: [__m512; 4]) -> [__m512; 4];
}

impl Quads for V4 {
    #[inline(always)]
    unsafe fn gather_quads<const FULL: bool>(
        self,
        src: Src,
        rows: &[usize; 16],
        i: usize,
        mask: __mmask8,
    ) -> __m512 {
        let unit = self.avx512f;
        let mut quads = [self.sse._mm_setzero_ps(); 4];
        for (group, quad) in quads.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *quad = unsafe {
                let src = src.add(rows[4 * group + i]);
                if FULL {
                    self.sse._mm_loadu_ps(src.readable(4))
                } else {
                    let src = src.readable((u8::BITS - mask.leading_zeros()) as usize);
                    unit._mm_maskz_loadu_ps(mask, src)
                }
            };
        }
        let value = unit._mm512_castps128_ps512(quads[0]);
        let value = unit._mm512_insertf32x4::<1>(value, quads[1]);
        let value = unit._mm512_insertf32x4::<2>(value, quads[2]);
        unit._mm512_insertf32x4::<3>(value, quads[3])
    }

    #[inline(always)]
    unsafe fn scatter_quads(
        self,
        quads: __m512,
        i: usize,
        n_rows: usize,
        n_columns: usize,
        dst: Dst,
        stride: usize,
    ) {
        let unit = self.avx512f;
        let groups = [
            unit._mm512_castps512_ps128(quads),
            unit._mm512_extractf32x4_ps::<1>(quads),
            unit._mm512_extractf32x4_ps::<2>(quads),
            unit._mm512_extractf32x4_ps::<3>(quads),
        ];
        for (group, quad) in groups.iter().enumerate() {
            if 4 * group + i < n_rows {
                // SAFETY: the caller's promise.
                unsafe {
                    let dst = dst.add((4 * group + i) * stride).writable(n_columns);
                    if n_columns == 4 {
                        self.sse._mm_storeu_ps(dst, *quad);
                    } else {
                        unit._mm_mask_storeu_ps(dst, (1 << n_columns) - 1, *quad);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn transpose_quads(self, [a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
        let unit = self.avx512f;
        let [ab_low, ab_high] = [unit._mm512_unpacklo_ps(a, b), unit._mm512_unpackhi_ps(a, b)];
        let [cd_low, cd_high] = [unit._mm512_unpacklo_ps(c, d), unit._mm512_unpackhi_ps(c, d)];
        [
            unit._mm512_shuffle_ps::<0b01_00_01_00>(ab_low, cd_low),
            unit._mm512_shuffle_ps::<0b11_10_11_10>(ab_low, cd_low),
            unit._mm512_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
            unit._mm512_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
        ]
    }
}
