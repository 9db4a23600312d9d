//! Data that is made up.

use esper::{
    data::{self, DataConfig, Dataset, ExampleNames, SplitData, Standardize, Targets, Windows},
    kernels::cpu::{fill_normal, fill_uniform},
};

/// Examples of `shape` around one centre a class, `n_train` of them to train on: any host learns them, and none of its
/// faults strike.
pub fn clusters(n_train: usize, shape: &[usize], n_classes: usize) -> SplitData {
    let (n, elems) = (n_train * 4 / 3, shape.iter().product());
    let mut centres = vec![0.0; n_classes * elems];
    fill_normal(1, 0, 0.0, 1.0, &mut centres);
    let mut features = vec![0.0; n * elems];
    fill_normal(1, 1, 0.0, 1.0, &mut features);
    let labels: Vec<u32> = (0..n).map(|i| (i % n_classes) as u32).collect();
    for (row, label) in features.chunks_exact_mut(elems).zip(&labels) {
        let centre = &centres[*label as usize * elems..][..elems];
        row.iter_mut().zip(centre).for_each(|(x, c)| *x += c);
    }
    let targets = Targets::Classes { labels: labels.into(), n_classes };
    let examples = Dataset::new(features, shape.to_vec(), targets).expect("the examples are sound");
    split("clusters", examples)
}

/// Text of tokens drawn evenly, `n_train` windows of `context` to train on.
pub fn noise_text(n_train: usize, context: usize, vocabulary: usize) -> SplitData {
    // One window more than is trained on leaves room to shift them all.
    let n_tokens = (n_train + 1) * context;
    let mut drawn = vec![0.0; n_tokens.next_multiple_of(12) * 4 / 3];
    fill_uniform(1, 0, 0.0, vocabulary as f32, &mut drawn);
    let tokens: Vec<u32> = drawn.iter().map(|it| (*it as u32).min(vocabulary as u32 - 1)).collect();
    let windows = Windows::new(tokens, context, vocabulary).expect("the text is long enough");
    split("noise", Dataset::of_windows(windows))
}

fn split(source: &str, examples: Dataset) -> SplitData {
    let config = DataConfig {
        validation_share: 0.125,
        test_share: 0.125,
        standardize: Standardize::Off,
        ..DataConfig::new(source)
    };
    data::prepare(&config, examples, None, ExampleNames::default()).expect("it splits")
}
