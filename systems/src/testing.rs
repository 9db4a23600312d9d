//! What the subsystems' own tests share.

use std::sync::Arc;

use esper_engine::scenario::{Resolved, Scenario};
use esper_kernels::philox::fill_normal;
use esper_nn::{
    device::Cpu,
    optim::{Optimizer, Sgd},
    program::Program,
    rng::Purpose,
    session::Session,
};

/// A scenario of the subsystems' sections as `change` leaves it, which requires nothing to be written.
pub fn scenario(change: impl FnOnce(&mut Scenario)) -> Resolved {
    let mut scenario = crate::sections().scenario();
    change(&mut scenario);
    scenario.resolve().expect("the scenario is sound")
}

/// What a module computes on inputs and output gradients of unit variance.
pub struct Bench {
    /// `f32[rows, width]`.
    pub output: Vec<f32>,
    /// `f32[params_len_elems]`.
    pub gradients: Vec<f32>,
}

impl Bench {
    /// One pass forward and back with the parameters of birth.
    pub fn birth(program: &Program, rows: usize) -> Self {
        let params = program.draw_params(7, Purpose::SeedInit, 3);
        let program = Arc::new(program.clone());
        let values = |shape: &[usize], stream| {
            let mut values = vec![0.0; rows * shape.iter().product::<usize>()];
            fill_normal(1, stream, 0.0, 1.0, &mut values);
            values
        };
        let (x, dy) = (values(&program.input_shape, 0), values(&program.output_shape, 1));
        let sgd = Optimizer::Sgd(Sgd::default());
        let mut session = Session::new(Arc::new(Cpu), program, &params, rows, sgd).unwrap();
        let output = session.forward(x.as_slice()).unwrap();
        session.backward(&dy).unwrap();
        Self { output, gradients: session.gradients() }
    }
}
