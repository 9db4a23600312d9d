//! Shapley values and interactions against games whose answer is known.

use std::{cell::Cell, convert::Infallible};

use esper_stats::{
    StatsError,
    shapley::{SampleError, Sampling, exact, interaction, sampled, table},
};

/// Player 0 has a left glove, players 1 and 2 a right one each; a pair of gloves is worth 1.
fn gloves(mask: u64) -> f64 {
    f64::from(mask & 1 == 1 && mask & 0b110 != 0)
}

/// Each player's own worth, and a bonus if players 0 and 1 are both there.
fn with_bonus(mask: u64) -> f64 {
    const WORTH: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let own: f64 = (0..6).filter(|i| mask >> i & 1 == 1).map(|i| WORTH[i]).sum();
    own + if mask & 0b11 == 0b11 { 10.0 } else { 0.0 }
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }
}

#[test]
fn the_glove_game_has_its_textbook_value() {
    let values = table(3, gloves).expect("three players");
    assert_near(&exact(&values).expect("sound"), &[2.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0]);
    // The two right gloves stand in for each other: (S = {}: 0) / 2 + (S = {0}: 1 - 1 - 1 + 0) / 2.
    assert_near(&[interaction(&values, 1, 2).expect("a pair")], &[-0.5]);
    // (S = {}: 1) / 2 + (S = {2}: 1 - 1 - 0 + 0) / 2.
    assert_near(&[interaction(&values, 0, 1).expect("a pair")], &[0.5]);
}

#[test]
fn a_bonus_is_shared_by_those_who_earn_it_and_is_their_interaction() {
    let values = table(6, with_bonus).expect("six players");
    assert_near(&exact(&values).expect("sound"), &[6.0, 7.0, 3.0, 4.0, 5.0, 6.0]);
    for first in 0..6 {
        for second in (0..6).filter(|it| *it != first) {
            let expected = if first + second == 1 { 10.0 } else { 0.0 };
            assert_near(&[interaction(&values, first, second).expect("a pair")], &[expected]);
        }
    }
}

#[test]
fn shares_add_up_to_what_all_are_worth_beyond_none() {
    // Any table will do: digits of a product that follow no rule.
    let values = table(4, |mask| (mask * 7919 % 101) as f64).expect("four players");
    let shares = exact(&values).expect("sound");
    assert_near(&[shares.iter().sum()], &[values[15] - values[0]]);
    assert_eq!(exact(&[3.0]), Ok(Vec::new()), "nobody plays");
}

#[test]
fn sampled_values_enclose_the_exact_ones_and_ask_for_each_subset_once() {
    let game = |mask: u64| ((mask * 7919 + mask * mask * 31) % 101) as f64;
    let expected = exact(&table(8, game).expect("eight players")).expect("sound");
    let n_asked = Cell::new(0);
    let ask = |mask| {
        n_asked.set(n_asked.get() + 1);
        Ok::<f64, Infallible>(game(mask))
    };
    let sampling = Sampling { n_orders: 400, confidence: 0.999, seed: 1 };
    let found = sampled(8, sampling, ask).expect("sound");
    assert!(n_asked.get() <= 256, "{} subsets", n_asked.get());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.contains(*expected), "{found:?} misses {expected}");
        assert!(found.high - found.low < 20.0, "{found:?} says nothing");
    }
    let total: f64 = found.iter().map(|it| it.estimate).sum();
    assert!((total - (game(255) - game(0))).abs() < 1e-9, "{total}");
    let again = sampled(8, sampling, |mask| Ok::<f64, Infallible>(game(mask))).expect("sound");
    assert_eq!(found, again, "the same bits");
    let other = Sampling { seed: 2, ..sampling };
    assert_ne!(found, sampled(8, other, |mask| Ok::<f64, Infallible>(game(mask))).expect("sound"));
}

#[test]
fn an_additive_game_is_sampled_without_error() {
    let own = |mask: u64| Ok::<f64, Infallible>(mask.count_ones().into());
    let found = sampled(40, Sampling { n_orders: 2, ..Sampling::default() }, own).expect("sound");
    assert!(found.iter().all(|it| it.estimate == 1.0 && it.high == it.low), "{found:?}");
}

#[test]
fn what_is_no_game_is_refused() {
    assert_eq!(exact(&[1.0, 2.0, 3.0]), Err(StatsError::TableLength { len: 3 }));
    assert_eq!(exact(&[]), Err(StatsError::TableLength { len: 0 }));
    assert!(matches!(exact(&[0.0, f64::NAN]), Err(StatsError::NotFinite { index: 1, .. })));
    assert!(matches!(table(17, gloves), Err(StatsError::Players { found: 17, .. })));
    let values = table(3, gloves).expect("three players");
    assert!(matches!(interaction(&values, 1, 1), Err(StatsError::NoPair { .. })));
    assert!(matches!(interaction(&values, 1, 3), Err(StatsError::NoPair { .. })));
    let failing = |mask: u64| if mask == 0b11 { Err("no") } else { Ok(0.0) };
    let error = sampled(2, Sampling::default(), failing).expect_err("a subset fails");
    assert_eq!(error, SampleError::Value { mask: 0b11, source: "no" });
    let one = Sampling { n_orders: 1, ..Sampling::default() };
    assert!(matches!(sampled(2, one, failing), Err(SampleError::Input(_))));
    assert!(matches!(sampled(65, one, failing), Err(SampleError::Input(_))));
}
