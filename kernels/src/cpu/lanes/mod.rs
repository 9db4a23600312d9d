//! What a vector unit must do, and the units there are.
//!
//! Kernels are written once, over [`Lanes`], and compiled for each unit. Every operation here is one
//! IEEE operation per lane, so a kernel gives the same bits whatever unit runs it.

mod avx2;
mod avx512;
mod portable;
mod vector;

pub(crate) use portable::Portable;
pub(crate) use vector::{Vector, join};

use super::place::{Dst, Src};

/// Lanes of a reduction: fixed on every machine, so that a sum has one order.
pub(crate) const REDUCTION_LANES: usize = 16;

/// One vector unit. A value of this type is the proof that the machine has it.
///
/// Functions that take slices or pointers are written so that an inactive lane touches no memory.
pub(crate) trait Lanes: Copy + Send + Sync + 'static {
    /// `f32` lanes of a register; a power of two, at most [`REDUCTION_LANES`].
    const LANES: usize;
    /// Tallest register tile of a matrix product that is one, and two, vectors wide.
    const TILE_ROWS: [usize; 2];
    /// A narrower unit of the same machine; the narrowest is its own.
    type Narrower: Lanes;
    /// A register of `f32`.
    type F32: Copy;
    /// A register of `u32`.
    type U32: Copy;
    /// One truth value per lane.
    type Mask: Copy;

    /// The narrower unit.
    fn narrower(self) -> Self::Narrower;
    /// Calls `f` in code compiled for this unit.
    fn call<R>(self, f: impl FnOnce() -> R) -> R;

    /// The first `len_elems` lanes; all of them when there are no more.
    fn first(self, len_elems: usize) -> Self::Mask;
    /// Lanes up to the last of `mask`.
    fn end_of(self, mask: Self::Mask) -> usize;
    /// [`Self::end_of`] where bounds are checked; elsewhere nobody asks.
    #[inline(always)]
    fn checked_end_of(self, mask: Self::Mask) -> usize {
        if cfg!(feature = "checked") { self.end_of(mask) } else { 0 }
    }
    /// Reads a register.
    ///
    /// # Safety
    ///
    /// `src` is readable for `LANES` values.
    unsafe fn load(self, src: Src) -> Self::F32;
    /// Writes a register.
    ///
    /// # Safety
    ///
    /// `dst` is writable for `LANES` values.
    unsafe fn store(self, dst: Dst, value: Self::F32);
    /// Reads the lanes of `mask`; the others are zero.
    ///
    /// # Safety
    ///
    /// `src` is readable in the lanes of `mask`.
    unsafe fn load_masked(self, mask: Self::Mask, src: Src) -> Self::F32;
    /// Writes the lanes of `mask`.
    ///
    /// # Safety
    ///
    /// `dst` is writable in the lanes of `mask`.
    unsafe fn store_masked(self, mask: Self::Mask, dst: Dst, value: Self::F32);
    /// Packs `LANES` rows of a matrix as columns: `dst[k * step + lane] = src[lane * stride + k]`.
    ///
    /// Lanes from `n_rows` on hold copies of the last row.
    ///
    /// # Safety
    ///
    /// `src` is readable at `lane * stride + k` for `lane < n_rows`, `k < depth`, where
    /// `1 <= n_rows`; `dst` is writable at `k * step + lane` for every lane and `k < depth`.
    unsafe fn pack_rows(
        self,
        src: Src,
        stride: usize,
        n_rows: usize,
        depth: usize,
        dst: Dst,
        step: usize,
    );
    /// The way back: `dst[lane * stride + k] = src[k * step + lane]` for `lane < n_rows`.
    ///
    /// # Safety
    ///
    /// `src` is readable at `k * step + lane` for every lane and `k < depth`; `dst` is writable at
    /// `lane * stride + k` for `lane < n_rows`, `k < depth`.
    unsafe fn unpack_rows(
        self,
        src: Src,
        step: usize,
        n_rows: usize,
        depth: usize,
        dst: Dst,
        stride: usize,
    );

    /// The same value in every lane.
    fn splat(self, value: f32) -> Self::F32;
    /// `a + b`
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a < b ? b : a`
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once.
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// The square root, correctly rounded.
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// `a < b`, false where either is NaN.
    fn less(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a <= b`, false where either is NaN.
    fn less_equal(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// Where `a` is NaN.
    fn is_nan(self, a: Self::F32) -> Self::Mask;
    /// `mask ? a : b`
    fn select(self, mask: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32;
    /// Lane `l` takes lane `l + distance` for every `l < distance`, a power of two below `LANES`.
    fn rotate(self, a: Self::F32, distance: usize) -> Self::F32;
    /// Lane zero.
    fn head(self, a: Self::F32) -> f32;

    /// The bit patterns.
    fn bits_of(self, a: Self::F32) -> Self::U32;
    /// The values of bit patterns.
    fn of_bits(self, a: Self::U32) -> Self::F32;
    /// The values, rounded to nearest, of signed integers.
    fn of_i32(self, a: Self::U32) -> Self::F32;
    /// The same integer in every lane.
    fn splat_u32(self, value: u32) -> Self::U32;
    /// `0, 1, 2, ...`
    fn iota(self) -> Self::U32;
    /// `a + b`, modulo 2^32.
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// `a - b`, modulo 2^32.
    fn sub_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// Bitwise and.
    fn and(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// Bitwise or.
    fn or(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// Bitwise exclusive or.
    fn xor(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// `a << N`
    fn shl<const N: u32>(self, a: Self::U32) -> Self::U32;
    /// `a >> N`, unsigned.
    fn shr<const N: u32>(self, a: Self::U32) -> Self::U32;
    /// Low and high halves of `a * b`.
    fn mul_wide(self, a: Self::U32, b: Self::U32) -> (Self::U32, Self::U32);
    /// Where `a == b`.
    fn equal_u32(self, a: Self::U32, b: Self::U32) -> Self::Mask;
}
