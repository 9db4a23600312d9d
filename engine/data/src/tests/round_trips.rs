//! What is written is what is read.

use std::fmt::Write as _;

use npyz::WriterBuilder;
use proptest::prelude::*;

use super::files::{
    Folder, alternating, classification, gzip, idx, labelled, npy, numbers as numbers_of,
    regression,
};
use crate::{DataConfig, Dataset, SplitData, Standardize, Targets};

/// A data set whose every number is a value that `f32` holds exactly.
#[derive(Clone, Debug)]
struct Table {
    rows: Vec<Vec<f32>>,
    labels: Vec<u32>,
}

fn table() -> impl Strategy<Value = Table> {
    (1_usize..6, 12_usize..40).prop_flat_map(|(width, n_rows)| {
        let value = prop_oneof![-1e6_f32..1e6, Just(0.0), Just(f32::MAX), Just(f32::MIN_POSITIVE)];
        let rows = prop::collection::vec(prop::collection::vec(value, width), n_rows);
        // Each class thrice at least, so that each can be in every part.
        let labels = prop::collection::vec(0_u32..3, n_rows - 9)
            .prop_map(|labels| [labels, vec![0, 1, 2, 0, 1, 2, 0, 1, 2]].concat());
        (rows, labels).prop_map(|(rows, labels)| Table { rows, labels })
    })
}

fn raw(config: DataConfig) -> DataConfig {
    DataConfig { standardize: Standardize::Off, ..config }
}

fn labels_of(set: &Dataset) -> Vec<f32> {
    match &set.targets {
        Targets::Classes { labels, .. } => labels.iter().map(|label| *label as f32).collect(),
        Targets::Values { values, .. } => values.to_vec(),
        Targets::NextTokens(_) => panic!("no text"),
    }
}

/// Every example with its targets, in an order that does not depend on the split.
fn examples_of(parts: &[&Dataset]) -> Vec<Vec<u32>> {
    let mut all = Vec::new();
    for part in parts {
        let targets = labels_of(part);
        let width = targets.len() / part.len();
        for (index, targets) in (0..).zip(targets.chunks(width)) {
            let row = part.example(index).iter().chain(targets);
            all.push(row.map(|value| value.to_bits()).collect());
        }
    }
    all.sort();
    all
}

fn written(table: &Table) -> Vec<Vec<u32>> {
    let mut all: Vec<Vec<u32>> = (table.rows.iter().zip(&table.labels))
        .map(|(row, label)| row.iter().chain([&(*label as f32)]).map(|it| it.to_bits()).collect())
        .collect();
    all.sort();
    all
}

fn read(data: &SplitData) -> Vec<Vec<u32>> {
    examples_of(&[&data.train, &data.validation, &data.test])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn idx_gives_back_what_was_written(table in table(), compressed: bool, double: bool) {
        let folder = Folder::new();
        let shape = [table.rows.len() as u32, table.rows[0].len() as u32];
        let values = table.rows.iter().flatten();
        let images = match double {
            true => idx(0x0e, &shape, &values.flat_map(|x| f64::from(*x).to_be_bytes()).collect::<Vec<_>>()),
            false => idx(0x0d, &shape, &values.flat_map(|x| x.to_be_bytes()).collect::<Vec<_>>()),
        };
        let labels: Vec<u8> = table.labels.iter().map(|label| *label as u8).collect();
        let labels = idx(0x08, &shape[..1], &labels);
        if compressed {
            folder.write("d/train-images.idx.gz", gzip(&images));
            folder.write("d/train-labels.idx.gz", gzip(&labels));
        } else {
            folder.write("d/train-images.idx", images);
            folder.write("d/train-labels.idx", labels);
        }
        let data = folder.load(&raw(classification("d"))).expect("valid");
        prop_assert_eq!(read(&data), written(&table));
    }

    #[test]
    fn csv_gives_back_what_was_written(
        table in table(), crlf: bool, at in 0_usize..6, named: bool,
    ) {
        let folder = Folder::new();
        let end = if crlf { "\r\n" } else { "\n" };
        let at = at.min(table.rows[0].len());
        let mut columns: Vec<String> =
            (0..table.rows[0].len()).map(|column| format!("x{column}")).collect();
        columns.insert(at, "kind of it".into());
        let mut text = columns.join(",") + end;
        for (row, label) in table.rows.iter().zip(&table.labels) {
            let mut row: Vec<String> = row.iter().map(f32::to_string).collect();
            row.insert(at, if named { format!("\"class, {label}\"") } else { label.to_string() });
            write!(text, "{}{end}", row.join(",")).expect("text grows");
        }
        folder.write("t.csv", text);
        let data = folder.load(&raw(labelled("kind of it", classification("t.csv"))));
        let data = data.expect("valid");
        prop_assert_eq!(read(&data), written(&table));
        prop_assert_eq!(&data.names.targets[..], &["kind of it".to_owned()][..]);
        prop_assert_eq!(data.names.features.len(), table.rows[0].len());
        let last = if named { "class, 2" } else { "2" };
        prop_assert_eq!(data.names.classes.last().map(String::as_str), Some(last));
    }

    #[test]
    fn npy_gives_back_what_was_written(table in table()) {
        let folder = Folder::new();
        let shape = [table.rows.len() as u64, table.rows[0].len() as u64];
        let values: Vec<f32> = table.rows.concat();
        let labels: Vec<i64> = table.labels.iter().map(|label| i64::from(*label)).collect();
        folder.write("x.npy", numpy(&shape, &values));
        folder.write("x_labels.npy", numpy(&shape[..1], &labels));
        let data = folder.load(&raw(classification("x.npy"))).expect("valid");
        prop_assert_eq!(read(&data), written(&table));
    }

    #[test]
    fn no_file_of_any_kind_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200, kind in 0..5,
    ) {
        let folder = Folder::new();
        let start: &[u8] = match kind {
            0 => &[0, 0, 0x0d, 2],
            1 => b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f4', 'fortran_order': False, 'shape': (",
            2 => b"a,b\n1,2\n",
            3 => b"\x40\0\0\0\0\0\0\0{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}",
            _ => &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0],
        };
        let bytes = [&start[..start.len().min(cut)], &bytes].concat();
        for name in [
            "d/train-images", "d/train-labels", "x.npy", "x_labels.npy", "t.csv", "x.safetensors",
            "t.txt", "c/train.bin", "c/test.bin",
        ] {
            folder.write(name, &bytes);
        }
        for source in ["d", "x.npy", "t.csv", "x.safetensors", "t.txt", "c"] {
            if let Err(error) = folder.load(&classification(source)) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// An array as `npyz`, an independent writer, stores it.
fn numpy<T: npyz::AutoSerialize + Copy>(shape: &[u64], values: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape);
    let mut writer = options.writer(&mut bytes).begin_nd().expect("a dtype and a shape");
    writer.extend(values.iter().copied()).expect("memory takes every byte");
    writer.finish().expect("as many values as the shape asks for");
    bytes
}

/// The bits of a whole number above zero in IEEE 754 binary16.
fn f16_bits(number: u8) -> u16 {
    let exponent = number.ilog2() as u16;
    (exponent + 15) << 10 | (u16::from(number) << (10 - exponent)) & 0x3ff
}

#[test]
fn every_element_type_of_both_formats_is_read() {
    let labels = alternating(8);
    let numbers = [1_u8, 2, 3, 4, 5, 6, 7, 100];
    let expect = |folder: &Folder, source: &str, case: &str| {
        let data = folder.load(&raw(classification(source))).unwrap_or_else(|it| panic!("{it}"));
        let mut values: Vec<f32> = Vec::new();
        for part in [&data.train, &data.validation, &data.test] {
            values.extend(numbers_of(part));
        }
        values.sort_by(f32::total_cmp);
        assert_eq!(values, numbers.map(f32::from), "{case}");
    };
    macro_rules! payload {
        ($type:ty, $to:ident) => {
            numbers.iter().flat_map(|it| <$type>::from(*it as i8).$to()).collect::<Vec<u8>>()
        };
    }
    let folder = Folder::new();
    folder.write("d/train-labels", idx(0x08, &[8], &labels));
    for (code, payload) in [
        (0x08, numbers.to_vec()),
        (0x09, payload!(i8, to_be_bytes)),
        (0x0b, payload!(i16, to_be_bytes)),
        (0x0c, payload!(i32, to_be_bytes)),
        (0x0d, payload!(f32, to_be_bytes)),
        (0x0e, payload!(f64, to_be_bytes)),
    ] {
        folder.write("d/train-images", idx(code, &[8, 1], &payload));
        expect(&folder, "d", &format!("{code:#x}"));
    }
    folder.write("x_labels.npy", npy("|b1", "False", "(8,)", &labels));
    for (descr, payload) in [
        ("|u1", numbers.to_vec()),
        ("|i1", numbers.to_vec()),
        ("<i2", payload!(i16, to_le_bytes)),
        ("<u2", payload!(i16, to_le_bytes)),
        ("<i4", payload!(i32, to_le_bytes)),
        ("<u4", payload!(i32, to_le_bytes)),
        ("<i8", payload!(i64, to_le_bytes)),
        ("<u8", payload!(i64, to_le_bytes)),
        ("<f2", numbers.iter().flat_map(|it| f16_bits(*it).to_le_bytes()).collect()),
        ("<f4", payload!(f32, to_le_bytes)),
        (">f4", payload!(f32, to_be_bytes)),
        ("<f8", payload!(f64, to_le_bytes)),
    ] {
        folder.write("x.npy", npy(descr, "False", "(8, 1)", &payload));
        expect(&folder, "x.npy", descr);
    }
}

#[test]
fn a_test_set_of_ones_own_stays_the_test_set_even_without_every_class() {
    let folder = Folder::new();
    folder.write("d/train-images", idx(0x08, &[10, 2, 2], &[7; 40]));
    folder.write("d/train-labels", idx(0x08, &[10], &alternating(10)));
    folder.write("d/t10k-images", idx(0x08, &[2, 2, 2], &[9; 8]));
    folder.write("d/t10k-labels", idx(0x08, &[2], &[0, 0]));
    let data = folder.load(&raw(classification("d"))).expect("valid");
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (8, 2, 2));
    assert!(numbers_of(&data.test).iter().all(|value| *value == 9.0));
    assert_eq!(data.test.targets.n_outputs(), 2, "as many classes as the host has outputs");
}

#[test]
fn of_a_plain_file_and_its_gzip_the_plain_one_is_read() {
    let folder = Folder::new();
    folder.write("d/train-images-idx3-ubyte", idx(0x08, &[6, 2], &[1; 12]));
    folder.write("d/train-images-idx3-ubyte.gz", b"torchvision leaves both");
    folder.write("d/train-labels-idx1-ubyte", idx(0x08, &[6], &alternating(6)));
    folder.load(&classification("d")).expect("the plain file is whole");
}

#[test]
fn a_gzip_file_is_known_by_its_bytes_and_not_by_its_name() {
    let folder = Folder::new();
    folder.write("d/train-images.gz", idx(0x08, &[6, 2], &[1; 12]));
    folder.write("d/train-labels", gzip(&idx(0x08, &[6], &alternating(6))));
    folder.load(&classification("d")).expect("both are whole");
}

#[test]
fn classes_are_sorted_numbers_or_sorted_names() {
    let folder = Folder::new();
    let classes = |labels: [&str; 3]| {
        let rows: String = (0..12).map(|row| format!("{row},{}\n", labels[row % 3])).collect();
        folder.write("t.csv", format!("x,y\n{rows}"));
        folder.load(&classification("t.csv")).expect("valid").names.classes
    };
    assert_eq!(classes(["10", "9", "-1"]), ["-1", "9", "10"]);
    assert_eq!(classes(["2", "2.0", "3"]), ["2", "3"]);
    assert_eq!(classes(["b", "10", "9"]), ["10", "9", "b"]);
    assert_eq!(
        classes(["\u{e9}t\u{e9}", "hiver", "automne"]),
        ["automne", "hiver", "\u{e9}t\u{e9}"]
    );
}

#[test]
fn regression_reads_several_columns_in_the_order_asked_for() {
    let folder = Folder::new();
    let rows: String = (0..20).map(|row| format!("{row},{},{}\n", row * 10, row * 100)).collect();
    folder.write("t.csv", format!("\u{feff}a,x,b\n{rows}"));
    let data = folder.load(&raw(labelled("b, a", regression("t.csv")))).expect("valid");
    assert_eq!(data.names.targets, ["b", "a"]);
    assert_eq!(data.names.features, ["x"]);
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (14, 3, 3));
    let values = values_of(&data.train, 3);
    let x = data.train.example(3)[0];
    assert_eq!(values, [10.0 * x, x / 10.0]);
}

#[test]
fn npy_labels_may_be_named_and_regressed_on() {
    let folder = Folder::new();
    let features: Vec<u8> = (0..8_u8).flat_map(|x| f32::from(x).to_le_bytes()).collect();
    let targets: Vec<u8> = (0..16_u8).flat_map(|x| f64::from(x).to_le_bytes()).collect();
    folder.write("deep/x.npy", npy("<f4", "False", "(8, 1)", &features));
    folder.write("deep/far.npy", npy("<f8", "False", "(8, 2)", &targets));
    let data = folder.load(&raw(labelled("far.npy", regression("deep/x.npy")))).expect("valid");
    assert_eq!(data.train.targets.n_outputs(), 2);
    let values = values_of(&data.test, 0);
    let x = data.test.example(0)[0];
    assert_eq!(values, [2.0 * x, 2.0 * x + 1.0]);
}

/// The values to predict of one example.
fn values_of(set: &Dataset, index: usize) -> &[f32] {
    let Targets::Values { values, width } = &set.targets else { panic!("a regression") };
    &values[index * width..][..*width]
}
