//! Is the gradient of `reference` that of what its graph says? Central differences of the interpreter tell.

use esper_nn::{
    graph::{NetworkGraph, Op},
    program::{
        PlacedParam, Program,
        reference::{ReferenceParams, forward_training, widen_params},
    },
};

use super::probe::{DIRECTIONS, Probe, batch_of, unit_normal};

/// Most a gradient in `f32` may differ from central differences in `f64`, relative to the largest. Rounding in a
/// chain of 4096 products is about 1e-5 of it (Higham 2002, section 3.1: n u, at its worst 2.4e-4).
pub(super) const GRADIENT_TOLERANCE: f64 = 1e-3;
/// Step widths of the differences. The second is for directions with a kink or a sharp bend within the first.
const STEPS: [f64; 2] = [1e-4, 1e-6];
/// Examples, where they are affordable.
const ROWS_MAX: usize = 2;
/// Directions in which each tensor takes part: along one alone, a wrong gradient may by chance say next to nothing.
const DRAWS: usize = 2;
/// Arithmetic that differences may take, in evaluations of the slow interpreter: some 20 ms.
const FLOPS_MAX: u64 = 20_000_000;

/// Largest difference of a directional derivative from central differences of the interpreter, relative to the largest
/// to be expected; `None` where there is nothing to compare, because dropout draws or because numbers are not finite.
///
/// A direction moves the input and the parameters it is dealt, each value by a draw of its own: every value of every
/// gradient takes part, however few directions are affordable.
pub(super) fn gradient_error(graph: &NetworkGraph, program: &Program) -> Option<f64> {
    if graph.nodes().any(|(_, node)| matches!(node.op, Op::Dropout(_))) {
        return None;
    }
    let n_tensors = program.params.len() + 1;
    let n_affordable = (FLOPS_MAX / program.flops_forward().max(1)) as usize / (2 * DRAWS);
    let rows = (n_affordable / n_tensors).clamp(1, ROWS_MAX);
    let n_deals = (n_affordable / rows).clamp(1, n_tensors);
    let check = Check::new(graph, program, rows);
    let directions: Vec<Direction> = (0..DRAWS * n_deals)
        .map(|nth| check.direction(nth / n_deals, (nth % n_deals..n_tensors).step_by(n_deals)))
        .collect();
    let scale = directions.iter().map(|it| it.spread).fold(1e-3, f64::max);
    let error = |direction: &Direction| {
        let error = |step| (direction.derivative - check.difference(direction, step)).abs();
        let first = error(STEPS[0]);
        if first <= GRADIENT_TOLERANCE * scale { first } else { error(STEPS[1]).min(first) }
    };
    let largest =
        directions.iter().map(error).fold(0.0, |most, it| if it <= most { most } else { it });
    Some(largest / scale).filter(|it| it.is_finite())
}

/// A module, and the sum of its outputs weighted by an output gradient: what is differentiated.
struct Check<'a> {
    graph: &'a NetworkGraph,
    program: &'a Program,
    rows: usize,
    x: Vec<f32>,
    params: ReferenceParams,
    dy: Vec<f32>,
    /// The gradient of the input, then of each parameter by place.
    gradients: Vec<Vec<f32>>,
}

/// A way to move some of the values.
struct Direction {
    /// Places in [`Check::gradients`], and how far each value there moves.
    moves: Vec<(usize, Vec<f32>)>,
    /// The derivative along it, as the gradients say.
    derivative: f64,
    /// Standard deviation of such a derivative over draws: the norm of the gradients it weighs.
    spread: f64,
}

impl<'a> Check<'a> {
    fn new(graph: &'a NetworkGraph, program: &'a Program, rows: usize) -> Self {
        let (x, dy) = batch_of(program, rows);
        let mut probe = Probe::moved(program, rows);
        probe.forward(&x);
        let mut gradients = vec![probe.backward(&dy)];
        let block = probe.gradients();
        let of = |param: &PlacedParam| block[param.range()].to_vec();
        gradients.extend(program.params.iter().map(of));
        let params = widen_params(program, &probe.params);
        Self { graph, program, rows, x, params, dy, gradients }
    }

    fn direction(&self, draw: usize, places: impl Iterator<Item = usize>) -> Direction {
        let mut direction = Direction { moves: Vec::new(), derivative: 0.0, spread: 0.0 };
        for place in places {
            let gradient = &self.gradients[place];
            let purpose = DIRECTIONS + (DRAWS * place + draw) as u64;
            let moves = unit_normal(purpose, 1, gradient.len());
            direction.derivative += dot(gradient, &moves);
            direction.spread += dot(gradient, gradient);
            direction.moves.push((place, moves));
        }
        direction.spread = direction.spread.sqrt();
        direction
    }

    /// The central difference along `direction`.
    fn difference(&self, direction: &Direction, step: f64) -> f64 {
        (self.evaluate(direction, step) - self.evaluate(direction, -step)) / (2.0 * step)
    }

    fn evaluate(&self, direction: &Direction, by: f64) -> f64 {
        let mut x: Vec<f64> = self.x.iter().copied().map(f64::from).collect();
        let mut params = self.params.clone();
        for (place, moves) in &direction.moves {
            let values = match place {
                0 => &mut x,
                place => params
                    .get_mut(&self.program.params[place - 1].spec.name)
                    .expect("widened from this program"),
            };
            values.iter_mut().zip(moves).for_each(|(value, it)| *value += by * f64::from(*it));
        }
        let y = forward_training(self.graph, &params, &x, self.rows).expect("it was compiled");
        y.iter().zip(&self.dy).map(|(y, dy)| y * f64::from(*dy)).sum()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
