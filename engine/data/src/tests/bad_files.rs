//! What is wrong with a file is found, said with its place, and never a panic.

use super::files::{
    Folder, alternating, classification, gzip, idx, labelled, npy, refused, regression,
};
use crate::{BUNDLED, DataConfig, DataFault, N_CLASSES_MAX};

/// Twelve images of two pixels with two classes, one file of them replaced.
fn idx_folder(replaced: &str, bytes: impl AsRef<[u8]>) -> Folder {
    let folder = Folder::new();
    folder.write("d/train-images", idx(0x08, &[12, 2], &[3; 24]));
    folder.write("d/train-labels", idx(0x08, &[12], &alternating(12)));
    folder.write("d/t10k-images", idx(0x08, &[4, 2], &[3; 8]));
    folder.write("d/t10k-labels", idx(0x08, &[4], &alternating(4)));
    folder.load(&classification("d")).expect("valid before the replacement");
    folder.write(&format!("d/{replaced}"), bytes);
    folder
}

#[track_caller]
fn idx_refused(replaced: &str, bytes: impl AsRef<[u8]>, words: &[&str]) -> DataFault {
    let folder = idx_folder(replaced, bytes);
    refused(&folder, &classification("d"), replaced, words)
}

#[track_caller]
fn csv_refused(text: impl AsRef<[u8]>, config: DataConfig, words: &[&str]) -> DataFault {
    let folder = Folder::new();
    folder.write("t.csv", text);
    refused(&folder, &config, "t.csv", words)
}

#[track_caller]
fn npy_refused(bytes: impl AsRef<[u8]>, words: &[&str]) -> DataFault {
    let folder = Folder::new();
    folder.write("x.npy", bytes);
    folder.write("x_labels.npy", npy("|u1", "False", "(12,)", &alternating(12)));
    refused(&folder, &classification("x.npy"), "x.npy", words)
}

#[test]
fn a_source_that_is_not_there_suggests_the_nearest() {
    let folder = Folder::new();
    folder.write("sub/wine.csv", "x,y\n1,2\n");
    for (source, suggestion) in [
        ("digit", "did you mean `digits`?"),
        ("MNIST-1D", "did you mean `mnist1d`?"),
        ("sub/wnie.csv", "did you mean `sub/wine.csv`?"),
        ("far/away", "bundled data sets are digits, mnist1d and hamlet"),
        ("", "no such data set"),
    ] {
        let fault = refused(&folder, &classification(source), source, &[suggestion]);
        assert!(matches!(fault, DataFault::UnknownSource { bundled: BUNDLED, .. }), "{source}");
    }
}

#[test]
fn kinds_of_files_that_can_not_be_loaded_are_refused() {
    let folder = Folder::new();
    for name in ["model.pt", "hamlet.pdf", "x.npz", "train-images-idx3-ubyte"] {
        folder.write(name, "anything");
        let fault = refused(&folder, &classification(name), name, &["not supported", ".csv"]);
        assert!(matches!(fault, DataFault::UnsupportedFormat));
    }
}

#[cfg(unix)]
#[test]
fn devices_and_names_no_system_takes_are_refused() {
    let folder = Folder::new();
    let fault = refused(&folder, &classification("/dev/zero"), "zero", &["neither a file nor"]);
    assert!(matches!(fault, DataFault::NotAFile));
    folder.write("t.csv", "x,y\n1,2\n");
    let long = "x".repeat(300) + ".csv";
    for source in ["t.csv/below", long.as_str(), "a\0b.csv"] {
        let fault = refused(&folder, &classification(source), source, &["can not be read"]);
        assert!(matches!(fault, DataFault::Unreadable { .. }), "{source}");
    }
}

#[cfg(unix)]
#[test]
fn a_folder_where_a_file_should_be_is_refused() {
    let folder = idx_folder("t10k-labels.d/inner", "x");
    std::fs::remove_file(folder.path().join("d/t10k-labels")).expect("it is there");
    let fault = refused(&folder, &classification("d"), "t10k-labels.d", &["neither a file nor"]);
    assert!(matches!(fault, DataFault::NotAFile));
}

#[test]
fn a_folder_that_lacks_a_file_says_which() {
    for missing in ["train-images", "train-labels", "t10k-images", "t10k-labels"] {
        let folder = idx_folder("unrelated.txt", "x");
        std::fs::remove_file(folder.path().join("d").join(missing)).expect("it is there");
        let words = [&format!("no `{missing}*`")[..], "folder of IDX files holds"];
        let fault = refused(&folder, &classification("d"), "d", &words);
        assert!(matches!(fault, DataFault::MissingPart { prefix } if prefix == missing));
    }
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("empty")).expect("a folder");
    refused(&folder, &classification("empty"), "empty", &["no `train-images*`"]);
}

#[test]
fn two_files_that_could_be_meant_are_both_named() {
    let folder = idx_folder("train-labels.old", "x");
    let fault =
        refused(&folder, &classification("d"), "d", &["`train-labels`", "`train-labels.old`"]);
    assert!(matches!(fault, DataFault::AmbiguousPart { .. }));
}

#[test]
fn an_idx_file_that_is_cut_anywhere_is_refused() {
    let whole = idx(0x0d, &[12, 2], &[0; 96]);
    for len in 0..whole.len() {
        let folder = idx_folder("train-images", &whole[..len]);
        let error = folder.load(&classification("d")).expect_err("it is cut");
        assert!(error.place.ends_with("train-images"), "{len}: {error}");
    }
    let words = ["truncated", "96 bytes", "and 95 follow"];
    let fault = idx_refused("train-images", &whole[..whole.len() - 1], &words);
    assert!(matches!(fault, DataFault::Truncated { expected_bytes: 96, found_bytes: 95 }));
    assert!(matches!(idx_refused("train-labels", [], &["is empty"]), DataFault::Empty));
}

#[test]
fn an_idx_header_that_makes_no_sense_is_refused() {
    let fault = idx_refused("train-images", b"PNG nonsense", &["50, 4e, 47", "IDX", "00 00"]);
    assert!(matches!(fault, DataFault::BadMagic { .. }));
    let fault = idx_refused("train-images", idx(0x0a, &[12, 2], &[0; 24]), &["0x0a", "0x0d (f32)"]);
    assert!(matches!(fault, DataFault::UnsupportedElement { .. }));
    for shape in [&[][..], &[1; 9]] {
        let fault = idx_refused("train-images", idx(0x08, shape, &[0]), &["axes", "1 to 8"]);
        assert!(matches!(fault, DataFault::BadHeader { .. }));
    }
    let fault = idx_refused("train-images", idx(0x08, &[12, 2], &[0; 25]), &["goes on after"]);
    assert!(matches!(fault, DataFault::TrailingBytes { expected_bytes: 24 }));
    let fault = idx_refused("train-images", idx(0x08, &[0, 2], &[]), &["is empty"]);
    assert!(matches!(fault, DataFault::Empty));
}

#[test]
fn absurd_axes_are_refused_before_anything_is_allocated() {
    for shape in [&[u32::MAX; 8][..], &[u32::MAX, u32::MAX], &[1 << 30, 2], &[65_536, 65_536]] {
        let fault = idx_refused("train-images", idx(0x08, shape, &[0; 8]), &["4294967296 bytes"]);
        assert!(matches!(fault, DataFault::TooLarge { .. }), "{shape:?}");
    }
    // Within the limit, but the bytes are not there.
    let fault = idx_refused("train-images", idx(0x0e, &[1 << 20, 512], &[0; 8]), &["truncated"]);
    assert!(matches!(fault, DataFault::Truncated { found_bytes: 8, .. }));
}

#[test]
fn images_and_labels_must_fit_together() {
    let fault =
        idx_refused("train-labels", idx(0x08, &[11], &alternating(11)), &["11 targets", "12"]);
    assert!(matches!(fault, DataFault::CountMismatch { n_examples: 12, n_targets: 11 }));
    let fault = idx_refused("train-images", idx(0x08, &[12], &[0; 12]), &["[12]", "two axes"]);
    assert!(matches!(fault, DataFault::Shape { .. }));
    let fault = idx_refused("train-labels", idx(0x08, &[12, 2], &[0; 24]), &["[12, 2]", "argmax"]);
    assert!(matches!(fault, DataFault::Shape { .. }));

    let folder = idx_folder("t10k-images", idx(0x08, &[4, 3], &[0; 12]));
    let fault = refused(&folder, &classification("d"), "d", &["shape [3]", "[2]"]);
    assert!(matches!(fault, DataFault::TestDiffers { what: "shape", .. }));
    let folder = idx_folder("t10k-labels", idx(0x08, &[4], &[0, 1, 2, 1]));
    let fault = refused(&folder, &classification("d"), "d", &["labels 0..=2", "0..=1"]);
    assert!(matches!(fault, DataFault::TestDiffers { what: "labels", .. }));
    let folder = idx_folder("t10k-labels", idx(0x08, &[4, 2], &[0; 8]));
    let fault = refused(&folder, &regression("d"), "d", &["width 2", "1"]);
    assert!(matches!(fault, DataFault::TestDiffers { .. }));
}

#[test]
fn a_label_that_is_no_class_is_named_with_its_example() {
    let labels = |code, payload: &[u8]| idx(code, &[12], payload);
    let mut far = alternating(12);
    far[5] = 255;
    let words = ["label 255 is out of range", "class 2 below it"];
    let fault = idx_refused("train-labels", labels(0x08, &far), &words);
    assert!(matches!(fault, DataFault::ClassGap { label: 255, missing: 2 }));
    let mut negative = alternating(12);
    negative[3] = 0xff;
    let words = ["example 3 is -1", "from 0 to at most 65535"];
    assert!(matches!(
        idx_refused("train-labels", labels(0x09, &negative), &words),
        DataFault::NotAClass { example: 3, .. }
    ));
    let of_f32s = |last: f32| -> Vec<u8> {
        (0..11).map(|it| (it % 2) as f32).chain([last]).flat_map(f32::to_be_bytes).collect()
    };
    for last in [0.5, f32::NAN, f32::INFINITY, 65_536.0] {
        let words = ["example 11", "task = \"regression\""];
        let fault = idx_refused("train-labels", labels(0x0d, &of_f32s(last)), &words);
        assert!(matches!(fault, DataFault::NotAClass { example: 11, .. }), "{last}");
    }
    let fault = idx_refused("train-labels", labels(0x08, &[1; 12]), &["same label"]);
    assert!(matches!(fault, DataFault::OneClass));
}

#[test]
fn a_feature_that_is_not_finite_is_named_with_its_example() {
    let images = |bad: f64| {
        let values = (0..24).map(|it| if it == 13 { bad } else { 1.0 });
        idx(0x0e, &[12, 2], &values.flat_map(f64::to_be_bytes).collect::<Vec<_>>())
    };
    for bad in [f64::NAN, f64::NEG_INFINITY, 1e39] {
        let fault = idx_refused("train-images", images(bad), &["element 1 of example 6"]);
        assert!(matches!(fault, DataFault::NotFinite { example: 6, element: 1, .. }));
    }
}

#[test]
fn a_held_out_value_that_overflows_when_standardised_is_refused() {
    // In training the feature moves by the smallest steps f32 has; then comes 1e38.
    let tiny = |it: u32| f32::from_bits(it % 3);
    let of = |values: Vec<f32>| values.into_iter().flat_map(f32::to_be_bytes).collect::<Vec<u8>>();
    let train = of((0..24).map(tiny).collect());
    let folder = idx_folder("train-images", idx(0x0d, &[12, 2], &train));
    folder.write("d/t10k-images", idx(0x0d, &[4, 2], &of(vec![1e38; 8])));
    let fault = refused(&folder, &classification("d"), "d", &["not a finite f32"]);
    assert!(matches!(fault, DataFault::NotFinite { example: 0, element: 0, .. }));
}

#[test]
fn damaged_gzip_is_refused() {
    let whole = gzip(&idx(0x08, &[12, 2], &(0..24).collect::<Vec<u8>>()));
    for len in 2..whole.len() {
        let fault = idx_refused("train-images", &whole[..len], &["gzip", "download"]);
        assert!(matches!(fault, DataFault::Gzip { .. }), "cut at {len}");
    }
    let mut flipped = whole.clone();
    let crc = flipped.len() - 8;
    flipped[crc] ^= 1;
    let fault = idx_refused("train-images", &flipped, &["gzip"]);
    assert!(matches!(fault, DataFault::Gzip { .. }), "the checksum is compared");
    assert!(matches!(idx_refused("train-images", gzip(&[]), &["is empty"]), DataFault::Empty));
}

#[test]
fn a_gzip_bomb_is_read_no_further_than_its_header_promises() {
    let bomb = gzip(&idx(0x08, &[12, 2], &vec![0; 64 << 20]));
    assert!(bomb.len() < 1 << 20);
    let fault = idx_refused("train-images", bomb, &["goes on after the 24 bytes"]);
    assert!(matches!(fault, DataFault::TrailingBytes { expected_bytes: 24 }));
}

#[test]
fn a_csv_cell_that_is_no_number_is_named_with_line_and_column() {
    let text = |cell: &str| format!("width,\"kind\"\n1,a\n2,b\n{cell},a\n4,b\n5,a\n");
    for (cell, problem) in [
        ("NaN", "\"NaN\" is not a finite f32"),
        ("-inf", "\"-inf\" is not a finite f32"),
        ("1e39", "\"1e39\" is not a finite f32"),
        ("", "\"\" is empty"),
        ("tall", "\"tall\" is not a number"),
        ("0x10", "\"0x10\" is not a number"),
        ("\"1,5\"", "\"1,5\" is not a number"),
    ] {
        for text in [text(cell), text(cell).replace('\n', "\r\n")] {
            let words = ["line 4", "column `width`", problem];
            let fault = csv_refused(text, classification("t.csv"), &words);
            assert!(matches!(fault, DataFault::BadCell { line: 4, .. }), "{cell}");
        }
    }
    let long = csv_refused(text(&"y".repeat(5000)), classification("t.csv"), &["line 4"]);
    assert!(long.to_string().len() < 200, "a field is shown in part");
}

#[test]
fn lines_are_counted_through_quotes_and_blank_lines() {
    let text = "x,y\n\n1,\"two\nlines\"\n2,b\n\n\nnan,b\n";
    let fault = csv_refused(text, classification("t.csv"), &["not a finite"]);
    assert!(matches!(fault, DataFault::BadCell { line: 8, .. }), "{fault}");
    let fault = csv_refused(text.replace('\n', "\r\n"), classification("t.csv"), &["line 8"]);
    assert!(matches!(fault, DataFault::BadCell { line: 8, .. }), "{fault}");
}

#[test]
fn csv_rows_of_another_length_are_named() {
    let fault = csv_refused("x,y\n1,0\n2,1,3\n", classification("t.csv"), &["line 3 has 3 fields"]);
    assert!(matches!(fault, DataFault::Ragged { line: 3, expected: 2, found: 3 }));
    let fault = csv_refused("x,y\n1,0\n2\n", classification("t.csv"), &["line 3 has 1 fields"]);
    assert!(matches!(fault, DataFault::Ragged { line: 3, expected: 2, found: 1 }));
}

#[test]
fn a_quote_left_open_is_named_with_its_line() {
    for (text, at) in [
        ("x,y\n1,a\n2,\"b\n3,a\n4,b\n", 3),
        ("x,y\n\n1,a\n\"2,b\n3,a\n4,b", 4),
        ("x,y\n1,a\n2,b\n3,\"a", 4),
        ("\"x,y\n1,a\n2,b\n", 1),
    ] {
        let fault = csv_refused(text, classification("t.csv"), &["close its quote"]);
        assert!(
            matches!(fault, DataFault::OpenQuote { line, .. } if line == at),
            "{text}: {fault}"
        );
    }
}

#[test]
fn a_csv_with_the_line_ends_of_an_old_mac_is_refused() {
    csv_refused("x,y\r1,a\r2,b\r", classification("t.csv"), &["carriage return"]);
}

#[test]
fn a_csv_without_data_is_refused() {
    for text in ["", "\n\n", "x,y\n"] {
        let fault = csv_refused(text, classification("t.csv"), &["is empty"]);
        assert!(matches!(fault, DataFault::Empty), "{text:?}");
    }
}

#[test]
fn a_csv_header_must_name_every_column_once() {
    let refused = |text: &str, words: &[&str]| csv_refused(text, classification("t.csv"), words);
    let fault = refused("5.1,3.5,0\n4.9,3.0,1\n", &["numbers only", "names of the columns"]);
    assert!(matches!(fault, DataFault::NoHeader));
    let fault = refused(",x,y\n0,1,0\n1,2,1\n", &["column 1 has no name", "index=False"]);
    assert!(matches!(fault, DataFault::UnnamedColumn { column: 1 }));
    let fault = refused("x,y,x\n0,1,0\n", &["two columns are named `x`"]);
    assert!(matches!(fault, DataFault::DuplicateColumn { .. }));
    let fault = refused("y\n0\n1\n", &["no column is left"]);
    assert!(matches!(fault, DataFault::NoFeatures));
    let folder = Folder::new();
    folder.write("t.csv", "0,1\n1.5,0\n2.5,1\n3.5,0\n4.5,1\n5.5,0\n6.5,1\n");
    folder.load(&classification("t.csv")).expect("columns may be counted, as pandas does");
}

#[test]
fn a_label_column_that_is_not_there_suggests_the_nearest() {
    let text = "length,width,species\n1,2,a\n";
    let words = ["no column `specis`", "did you mean `species`?", "length, width, species"];
    let fault = csv_refused(text, labelled("specis", classification("t.csv")), &words);
    assert!(matches!(fault, DataFault::MissingLabel { .. }));
    for label in ["length,width", "length, length"] {
        let config = labelled(label, classification("t.csv"));
        let fault = csv_refused(text, config, &["classification takes one column"]);
        assert!(matches!(fault, DataFault::BadLabel { .. }));
    }
    csv_refused(text, labelled("length,", regression("t.csv")), &["no column ``"]);
}

#[test]
fn a_csv_label_that_is_no_class_is_named() {
    let refused = |labels: [&str; 4], words: &[&str]| {
        let rows: String = labels.iter().map(|label| format!("1,{label}\n")).collect();
        csv_refused(format!("x,y\n{rows}"), classification("t.csv"), words)
    };
    let words = ["line 4, column `y`", "\"0.5\" is not a whole number", "regression"];
    assert!(matches!(refused(["0", "1", "0.5", "1"], &words), DataFault::BadCell { .. }));
    for missing in ["", "NaN"] {
        let fault = refused(["a", "b", "b", missing], &["line 5, column `y`", "not a class"]);
        assert!(matches!(fault, DataFault::BadCell { line: 5, .. }));
    }
    assert!(matches!(refused(["a"; 4], &["same label"]), DataFault::OneClass));
}

#[test]
fn a_csv_that_numbers_its_rows_in_the_label_is_refused() {
    let rows: String = (0..=N_CLASSES_MAX).map(|row| format!("1,{row}\n")).collect();
    let fault = csv_refused(format!("x,y\n{rows}"), classification("t.csv"), &["65536 different"]);
    assert!(matches!(fault, DataFault::TooManyClasses));
}

#[test]
fn a_csv_with_absurdly_many_columns_is_refused() {
    let header: Vec<String> = (0..70_000).map(|column| format!("c{column}")).collect();
    let fault = csv_refused(header.join(","), classification("t.csv"), &["70000 columns"]);
    assert!(matches!(fault, DataFault::TooLarge { .. }));
}

#[test]
fn a_csv_that_is_no_text_is_refused() {
    let fault =
        csv_refused(b"x,y\n1,a\n\xff\xfe,b\n", classification("t.csv"), &["line 3", "UTF-8"]);
    assert!(matches!(fault, DataFault::NotText { line: 3 }));
    csv_refused(b"\xff\xfex\0,\0y\0\n", classification("t.csv"), &["UTF-8"]);
}

#[test]
fn an_npy_file_that_can_not_be_read_says_why() {
    let values = vec![0; 48];
    let fault = npy_refused(npy("<f4", "True", "(12, 1)", &values), &["ascontiguousarray"]);
    assert!(matches!(fault, DataFault::FortranOrder));
    for descr in ["<f3", "<c8", "|O", "<U5", "<M8[ns]", "", "\u{e9}4", "<f16"] {
        let fault = npy_refused(npy(descr, "False", "(12, 1)", &values), &["not supported"]);
        assert!(matches!(fault, DataFault::UnsupportedElement { .. }), "{descr}");
    }
    let fault = npy_refused(b"PK\x03\x04 an archive", &["50, 4b", "NPY", "another kind"]);
    assert!(matches!(fault, DataFault::BadMagic { .. }));
    let fault = npy_refused(b"\x93NUMPY\x09\x00\x00\x00", &["version 9"]);
    assert!(matches!(fault, DataFault::BadHeader { .. }));
    let fault = npy_refused(b"\x93NUMPY\x02\x00\xff\xff\xff\xff", &["4294967295 bytes"]);
    assert!(matches!(fault, DataFault::BadHeader { .. }));
    let fault = npy_refused(npy("<f4", "False", "(4294967296, 4294967297)", &[]), &["4294967296"]);
    assert!(matches!(fault, DataFault::TooLarge { .. }));
    let fault = npy_refused(npy("<f4", "False", "(12, 1)", &values[1..]), &["and 47 follow"]);
    assert!(matches!(fault, DataFault::Truncated { .. }));
    let fault = npy_refused(npy("<f4", "False", "()", &values[..4]), &["two axes"]);
    assert!(matches!(fault, DataFault::Shape { .. }));
    assert!(matches!(npy_refused([], &["is empty"]), DataFault::Empty));
}

#[test]
fn an_npy_file_that_is_cut_anywhere_is_refused() {
    let whole = npy("<f4", "False", "(12, 1)", &[0; 48]);
    let folder = Folder::new();
    folder.write("x_labels.npy", npy("|u1", "False", "(12,)", &alternating(12)));
    for len in 0..whole.len() {
        folder.write("x.npy", &whole[..len]);
        let error = folder.load(&classification("x.npy")).expect_err("it is cut");
        assert!(error.place.ends_with("x.npy"), "{len}: {error}");
    }
}

#[test]
fn missing_npy_labels_are_named() {
    let folder = Folder::new();
    folder.write("x.npy", npy("|u1", "False", "(12, 1)", &[0; 12]));
    refused(&folder, &classification("x.npy"), "x_labels.npy", &["no such file", "`label`"]);
    let config = labelled("other.npy", classification("x.npy"));
    let fault = refused(&folder, &config, "other.npy", &["no such file"]);
    assert!(matches!(fault, DataFault::NoLabelFile));
}

#[test]
fn a_label_for_a_source_with_its_own_is_refused() {
    let folder = idx_folder("unrelated", "x");
    for source in ["d", "digits"] {
        let config = labelled("y", classification(source));
        let fault = refused(&folder, &config, source, &["`label` applies to"]);
        assert!(matches!(fault, DataFault::LabelNotUsed));
    }
}

#[test]
fn too_few_examples_and_bad_shares_are_refused() {
    let folder = Folder::new();
    folder.write("t.csv", "x,y\n1,a\n2,b\n");
    let fault = refused(&folder, &classification("t.csv"), "t.csv", &["2 examples", "validation"]);
    assert!(matches!(fault, DataFault::TooFewExamples { .. }));
    for share in [0.0, 1.0, -1.0, f64::NAN] {
        let config = DataConfig { validation_share: share, ..classification("digits") };
        refused(&folder, &config, "digits", &["validation_share", "above 0 and below 1"]);
    }
    let config = DataConfig { validation_share: 0.6, test_share: 0.4, ..classification("t.csv") };
    refused(&folder, &config, "t.csv", &["add up to 1"]);
}
