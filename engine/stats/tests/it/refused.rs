//! What there is no figure for.

use esper_stats::{
    Bootstrap, Point, SignFlip, StaticFront, StaticHost, StatsError, Stratum, equivalence, holm,
    interquartile_mean, mean, normal_quantile, paired_differences, pareto, standard_deviation,
};

#[test]
fn too_few_values_are_refused_with_how_many_it_takes() {
    let one = Stratum::single(vec![0.1]);
    let error = Bootstrap::default().mean(&one).expect_err("one pair has no spread");
    let told = "a bootstrap interval needs at least 2 values a task, and there are 1; run more";
    assert_eq!(error.to_string(), told);
    assert!(matches!(equivalence(&one, 0.1, 0.05), Err(StatsError::TooFew { .. })));
    assert!(matches!(SignFlip::default().p_value(&[]), Err(StatsError::TooFew { .. })));
    assert!(matches!(mean(&[]), Err(StatsError::TooFew { .. })));
    assert!(matches!(interquartile_mean(&[]), Err(StatsError::TooFew { .. })));
    assert!(matches!(standard_deviation(&[1.0]), Err(StatsError::TooFew { .. })));
}

#[test]
fn what_is_no_number_is_refused_with_its_place() {
    let strata = Stratum::single(vec![0.1, f64::NAN]);
    let error = Bootstrap::default().mean(&strata).expect_err("not a number");
    assert_eq!(error.to_string(), "value number 1 is NaN; leave out what failed");
    assert!(matches!(mean(&[f64::INFINITY]), Err(StatsError::NotFinite { index: 0, .. })));
    let point = Point { cost: f64::NAN, score: 0.0 };
    assert!(matches!(pareto(&[point]), Err(StatsError::NotFinite { .. })));
    let host = StaticHost { name: "a".into(), flops: 1.0, val_score: f64::NAN, test_score: 0.0 };
    assert!(matches!(StaticFront::new(vec![host]), Err(StatsError::NotFinite { .. })));
}

#[test]
fn settings_outside_their_range_are_refused() {
    let strata = Stratum::single(vec![0.1, 0.2]);
    let certain = Bootstrap { confidence: 1.0, ..Bootstrap::default() };
    assert!(matches!(certain.mean(&strata), Err(StatsError::Range { .. })));
    for (margin, level) in [(0.0, 0.05), (-1.0, 0.05), (f64::NAN, 0.05), (0.1, 0.5), (0.1, 0.0)] {
        let found = equivalence(&strata, margin, level);
        assert!(matches!(found, Err(StatsError::Range { .. })), "{margin} {level}: {found:?}");
    }
    assert!(matches!(holm(&[0.5, 1.5]), Err(StatsError::Range { .. })));
    assert!(matches!(normal_quantile(1.0), Err(StatsError::Range { .. })));
    assert_eq!(paired_differences(&[1.0], &[]), Err(StatsError::Unpaired { left: 1, right: 0 }));
}
