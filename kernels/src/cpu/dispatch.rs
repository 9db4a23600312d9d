//! Which vector unit runs a kernel.

use core::sync::atomic::{AtomicU8, Ordering};
use pulp::Arch;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A vector unit, from the narrowest to the widest.
///
/// They all give the same bits; see the [crate] documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SimdLevel {
    /// One lane, on any machine.
    Portable,
    /// Eight lanes, with fused multiply-add: x86-64-v3.
    Avx2,
    /// Sixteen lanes: x86-64-v4.
    Avx512,
}

/// The unit that kernels run on now.
pub fn simd_level() -> SimdLevel {
    level_of(arch())
}

/// Runs `f` with every kernel of the process held to `level`.
///
/// For tests and for measuring: as all units give the same bits, this changes speed only. Calls from
/// several threads take turns.
///
/// # Panics
///
/// Panics if the machine lacks that unit.
pub fn with_simd_level<R>(level: SimdLevel, f: impl FnOnce() -> R) -> R {
    static TURN: Mutex<()> = Mutex::new(());
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.store(BEST, Ordering::Relaxed);
        }
    }
    assert!(level <= level_of(best()), "this machine lacks {level:?}");
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let _restore = Restore;
    FORCED.store(level as u8, Ordering::Relaxed);
    f()
}

/// Every unit of this machine, narrowest first.
pub fn simd_levels() -> impl Iterator<Item = SimdLevel> {
    let widest = level_of(best());
    let all = [SimdLevel::Portable, SimdLevel::Avx2, SimdLevel::Avx512];
    all.into_iter().filter(move |level| *level <= widest)
}

/// No unit is forced.
const BEST: u8 = u8::MAX;
static FORCED: AtomicU8 = AtomicU8::new(BEST);

#[inline]
fn best() -> Arch {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    *ARCH.get_or_init(Arch::new)
}

/// The unit that kernels run on now, with the proof that the machine has it.
#[inline]
pub(crate) fn arch() -> Arch {
    let forced = FORCED.load(Ordering::Relaxed);
    if forced == BEST { best() } else { narrowed(best(), forced) }
}

#[cold]
fn narrowed(arch: Arch, level: u8) -> Arch {
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(unit) if level == SimdLevel::Avx2 as u8 => Arch::V3(*unit),
        arch if level == level_of(arch) as u8 => arch,
        _ => Arch::Scalar,
    }
}

fn level_of(arch: Arch) -> SimdLevel {
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(_) => SimdLevel::Avx512,
        #[cfg(target_arch = "x86_64")]
        Arch::V3(_) => SimdLevel::Avx2,
        _ => SimdLevel::Portable,
    }
}

/// What a closure consumes so that it can be called only once.
///
/// A closure that could be called again is called through a shim of the compiler, which is not always
/// inlined; and what is not inlined is not compiled for the vector unit.
pub(crate) struct Once;

/// Compiles an expression for each vector unit, binding its [`Lanes`](super::lanes::Lanes) value, and
/// evaluates the one for the unit to run on.
macro_rules! dispatch {
    ($lanes:ident => $body:expr) => {{
        let once = $crate::cpu::dispatch::Once;
        match $crate::cpu::dispatch::arch() {
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V4($lanes) => $lanes.vectorize(
                #[inline(always)]
                || {
                    let _consumed = once;
                    $body
                },
            ),
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V3($lanes) => $lanes.vectorize(
                #[inline(always)]
                || {
                    let _consumed = once;
                    $body
                },
            ),
            _ => {
                let _consumed = once;
                let $lanes = $crate::cpu::lanes::Portable;
                $body
            }
        }
    }};
}
pub(crate) use dispatch;
