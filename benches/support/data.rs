//! Data that is made up.

use esper::{
    engine::data::{
        self, DataConfig, Dataset, ExampleNames, SplitData, Standardize, Targets, Windows,
    },
    kernels::philox::{fill_normal, fill_uniform},
};

/// Batches of an epoch. With 10 classes, and with any batch that 4 divides, every part of the data then has a whole
/// number of examples of every class, and every batch is full.
pub const N_BATCHES: usize = 15;

/// Examples of `shape` around one centre a class, [`N_BATCHES`] batches of `batch` to train on: any host learns them,
/// and none of its faults strike.
pub fn clusters(batch: usize, shape: &[usize], n_classes: usize) -> SplitData {
    let (n, elems) = (N_BATCHES * batch * 4 / 3, shape.iter().product());
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

/// Text of tokens drawn evenly, [`N_BATCHES`] batches of `batch` windows to train on.
pub fn noise_text(batch: usize, context: usize, vocabulary: usize) -> SplitData {
    // One window more than is trained on leaves room to shift them all.
    let n_train = (N_BATCHES * batch + 1) * context;
    let mut drawn = vec![0.0; n_train.next_multiple_of(12) * 4 / 3];
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
