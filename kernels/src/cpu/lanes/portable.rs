//! One lane at a time, on any machine.

use super::Lanes;
use crate::cpu::place::{Dst, Src};

/// The unit every machine has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Lanes for Portable {
    const LANES: usize = 1;
    const TILE_ROWS: [usize; 2] = [4, 4];
    type Narrower = Self;
    type F32 = f32;
    type U32 = u32;
    type Mask = bool;

    #[inline(always)]
    fn narrower(self) -> Self {
        self
    }
    // One caller or many: inlined, the tiles of a product make a function that takes minutes to compile.
    #[inline(never)]
    fn call<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }

    #[inline(always)]
    fn first(self, len_elems: usize) -> bool {
        0 < len_elems
    }
    #[inline(always)]
    fn end_of(self, mask: bool) -> usize {
        usize::from(mask)
    }
    #[inline(always)]
    unsafe fn load(self, src: Src) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { src.read() }
    }
    #[inline(always)]
    unsafe fn store(self, dst: Dst, value: f32) {
        // SAFETY: the caller's promise.
        unsafe { dst.write(value) }
    }
    #[inline(always)]
    unsafe fn load_masked(self, mask: bool, src: Src) -> f32 {
        // SAFETY: the caller's promise.
        if mask { unsafe { src.read() } } else { 0.0 }
    }
    #[inline(always)]
    unsafe fn store_masked(self, mask: bool, dst: Dst, value: f32) {
        if mask {
            // SAFETY: the caller's promise.
            unsafe { dst.write(value) }
        }
    }
    #[inline(always)]
    unsafe fn pack_rows(
        self,
        src: Src,
        _stride: usize,
        _n_rows: usize,
        depth: usize,
        dst: Dst,
        step: usize,
    ) {
        for k in 0..depth {
            // SAFETY: with one lane there is one row, readable for `depth` values; the caller's
            // promise covers `dst`.
            unsafe { dst.add(k * step).write(src.add(k).read()) }
        }
    }

    #[inline(always)]
    unsafe fn unpack_rows(
        self,
        src: Src,
        step: usize,
        _n_rows: usize,
        depth: usize,
        dst: Dst,
        _stride: usize,
    ) {
        for k in 0..depth {
            // SAFETY: with one lane there is one row; the caller's promise.
            unsafe { dst.add(k).write(src.add(k * step).read()) }
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> f32 {
        value
    }
    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32, b: f32) -> f32 {
        a / b
    }
    #[inline(always)]
    fn max(self, a: f32, b: f32) -> f32 {
        if a < b { b } else { a }
    }
    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn sqrt(self, a: f32) -> f32 {
        a.sqrt()
    }
    #[inline(always)]
    fn less(self, a: f32, b: f32) -> bool {
        a < b
    }
    #[inline(always)]
    fn less_equal(self, a: f32, b: f32) -> bool {
        a <= b
    }
    #[inline(always)]
    fn is_nan(self, a: f32) -> bool {
        a.is_nan()
    }
    #[inline(always)]
    fn select(self, mask: bool, a: f32, b: f32) -> f32 {
        if mask { a } else { b }
    }
    #[inline(always)]
    fn rotate(self, a: f32, _distance: usize) -> f32 {
        a
    }
    #[inline(always)]
    fn head(self, a: f32) -> f32 {
        a
    }

    #[inline(always)]
    fn bits_of(self, a: f32) -> u32 {
        a.to_bits()
    }
    #[inline(always)]
    fn of_bits(self, a: u32) -> f32 {
        f32::from_bits(a)
    }
    #[inline(always)]
    fn of_i32(self, a: u32) -> f32 {
        a.cast_signed() as f32
    }
    #[inline(always)]
    fn splat_u32(self, value: u32) -> u32 {
        value
    }
    #[inline(always)]
    fn iota(self) -> u32 {
        0
    }
    #[inline(always)]
    fn add_u32(self, a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn sub_u32(self, a: u32, b: u32) -> u32 {
        a.wrapping_sub(b)
    }
    #[inline(always)]
    fn and(self, a: u32, b: u32) -> u32 {
        a & b
    }
    #[inline(always)]
    fn or(self, a: u32, b: u32) -> u32 {
        a | b
    }
    #[inline(always)]
    fn xor(self, a: u32, b: u32) -> u32 {
        a ^ b
    }
    #[inline(always)]
    fn shl<const N: u32>(self, a: u32) -> u32 {
        a << N
    }
    #[inline(always)]
    fn shr<const N: u32>(self, a: u32) -> u32 {
        a >> N
    }
    #[inline(always)]
    fn mul_wide(self, a: u32, b: u32) -> (u32, u32) {
        let product = u64::from(a) * u64::from(b);
        (product as u32, (product >> 32) as u32)
    }
    #[inline(always)]
    fn equal_u32(self, a: u32, b: u32) -> bool {
        a == b
    }
}
