//! The settings that every norm has.

use crate::settings::Keys;

/// `eps` of a norm where none is named: PyTorch's default.
pub const NORM_EPS: f32 = 1e-5;

/// Visits `eps` and `weight`.
pub(super) fn settings(eps: &mut f32, weight: &mut f32, keys: &mut impl Keys) {
    keys.optional("eps", eps, NORM_EPS);
    keys.optional("weight", weight, 1.0);
}

/// Whether `eps` is in range.
///
/// # Errors
///
/// Says the range.
pub(super) fn check_eps(eps: f32) -> Result<(), &'static str> {
    if 0.0 < eps && eps.is_finite() { Ok(()) } else { Err("eps is finite and above 0") }
}
