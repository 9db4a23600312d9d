//! The data sets that ship, and what holds for the split of any.

use std::path::Path;

use super::files::{Folder, classification, gzip, numbers, regression};
use crate::{BUNDLED, DataConfig, Dataset, SplitData, Standardize, Targets, load};

fn bundled(config: &DataConfig) -> SplitData {
    load(config, Path::new("/no/such/folder")).expect("bundled data needs no folder")
}

fn n_classes(set: &Dataset) -> usize {
    set.targets.n_outputs()
}

#[test]
fn digits_has_its_official_size_and_split() {
    let data = bundled(&classification("digits"));
    assert_eq!(data.train.len() + data.validation.len(), 3823);
    assert_eq!(data.validation.len(), 573, "15 % of 3823");
    assert_eq!(data.test.len(), 1797);
    assert_eq!((data.train.example_shape.as_slice(), data.train.elems()), (&[8, 8][..], 64));
    assert_eq!([&data.train, &data.validation, &data.test].map(n_classes), [10; 3]);
}

#[test]
fn mnist1d_has_its_official_size_and_split() {
    let data = bundled(&classification("mnist1d"));
    assert_eq!(data.train.len() + data.validation.len(), 4000);
    assert_eq!((data.validation.len(), data.test.len()), (600, 1000));
    assert_eq!(data.train.example_shape, [40]);
    assert_eq!(n_classes(&data.train), 10);
}

#[test]
fn digits_keeps_its_raw_values_when_not_standardised() {
    let data = bundled(&DataConfig { standardize: Standardize::Off, ..classification("digits") });
    let whole = |value: &f32| (0.0..=16.0).contains(value) && value.fract() == 0.0;
    assert!(numbers(&data.train).iter().all(whole));
    // The first test example, as the file of the UCI repository begins.
    assert_eq!(data.test.example(0)[..8], [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0]);
    assert!(data.scaling.is_identity());
}

#[test]
fn only_training_examples_decide_the_scale() {
    for (source, standardize) in
        [("digits", Standardize::PerFeature), ("mnist1d", Standardize::Global)]
    {
        let raw = bundled(&DataConfig { standardize: Standardize::Off, ..classification(source) });
        let data = bundled(&DataConfig { standardize, ..classification(source) });
        let width = data.scaling.mean.len();
        let column = |set: &Dataset| -> Vec<f64> {
            numbers(set).iter().step_by(width).map(|x| f64::from(*x)).collect()
        };
        for index in [0, 3, width - 1].map(|index| index.min(width - 1)) {
            let values: Vec<f64> =
                numbers(&raw.train)[index..].iter().step_by(width).map(|x| (*x).into()).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            assert!((data.scaling.mean[index] - mean).abs() < 1e-9, "{source} {index}");
        }
        let mean = |set: &Dataset| column(set).iter().sum::<f64>() / column(set).len() as f64;
        assert!(mean(&data.train).abs() < 1e-6, "{source}");
        let mut test = numbers(&raw.test).to_vec();
        data.scaling.apply(&mut test);
        assert_eq!(test, numbers(&data.test), "{source}: the same map for every part");
    }
}

#[test]
fn every_part_of_digits_holds_every_class_in_proportion() {
    let data = bundled(&classification("digits"));
    let count = |set: &Dataset, class: u32| match &set.targets {
        Targets::Classes { labels, .. } => labels.iter().filter(|it| **it == class).count() as f64,
        _ => panic!("digits are classes"),
    };
    for class in 0..10 {
        let n_held = count(&data.validation, class);
        let n_all = n_held + count(&data.train, class);
        assert!((n_held - 573.0 / 3823.0 * n_all).abs() <= 1.0, "class {class}: {n_held}/{n_all}");
    }
}

#[test]
fn loading_twice_gives_the_same_bits_and_the_split_seed_moves_no_test_example() {
    for source in BUNDLED {
        let first = bundled(&classification(source));
        let again = bundled(&classification(source));
        let moved = bundled(&DataConfig { split_seed: 1, ..classification(source) });
        assert_eq!(first.train, again.train);
        assert_eq!(first.validation, again.validation);
        assert_eq!(first.digest, again.digest);
        assert_eq!(first.digest, moved.digest, "the digest is of the data, not of the split");
        let is_text = first.train.vocabulary().is_some();
        assert_eq!(first.validation == moved.validation, is_text, "text is split by place");
        assert_eq!(first.test.targets, moved.test.targets);
    }
}

#[test]
fn the_digests_of_the_bundled_data_are_pinned() {
    let hex = |source| blake3::Hash::from(bundled(&classification(source)).digest).to_string();
    assert_eq!(hex("digits"), "8d238e3fa851eaa90163724b425b7140e15728de3f923a4d492ef57b558d17cf");
    assert_eq!(hex("mnist1d"), "d2fc7bc802cff073996a566255760e68b156c2709f82f4220859ebfed92b4fd8");
    assert_eq!(hex("hamlet"), "85de52d6e16ec9f35c6895f8cd5bf4308b432d16d4c537795a3e8d125c71be71");
}

#[test]
fn digits_can_be_regressed_on_its_labels() {
    let data = bundled(&regression("digits"));
    assert!(matches!(&data.train.targets, Targets::Values { width: 1, .. }));
}

#[test]
fn a_folder_with_the_files_of_digits_loads_as_digits() {
    let folder = Folder::new();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/digits");
    for entry in std::fs::read_dir(repository).expect("the repository has it") {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|it| it.to_str()).expect("a unicode name");
        folder.write(&format!("mine/{name}"), std::fs::read(&path).expect("readable"));
    }
    let bytes = std::fs::read(folder.path().join("mine/t10k-labels-idx1-ubyte.gz")).expect("there");
    assert_ne!(bytes, gzip(&bytes), "the files are gzip themselves");
    let data = folder.load(&classification("mine")).expect("valid");
    assert_eq!(data.digest, bundled(&classification("digits")).digest);
}
