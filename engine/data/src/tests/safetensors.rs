//! Safetensors files: what tensors may be called and hold, and what may be wrong with them.

use ::safetensors::{Dtype, serialize, tensor::TensorView};
use proptest::prelude::*;

use super::files::{Folder, alternating, classification, labelled, numbers, refused, regression};
use crate::{DataConfig, DataFault, Standardize, Targets};

/// A tensor: name, type, shape, and values as little-endian bytes.
type Tensor<'a> = (&'a str, Dtype, &'a [usize], Vec<u8>);

fn file(tensors: &[Tensor]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (*name, TensorView::new(*dtype, shape.to_vec(), bytes).expect("bytes fit the shape"))
    });
    serialize(views, None).expect("names are distinct")
}

fn f32s(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Twelve examples of two, and two classes.
fn features(name: &str) -> Tensor<'_> {
    (name, Dtype::F32, &[12, 2], f32s((0..24).map(|value| value as f32)))
}

fn labels(name: &str) -> Tensor<'_> {
    (name, Dtype::U8, &[12], alternating(12))
}

fn raw(config: DataConfig) -> DataConfig {
    DataConfig { standardize: Standardize::Off, ..config }
}

#[track_caller]
fn tensors_refused(
    tensors: &[Tensor],
    config: DataConfig,
    place: &str,
    words: &[&str],
) -> DataFault {
    let folder = Folder::new();
    folder.write("x.safetensors", file(tensors));
    refused(&folder, &config, place, words)
}

fn whole() -> DataConfig {
    classification("x.safetensors")
}

#[test]
fn tensors_are_found_by_any_of_their_usual_names() {
    for (x, y) in [("features", "labels"), ("x", "y"), ("images", "targets"), ("data", "labels")] {
        let folder = Folder::new();
        folder.write("x.safetensors", file(&[features(x), labels(y), labels("unrelated")]));
        let data = folder.load(&raw(whole())).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (8, 2, 2));
        let mut values = [&data.train, &data.validation, &data.test].map(numbers).concat();
        values.sort_by(f32::total_cmp);
        assert!(values.into_iter().eq((0..24).map(|value| value as f32)));
    }
}

#[test]
fn a_test_set_and_a_label_may_be_named() {
    let folder = Folder::new();
    let digit = |name| {
        (
            name,
            Dtype::I64,
            &[4, 1][..],
            vec![0, 1, 0, 1].into_iter().flat_map(i64::to_le_bytes).collect(),
        )
    };
    folder.write(
        "x.safetensors",
        file(&[
            ("images", Dtype::BF16, &[12, 3, 2, 2], [0x80, 0x3f].repeat(144)),
            labels("y"),
            labels("parity"),
            ("test_images", Dtype::F16, &[4, 3, 2, 2], [0x00, 0x40].repeat(48)),
            digit("test_parity"),
            digit("test_y"),
        ]),
    );
    for config in [whole(), labelled("parity", whole())] {
        let data = folder.load(&raw(config)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (10, 2, 4));
        assert_eq!(data.train.example_shape, [3, 2, 2]);
        assert!(numbers(&data.train).iter().all(|x| *x == 1.0));
        assert!(numbers(&data.test).iter().all(|x| *x == 2.0));
    }
    folder.write("x.safetensors", file(&[features("x"), labels("y"), features("test_x")]));
    let words = ["no tensor named test_labels or test_y or test_targets", "test_x, x, y"];
    let fault = refused(&folder, &whole(), "x.safetensors", &words);
    assert!(matches!(fault, DataFault::MissingTensor { .. }));
}

#[test]
fn every_element_type_is_read() {
    let number = [1_u8, 2, 3, 4, 5, 6, 7, 100];
    macro_rules! values {
        ($type:ty) => {
            number.iter().flat_map(|it| <$type>::from(*it as i8).to_le_bytes()).collect::<Vec<u8>>()
        };
    }
    let halves = |bits: [u16; 8]| bits.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let f16 = [0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600, 0x4700, 0x5640];
    let bf16 = number.map(|it| (f32::from(it).to_bits() >> 16) as u16);
    for (dtype, bytes) in [
        (Dtype::U8, number.to_vec()),
        (Dtype::I8, number.to_vec()),
        (Dtype::I16, values!(i16)),
        (Dtype::U16, values!(i16)),
        (Dtype::I32, values!(i32)),
        (Dtype::U32, values!(i32)),
        (Dtype::I64, values!(i64)),
        (Dtype::U64, values!(i64)),
        (Dtype::F16, halves(f16)),
        (Dtype::BF16, halves(bf16)),
        (Dtype::F32, values!(f32)),
        (Dtype::F64, values!(f64)),
    ] {
        let folder = Folder::new();
        let labels = ("y", Dtype::BOOL, &[8][..], alternating(8));
        folder.write("x.safetensors", file(&[("x", dtype, &[8, 1], bytes), labels]));
        let data = folder.load(&raw(whole())).unwrap_or_else(|error| panic!("{dtype}: {error}"));
        let mut values = [&data.train, &data.validation, &data.test].map(numbers).concat();
        values.sort_by(f32::total_cmp);
        assert_eq!(values, number.map(f32::from), "{dtype}");
    }
}

#[test]
fn several_targets_are_regressed_on() {
    let folder = Folder::new();
    let wide = ("y", Dtype::F32, &[12, 3][..], f32s((0..36).map(|value| value as f32 / 2.0)));
    folder.write("x.safetensors", file(&[features("x"), wide]));
    let data = folder.load(&raw(regression("x.safetensors"))).expect("valid");
    let Targets::Values { values, width: 3 } = &data.train.targets else { panic!("three values") };
    assert_eq!(values[0], 0.75 * data.train.example(0)[0]);
}

#[test]
fn missing_and_ambiguous_tensors_are_named_with_what_is_there() {
    let words = ["named features or x or images or data", "did you mean `feature`?", "feature, y"];
    let fault =
        tensors_refused(&[features("feature"), labels("y")], whole(), ".safetensors", &words);
    assert!(matches!(fault, DataFault::MissingTensor { .. }));
    let words = ["named labels or y or targets", "there are digit, x"];
    tensors_refused(&[features("x"), labels("digit")], whole(), ".safetensors", &words);
    tensors_refused(&[], whole(), ".safetensors", &["no tensors at all"]);
    let words = ["no tensor `lable`", "did you mean `label`?", "label, x"];
    let config = labelled("lable", whole());
    let fault = tensors_refused(&[features("x"), labels("label")], config, ".safetensors", &words);
    assert!(matches!(fault, DataFault::MissingLabel { .. }));
    let words = ["both `features` and `images`"];
    let tensors = [features("features"), features("images"), labels("y")];
    let fault = tensors_refused(&tensors, whole(), ".safetensors", &words);
    assert!(matches!(fault, DataFault::AmbiguousTensor { .. }));
    let tensors = [features("x"), labels("y"), labels("labels")];
    tensors_refused(&tensors, whole(), ".safetensors", &["both `labels` and `y`"]);
}

#[test]
fn tensors_of_the_wrong_type_shape_or_number_are_refused() {
    let refuse = |x: Tensor, y: Tensor, at: &str, words: &[&str]| {
        tensors_refused(&[x, y], whole(), &format!("tensor `{at}`"), words)
    };
    let complex = ("x", Dtype::C64, &[12, 1][..], vec![0; 96]);
    let fault = refuse(complex, labels("y"), "x", &["type C64", "BF16"]);
    assert!(matches!(fault, DataFault::UnsupportedElement { .. }));
    let flat = ("x", Dtype::U8, &[12][..], vec![0; 12]);
    let fault = refuse(flat, labels("y"), "x", &["[12]", "two axes"]);
    assert!(matches!(fault, DataFault::Shape { .. }));
    let scalar = ("x", Dtype::U8, &[][..], vec![0]);
    assert!(matches!(refuse(scalar, labels("y"), "x", &["two axes"]), DataFault::Shape { .. }));
    let deep = ("x", Dtype::U8, &[12, 1, 1, 1, 1, 1, 1, 1, 1][..], vec![0; 12]);
    assert!(matches!(refuse(deep, labels("y"), "x", &["8 axes"]), DataFault::BadHeader { .. }));
    let none = ("x", Dtype::U8, &[0, 4][..], vec![]);
    assert!(matches!(refuse(none, labels("y"), "x", &["is empty"]), DataFault::Empty));
    let few = ("y", Dtype::U8, &[11][..], alternating(11));
    let fault = refuse(features("x"), few, "y", &["11 targets for 12"]);
    assert!(matches!(fault, DataFault::CountMismatch { .. }));
    let one_hot = ("y", Dtype::U8, &[12, 2][..], vec![1; 24]);
    assert!(matches!(refuse(features("x"), one_hot, "y", &["argmax"]), DataFault::Shape { .. }));
    let mut values: Vec<f32> = (0..24).map(|value| value as f32).collect();
    values[13] = f32::NAN;
    let nan = ("x", Dtype::F32, &[12, 2][..], f32s(values));
    let fault = refuse(nan, labels("y"), "x", &["element 1 of example 6 is NaN"]);
    assert!(matches!(fault, DataFault::NotFinite { example: 6, element: 1, .. }));
    let infinite = ("x", Dtype::F16, &[12, 1][..], [0x00, 0xfc].repeat(12));
    refuse(infinite, labels("y"), "x", &["-inf"]);
    let negative = ("y", Dtype::I8, &[12][..], [alternating(11), vec![0xff]].concat());
    let fault = refuse(features("x"), negative, "y", &["example 11 is -1"]);
    assert!(matches!(fault, DataFault::NotAClass { example: 11, .. }));
    let fault = refuse(features("x"), ("y", Dtype::U8, &[12], vec![2; 12]), "y", &["same label"]);
    assert!(matches!(fault, DataFault::OneClass));
}

#[test]
fn a_safetensors_file_that_is_cut_anywhere_is_refused() {
    let bytes = file(&[features("x"), labels("y")]);
    let folder = Folder::new();
    for len in 0..bytes.len() {
        folder.write("x.safetensors", &bytes[..len]);
        let fault = refused(&folder, &whole(), "x.safetensors", &[]);
        let is_expected = match fault {
            DataFault::Empty => len == 0,
            DataFault::BadHeader { .. } => 0 < len,
            _ => false,
        };
        assert!(is_expected, "cut at {len}");
    }
    folder.write("x.safetensors", [&bytes[..], &[0]].concat());
    refused(&folder, &whole(), "x.safetensors", &["header is damaged"]);
    folder.write("x.safetensors", [&u64::MAX.to_le_bytes()[..], &bytes].concat());
    refused(&folder, &whole(), "x.safetensors", &["header is damaged"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn safetensors_give_back_what_was_written(
        rows in prop::collection::vec(prop::array::uniform3(-1e6_f32..1e6), 12..40),
    ) {
        let folder = Folder::new();
        let (n, bytes) = (rows.len(), f32s(rows.concat()));
        let x = ("x", Dtype::F32, &[n, 3][..], bytes);
        folder.write("x.safetensors", file(&[x, ("y", Dtype::U8, &[n], alternating(n))]));
        let data = folder.load(&raw(whole())).expect("valid");
        let parts = [&data.train, &data.validation, &data.test].map(numbers).concat();
        let mut read: Vec<[u32; 3]> =
            parts.as_chunks::<3>().0.iter().map(|row| row.map(f32::to_bits)).collect();
        let mut written: Vec<[u32; 3]> = rows.iter().map(|row| row.map(f32::to_bits)).collect();
        read.sort_unstable();
        written.sort_unstable();
        prop_assert_eq!(read, written);
    }
}
