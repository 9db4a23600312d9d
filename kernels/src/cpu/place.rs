//! Places in memory that vectors are read from and written to.
//!
//! A place is a pointer. With the feature `checked` it carries the bounds of the slice it was made of, and every
//! read and write through it asserts that it stays within them: `cargo test -p esper-kernels --features checked`
//! is the test of what `unsafe` blocks promise. Without, nothing is left of this.

/// Where values are read.
#[derive(Clone, Copy)]
pub(crate) struct Src<T = f32> {
    at: *const T,
    bounds: Bounds,
}

/// Where values are read and written.
#[derive(Clone, Copy)]
pub(crate) struct Dst {
    at: *mut f32,
    bounds: Bounds,
}

impl<T> Src<T> {
    /// The first value of a slice.
    #[inline(always)]
    pub(crate) fn of(slice: &[T]) -> Self {
        Self { at: slice.as_ptr(), bounds: Bounds::of(slice) }
    }

    /// No place: nothing may be read there.
    #[inline(always)]
    pub(crate) fn none() -> Self {
        Self { at: core::ptr::null(), bounds: Bounds::none() }
    }

    /// The place `count` values further, which may be outside of the slice while nothing is read there.
    #[inline(always)]
    pub(crate) fn wrapping_add(self, count: usize) -> Self {
        Self { at: self.at.wrapping_add(count), ..self }
    }

    /// The place `count` values before, which may be outside of the slice while nothing is read there.
    #[inline(always)]
    pub(crate) fn wrapping_sub(self, count: usize) -> Self {
        Self { at: self.at.wrapping_sub(count), ..self }
    }

    /// The place `count` values further.
    ///
    /// # Safety
    ///
    /// It is within the slice, or at its end.
    #[inline(always)]
    pub(crate) unsafe fn add(self, count: usize) -> Self {
        self.bounds.assert_reaches(self.at.wrapping_add(count));
        // SAFETY: the caller's promise.
        Self { at: unsafe { self.at.add(count) }, ..self }
    }

    /// The value here.
    ///
    /// # Safety
    ///
    /// The place is in the slice.
    #[inline(always)]
    pub(crate) unsafe fn read(self) -> T
    where
        T: Copy,
    {
        // SAFETY: the caller's promise.
        unsafe { self.readable(1).read() }
    }

    /// The pointer to `n_values` values that are read.
    #[inline(always)]
    pub(crate) fn readable(self, n_values: usize) -> *const T {
        self.bounds.assert_holds(self.at, n_values);
        self.at
    }

    /// A place whose origin the compiler no longer sees; costs no instruction.
    #[inline(always)]
    pub(crate) fn opaque(self) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let mut at = self.at;
            // SAFETY: there is no instruction; the pointer passes through a register unchanged.
            #[allow(clippy::pointers_in_nomem_asm_block, reason = "nothing is read through it")]
            unsafe {
                core::arch::asm!(
                    "/* {0} */",
                    inout(reg) at,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            Self { at, ..self }
        }
        #[cfg(not(target_arch = "x86_64"))]
        self
    }
}

impl Src<u32> {
    /// The same bits as numbers.
    #[inline(always)]
    pub(crate) fn as_f32(self) -> Src {
        Src { at: self.at.cast(), bounds: self.bounds }
    }
}

impl Dst {
    /// The first value of a slice.
    #[inline(always)]
    pub(crate) fn of(slice: &mut [f32]) -> Self {
        Self { bounds: Bounds::of(slice), at: slice.as_mut_ptr() }
    }

    /// No place: nothing may be read or written there.
    #[inline(always)]
    pub(crate) fn none() -> Self {
        Self { at: core::ptr::null_mut(), bounds: Bounds::none() }
    }

    /// The same place, for reading.
    #[inline(always)]
    pub(crate) fn src(self) -> Src {
        Src { at: self.at.cast_const(), bounds: self.bounds }
    }

    /// The place `count` values further, which may be outside of the slice while nothing is read there.
    #[inline(always)]
    pub(crate) fn wrapping_add(self, count: usize) -> Self {
        Self { at: self.at.wrapping_add(count), ..self }
    }

    /// The place `count` values further.
    ///
    /// # Safety
    ///
    /// It is within the slice, or at its end.
    #[inline(always)]
    pub(crate) unsafe fn add(self, count: usize) -> Self {
        self.bounds.assert_reaches(self.at.wrapping_add(count).cast_const());
        // SAFETY: the caller's promise.
        Self { at: unsafe { self.at.add(count) }, ..self }
    }

    /// Writes the value here.
    ///
    /// # Safety
    ///
    /// The place is in the slice.
    #[inline(always)]
    pub(crate) unsafe fn write(self, value: f32) {
        // SAFETY: the caller's promise.
        unsafe { self.writable(1).write(value) }
    }

    /// The pointer to `n_values` values that are written.
    #[inline(always)]
    pub(crate) fn writable(self, n_values: usize) -> *mut f32 {
        self.bounds.assert_holds(self.at.cast_const(), n_values);
        self.at
    }
}

/// The bounds of a slice, where they are checked.
#[derive(Clone, Copy)]
struct Bounds {
    /// Addresses of its first byte and of its end.
    #[cfg(feature = "checked")]
    addresses: (usize, usize),
}

impl Bounds {
    #[inline(always)]
    fn none() -> Self {
        Self {
            #[cfg(feature = "checked")]
            addresses: (0, 0),
        }
    }

    #[inline(always)]
    fn of<T>(slice: &[T]) -> Self {
        let _ = slice;
        Self {
            #[cfg(feature = "checked")]
            addresses: (slice.as_ptr_range().start.addr(), slice.as_ptr_range().end.addr()),
        }
    }

    /// Asserts that a step to `at` stays in the slice or goes to its end.
    #[inline(always)]
    #[track_caller]
    fn assert_reaches<T>(self, at: *const T) {
        #[cfg(feature = "checked")]
        self.assert_is_within(at, 0);
        let _ = at;
    }

    /// Asserts that `n_values` from `at` on are in the slice; none are, wherever that is.
    #[inline(always)]
    #[track_caller]
    fn assert_holds<T>(self, at: *const T, n_values: usize) {
        #[cfg(feature = "checked")]
        if 0 < n_values {
            self.assert_is_within(at, n_values);
        }
        let _ = (at, n_values);
    }

    #[cfg(feature = "checked")]
    #[track_caller]
    fn assert_is_within<T>(self, at: *const T, n_values: usize) {
        let (begin, end) = self.addresses;
        let at = at.addr();
        let is_within = begin <= at && at <= end && n_values <= (end - at) / size_of::<T>();
        assert!(
            is_within,
            "{n_values} values at {:+} of a slice of {}",
            (at.cast_signed() - begin.cast_signed()) / size_of::<T>().cast_signed(),
            (end - begin) / size_of::<T>()
        );
    }
}

#[cfg(all(test, feature = "checked"))]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_slice_are_read_and_written() {
        let mut values = [1.0, 2.0, 3.0];
        let dst = Dst::of(&mut values);
        // SAFETY: all within three values.
        let found = unsafe {
            dst.add(1).write(5.0);
            [dst.src().add(1).read(), dst.src().wrapping_add(7).wrapping_sub(5).read()]
        };
        assert_eq!(found, [5.0, 3.0]);
    }

    #[test]
    #[should_panic(expected = "2 values at +2 of a slice of 3")]
    fn reads_beyond_a_slice_are_found() {
        // The fourth value exists, but is none of the slice's.
        let values = [0.0; 4];
        Src::of(&values[..3]).wrapping_add(2).readable(2);
    }

    #[test]
    #[should_panic(expected = "1 values at -1 of a slice of 3")]
    fn writes_before_a_slice_are_found() {
        let mut values = [0.0; 4];
        Dst::of(&mut values[1..]).wrapping_add(usize::MAX).writable(1);
    }

    #[test]
    #[should_panic(expected = "0 values at +4 of a slice of 3")]
    fn steps_beyond_a_slice_are_found() {
        // SAFETY: not given, within the memory of one array.
        let _ = unsafe { Src::of(&[0.0; 4][..3]).add(4) };
    }
}
