//! Dense layers and their gradients.

use super::{assert_close, bits, numbers, on_every_unit, unwritten, widened};
use esper_kernels::cpu::{
    Activation, LinearShape, activation_bias_grad, activation_forward, activation_grad, add_assign,
    bias_forward, bias_grad, linear_forward, linear_grad_input, linear_grad_weight,
    linear_scratch_len,
};
use esper_kernels::oracle;
use proptest::prelude::*;

const SIZES: [[usize; 3]; 17] = [
    [1, 1, 1],
    [1, 3, 7],
    [3, 1, 17],
    [17, 31, 1],
    [7, 17, 3],
    [16, 16, 16],
    [31, 33, 65],
    [33, 65, 31],
    [65, 7, 33],
    [64, 64, 32],
    [64, 32, 10],
    [64, 64, 8],
    [5, 0, 4],
    [0, 4, 5],
    [128, 100, 130],
    [130, 70, 129],
    [300, 128, 400],
];

fn shape([rows, inputs, outputs]: [usize; 3]) -> LinearShape {
    LinearShape { rows, inputs, outputs }
}

struct Case {
    shape: LinearShape,
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    fn new(shape: LinearShape) -> Self {
        let LinearShape { rows, inputs, outputs } = shape;
        Self {
            shape,
            x: numbers(1, rows * inputs),
            w: numbers(2, outputs * inputs),
            bias: numbers(3, outputs),
            dy: numbers(4, rows * outputs),
        }
    }

    fn scratch(&self) -> Vec<f32> {
        unwritten(linear_scratch_len(self.shape))
    }

    fn forward(&self, bias: bool, activation: Option<Activation>) -> [Vec<f32>; 2] {
        let mut y = unwritten(self.dy.len());
        let mut pre = activation.filter(|a| a.saves_input()).map(|_| unwritten(y.len()));
        linear_forward(
            self.shape,
            &self.x,
            &self.w,
            bias.then_some(&self.bias),
            activation,
            pre.as_deref_mut(),
            &mut y,
            &mut self.scratch(),
        );
        [y, pre.unwrap_or_default()]
    }

    fn check(&self) {
        let y = on_every_unit(|| self.forward(false, None)[0].clone());
        assert_eq!(bits(&y), bits(&oracle::linear(self.shape, &self.x, &self.w, None)));
        let y = on_every_unit(|| self.forward(true, None)[0].clone());
        assert_eq!(bits(&y), bits(&oracle::linear(self.shape, &self.x, &self.w, Some(&self.bias))));

        let want = oracle::linear_grad_input(self.shape, &self.dy, &self.w);
        self.check_gradient(&want, |dx, accumulate, scratch| {
            linear_grad_input(self.shape, &self.dy, &self.w, dx, accumulate, scratch);
        });
        let want = oracle::linear_grad_weight(self.shape, &self.dy, &self.x);
        self.check_gradient(&want, |dw, accumulate, scratch| {
            linear_grad_weight(self.shape, &self.dy, &self.x, dw, accumulate, scratch);
        });
    }

    fn check_gradient(&self, want: &[f32], gradient: impl Fn(&mut [f32], bool, &mut [f32])) {
        let run = |start: &[f32], accumulate| {
            let mut out = start.to_vec();
            gradient(&mut out, accumulate, &mut self.scratch());
            out
        };
        let found = on_every_unit(|| run(&unwritten(want.len()), false));
        assert_eq!(bits(&found), bits(want));
        let mut sum = numbers(5, want.len());
        let found = on_every_unit(|| run(&sum, true));
        add_assign(&mut sum, want);
        assert_eq!(bits(&found), bits(&sum));
    }
}

#[test]
fn products_of_every_size_are_bit_equal_to_the_plain_loop_on_every_unit() {
    for sizes in SIZES {
        Case::new(shape(sizes)).check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]
    #[test]
    fn products_of_any_size_are_bit_equal_to_the_plain_loop(
        rows in 0usize..70, inputs in 0usize..70, outputs in 0usize..70,
    ) {
        Case::new(shape([rows, inputs, outputs])).check();
    }
}

#[test]
fn a_fused_layer_is_bit_equal_to_its_parts() {
    for sizes in [[5, 7, 10], [33, 65, 31], [64, 64, 32]] {
        let case = Case::new(shape(sizes));
        for activation in Activation::ALL {
            let fused = on_every_unit(|| case.forward(true, Some(activation)).concat());
            let product = case.forward(false, None)[0].clone();
            let mut pre = unwritten(product.len());
            bias_forward(&product, &case.bias, &mut pre);
            let mut y = unwritten(product.len());
            activation_forward(activation, &pre, &mut y);
            if activation.saves_input() {
                y.extend(&pre);
            }
            assert_eq!(bits(&fused), bits(&y), "{activation:?}");
        }
    }
}

#[test]
fn a_fused_activation_and_bias_gradient_is_bit_equal_to_its_parts() {
    for (rows, width) in [(0, 3), (1, 1), (9, 10), (64, 32), (33, 65)] {
        let saved = numbers(6, rows * width);
        let dy = numbers(7, rows * width);
        for activation in Activation::ALL {
            let fused = on_every_unit(|| {
                let (mut dz, mut db) = (dy.clone(), unwritten(width));
                activation_bias_grad(activation, rows, width, &saved, &mut dz, &mut db);
                [dz, db].concat()
            });
            let apart = on_every_unit(|| {
                let (mut dz, mut db) = (dy.clone(), unwritten(width));
                activation_grad(activation, &saved, &mut dz);
                bias_grad(rows, width, &dz, &mut db, false);
                [dz, db].concat()
            });
            assert_eq!(bits(&fused), bits(&apart), "{activation:?}");
        }
    }
}

#[test]
fn a_bias_gradient_sums_rows_in_order() {
    let (rows, width) = (19, 37);
    let dy = numbers(8, rows * width);
    let mut want = vec![0.0f32; width];
    dy.chunks_exact(width).for_each(|row| want.iter_mut().zip(row).for_each(|(w, d)| *w += d));
    let found = on_every_unit(|| {
        let mut db = unwritten(width);
        bias_grad(rows, width, &dy, &mut db, false);
        db
    });
    assert_eq!(bits(&found), bits(&want));
    let mut sum = numbers(9, width);
    let before = sum.clone();
    bias_grad(rows, width, &dy, &mut sum, true);
    let want: Vec<f32> = before.iter().zip(want).map(|(before, sum)| before + sum).collect();
    assert_eq!(bits(&sum), bits(&want));
}

#[test]
fn activations_agree_with_the_oracle() {
    let x: Vec<f32> = (-2000..=2000).map(|i| i as f32 * 0.005).collect();
    for activation in Activation::ALL {
        let y = on_every_unit(|| {
            let mut y = unwritten(x.len());
            activation_forward(activation, &x, &mut y);
            y
        });
        let want: Vec<f64> = widened(&x).iter().map(|x| oracle::activate(activation, *x)).collect();
        assert_close(&y, &want, 5e-7);
    }
}

#[test]
fn activations_pass_nan_and_hold_at_infinity() {
    for activation in Activation::ALL {
        let mut y = [0.0; 3];
        activation_forward(activation, &[f32::NAN, f32::INFINITY, 30.0], &mut y);
        assert!(y[0].is_nan(), "{activation:?}");
        let bounded = matches!(activation, Activation::Tanh | Activation::Sigmoid);
        assert_eq!(y[1], if bounded { 1.0 } else { f32::INFINITY }, "{activation:?}");
        assert_eq!(y[2], if bounded { 1.0 } else { 30.0 }, "{activation:?}");
    }
}

#[test]
#[should_panic(expected = "w is f32[outputs, inputs]")]
fn a_weight_of_the_wrong_length_is_refused() {
    let mut case = Case::new(shape([4, 4, 4]));
    case.w.pop();
    case.forward(false, None);
}

#[test]
#[should_panic(expected = "scratch is too short")]
fn scratch_that_is_too_short_is_refused() {
    let case = Case::new(shape([4, 4, 4]));
    linear_forward(case.shape, &case.x, &case.w, None, None, None, &mut [0.0; 16], &mut [0.0; 8]);
}
