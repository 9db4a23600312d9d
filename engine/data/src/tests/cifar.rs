//! CIFAR folders: the official layout, and what may be wrong with one.

use proptest::prelude::*;

use super::files::{Folder, classification, gzip, labelled, numbers, refused, regression};
use crate::{Augment, DataConfig, DataFault, Dataset, Standardize, Targets};

const BATCHES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// Records of which each has a colour of its own: `labels` bytes, then red, green and blue planes.
fn records(labels: &[&[u8]], colour: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (image, labels) in (0_u8..).zip(labels) {
        bytes.extend(*labels);
        for channel in 0_u8..3 {
            bytes.extend((0..1024).map(|pixel| {
                if pixel == 1023 { 255 } else { colour.wrapping_add(image + channel * 60) }
            }));
        }
    }
    bytes
}

/// Ten images in each file, one of each class.
fn cifar10() -> Folder {
    let folder = Folder::new();
    let labels: Vec<[u8; 1]> = (0..10).map(|label| [label]).collect();
    let labels: Vec<&[u8]> = labels.iter().map(|label| &label[..]).collect();
    for (batch, name) in (0..).zip(BATCHES) {
        folder.write(&format!("c/{name}"), records(&labels, batch * 10));
    }
    folder
}

/// Two images of each fine class to train on; the coarse class is a fifth of the fine one.
fn cifar100() -> Folder {
    let folder = Folder::new();
    let labels: Vec<[u8; 2]> = (0..100).map(|label| [label / 5, label]).collect();
    let labels: Vec<&[u8]> = labels.iter().map(|label| &label[..]).collect();
    folder.write("c/train.bin", [records(&labels, 1), records(&labels, 2)].concat());
    folder.write("c/test.bin", records(&labels[..7], 3));
    folder
}

fn raw(config: DataConfig) -> DataConfig {
    DataConfig { standardize: Standardize::Off, ..config }
}

fn labels(set: &Dataset) -> &[u32] {
    match &set.targets {
        Targets::Classes { labels, .. } => labels,
        _ => panic!("CIFAR has classes"),
    }
}

#[test]
fn cifar_10_is_read_from_its_six_files() {
    let folder = cifar10();
    folder.write(
        "c/batches.meta.txt",
        "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n",
    );
    folder.write("c/readme.html", "<html>");
    let data = folder.load(&raw(classification("c"))).expect("valid");
    assert_eq!((data.train.len() + data.validation.len(), data.test.len()), (50, 10));
    assert_eq!(data.train.example_shape, [3, 32, 32]);
    assert_eq!(data.train.targets.n_outputs(), 10);
    assert_eq!((&data.names.classes[3], &data.names.classes[9]), (&"cat".into(), &"truck".into()));
    assert_eq!(labels(&data.test), (0..10).collect::<Vec<_>>());
    let ship = data.test.example(8);
    assert_eq!(
        [ship[0], ship[1022], ship[1023], ship[1024], ship[2048]],
        [58.0, 58.0, 255.0, 118.0, 178.0]
    );
}

#[test]
fn cifar_100_is_learned_by_its_fine_or_its_coarse_classes() {
    let folder = cifar100();
    let fine = folder.load(&raw(classification("c"))).expect("valid");
    assert_eq!((fine.train.len() + fine.validation.len(), fine.test.len()), (200, 7));
    assert_eq!(fine.train.targets.n_outputs(), 100);
    assert_eq!(labels(&fine.test), [0, 1, 2, 3, 4, 5, 6]);
    let named = folder.load(&raw(labelled("fine", classification("c")))).expect("valid");
    assert_eq!(named.digest, fine.digest);
    let coarse = folder.load(&raw(labelled("coarse", classification("c")))).expect("valid");
    assert_eq!(coarse.train.targets.n_outputs(), 20);
    assert_eq!(labels(&coarse.test), [0, 0, 0, 0, 0, 1, 1]);
    assert_eq!(numbers(&coarse.test), numbers(&fine.test));

    let names = |n: usize| (0..n).map(|class| format!("c{class}\r\n")).collect::<String>();
    folder.write("c/fine_label_names.txt", names(100));
    folder.write("c/coarse_label_names.txt", names(20));
    let names = |config| folder.load(&config).expect("valid").names.classes;
    assert_eq!(names(classification("c")).len(), 100);
    assert_eq!(names(labelled("coarse", classification("c"))).last(), Some(&"c19".to_owned()));
    let words = ["no set of classes `course`", "did you mean `coarse`?", "fine, coarse"];
    let fault = refused(&folder, &labelled("course", classification("c")), "c", &words);
    assert!(matches!(fault, DataFault::MissingLabel { .. }));
}

#[test]
fn cifar_is_standardised_by_channel_and_varied_when_it_trains() {
    let folder = cifar10();
    let augment = Augment { crop_padding: 4, flip: true, cutout: 16 };
    let standardize = Standardize::PerChannel;
    let config = DataConfig { standardize, augment, ..classification("c") };
    let data = folder.load(&config).expect("valid");
    assert_eq!((data.scaling.mean.len(), data.scaling.run_elems), (3, 1024));
    for channel in 0..3 {
        let planes = numbers(&data.train).chunks_exact(1024).skip(channel).step_by(3);
        let values: Vec<f64> = planes.flatten().map(|x| f64::from(*x)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-6, "{channel}: {mean} {square}");
    }
    assert_eq!(data.augment, augment);
    let wide = Augment { cutout: 33, ..augment };
    let fault = refused(&folder, &DataConfig { augment: wide, ..config }, "c", &["at most 32"]);
    assert!(matches!(fault, DataFault::AugmentRange { name: "cutout", .. }));
}

#[test]
fn cifar_can_be_regressed_on_its_labels() {
    let data = cifar10().load(&regression("c")).expect("valid");
    assert!(matches!(&data.test.targets, Targets::Values { values, width: 1 } if values[9] == 9.0));
}

#[test]
fn a_folder_of_tables_is_not_augmented() {
    let folder = Folder::new();
    let rows: String = (0..20).map(|row| format!("{row},{}\n", row % 2)).collect();
    folder.write("t.csv", format!("x,y\n{rows}"));
    let augment = Augment { flip: true, ..Augment::default() };
    let config = DataConfig { augment, ..classification("t.csv") };
    let fault = refused(&folder, &config, "t.csv", &["rows of a table", "turn it off"]);
    assert!(matches!(fault, DataFault::NotAnImage { .. }));
}

#[test]
fn a_cifar_folder_that_lacks_a_file_says_which() {
    for missing in BATCHES {
        let folder = cifar10();
        std::fs::remove_file(folder.path().join("c").join(missing)).expect("it is there");
        let words = [&format!("no `{missing}`")[..], "CIFAR-10", "data_batch_1.bin to"];
        let fault = refused(&folder, &classification("c"), "c", &words);
        assert!(matches!(fault, DataFault::MissingFile { name, .. } if name == missing));
    }
    let folder = cifar100();
    std::fs::remove_file(folder.path().join("c/test.bin")).expect("it is there");
    refused(&folder, &classification("c"), "c", &["no `test.bin`", "CIFAR-100"]);
}

#[test]
fn a_cifar_file_that_is_no_whole_number_of_records_is_refused() {
    let whole = records(&[&[1], &[2]], 0);
    for len in [1, 3072, 3074, whole.len() - 1] {
        let folder = cifar10();
        folder.write("c/data_batch_3.bin", &whole[..len]);
        let words = [&format!("{len} bytes")[..], "CIFAR-10 3073", "download"];
        let fault = refused(&folder, &classification("c"), "data_batch_3.bin", &words);
        assert!(matches!(fault, DataFault::PartialRecord { record_len_bytes: 3073, .. }), "{len}");
    }
    let folder = cifar10();
    folder.write("c/test_batch.bin", []);
    let fault = refused(&folder, &classification("c"), "test_batch.bin", &["is empty"]);
    assert!(matches!(fault, DataFault::Empty));
    let zipped = gzip(&whole);
    folder.write("c/test_batch.bin", &zipped[..zipped.len() - 9]);
    let fault = refused(&folder, &classification("c"), "test_batch.bin", &["gzip"]);
    assert!(matches!(fault, DataFault::Gzip { .. }));
    folder.write("c/test_batch.bin", zipped);
    assert_eq!(folder.load(&classification("c")).expect("valid").test.len(), 2);
}

#[test]
fn a_cifar_label_beyond_its_classes_is_named() {
    let folder = cifar10();
    folder.write("c/data_batch_2.bin", records(&[&[9], &[10], &[3]], 0));
    let words = ["example 1 is 10", "CIFAR-10 are 0 to 9"];
    let fault = refused(&folder, &classification("c"), "data_batch_2.bin", &words);
    assert!(matches!(fault, DataFault::LabelRange { example: 1, label: 10, .. }));
    let folder = cifar100();
    folder.write("c/test.bin", records(&[&[20, 99]], 0));
    folder.load(&classification("c")).expect("the coarse label is not learned");
    let coarse = labelled("coarse", classification("c"));
    refused(&folder, &coarse, "test.bin", &["is 20", "CIFAR-100 are 0 to 19"]);
    folder.write("c/test.bin", records(&[&[19, 100]], 0));
    refused(&folder, &classification("c"), "test.bin", &["is 100", "0 to 99"]);
}

#[test]
fn a_class_without_images_is_named() {
    let folder = cifar10();
    for name in &BATCHES[..5] {
        folder.write(&format!("c/{name}"), records(&[&[0], &[1], &[2]], 0));
    }
    let fault = refused(&folder, &classification("c"), "c", &["class 3 below it"]);
    assert!(matches!(fault, DataFault::ClassGap { label: 9, missing: 3 }));
}

#[test]
fn names_of_classes_must_be_as_many() {
    let folder = cifar10();
    folder.write("c/batches.meta.txt", "airplane\nautomobile\n");
    let words = ["names 2 classes", "there are 10"];
    let fault = refused(&folder, &classification("c"), "batches.meta.txt", &words);
    assert!(matches!(fault, DataFault::ClassNames { expected: 10, found: 2 }));
    folder.write("c/batches.meta.txt", b"airplane\n\xff\xfe\n");
    let fault = refused(&folder, &classification("c"), "batches.meta.txt", &["line 2"]);
    assert!(matches!(fault, DataFault::NotText { line: 2 }));
    folder.write("c/batches.meta.txt", vec![b'\n'; 70_000]);
    refused(&folder, &classification("c"), "batches.meta.txt", &["65536 bytes"]);
}

#[test]
fn python_pickles_are_refused_with_the_version_to_get() {
    let folder = Folder::new();
    folder.write("ten/data_batch_1", "pickle");
    for name in ["train", "test", "meta"] {
        folder.write(&format!("hundred/{name}"), "pickle");
    }
    for source in ["ten", "hundred"] {
        let words = ["pickles", "cifar-10-binary.tar.gz"];
        let fault = refused(&folder, &classification(source), source, &words);
        assert!(matches!(fault, DataFault::Pickled));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn cifar_gives_back_what_was_written(
        pixels in prop::collection::vec(any::<u8>(), 3072), label in 0_u8..10, at in 0_usize..10,
    ) {
        let folder = cifar10();
        let mut test = records(&[&[0][..]; 10], 5);
        test.splice(at * 3073..(at + 1) * 3073, [vec![label], pixels.clone()].concat());
        folder.write("c/test_batch.bin", test);
        let data = folder.load(&raw(classification("c"))).expect("valid");
        prop_assert!(data.test.example(at as u32).iter().copied().eq(pixels.into_iter().map(f32::from)));
        prop_assert_eq!(labels(&data.test)[at], u32::from(label));
    }
}
