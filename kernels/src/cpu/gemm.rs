//! The matrix product: one chain of fused multiply-adds per output element.
//!
//! `C[m, n]` is cut into tiles that stay in registers while `k` runs from first to last, and vectors
//! lie along `n`, so that the chain of an element never depends on the tile it fell into, nor on the
//! vector unit.

use super::lanes::Lanes;

/// `A[m, k]` by its strides: element `(i, l)` is at `i * row + l * column`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// `B[k, n]`.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// Row-major, `f32[k, n]`.
    Plain(&'a [f32]),
    /// By its transpose, `f32[n, k]`.
    Transposed(&'a [f32]),
}

/// What becomes of `C`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// The chains start from zero and replace what was there.
    Replace,
    /// The chains start from zero and, finished, are added to what was there.
    Add,
    /// The chains go on from what was there.
    Continue,
}

/// Rows, columns and depth of a product.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
}

/// Columns of the widest tile of any vector unit.
const PANEL_COLUMNS: usize = 32;

/// Scratch that [`product`] needs for a depth of `k`: one panel of `B`, and slack to align it.
pub(crate) fn scratch_len(k: usize) -> usize {
    PANEL_COLUMNS * k + PANEL_COLUMNS
}

/// `C = A B`, with `C` row-major, `f32[m, n]`.
#[inline(always)]
pub(crate) fn product<L: Lanes>(
    lanes: L,
    Extent { m, n, k }: Extent,
    a: Left<'_>,
    b: Right<'_>,
    c: &mut [f32],
    output: Output,
    scratch: &mut [f32],
) {
    let elements = |x: usize, y: usize| x.checked_mul(y).expect("a matrix fits in memory");
    assert_eq!(c.len(), elements(m, n), "C is f32[m, n]");
    let (Right::Plain(b_values) | Right::Transposed(b_values)) = b;
    assert_eq!(b_values.len(), elements(k, n), "B is f32[k, n]");
    if m == 0 || n == 0 {
        return;
    }
    if 0 < k {
        let last = elements(m - 1, a.row) + elements(k - 1, a.column);
        assert!(last < a.values.len(), "A is f32[m, k]");
    }
    assert!(scratch_len(k) <= scratch.len(), "scratch is too short");
    let width = L::LANES * L::TILE_ROWS.len();
    let panel = aligned(scratch, width * k);
    for column in (0..n).step_by(width) {
        let n_columns = width.min(n - column);
        // SAFETY: the panel holds `width * k` values; the columns are within B.
        let (b, b_row) = unsafe {
            match b {
                Right::Plain(b) if worth_packing(m, n, k) => {
                    pack_plain(lanes, b.as_ptr().add(column), n, n_columns, k, panel, width);
                    (panel.cast_const(), width)
                }
                Right::Plain(b) => (b.as_ptr().add(column), n),
                Right::Transposed(b) => {
                    let first = b.as_ptr().add(column * k);
                    pack_transposed(lanes, first, n_columns, k, panel, width);
                    (panel.cast_const(), width)
                }
            }
        };
        let tile = Tile {
            k,
            a: a.values.as_ptr(),
            a_row: a.row,
            a_column: a.column,
            b,
            b_row,
            // SAFETY: the column is within C.
            c: unsafe { c.as_mut_ptr().add(column) },
            c_row: n,
            n_columns,
            output,
        };
        // SAFETY: A, B and C cover `m` rows of this panel, as asserted above.
        unsafe { panel_product(lanes, m, tile) };
    }
}

/// Whether a panel of a plain `B` is read so often, or at such a stride, that a copy of it is cheaper.
fn worth_packing(m: usize, n: usize, k: usize) -> bool {
    64 <= m && 64 <= k && 128 <= n
}

/// The first `len_elems` values of `scratch` from a cache line on.
fn aligned(scratch: &mut [f32], len_elems: usize) -> *mut f32 {
    let skip = scratch.as_ptr().align_offset(64);
    let skip = if skip + len_elems <= scratch.len() { skip } else { 0 };
    scratch[skip..][..len_elems].as_mut_ptr()
}

/// Copies `n_columns` columns of a row-major matrix.
///
/// # Safety
///
/// `src` is readable for `n_columns` values in each of `k` rows, `stride` apart; `dst` is writable for
/// `width * k` values, and `n_columns <= width`.
#[inline(always)]
unsafe fn pack_plain<L: Lanes>(
    lanes: L,
    src: *const f32,
    stride: usize,
    n_columns: usize,
    k: usize,
    dst: *mut f32,
    width: usize,
) {
    for part in (0..n_columns).step_by(L::LANES) {
        let mask = lanes.first(n_columns - part);
        for l in 0..k {
            // SAFETY: `mask` ends where the columns do; a part of the panel is `LANES` wide.
            unsafe {
                let value = lanes.load_masked(mask, src.add(l * stride + part));
                lanes.store(dst.add(l * width + part), value);
            }
        }
    }
}

/// Copies `n_rows` rows of a row-major matrix as columns.
///
/// # Safety
///
/// `src` is readable for `n_rows * k` values; `dst` is writable for `width * k` values, and
/// `n_rows <= width`.
#[inline(always)]
unsafe fn pack_transposed<L: Lanes>(
    lanes: L,
    src: *const f32,
    n_rows: usize,
    k: usize,
    dst: *mut f32,
    width: usize,
) {
    for part in (0..n_rows).step_by(L::LANES) {
        // SAFETY: row `part` is within the matrix, and a part of the panel is `LANES` wide.
        unsafe {
            lanes.pack_rows(src.add(part * k), k, n_rows - part, k, dst.add(part), width);
        }
    }
}

/// A tile of `C`, and all of its rows of `A` and columns of `B`.
#[derive(Clone, Copy)]
struct Tile {
    k: usize,
    a: *const f32,
    a_row: usize,
    a_column: usize,
    b: *const f32,
    b_row: usize,
    c: *mut f32,
    c_row: usize,
    /// At least one, at most the width of the tile.
    n_columns: usize,
    output: Output,
}

/// All `m` rows of one panel of columns, in tiles of nearly one height.
///
/// # Safety
///
/// As for [`tile_product`], for `m` rows.
#[inline(always)]
unsafe fn panel_product<L: Lanes>(lanes: L, m: usize, mut tile: Tile) {
    let n_vectors = tile.n_columns.div_ceil(L::LANES);
    let n_tiles = m.div_ceil(L::TILE_ROWS[n_vectors - 1]);
    let (height, n_taller) = (m / n_tiles, m % n_tiles);
    for i in 0..n_tiles {
        let n_rows = height + usize::from(i < n_taller);
        // SAFETY: these rows are among the `m`.
        unsafe {
            if n_vectors == 1 {
                choose_height::<L, 1>(lanes, n_rows, tile);
            } else {
                choose_height::<L, 2>(lanes, n_rows, tile);
            }
            tile.a = tile.a.add(n_rows * tile.a_row);
            tile.c = tile.c.add(n_rows * tile.c_row);
        }
    }
}

/// Runs the tile product compiled for a height.
///
/// # Safety
///
/// As for [`tile_product`].
#[inline(always)]
unsafe fn choose_height<L: Lanes, const VECTORS: usize>(lanes: L, n_rows: usize, tile: Tile) {
    macro_rules! heights {
        ($($rows:literal)*) => {
            match n_rows {
                $($rows if $rows <= L::TILE_ROWS[VECTORS - 1] => {
                    lanes.call(#[inline(always)] || {
                        // SAFETY: the caller's promise.
                        unsafe { tile_product::<L, $rows, VECTORS>(lanes, tile) }
                    });
                })*
                _ => unreachable!("tiles are no taller than TILE_ROWS"),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
}

/// `ROWS` rows and `VECTORS` registers of `C`, from first to last `k`.
///
/// # Safety
///
/// `a` is readable at `i * a_row + l * a_column` for `i < ROWS`, `l < k`; `b` is readable at
/// `l * b_row + j`, and `c` readable and writable at `i * c_row + j`, for `j < n_columns`. `VECTORS`
/// registers hold `n_columns`, and one less do not.
#[inline(always)]
unsafe fn tile_product<L: Lanes, const ROWS: usize, const VECTORS: usize>(lanes: L, tile: Tile) {
    let last = VECTORS - 1;
    let mask = lanes.first(tile.n_columns - last * L::LANES);
    let load = |src: *const f32| -> [L::F32; VECTORS] {
        core::array::from_fn(|v| {
            // SAFETY: all registers but the last are full, and `mask` ends where the columns do.
            unsafe {
                let src = src.add(v * L::LANES);
                if v < last { lanes.load(src) } else { lanes.load_masked(mask, src) }
            }
        })
    };
    let mut sums = [[lanes.splat(0.0); VECTORS]; ROWS];
    if tile.output == Output::Continue {
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: row `i` of the tile.
            *sums = load(unsafe { tile.c.add(i * tile.c_row).cast_const() });
        }
    }
    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.k {
        let columns = load(b);
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: element (i, l) of A.
            let factor = lanes.splat(unsafe { a.add(i * tile.a_row).read() });
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = lanes.mul_add(factor, column, *sum);
            }
        }
        a = a.wrapping_add(tile.a_column);
        b = b.wrapping_add(tile.b_row);
    }
    for (i, sums) in sums.into_iter().enumerate() {
        // SAFETY: row `i` of the tile; all registers but the last are full.
        unsafe {
            let row = tile.c.add(i * tile.c_row);
            let sums = if tile.output == Output::Add {
                let before = load(row.cast_const());
                core::array::from_fn(|v| lanes.add(before[v], sums[v]))
            } else {
                sums
            };
            for (v, sum) in sums.into_iter().enumerate() {
                let dst = row.add(v * L::LANES);
                if v < last { lanes.store(dst, sum) } else { lanes.store_masked(mask, dst, sum) }
            }
        }
    }
}
