//! A run on another device is the same run, to rounding.

use esper::prelude::*;

use crate::support::{Family, brief_of};

/// Ticks of four steps: enough for the first seeds to incubate.
const N_TICKS: usize = 12;

/// Distance of the weights from those of `cpu`, as a share of how far training has moved them.
///
/// Adam divides by a gradient's size, so where that is next to nothing its rounding moves a weight as far as training
/// moves others; such weights are few. A kernel that is wrong moves all.
const TOLERANCE: f64 = 0.01;

fn weights_after(family: Family, device: &str, n_ticks: usize) -> Vec<f32> {
    let mut scenario = brief_of(family);
    scenario[RUN].device = device.to_owned();
    scenario[RUN].seed = 0;
    let mut run = Run::start(scenario).expect("it begins");
    for _ in 0..n_ticks {
        run.tick().expect("it goes on");
    }
    let runtimes = run.engine().world().resource::<Runtimes>();
    let [params, _] = runtimes.iter().next().expect("it has one host").weights();
    params
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn digits_on_the_oracle_are_learnt_as_on_the_processor() {
    for family in [Family::Mlp, Family::Cnn] {
        let at_birth = weights_after(family, "cpu", 0);
        let expected = weights_after(family, "cpu", N_TICKS);
        let found = weights_after(family, "oracle", N_TICKS);
        let moved = distance(&expected, &at_birth);
        assert!(moved > 0.1, "{family:?}: it trains");
        let apart = distance(&found, &expected) / moved;
        assert!(apart < TOLERANCE, "{family:?}: {apart} apart");
        assert_ne!(found, expected, "{family:?}: exponentials of the oracle are another library's");
    }
}
