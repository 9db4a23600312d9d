//! Activations and their gradients.

use super::dispatch::{Once, dispatch};
use super::lanes::{Lanes, REDUCTION_LANES, Vector};
use super::linear::bias_grad;
use super::math::{normal, sigmoid, tanh};
use super::slice_loops::{Columns, fold_columns, map};

/// An elementwise nonlinearity, as PyTorch defines it.
#[derive(
    serde::Serialize, serde::Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `x P(x)`, with `P` the standard normal distribution function: the exact form.
    Gelu,
    /// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`
    GeluTanh,
    /// `x sigmoid(x)`
    Silu,
    /// `tanh x`
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
}

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 6] =
        [Self::Relu, Self::Gelu, Self::GeluTanh, Self::Silu, Self::Tanh, Self::Sigmoid];

    /// Whether the gradient reads the input; for the others it reads the output.
    pub const fn saves_input(self) -> bool {
        matches!(self, Self::Gelu | Self::GeluTanh | Self::Silu)
    }

    /// Floating-point operations of the forward pass, per element, counted in its kernel: a fused
    /// multiply-add counts two; comparisons count one, bit operations nothing.
    pub const fn flops_per_elem(self) -> u64 {
        match self {
            Self::Relu => 1,
            Self::Gelu => 39,
            Self::GeluTanh => 29,
            Self::Silu => 25,
            Self::Tanh => 28,
            Self::Sigmoid => 24,
        }
    }

    /// Floating-point operations of the gradient, per element, counted likewise.
    pub const fn grad_flops_per_elem(self) -> u64 {
        match self {
            Self::Relu => 1,
            Self::Gelu => 42,
            Self::GeluTanh => 37,
            Self::Silu => 29,
            Self::Tanh | Self::Sigmoid => 3,
        }
    }
}

/// `y = activation(x)`
pub fn activation_forward(activation: Activation, x: &[f32], y: &mut [f32]) {
    dispatch!(lanes => apply_to(lanes, activation, x, y));
}

/// `dy = dy * activation'`, in place.
///
/// `saved` is the activation's input where [`Activation::saves_input`], its output elsewhere.
pub fn activation_grad(activation: Activation, saved: &[f32], dy: &mut [f32]) {
    dispatch!(lanes => each_activation!(activation => A, {
        map(lanes, [saved], [dy], #[inline(always)] |[saved], [dy]| [A::gradient(saved, dy)]);
    }));
}

/// [`activation_grad`] and [`bias_grad`](super::bias_grad) in one pass, with the same bits.
///
/// `saved`, `dy`: `f32[rows, width]`; `db`: `f32[width]`, overwritten.
pub fn activation_bias_grad(
    activation: Activation,
    rows: usize,
    width: usize,
    saved: &[f32],
    dy: &mut [f32],
    db: &mut [f32],
) {
    assert_eq!(db.len(), width, "db is f32[width]");
    assert_eq!([saved.len(), dy.len()], [rows * width; 2], "operands are f32[rows, width]");
    if !width.is_multiple_of(REDUCTION_LANES) {
        // Rows that end within a register: a masked write that the next row's masked read overlaps must
        // first reach the cache, so that the two passes take less time apart.
        activation_grad(activation, saved, dy);
        bias_grad(rows, width, dy, db, false);
        return;
    }
    dispatch!(lanes => each_activation!(activation => A, {
        if WIDE <= width {
            db.fill(0.0);
            let rows = saved.chunks_exact(width).zip(dy.chunks_exact_mut(width));
            for (saved, dy) in rows {
                map(lanes, [saved], [dy, &mut *db], #[inline(always)] |[saved], [dy, sum]| {
                    let dz = A::gradient(saved, dy);
                    [dz, sum + dz]
                });
            }
        } else {
            let columns = Columns { rows, width, reads: [saved], scalars: [], writes: [dy] };
            fold_columns(lanes, columns, [db], false, #[inline(always)] |[sum], [saved], [], [dy]| {
                let dz = A::gradient(saved, dy);
                ([sum + dz], [dz])
            });
        }
    }));
}

/// Columns from which on a walk along the rows, with the sums in memory, is faster than one down the
/// columns: rows further apart are on more pages than are known at once.
const WIDE: usize = 128;

/// Applies an activation in place.
#[inline(always)]
pub(crate) fn apply<L: Lanes>(lanes: L, activation: Activation, y: &mut [f32]) {
    each_activation!(activation => A, {
        map(lanes, [], [y], #[inline(always)] |[], [x]| [A::value(x)]);
    });
}

/// `y = activation(x)`
#[inline(always)]
pub(crate) fn apply_to<L: Lanes>(lanes: L, activation: Activation, x: &[f32], y: &mut [f32]) {
    // One copy of this code for each unit: it is called in several places.
    let once = Once;
    lanes.call(
        #[inline(always)]
        || {
            let _consumed = once;
            each_activation!(activation => A, {
                map(lanes, [x], [y], #[inline(always)] |[x], _| [A::value(x)]);
            });
        },
    );
}

/// `max(x, 0)`; NaN passes.
#[inline(always)]
pub(crate) fn rectify<L: Lanes>(x: Vector<L>) -> Vector<L> {
    let zero = x.constant(0.0);
    zero.select(x.less(zero), x)
}

/// Evaluates an expression with `$name` bound to the type of an activation.
macro_rules! each_activation {
    ($activation:expr => $name:ident, $body:block) => {
        each_activation!(@ $activation, $name, $body, Relu Gelu GeluTanh Silu Tanh Sigmoid)
    };
    (@ $activation:expr, $name:ident, $body:block, $($kind:ident)*) => {
        match $activation {
            $(Activation::$kind => { type $name = $kind; $body })*
        }
    };
}
use each_activation;

/// One activation, one register at a time.
trait Curve {
    /// The activation of `x`.
    fn value<L: Lanes>(x: Vector<L>) -> Vector<L>;
    /// `dy` times the derivative at what was saved.
    fn gradient<L: Lanes>(saved: Vector<L>, dy: Vector<L>) -> Vector<L>;
}

struct Relu;
struct Gelu;
struct GeluTanh;
struct Silu;
struct Tanh;
struct Sigmoid;

impl Curve for Relu {
    #[inline(always)]
    fn value<L: Lanes>(x: Vector<L>) -> Vector<L> {
        rectify(x)
    }
    #[inline(always)]
    fn gradient<L: Lanes>(y: Vector<L>, dy: Vector<L>) -> Vector<L> {
        let zero = y.constant(0.0);
        dy.select(zero.less(y), zero)
    }
}

impl Curve for Gelu {
    #[inline(always)]
    fn value<L: Lanes>(x: Vector<L>) -> Vector<L> {
        x * normal(x).0
    }
    // P(x) + x p(x), p(x) = e^(-x^2 / 2) / sqrt(2 pi)
    #[inline(always)]
    fn gradient<L: Lanes>(x: Vector<L>, dy: Vector<L>) -> Vector<L> {
        let (cdf, power) = normal(x);
        dy * x.mul_add(power * x.constant(FRAC_1_SQRT_2PI), cdf)
    }
}

// (1 + tanh u) / 2 = sigmoid(2 u)
impl Curve for GeluTanh {
    #[inline(always)]
    fn value<L: Lanes>(x: Vector<L>) -> Vector<L> {
        x * gelu_tanh_gate(x)
    }
    // s + x 2 u' s (1 - s)
    #[inline(always)]
    fn gradient<L: Lanes>(x: Vector<L>, dy: Vector<L>) -> Vector<L> {
        let s = gelu_tanh_gate(x);
        let slope = (x * x).mul_add(
            x.constant(3.0 * GELU_CUBIC * TWICE_SQRT_2_OVER_PI),
            x.constant(TWICE_SQRT_2_OVER_PI),
        );
        dy * (x * slope).mul_add((-s).mul_add(s, s), s)
    }
}

impl Curve for Silu {
    #[inline(always)]
    fn value<L: Lanes>(x: Vector<L>) -> Vector<L> {
        x * sigmoid(x)
    }
    // s (1 + x (1 - s))
    #[inline(always)]
    fn gradient<L: Lanes>(x: Vector<L>, dy: Vector<L>) -> Vector<L> {
        let (s, one) = (sigmoid(x), x.constant(1.0));
        dy * (s * x.mul_add(one - s, one))
    }
}

impl Curve for Tanh {
    #[inline(always)]
    fn value<L: Lanes>(x: Vector<L>) -> Vector<L> {
        tanh(x)
    }
    #[inline(always)]
    fn gradient<L: Lanes>(y: Vector<L>, dy: Vector<L>) -> Vector<L> {
        dy * (-y).mul_add(y, y.constant(1.0))
    }
}

impl Curve for Sigmoid {
    #[inline(always)]
    fn value<L: Lanes>(x: Vector<L>) -> Vector<L> {
        sigmoid(x)
    }
    #[inline(always)]
    fn gradient<L: Lanes>(y: Vector<L>, dy: Vector<L>) -> Vector<L> {
        dy * (-y).mul_add(y, y)
    }
}

/// `1 / sqrt(2 pi)`
const FRAC_1_SQRT_2PI: f32 = 0.398_942_3;
/// `2 sqrt(2 / pi)`
const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
/// Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", section 2.
const GELU_CUBIC: f32 = 0.044_715;

#[inline(always)]
fn gelu_tanh_gate<L: Lanes>(x: Vector<L>) -> Vector<L> {
    let slope = (x * x)
        .mul_add(x.constant(GELU_CUBIC * TWICE_SQRT_2_OVER_PI), x.constant(TWICE_SQRT_2_OVER_PI));
    sigmoid(x * slope)
}
