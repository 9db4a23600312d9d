//! What tests and intervals promise, counted over experiments that are made up.

use esper_nn::rng::{Purpose, draw_below, stream_key};
use esper_stats::{Bootstrap, SignFlip, Stratum, equivalence, holm, normal_quantile};

/// Independent standard normal numbers of the experiment `key`.
fn normals(key: u64, n: usize) -> Vec<f64> {
    let key = stream_key(key, Purpose::Probe, n as u64);
    let unit = |step| (draw_below(key, step, 1 << 53) as f64 + 0.5) / (1_u64 << 53) as f64;
    (0..n as u64).map(|step| normal_quantile(unit(step)).expect("a share")).collect()
}

/// Differences of `n` pairs: an effect, and noise that the two runs do not share.
fn pairs(key: u64, n: usize, effect: f64) -> Vec<f64> {
    normals(key, n).iter().map(|noise| effect + noise).collect()
}

/// The share of `n` experiments in which `is_hit` holds.
fn share(n: u64, is_hit: impl Fn(u64) -> bool) -> f64 {
    (0..n).filter(|key| is_hit(*key)).count() as f64 / n as f64
}

/// The share of 2,000 experiments in which the 95 % interval has the truth.
fn coverage(n_pairs: usize, n_tasks: u64) -> f64 {
    share(2_000, |key| {
        let bootstrap = Bootstrap { n_draws: 500, seed: key, ..Bootstrap::default() };
        let task = |task: u64| {
            let spread = (1 + task) as f64;
            let scaled = |it: f64| 0.3 + spread * (it - 0.3);
            pairs(key * n_tasks + task, n_pairs, 0.3).into_iter().map(scaled).collect()
        };
        let strata = Stratum::equal((0..n_tasks).map(task).collect());
        bootstrap.mean(&strata).expect("pairs").contains(0.3)
    })
}

#[test]
fn the_interval_has_the_truth_in_95_of_100_experiments() {
    for (n_pairs, n_tasks) in [(8, 1), (15, 1), (30, 1), (8, 3)] {
        let covered = coverage(n_pairs, n_tasks);
        assert!((0.93..=0.97).contains(&covered), "{n_pairs} pairs, {n_tasks} tasks: {covered}");
    }
}

#[test]
fn the_sign_flip_test_is_wrong_in_5_of_100_experiments_without_an_effect() {
    for n_pairs in [8, 20] {
        let rejected = share(2_000, |key| {
            let test = SignFlip { n_draws: 400, seed: key };
            let strata = Stratum::single(pairs(key, n_pairs, 0.0));
            test.p_value(&strata).expect("pairs") < 0.05
        });
        assert!((0.035..=0.065).contains(&rejected), "{n_pairs} pairs: {rejected}");
    }
}

#[test]
fn holm_keeps_the_family_wise_error_that_single_tests_do_not() {
    let p_values = |key: u64| -> Vec<f64> {
        // Six arms without an effect, which share a baseline.
        let baseline = normals(key * 7, 9);
        let arm = |arm: u64| {
            let scores = normals(key * 7 + arm, 9);
            let differences = scores.iter().zip(&baseline).map(|(a, b)| a - b).collect();
            SignFlip::default().p_value(&Stratum::single(differences)).expect("pairs")
        };
        (1..7).map(arm).collect()
    };
    let any_below = |p_values: &[f64]| p_values.iter().any(|p| *p < 0.05);
    let single = share(1_500, |key| any_below(&p_values(key)));
    let corrected = share(1_500, |key| any_below(&holm(&p_values(key)).expect("p-values")));
    assert!(single > 0.12, "{single}");
    assert!(corrected <= 0.065, "{corrected}");
}

#[test]
fn equivalence_at_the_margin_is_claimed_in_5_of_100_experiments() {
    let claimed = |effect: f64| {
        share(3_000, |key| {
            let strata = Stratum::single(pairs(key, 20, effect));
            equivalence(&strata, 1.0, 0.05).expect("pairs").is_equivalent
        })
    };
    for effect in [1.0, -1.0] {
        let wrong = claimed(effect);
        assert!((0.035..=0.065).contains(&wrong), "{effect}: {wrong}");
    }
    assert!(claimed(0.0) > 0.95, "what is equal is found to be");
}

#[test]
fn an_arm_that_does_nothing_is_no_better_and_equivalent() {
    let same = Stratum::equal(vec![vec![0.0; 10], vec![0.0; 7]]);
    let interval = Bootstrap::default().mean(&same).expect("pairs");
    assert_eq!((interval.low, interval.estimate, interval.high), (0.0, 0.0, 0.0));
    assert_eq!(SignFlip::default().p_value(&same), Ok(1.0));
    let found = equivalence(&same, 0.005, 0.05).expect("pairs");
    assert!(found.is_equivalent && found.p == 0.0, "{found:?}");
    let shifted = Stratum::single(vec![0.25; 10]);
    assert!(!equivalence(&shifted, 0.005, 0.05).expect("pairs").is_equivalent);
}
