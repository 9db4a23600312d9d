//! Figures of a small table against those of other tools.
//!
//! Computed with SciPy 1.17.1, statsmodels 0.15.0 and NumPy 2.4.6 from the tables below: `numpy.mean`, `numpy.std(ddof=1)`,
//! `scipy.stats.trim_mean(x, 0.25)`; `scipy.stats.permutation_test(permutation_type="samples")` of the mean, over every choice
//! of signs; `statsmodels.stats.weightstats.ttost_paired(a, b, -0.005, 0.005)` and `ttost_ind(usevar="unequal")`;
//! `scipy.stats.ttest_1samp` and `ttest_ind(equal_var=False)` with `confidence_interval(0.90)`; `scipy.stats.bootstrap` with
//! 400,000 resamples by percentiles, at the confidence `1 - 2 norm.cdf(-t.ppf(.975, n - 1) sqrt(n / (n - 1)))`;
//! `statsmodels.stats.multitest.multipletests(method="holm")`.

use esper_stats::{
    Bootstrap, Point, SignFlip, StaticFront, StaticHost, Stratum, equivalence, holm,
    improvement_share, interquartile_mean, mean, normal_cdf, normal_quantile, paired_differences,
    pareto, probability_of_improvement, standard_deviation,
};

/// Scores of an arm on three tasks.
const ARM: [&[f64]; 3] = [
    &[0.912, 0.905, 0.921, 0.899, 0.915, 0.908, 0.917, 0.903, 0.911, 0.920],
    &[0.612, 0.634, 0.598, 0.641, 0.605, 0.622, 0.617, 0.629],
    &[0.771, 0.768, 0.780, 0.765, 0.774, 0.777, 0.769, 0.772, 0.766, 0.779, 0.770, 0.775],
];

/// Scores of the baseline under the same seeds.
const BASELINE: [&[f64]; 3] = [
    &[0.904, 0.901, 0.910, 0.902, 0.905, 0.909, 0.906, 0.899, 0.908, 0.911],
    &[0.620, 0.611, 0.602, 0.618, 0.607, 0.596, 0.621, 0.604],
    &[0.770, 0.769, 0.778, 0.767, 0.773, 0.776, 0.770, 0.771, 0.767, 0.778, 0.771, 0.774],
];

fn differences(task: usize) -> Vec<f64> {
    paired_differences(ARM[task], BASELINE[task]).expect("pairs")
}

#[track_caller]
fn assert_near(found: f64, expected: f64, room: f64) {
    assert!((found - expected).abs() <= room, "{found} is not {expected}");
}

#[test]
fn means_are_those_of_numpy_and_scipy() {
    assert_near(mean(ARM[0]).expect("values"), 0.9111, 1e-12);
    assert_near(standard_deviation(ARM[1]).expect("values"), 0.014_655_569_394_797_141, 1e-12);
    assert_near(interquartile_mean(ARM[0]).expect("values"), 0.911_333_333_333_333_3, 1e-12);
    assert_near(interquartile_mean(ARM[1]).expect("values"), 0.62, 1e-12);
    assert_near(interquartile_mean(&ARM.concat()).expect("values"), 0.788_375, 1e-12);
    assert_near(interquartile_mean(&[3.0]).expect("a value"), 3.0, 0.0);
}

#[test]
fn sign_flips_are_those_of_scipys_permutation_test() {
    let p = |strata: &[Stratum]| SignFlip::default().p_value(strata).expect("differences");
    for (task, expected) in [0.015_625, 0.125, 0.818_359_375].into_iter().enumerate() {
        assert_near(p(&Stratum::single(differences(task))), expected, 1e-12);
    }
    // Two tasks of unequal size, averaged equally: the same 2^14 choices of signs in NumPy.
    let two = Stratum::equal(vec![differences(1), differences(2)[..6].to_vec()]);
    assert_near(p(&two), 0.115_722_656_25, 1e-12);
    // Drawn, not tried: all 30 differences as one task, 400,000 draws in SciPy.
    let pooled = Stratum::single((0..3).flat_map(differences).collect());
    assert_near(p(&pooled), 0.008_22, 0.003);
}

#[test]
fn equivalence_is_that_of_statsmodels() {
    let expected = [
        (0.643_614_098_811_268_2, 0.002_705_461_083_433_197, 0.008_494_538_916_566_811, false),
        (0.798_579_358_095_984_5, -0.000_498_559_354_410_404_7, 0.020_248_559_354_410_417, false),
        (
            2.151_316_347_186_912_7e-8,
            -0.000_490_338_554_759_816_2,
            0.000_823_671_888_093_149_6,
            true,
        ),
    ];
    for (task, (p, low, high, is_equivalent)) in expected.into_iter().enumerate() {
        let found = equivalence(&Stratum::single(differences(task)), 0.005, 0.05).expect("sound");
        assert_near(found.p, p, 1e-9);
        assert_near(found.interval.low, low, 1e-9);
        assert_near(found.interval.high, high, 1e-9);
        assert_eq!(found.is_equivalent, is_equivalent, "task {task}");
    }
}

#[test]
fn two_strata_have_the_degrees_of_freedom_of_welchs_test() {
    let strata = Stratum::unpaired(ARM[0].to_vec(), BASELINE[1].to_vec());
    let found = equivalence(&strata, 0.32, 0.05).expect("sound");
    assert_near(found.interval.low, 0.294_161_981_149_605_57, 1e-9);
    assert_near(found.interval.high, 0.308_288_018_850_394_6, 1e-9);
    assert_near(found.p, 0.000_195_626_956_361_201_8, 1e-9);
}

#[test]
fn the_bootstrap_draws_what_scipy_draws() {
    let bootstrap = Bootstrap::default();
    let expected = [(0.0019, 0.0089), (-0.002_125, 0.0215), (-0.000_666_67, 0.000_916_67)];
    for (task, (low, high)) in expected.into_iter().enumerate() {
        let of = differences(task);
        let found = bootstrap.mean(&Stratum::single(of.clone())).expect("pairs");
        assert_near(found.estimate, mean(&of).expect("pairs"), 1e-15);
        // What 10,000 draws leave open, and a step of means that fall on a grid.
        let room = 0.06 * (high - low);
        assert_near(found.low, low, room);
        assert_near(found.high, high, room);
    }
    let strata = Stratum::equal((0..3).map(differences).collect());
    let found = bootstrap.mean(&strata).expect("pairs");
    assert_near(found.estimate, 0.005_213_888_888_888_893, 1e-12);
    assert_near(found.low, 0.000_941_67, 0.000_4);
    assert_near(found.high, 0.009_436_11, 0.000_4);
    assert_eq!(found, bootstrap.mean(&strata).expect("pairs"), "the same bits");
    let other = Bootstrap { seed: 1, ..bootstrap };
    assert_ne!(found, other.mean(&strata).expect("pairs"));
}

#[test]
fn an_improvement_is_a_pair_whose_difference_is_above_zero() {
    let shares = [0.8, 0.5, 7.0 / 12.0];
    for (task, expected) in shares.into_iter().enumerate() {
        let strata = Stratum::single(differences(task));
        assert_near(improvement_share(&strata).expect("pairs"), expected, 1e-12);
    }
    let strata = Stratum::equal((0..3).map(differences).collect());
    let found = probability_of_improvement(&strata, &Bootstrap::default()).expect("pairs");
    assert_near(found.estimate, shares.iter().sum::<f64>() / 3.0, 1e-12);
    assert!(found.low > 0.4 && found.high < 0.85, "{found:?}");
    let ties = Stratum::single(vec![0.0, 0.0, 1.0, -1.0]);
    assert_near(improvement_share(&ties).expect("pairs"), 0.5, 0.0);
}

#[test]
fn holms_correction_is_that_of_statsmodels() {
    let found = holm(&[0.01, 0.04, 0.03, 0.005, 0.2, 0.04]).expect("p-values");
    for (found, expected) in found.iter().zip([0.05, 0.12, 0.12, 0.03, 0.2, 0.12]) {
        assert_near(*found, expected, 1e-12);
    }
    assert_eq!(holm(&[0.9, 0.8]), Ok(vec![1.0, 1.0]), "at most 1");
    assert_eq!(holm(&[]), Ok(Vec::new()));
}

#[test]
fn the_normal_distribution_is_scipys() {
    assert_near(normal_quantile(0.975).expect("a share"), 1.959_963_984_540_054, 1e-9);
    assert_near(normal_quantile(0.01).expect("a share"), -2.326_347_874_040_840_8, 1e-9);
    assert_near(normal_cdf(1.3), 0.903_199_515_414_389_7, 1e-9);
}

#[test]
fn the_pareto_front_has_the_points_that_nothing_is_better_than() {
    let point = |(cost, score): (f64, f64)| Point { cost, score };
    let points =
        [(1.0, 0.5), (2.0, 0.7), (2.0, 0.6), (3.0, 0.7), (4.0, 0.9), (1.0, 0.5)].map(point);
    assert_eq!(pareto(&points), Ok(vec![true, true, false, false, true, true]));
}

fn host(name: &str, flops: f64, val_score: f64, test_score: f64) -> StaticHost {
    StaticHost { name: name.to_owned(), flops, val_score, test_score }
}

#[test]
fn the_front_chooses_by_validation_and_tells_the_test() {
    let front = StaticFront::new(vec![
        host("wide", 30.0, 0.90, 0.86),
        host("small", 10.0, 0.80, 0.79),
        // Best of all on test data, which must not matter.
        host("lucky", 20.0, 0.78, 0.95),
        host("deep", 30.0, 0.90, 0.70),
    ])
    .expect("numbers");
    assert_eq!(front.best_within(9.0), None, "nothing is that cheap");
    assert_eq!(front.gap(9.0, 0.5), None);
    let chosen = |flops: f64| front.best_within(flops).expect("a host").name.as_str();
    assert_eq!([10.0, 29.0, 30.0, 1e9].map(chosen), ["small", "small", "deep", "deep"]);
    assert_near(front.gap(25.0, 0.80).expect("a host"), 0.01, 1e-12);
    let steps: Vec<&str> = front.steps().iter().map(|it| it.name.as_str()).collect();
    assert_eq!(steps, ["small", "deep"]);
}
