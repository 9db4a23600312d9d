//! Text: what its tokens are, how it is split, and what is wrong with some.

use std::path::Path;

use proptest::prelude::*;

use super::files::{Folder, classification, gzip, labelled, refused, regression};
use crate::{
    Augment, BUNDLED, DataConfig, DataFault, Dataset, Draw, ExampleNames, Features, N_CLASSES_MAX,
    SplitData, Standardize, TEXT_SHARE, Tokens, Windows, load, prepare, testing::Gathered,
};

fn hamlet(config: &DataConfig) -> SplitData {
    load(config, Path::new("/no/such/folder")).expect("hamlet ships with Esper")
}

fn tokens(set: &Dataset) -> &[u32] {
    match &set.features {
        Features::Windows(windows) => windows.tokens(),
        Features::Dense(_) => panic!("a text has tokens"),
    }
}

/// The text of a part, by the names of its tokens.
fn spelled(data: &SplitData, set: &Dataset) -> String {
    tokens(set).iter().map(|token| data.names.classes[*token as usize].as_str()).collect()
}

fn short(config: DataConfig) -> DataConfig {
    DataConfig { context: 2, validation_share: 0.2, test_share: 0.2, ..config }
}

#[test]
fn hamlet_has_172_078_bytes_and_64_characters() {
    let data = hamlet(&classification("hamlet"));
    let parts = [&data.train, &data.validation, &data.test];
    assert_eq!(parts.map(|part| tokens(part).len()), [154_870, 8604, 8604]);
    assert_eq!(parts.map(|part| part.vocabulary()), [Some(64); 3]);
    assert_eq!(parts.map(Dataset::len), [1208, 67, 67]);
    assert_eq!(parts.map(|part| part.example_shape.clone()), [const { [128] }; 3]);
    assert_eq!(parts.map(|part| (part.labels_per_example(), part.elems())), [(128, 128); 3]);
    assert_eq!(data.train.targets.n_outputs(), 64);
    assert!(spelled(&data, &data.train).starts_with("Bernardo:\nWho's there?\n"));
    let file = include_str!("../../../../data/text/hamlet.txt");
    let whole: String = parts.iter().map(|part| spelled(&data, part)).collect();
    assert!(whole == file, "every character is in exactly one part, in order");
    let names = &data.names.classes;
    assert!(names.is_sorted() && names.len() == 64);
    assert!(data.scaling.is_identity(), "text is not standardised");
}

#[test]
fn the_shares_of_a_text_are_its_own_unless_given() {
    for source in ["hamlet", "far/away.txt", "./Loud.TXT"] {
        let config = DataConfig::new(source);
        assert_eq!([config.validation_share, config.test_share], [TEXT_SHARE; 2], "{source}");
    }
    for source in BUNDLED.iter().filter(|it| **it != "hamlet").chain(&["txt", "a.txt.csv"]) {
        assert_eq!(DataConfig::new(*source).validation_share, 0.15, "{source}");
    }
    let config = DataConfig { validation_share: 0.1, test_share: 0.2, ..classification("hamlet") };
    let data = hamlet(&config);
    let lens = [&data.train, &data.validation, &data.test].map(|part| tokens(part).len());
    assert_eq!(lens, [172_078 - 17_208 - 34_416, 17_208, 34_416]);
}

#[test]
fn bytes_and_characters_of_ascii_differ_in_their_vocabulary_alone() {
    let chars = hamlet(&classification("hamlet"));
    let bytes = hamlet(&DataConfig { tokens: Tokens::Bytes, ..classification("hamlet") });
    assert_eq!(bytes.train.vocabulary(), Some(256));
    let text: String = tokens(&bytes.train).iter().map(|byte| *byte as u8 as char).collect();
    assert!(text == spelled(&chars, &chars.train));
    assert!(bytes.names.classes.is_empty());
    assert_ne!(bytes.digest, chars.digest);
    let off = DataConfig { standardize: Standardize::Off, ..classification("hamlet") };
    assert_eq!(hamlet(&off).train, chars.train);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_text_is_read_as_it_was_written(
        text in "[a-c\u{e9}\u{4e16}\u{1f600}\n ]{15,80}", is_gzip: bool, marked: bool,
    ) {
        prop_assume!(text.chars().any(|it| !text.starts_with(it)));
        let folder = Folder::new();
        let file = if marked { format!("\u{feff}{text}") } else { text.clone() };
        let bytes = if is_gzip { gzip(file.as_bytes()) } else { file.clone().into_bytes() };
        folder.write("t.txt", bytes);
        let data = folder.load(&short(classification("t.txt"))).expect("valid");
        let parts = [&data.train, &data.validation, &data.test];
        prop_assert_eq!(parts.map(|part| spelled(&data, part)).concat(), text.clone());
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let names: Vec<String> = characters.into_iter().map(String::from).collect();
        prop_assert_eq!(&data.names.classes, &names);

        let config = DataConfig { tokens: Tokens::Bytes, ..short(classification("t.txt")) };
        let data = folder.load(&config).expect("valid");
        let parts = [&data.train, &data.validation, &data.test].map(tokens).concat();
        prop_assert!(parts.into_iter().eq(file.bytes().map(u32::from)));
    }

    #[test]
    fn a_batch_of_hamlet_is_text_and_its_labels_are_what_follows(
        epoch in 0_u64..1000, run_seed: u64, example in 0_u32..1208,
    ) {
        let data = hamlet(&classification("hamlet"));
        let draw = Draw { run_seed, stream: 3, epoch, is_training: true };
        let indices = [example, (example + 1) % 1208];
        let batch = Gathered::new(&data.train, &Augment::default(), &indices, draw);
        let (all, seen, next) = (tokens(&data.train), batch.tokens(), batch.labels);
        let start = (0..128).map(|shift| example as usize * 128 + shift)
            .find(|start| all[*start..][..128] == seen[..128] && all[start + 1..][..128] == next[..128]);
        prop_assert!(start.is_some());
        if indices[1] != 0 {
            prop_assert_eq!(next[127], seen[128], "where a window ends the next begins");
        }
    }
}

#[test]
fn a_text_in_memory_may_bring_its_own_test() {
    let text = |n_tokens: u32, vocabulary| {
        let tokens: Vec<u32> = (0..n_tokens).map(|it| it % 3).collect();
        Dataset::of_windows(Windows::new(tokens, 4, vocabulary).expect("valid"))
    };
    let config = DataConfig { validation_share: 0.25, ..classification("mine") };
    let names = ExampleNames::default;
    let data = prepare(&config, text(100, 3), Some(text(9, 3)), names()).expect("valid");
    let lens = [&data.train, &data.validation, &data.test].map(|part| tokens(part).len());
    assert_eq!(lens, [75, 25, 9]);
    let error = prepare(&config, text(100, 3), Some(text(9, 4)), names()).expect_err("another");
    assert!(matches!(error.fault, DataFault::TestDiffers { what: "a vocabulary of", .. }));
}

#[test]
fn a_text_that_can_not_be_learned_is_refused() {
    let folder = Folder::new();
    let refuse = |text: &[u8], config: DataConfig, words: &[&str]| {
        folder.write("t.txt", text);
        refused(&folder, &config, "t.txt", words)
    };
    let config = || short(classification("t.txt"));
    assert!(matches!(refuse(b"", config(), &["is empty"]), DataFault::Empty));
    let fault = refuse(b"caf\xc3\xa9 caf\xe9 noir", config(), &["UTF-8 at byte 9", "\"bytes\""]);
    assert!(matches!(fault, DataFault::NotUtf8 { offset_bytes: 9 }));
    let fault = refuse(b"cut in a charact\xc3", config(), &["at byte 16"]);
    assert!(matches!(fault, DataFault::NotUtf8 { offset_bytes: 16 }));
    for tokens in [Tokens::Chars, Tokens::Bytes] {
        let config = DataConfig { tokens, ..config() };
        let fault = refuse(&[b'a'; 100], config, &["are the same"]);
        assert!(matches!(fault, DataFault::OneToken));
    }
    let only_mark = refuse("\u{feff}".as_bytes(), config(), &["is empty"]);
    assert!(matches!(only_mark, DataFault::Empty));
    let words = ["`label` applies to"];
    let fault = refuse(b"some text", labelled("y", config()), &words);
    assert!(matches!(fault, DataFault::LabelNotUsed));
    let text = DataConfig { ..short(regression("t.txt")) };
    let fault = refuse(b"some text", text, &["predicting its tokens"]);
    assert!(matches!(fault, DataFault::TextRegression));
    let flip = Augment { flip: true, ..Augment::default() };
    let fault =
        refuse(b"some text", DataConfig { augment: flip, ..config() }, &["windows of text"]);
    assert!(matches!(fault, DataFault::NotAnImage { .. }));
}

#[test]
fn a_context_that_does_not_fit_is_refused() {
    let folder = Folder::new();
    folder.write("t.txt", "ab".repeat(50));
    let of = |context, share| DataConfig {
        context,
        validation_share: share,
        test_share: share,
        ..classification("t.txt")
    };
    let fault = refused(&folder, &of(0, 0.2), "t.txt", &["context = 0", "at least"]);
    assert!(matches!(fault, DataFault::NoContext));
    for (context, share, part, n_tokens) in [
        (100, 0.2, "whole", 100),
        (usize::MAX, 0.2, "whole", 100),
        (20, 0.2, "validation", 20),
        (5, 0.05, "validation", 5),
        (40, 0.4, "training", 20),
    ] {
        let words = [&format!("its {part} text has {n_tokens} tokens")[..], "shorten `context`"];
        let fault = refused(&folder, &of(context, share), "t.txt", &words);
        assert!(matches!(fault, DataFault::ContextTooLong { .. }), "{context}");
    }
    folder.load(&of(19, 0.2)).expect("one window to validate on");
    let config = DataConfig { context: 8604, ..classification("hamlet") };
    let fault =
        refused(&folder, &config, "hamlet", &["validation text has 8604 tokens", "8604 and"]);
    assert!(matches!(fault, DataFault::ContextTooLong { .. }));
}

#[test]
fn a_vocabulary_beyond_the_limit_is_refused() {
    let folder = Folder::new();
    let many: String = ('\u{10000}'..).take(N_CLASSES_MAX + 1).collect();
    folder.write("t.txt", &many);
    let fault = refused(&folder, &short(classification("t.txt")), "t.txt", &["65537 different"]);
    assert!(matches!(fault, DataFault::VocabularyTooLarge { vocabulary: 65_537 }));
    let config = DataConfig { tokens: Tokens::Bytes, ..short(classification("t.txt")) };
    folder.load(&config).expect("bytes are always few");
    folder.write("t.txt", many.chars().skip(1).collect::<String>());
    folder.load(&short(classification("t.txt"))).expect("as many as can be told apart");
}
