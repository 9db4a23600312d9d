//! Which examples train, which decide and which test.

use std::ops::Range;

use esper_kernels::random::SplitMix64;

use super::{DataConfig, DataFault, Dataset, Features, Targets, Windows};

/// Keeps the split's numbers apart from any other stream of the same seed.
const STREAM: u64 = u64::from_le_bytes(*b"split\0\0\0");

/// Training, validation and test examples; `test` is the source's own test set.
pub(super) fn split(
    examples: Dataset,
    test: Option<Dataset>,
    config: &DataConfig,
) -> Result<[Dataset; 3], DataFault> {
    if let Features::Windows(windows) = &examples.features {
        return split_text(windows, test, config);
    }
    let parts = draw(&examples.targets, examples.len(), test.is_some(), config)?;
    let test = test.unwrap_or_else(|| examples.select(&parts.test));
    Ok([examples.select(&parts.train), examples.select(&parts.validation), test])
}

/// Text is split by place: what comes first trains, then validates, then tests.
fn split_text(
    windows: &Windows,
    test: Option<Dataset>,
    config: &DataConfig,
) -> Result<[Dataset; 3], DataFault> {
    let [train, validation, rest] = by_place(windows.tokens().len(), test.is_some(), config)?;
    let train = Dataset::of_windows(windows.training(train)?);
    let validation = Dataset::of_windows(windows.held_out(validation, "validation")?);
    let test = match test {
        Some(test) => test,
        None => Dataset::of_windows(windows.held_out(rest, "test")?),
    };
    Ok([train, validation, test])
}

/// The places of each part; the last is empty when the source has a test set of its own.
fn by_place(
    n_tokens: usize,
    has_test: bool,
    config: &DataConfig,
) -> Result<[Range<usize>; 3], DataFault> {
    check_shares(config, has_test)?;
    let count = |share: f64| (share * n_tokens as f64).round() as usize;
    let n_test = if has_test { 0 } else { count(config.test_share) };
    let test = n_tokens - n_test..n_tokens;
    let validation = test.start.saturating_sub(count(config.validation_share))..test.start;
    Ok([0..validation.start, validation, test])
}

/// Indices of the examples in each part, ascending; together every example once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    train: Vec<u32>,
    validation: Vec<u32>,
    /// Empty when the source has a test set of its own.
    test: Vec<u32>,
}

/// Draws the parts by a keyed shuffle, class by class.
///
/// Both shares are of `n_examples`. Each part gets its share of every class up to rounding
/// (largest remainder, Hamilton's method), and every class keeps an example to train on.
/// Regression is one class here.
fn draw(
    targets: &Targets,
    n_examples: usize,
    has_test: bool,
    config: &DataConfig,
) -> Result<Parts, DataFault> {
    check_shares(config, has_test)?;
    let mut groups = group(targets, n_examples);
    for (class, group) in (0..).zip(&mut groups) {
        SplitMix64::keyed(&[config.split_seed, STREAM, class]).shuffle(group);
    }
    let mut parts = Parts::default();
    if !has_test {
        parts.test = take(&mut groups, n_examples, config.test_share);
    }
    parts.validation = take(&mut groups, n_examples, config.validation_share);
    parts.train = groups.concat();
    parts.train.sort_unstable();

    let empty = |part| Err(DataFault::TooFewExamples { n_examples, part });
    match &parts {
        parts if parts.train.is_empty() => empty("training"),
        parts if parts.validation.is_empty() => empty("validation"),
        parts if parts.test.is_empty() && !has_test => empty("test"),
        _ => Ok(parts),
    }
}

fn check_shares(config: &DataConfig, has_test: bool) -> Result<(), DataFault> {
    let shares = [("validation_share", config.validation_share), ("test_share", config.test_share)];
    for (name, value) in shares {
        // NaN is neither.
        if !(0.0 < value && value < 1.0) {
            return Err(DataFault::Share { name, value });
        }
    }
    let sum = config.validation_share + config.test_share;
    if !has_test && 1.0 <= sum {
        return Err(DataFault::ShareSum { sum });
    }
    Ok(())
}

/// The examples of each class, ascending.
fn group(targets: &Targets, n_examples: usize) -> Vec<Vec<u32>> {
    let examples = 0..u32::try_from(n_examples).expect("LEN_MAX_BYTES holds fewer than 2^32");
    let Targets::Classes { labels, n_classes } = targets else { return vec![examples.collect()] };
    let mut groups = vec![Vec::new(); *n_classes];
    for (example, &label) in examples.zip(labels.iter()) {
        groups[label as usize].push(example);
    }
    groups
}

/// Moves `share` of `n_examples` out of the groups, from their ends; ascending.
fn take(groups: &mut [Vec<u32>], n_examples: usize, share: f64) -> Vec<u32> {
    let n_wanted = ((share * n_examples as f64).round() as usize).max(1);
    let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
    let mut taken = Vec::with_capacity(n_wanted);
    for (group, n_taken) in groups.iter_mut().zip(apportion(n_wanted, &sizes)) {
        taken.extend(group.drain(group.len() - n_taken..));
    }
    taken.sort_unstable();
    taken
}

/// Shares `n_wanted` out in proportion to `sizes`, leaving one of each; fewer if that is all.
fn apportion(n_wanted: usize, sizes: &[usize]) -> Vec<usize> {
    let n_all: usize = sizes.iter().sum();
    if n_all == 0 {
        return vec![0; sizes.len()];
    }
    let spare = |index: usize| sizes[index].saturating_sub(1);
    let quota = |index: usize| n_wanted as u128 * sizes[index] as u128;
    let mut counts: Vec<usize> = (0..sizes.len())
        .map(|index| ((quota(index) / n_all as u128) as usize).min(spare(index)))
        .collect();
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|&index| (std::cmp::Reverse(quota(index) % n_all as u128), index));

    let mut n_left = n_wanted.saturating_sub(counts.iter().sum());
    // One each to the largest remainders; further rounds only where small classes had none spare.
    while 0 < n_left {
        let before = n_left;
        for &index in &by_remainder {
            if 0 < n_left && counts[index] < spare(index) {
                counts[index] += 1;
                n_left -= 1;
            }
        }
        if n_left == before {
            break;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(validation_share: f64, test_share: f64, split_seed: u64) -> DataConfig {
        DataConfig { validation_share, test_share, split_seed, ..DataConfig::new("t") }
    }

    fn classes(labels: &[u32]) -> Targets {
        let n_classes = labels.iter().max().map_or(0, |label| *label as usize + 1);
        Targets::Classes { labels: labels.into(), n_classes }
    }

    fn values(n_examples: usize) -> Targets {
        Targets::Values { values: vec![0.0; n_examples].into(), width: 1 }
    }

    proptest! {
        #[test]
        fn every_example_is_in_exactly_one_part_and_every_class_trains(
            labels in prop::collection::vec(0_u32..5, 20..200), seed: u64,
            validation in 0.05..0.45_f64, test in 0.05..0.45_f64, has_test: bool,
        ) {
            let targets = classes(&labels);
            let parts = draw(&targets, labels.len(), has_test, &config(validation, test, seed));
            let parts = parts.expect("20 examples are enough");
            let mut all = [&parts.train[..], &parts.validation, &parts.test].concat();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..labels.len() as u32));
            let trained = |class| parts.train.iter().any(|it| labels[*it as usize] == class);
            prop_assert!(labels.iter().all(|label| trained(*label)));
            prop_assert_eq!(parts.test.is_empty(), has_test);
        }

        #[test]
        fn shares_are_apportioned_exactly_while_classes_can_spare_them(
            sizes in prop::collection::vec(1_usize..90, 1..12), share in 0.0..0.9_f64,
        ) {
            let n_all: usize = sizes.iter().sum();
            let n_wanted = (share * n_all as f64) as usize;
            let counts = apportion(n_wanted, &sizes);
            let n_spare: usize = sizes.iter().map(|size| size - 1).sum();
            prop_assert_eq!(counts.iter().sum::<usize>(), n_wanted.min(n_spare));
            prop_assert!(counts.iter().zip(&sizes).all(|(count, size)| count < size));
        }
    }

    #[test]
    fn parts_hold_the_classes_in_the_proportions_of_the_whole() {
        let labels: Vec<u32> = (0..1000).map(|it| u32::from(it % 10 == 0)).collect();
        let parts = draw(&classes(&labels), 1000, false, &config(0.15, 0.25, 3)).expect("enough");
        let rare = |part: &[u32]| part.iter().filter(|it| labels[**it as usize] == 1).count();
        assert_eq!([parts.train.len(), parts.validation.len(), parts.test.len()], [600, 150, 250]);
        assert_eq!([rare(&parts.train), rare(&parts.validation), rare(&parts.test)], [60, 15, 25]);
    }

    #[test]
    fn a_text_is_split_by_place_and_the_split_seed_moves_nothing() {
        let config = config(0.05, 0.05, 9);
        let [train, validation, test] = by_place(172_078, false, &config).expect("enough");
        assert_eq!([train.len(), validation.len(), test.len()], [154_870, 8604, 8604]);
        assert_eq!((validation.start, test.start, test.end), (train.end, validation.end, 172_078));
        let [train, validation, test] = by_place(100, true, &config).expect("enough");
        assert_eq!([train, validation, test], [0..95, 95..100, 100..100]);
    }

    #[test]
    fn a_part_too_short_for_its_context_is_named() {
        let part = |n_tokens, context, validation, test| {
            let tokens: Vec<u32> = (0..n_tokens).map(|it| it % 2).collect();
            let text = Dataset::of_windows(Windows::new(tokens, context, 2).expect("valid"));
            match split(text, None, &config(validation, test, 0)) {
                Err(DataFault::ContextTooLong { part, n_tokens, .. }) => Some((part, n_tokens)),
                _ => None,
            }
        };
        assert_eq!(part(100, 20, 0.2, 0.3), Some(("validation", 20)));
        assert_eq!(part(100, 20, 0.3, 0.2), Some(("test", 20)));
        assert_eq!(part(100, 20, 0.4, 0.4), Some(("training", 20)));
        assert_eq!(part(100, 20, 0.3, 0.3), None);
    }

    #[test]
    fn a_split_is_a_function_of_its_seed() {
        let targets = values(500);
        let split = |seed| draw(&targets, 500, false, &config(0.2, 0.2, seed)).expect("enough");
        assert_eq!(split(1), split(1));
        assert_ne!(split(1), split(2));
    }

    #[test]
    fn the_split_is_the_same_in_every_build() {
        // Pinned: a change of these numbers makes old runs and new ones incomparable.
        let parts = draw(&values(12), 12, false, &config(0.25, 0.25, 0)).expect("enough");
        assert_eq!(parts.validation, [1, 2, 8]);
        assert_eq!(parts.test, [4, 7, 10]);
    }

    #[test]
    fn too_few_examples_name_the_part_that_would_be_empty() {
        let part = |targets: &Targets, has_test| match draw(
            targets,
            targets.len(),
            has_test,
            &config(0.15, 0.15, 0),
        ) {
            Err(DataFault::TooFewExamples { part, .. }) => Some(part),
            _ => None,
        };
        assert_eq!(part(&values(1), true), Some("validation"));
        assert_eq!(part(&values(2), true), None);
        assert_eq!(part(&values(2), false), Some("validation"));
        assert_eq!(part(&values(3), false), None);
        assert_eq!(part(&classes(&[0, 1, 2]), true), Some("validation"));
        assert_eq!(part(&classes(&[0, 1, 1]), true), None);
    }

    #[test]
    fn shares_out_of_range_are_refused() {
        for share in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            let refused = draw(&values(9), 9, true, &config(share, 0.15, 0));
            assert!(matches!(refused, Err(DataFault::Share { name: "validation_share", .. })));
            let refused = draw(&values(9), 9, false, &config(0.15, share, 0));
            assert!(matches!(refused, Err(DataFault::Share { name: "test_share", .. })));
        }
        let refused = draw(&values(9), 9, false, &config(0.5, 0.5, 0));
        assert!(matches!(refused, Err(DataFault::ShareSum { .. })));
        assert!(draw(&values(9), 9, true, &config(0.5, 0.5, 0)).is_ok(), "no test set is drawn");
    }
}
