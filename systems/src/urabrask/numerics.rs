//! Second: does it compute what its graph says, forward and backward, and is it born as it should be?

use esper_engine::{
    graph::{NetworkGraph, Op},
    program::{
        Program,
        reference::{ReferenceParams, forward, widen_params},
    },
    world::{catalog::SafetySheet, rng::draw_below},
};

use super::probe::{Probe, extreme_inputs, norm, unit_normal};

/// Examples of a check: enough that a row is not special, few enough to take no time.
pub(super) const ROWS: usize = 32;
/// Most a variant may differ from `reference`, relative to values above 1. The compiler's fusions are exact; this
/// leaves room for variants that are not.
const REFERENCE_TOLERANCE: f32 = 1e-6;
/// Most a gradient in `f32` may differ from central differences in `f64`, relative to the largest seen. Rounding in a
/// chain of 4096 products is about 1e-5 of it (Higham 2002, section 3.1: n u, at its worst 2.4e-4).
const GRADIENT_TOLERANCE: f64 = 1e-3;
/// Step widths of the differences. The second is for coordinates with a kink or a sharp bend within the first.
const STEPS: [f64; 2] = [1e-4, 1e-6];
/// Least gradient of a living module, relative to the output's.
const LIVE_MIN: f64 = 1e-6;
/// Arithmetic that differences may take, in evaluations of the slow interpreter.
const DIFFERENCES_FLOPS_MAX: u64 = 1_000_000;

/// What is wrong with the numbers of `program`; fills the sheet as it goes.
///
/// `reference` is held to the interpreter by [`gradient_error`], once for all variants, which are held to `reference`.
pub(super) fn check(
    program: &Program,
    reference: &Program,
    must_grow: bool,
    sheet: &mut SafetySheet,
) -> Vec<String> {
    let mut reasons = Vec::new();
    check_birth(program, must_grow, sheet, &mut reasons);
    check_finite(program, &mut reasons);
    if reasons.iter().any(|reason| reason.contains("finite")) {
        return reasons; // Comparisons with what is no number say nothing.
    }
    let error = reference_error(program, reference);
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

fn check_birth(
    program: &Program,
    must_grow: bool,
    sheet: &mut SafetySheet,
    reasons: &mut Vec<String>,
) {
    let width = program.input_shape.iter().product();
    let (x, dy) = (unit_normal(0, ROWS, width), unit_normal(1, ROWS, width));
    let mut probe = Probe::at_birth(program, ROWS);
    let largest = largest(probe.forward(&x));
    let is_input_finite = probe.backward(&dy).iter().all(|value| value.is_finite());
    let gradient_norm = norm(&probe.gradients);
    if !(largest.is_finite() && is_input_finite && gradient_norm.is_finite()) {
        reasons.push("numerics: outputs or gradients at birth are not finite".to_owned());
        return;
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
}

fn check_finite(program: &Program, reasons: &mut Vec<String>) {
    let width = program.input_shape.iter().product();
    let dy = unit_normal(1, ROWS, width);
    let mut probe = Probe::moved(program, ROWS);
    let is_finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
    for (x, what) in
        [(unit_normal(0, ROWS, width), "random"), (extreme_inputs(ROWS, width), "extreme")]
    {
        let is_sound = is_finite(probe.forward(&x)) && is_finite(probe.backward(&dy));
        if !is_sound || !is_finite(&probe.gradients) {
            reasons.push(format!("numerics: outputs or gradients on {what} inputs are not finite"));
        }
    }
}

/// Largest difference over outputs and all gradients, relative to values above 1.
fn reference_error(program: &Program, reference: &Program) -> f32 {
    let width = program.input_shape.iter().product();
    let (x, dy) = (unit_normal(0, ROWS, width), unit_normal(1, ROWS, width));
    let run = |program| {
        let mut probe = Probe::moved(program, ROWS);
        let mut values = probe.forward(&x).to_vec();
        values.extend_from_slice(probe.backward(&dy));
        values.extend_from_slice(&probe.gradients);
        values
    };
    let each = run(program).into_iter().zip(run(reference));
    each.map(|(found, expected)| (found - expected).abs() / expected.abs().max(1.0))
        .fold(0.0, f32::max)
}

/// A value whose gradient is checked.
enum Coordinate {
    Param { place: usize, at: usize },
    Input { at: usize },
}

/// Largest difference of a gradient from central differences of the interpreter, relative to the largest gradient
/// seen; `None` where there is nothing to compare, because dropout draws or because numbers are not finite.
pub(super) fn gradient_error(graph: &NetworkGraph, program: &Program) -> Option<f64> {
    if graph.nodes().any(|(_, node)| matches!(node.op, Op::Dropout { .. })) {
        return None;
    }
    let width: usize = program.input_shape.iter().product();
    let affordable = (DIFFERENCES_FLOPS_MAX / program.flops_forward().max(1)) as usize;
    let rows = (affordable / 16).clamp(1, 2);
    let n_coordinates = (affordable / rows / 4).clamp(2, 12);
    let (x, dy) = (unit_normal(0, rows, width), unit_normal(1, rows, width));
    let mut probe = Probe::moved(program, rows);
    probe.forward(&x);
    let dx = probe.backward(&dy).to_vec();
    let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<f64>>();
    let mut params = widen_params(program, &probe.params);
    let (mut x, dy) = (wide(&x), wide(&dy));

    let mut pairs = Vec::new();
    for coordinate in coordinates(program, rows * width, n_coordinates) {
        let found = match coordinate {
            Coordinate::Param { place, at } => probe.gradients[program.params[place].offset + at],
            Coordinate::Input { at } => dx[at],
        };
        let estimates = STEPS.map(|step| {
            let mut shifted = |by: f64| {
                shift(program, &mut params, &mut x, &coordinate, by);
                let y = forward(graph, &params, &x, rows).expect("it was compiled");
                shift(program, &mut params, &mut x, &coordinate, -by);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
            };
            (shifted(step) - shifted(-step)) / (2.0 * step)
        });
        pairs.push((f64::from(found), estimates));
    }
    let scale = pairs.iter().map(|(found, _)| found.abs()).fold(1e-3, f64::max);
    let error = |(found, estimates): &(f64, [f64; 2])| {
        estimates.iter().map(|it| (found - it).abs()).fold(f64::INFINITY, f64::min)
    };
    let largest = pairs.iter().map(error).fold(0.0, |most, it| if it <= most { most } else { it });
    Some(largest / scale).filter(|it| it.is_finite())
}

/// One value of the input and of each parameter in turn, until there are `n`.
fn coordinates(program: &Program, inputs_len: usize, n: usize) -> Vec<Coordinate> {
    let n_places = program.params.len() + 1;
    let draw = |turn: usize, below: usize| draw_below(0, turn as u64, below as u64) as usize;
    (0..n)
        .map(|turn| match turn % n_places {
            0 => Coordinate::Input { at: draw(turn, inputs_len) },
            place => {
                let len = program.params[place - 1].spec.len_elems();
                Coordinate::Param { place: place - 1, at: draw(turn, len) }
            }
        })
        .collect()
}

fn shift(program: &Program, params: &mut ReferenceParams, x: &mut [f64], at: &Coordinate, by: f64) {
    match *at {
        Coordinate::Param { place, at } => {
            let name = &program.params[place].spec.name;
            params.get_mut(name).expect("widened from this program")[at] += by;
        }
        Coordinate::Input { at } => x[at] += by,
    }
}

fn largest(values: &[f32]) -> f32 {
    // Not `f32::max`, which drops NaN.
    values.iter().fold(
        0.0,
        |most, value| if most < value.abs() || value.is_nan() { value.abs() } else { most },
    )
}
