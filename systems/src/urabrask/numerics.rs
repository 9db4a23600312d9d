//! Second: does it compute what its graph says, forward and backward, and is it born as it should be?

use esper_engine::world::kernel::SafetySheet;
use esper_nn::program::Program;

use super::{
    differences::GRADIENT_TOLERANCE,
    probe::{Probe, batch_of, extreme_inputs, norm, unit_normal},
};

/// Most a variant may differ from `reference`, relative to values above 1. The compiler's fusions are exact; this
/// leaves room for variants that are not.
const REFERENCE_TOLERANCE: f32 = 1e-6;
/// Least gradient of a living module, relative to the output's.
const LIVE_MIN: f64 = 1e-6;

/// What is asked of a module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Examples of a check.
    pub rows: usize,
    /// Whether it must be an identity with a live gradient at birth.
    pub must_grow: bool,
    /// Whether no position may see a later one.
    pub is_causal: bool,
}

/// What is wrong with the numbers of `program`; fills the sheet as it goes.
///
/// `reference` is held to the interpreter by [`gradient_error`](super::differences::gradient_error), once for all
/// variants, which are held to `reference`.
pub(super) fn check(
    program: &Program,
    reference: &Program,
    asked: Asked,
    sheet: &mut SafetySheet,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let is_finite = check_birth(program, asked, sheet, &mut reasons)
        & check_finite(program, asked.rows, &mut reasons);
    if asked.is_causal {
        check_causality(program, asked.rows, &mut reasons);
    }
    if !is_finite {
        return reasons; // Comparisons with what is no number say nothing.
    }
    let error = reference_error(program, reference, asked.rows);
    sheet.reference_error = Some(error);
    if REFERENCE_TOLERANCE < error {
        reasons.push(format!("numerics: differs from `reference` by {error:.1e}"));
    }
    if let Some(error) = sheet.gradient_error.filter(|error| GRADIENT_TOLERANCE < *error) {
        reasons.push(format!(
            "numerics: a gradient of `reference` differs from central differences by {error:.1e}"
        ));
    }
    reasons
}

/// Adds what is wrong at birth, and returns whether all is finite there.
fn check_birth(
    program: &Program,
    Asked { rows, must_grow, .. }: Asked,
    sheet: &mut SafetySheet,
    reasons: &mut Vec<String>,
) -> bool {
    let (x, dy) = batch_of(program, rows);
    let mut probe = Probe::at_birth(program, rows);
    let largest = largest(&probe.forward(&x));
    let is_input_finite = probe.backward(&dy).iter().all(|value| value.is_finite());
    let gradient_norm = norm(&probe.gradients());
    if !(largest.is_finite() && is_input_finite && gradient_norm.is_finite()) {
        reasons.push("numerics: outputs or gradients at birth are not finite".to_owned());
        return false;
    }
    sheet.birth_output = Some(largest);
    sheet.birth_gradient_norm = Some(gradient_norm as f32);
    if must_grow && largest != 0.0 {
        reasons.push(format!(
            "numerics: it is no identity at birth; its output reaches {largest:.1e}"
        ));
    }
    if must_grow && gradient_norm < LIVE_MIN * norm(&dy) {
        reasons.push(
            "numerics: no parameter has a gradient at birth, so it can never learn".to_owned(),
        );
    }
    true
}

/// Adds on which inputs it is not finite after some training, and returns whether there are none.
fn check_finite(program: &Program, rows: usize, reasons: &mut Vec<String>) -> bool {
    let width = program.input_shape.iter().product();
    let (random, dy) = batch_of(program, rows);
    let mut probe = Probe::moved(program, rows);
    let is_finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
    let mut are_all_finite = true;
    for (x, what) in [(random, "random"), (extreme_inputs(rows, width), "extreme")] {
        let is_sound = is_finite(&probe.forward(&x)) && is_finite(&probe.backward(&dy));
        if !is_sound || !is_finite(&probe.gradients()) {
            are_all_finite = false;
            reasons.push(format!("numerics: outputs or gradients on {what} inputs are not finite"));
        }
    }
    are_all_finite
}

/// Largest difference over outputs and all gradients, relative to values above 1.
fn reference_error(program: &Program, reference: &Program, rows: usize) -> f32 {
    let (x, dy) = batch_of(program, rows);
    let run = |program| {
        let mut probe = Probe::moved(program, rows);
        let mut values = probe.forward(&x);
        values.extend(probe.backward(&dy));
        values.extend(probe.gradients());
        values
    };
    let each = run(program).into_iter().zip(run(reference));
    each.map(|(found, expected)| (found - expected).abs() / expected.abs().max(1.0))
        .fold(0.0, f32::max)
}

/// Whether outputs keep their bits when only positions after them change: an example at a time, cut in another place.
fn check_causality(program: &Program, rows: usize, reasons: &mut Vec<String>) {
    let ([len, width], [_, outputs]) = (&program.input_shape[..], &program.output_shape[..]) else {
        return;
    };
    let [len, width, outputs] = [*len, *width, *outputs];
    let cut = |row: usize| 1 + row * len.saturating_sub(1) / rows;
    let x = unit_normal(0, rows, len * width);
    let mut changed = x.clone();
    for (row, x) in changed.chunks_exact_mut(len * width).enumerate() {
        x[cut(row) * width..].iter_mut().for_each(|x| *x = 1.0 - *x);
    }
    let mut probe = Probe::moved(program, rows);
    let before = probe.forward(&x);
    let after = probe.forward(&changed);
    let after = after.chunks_exact(len * outputs);
    let keeps = |(row, (before, after)): (usize, (&[f32], &[f32]))| {
        let earlier = cut(row) * outputs;
        let pairs = before[..earlier].iter().zip(&after[..earlier]);
        pairs.into_iter().all(|(before, after)| before.to_bits() == after.to_bits())
    };
    if !before.chunks_exact(len * outputs).zip(after).enumerate().all(keeps) {
        reasons.push("numerics: an output changes with positions that come after it".to_owned());
    }
}

fn largest(values: &[f32]) -> f32 {
    // Not `f32::max`, which drops NaN.
    values.iter().fold(
        0.0,
        |most, value| if most < value.abs() || value.is_nan() { value.abs() } else { most },
    )
}
