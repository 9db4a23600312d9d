//! What can be wrong with a data set, and what to do about it.

use std::{fmt::Display, io};

use esper_nn::suggest::after_sentence;

use super::{LEN_MAX_BYTES, N_CLASSES_MAX, names::and};

/// Why a data set can not be used, and which file or source it is.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct DataError {
    /// The file, folder or bundled data set.
    pub place: String,
    /// What is wrong with it.
    pub fault: DataFault,
}

/// What is wrong with a data set. Each message ends with what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataFault {
    /// The operating system refused to read it.
    #[error("it can not be read ({reason}); check the path and its permissions")]
    Unreadable {
        /// What the operating system said.
        reason: io::Error,
    },
    /// Neither a bundled data set nor anything on disk has this name.
    #[error(
        "no such data set, file or folder{}; bundled data sets are {}, and a path is relative to \
         the scenario's folder", after_sentence(.nearest.as_deref()), and(.bundled)
    )]
    UnknownSource {
        /// The bundled data set or file with the nearest name.
        nearest: Option<String>,
        /// The data sets that ship with Esper.
        bundled: &'static [&'static str],
    },
    /// A device, a socket or a pipe.
    #[error(
        "it is neither a file nor a folder; name a data file, or a folder of IDX or CIFAR files"
    )]
    NotAFile,
    /// The file's extension is not one that can be loaded.
    #[error(
        "this kind of file is not supported; use a .csv with a header, a .npy, a .safetensors, a \
         .txt, or the folder that holds IDX or CIFAR files"
    )]
    UnsupportedFormat,
    /// The labels beside a `.npy` file of features are not there.
    #[error(
        "there is no such file, and the labels are expected in it; write it, or name another one \
         beside the features with `label`"
    )]
    NoLabelFile,
    /// `label` was set for a source that brings its own labels.
    #[error(
        "`label` applies to .csv, .npy and .safetensors files and to CIFAR-100 only, and this \
         source has its own; remove it"
    )]
    LabelNotUsed,

    /// A folder lacks one of the IDX files.
    #[error(
        "there is no `{prefix}*` in it; a folder of IDX files holds train-images*, train-labels* \
         and, both or neither, t10k-images* and t10k-labels*, plain or .gz; of CIFAR, the .bin \
         files"
    )]
    MissingPart {
        /// How the missing file's name begins.
        prefix: &'static str,
    },
    /// Two files of a folder could be meant.
    #[error("both `{first}` and `{second}` could be its `{prefix}*`; keep one of them")]
    AmbiguousPart {
        /// How both names begin.
        prefix: &'static str,
        /// The first in order of names.
        first: String,
        /// The second.
        second: String,
    },

    /// A folder lacks one of the CIFAR files.
    #[error("there is no `{name}` in it; a folder of {format} holds {all}")]
    MissingFile {
        /// The missing file.
        name: &'static str,
        /// The data set.
        format: &'static str,
        /// What its folder holds.
        all: &'static str,
    },
    /// A folder holds CIFAR as Python pickles, which run code when they are read.
    #[error(
        "it holds CIFAR as Python pickles, which are not read; download the binary version \
         (cifar-10-binary.tar.gz or cifar-100-binary.tar.gz)"
    )]
    Pickled,
    /// A file is no whole number of records.
    #[error(
        "it has {len_bytes} bytes, and a record of {format} {record_len_bytes}, so that it is cut \
         short or another kind of file; download it again"
    )]
    PartialRecord {
        /// The data set.
        format: &'static str,
        /// Of the file, decompressed.
        len_bytes: u64,
        /// Of a record.
        record_len_bytes: u64,
    },
    /// A record's label is beyond the classes that its format has.
    #[error(
        "the label of example {example} is {label}, and the classes of {format} are 0 to {}; is it \
         another kind of file?", n_classes - 1
    )]
    LabelRange {
        /// The data set.
        format: &'static str,
        /// Counted from zero, within its file.
        example: usize,
        /// As found.
        label: u8,
        /// How many classes the format has.
        n_classes: usize,
    },
    /// A file does not name each class once.
    #[error(
        "it names {found} classes, one a line, and there are {expected}; complete it or remove it"
    )]
    ClassNames {
        /// How many classes there are.
        expected: usize,
        /// How many names there are.
        found: usize,
    },

    /// Nothing is in it.
    #[error("it is empty; write it again or name another source")]
    Empty,
    /// The file does not begin as its format does.
    #[error(
        "it begins with the bytes {found:02x?}, and {format} with {expected}; is it another kind \
         of file?"
    )]
    BadMagic {
        /// The format expected here.
        format: &'static str,
        /// How a file of that format begins.
        expected: &'static str,
        /// How this one does.
        found: Vec<u8>,
    },
    /// The header makes no sense.
    #[error("its header is damaged: {reason}; write the file again")]
    BadHeader {
        /// What was found.
        reason: String,
    },
    /// The element type can not be loaded.
    #[error("elements of type {found} are not supported; convert them to {supported}")]
    UnsupportedElement {
        /// As the file names it.
        found: String,
        /// What can be loaded.
        supported: &'static str,
    },
    /// The array is stored column by column.
    #[error("it is in Fortran order; save `numpy.ascontiguousarray(x)` instead")]
    FortranOrder,
    /// The file ends too early.
    #[error(
        "it is truncated: its header promises {expected_bytes} bytes of values and {found_bytes} \
         follow; copy or download it again"
    )]
    Truncated {
        /// What the header promises.
        expected_bytes: u64,
        /// What is there.
        found_bytes: u64,
    },
    /// The file goes on after its end.
    #[error(
        "it goes on after the {expected_bytes} bytes of values that its header promises; write it \
         again with the right shape"
    )]
    TrailingBytes {
        /// What the header promises.
        expected_bytes: u64,
    },
    /// The gzip stream is damaged or cut short.
    #[error("its gzip stream is damaged or cut short ({reason}); download or compress it again")]
    Gzip {
        /// What the decoder said.
        reason: io::Error,
    },
    /// The file or its array is larger than [`LEN_MAX_BYTES`].
    #[error("it takes more than {LEN_MAX_BYTES} bytes ({what}); use a smaller part of it")]
    TooLarge {
        /// Which size it is.
        what: String,
    },

    /// The array does not have the axes it needs.
    #[error("its shape is {shape:?}, and {wanted}; reshape it")]
    Shape {
        /// The shape found.
        shape: Vec<usize>,
        /// What would do.
        wanted: &'static str,
    },
    /// Features and targets are not as many.
    #[error("it has {n_targets} targets for {n_examples} examples; they must be as many")]
    CountMismatch {
        /// How many examples the features hold.
        n_examples: usize,
        /// How many the targets hold.
        n_targets: usize,
    },
    /// Test and training examples differ in kind.
    #[error(
        "its test examples have {what} {test}, and its training examples {train}; both must agree"
    )]
    TestDiffers {
        /// In what they differ.
        what: &'static str,
        /// That of the training examples.
        train: String,
        /// That of the test examples.
        test: String,
    },
    /// A value is NaN, infinite, or beyond the range of `f32`.
    #[error(
        "element {element} of example {example} is {value}, not a finite f32; clean the data first"
    )]
    NotFinite {
        /// Counted from zero.
        example: usize,
        /// Within the example, counted from zero.
        element: usize,
        /// As found.
        value: f64,
    },
    /// A class label is negative, fractional, NaN or absurdly large.
    #[error(
        "the label of example {example} is {label}; classes are the whole numbers from 0 to at \
         most {}, and other targets need task = \"regression\"", N_CLASSES_MAX - 1
    )]
    NotAClass {
        /// Counted from zero.
        example: usize,
        /// As found.
        label: f64,
    },
    /// No example has a class below the largest label.
    #[error(
        "label {label} is out of range: class {missing} below it has no example; number the \
         classes from 0 without gaps"
    )]
    ClassGap {
        /// The largest label.
        label: u32,
        /// The smallest class without examples.
        missing: u32,
    },
    /// There is nothing to tell apart.
    #[error(
        "all of its examples have the same label; classification needs two classes at least, and \
         other targets need task = \"regression\""
    )]
    OneClass,
    /// There are more than [`N_CLASSES_MAX`] classes.
    #[error(
        "it has more than {N_CLASSES_MAX} different labels; is `label` the right column, or is \
         the task \"regression\"?"
    )]
    TooManyClasses,

    /// The first line of a CSV file does not name its columns.
    #[error("its first line holds numbers only; put the names of the columns there")]
    NoHeader,
    /// A column has no name, as the index that pandas writes.
    #[error(
        "column {column} has no name in the header; name it or remove it (pandas: index=False)"
    )]
    UnnamedColumn {
        /// Counted from one.
        column: usize,
    },
    /// Two columns have the same name.
    #[error("two columns are named `{name}`; rename one of them")]
    DuplicateColumn {
        /// The name.
        name: String,
    },
    /// Nothing has the name given as `label`.
    #[error("there is no {kind} `{label}`{}; there are {names}", after_sentence(.nearest.as_deref()))]
    MissingLabel {
        /// What is looked for: a column, a tensor, a set of classes.
        kind: &'static str,
        /// The name asked for.
        label: String,
        /// The nearest there is.
        nearest: Option<String>,
        /// The first of those there are.
        names: String,
    },
    /// No tensor has one of the names that are looked for.
    #[error(
        "there is no tensor named {wanted}{}; there are {names}: rename the one that is meant",
        after_sentence(.nearest.as_deref())
    )]
    MissingTensor {
        /// The names looked for.
        wanted: String,
        /// The nearest there is.
        nearest: Option<String>,
        /// The first of those there are.
        names: String,
    },
    /// Two tensors have a name that is looked for.
    #[error("both `{first}` and `{second}` could be meant; rename or remove one of them")]
    AmbiguousTensor {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// `label` names no column, one twice, or too many of them.
    #[error(
        "label = {label:?} does not fit the task; classification takes one column, regression one \
         or several different ones, separated by commas"
    )]
    BadLabel {
        /// As given.
        label: String,
    },
    /// Every column is a label.
    #[error("no column is left for the features; a label and one feature are needed at least")]
    NoFeatures,
    /// A row has more or fewer fields than the header.
    #[error("line {line} has {found} fields, and the header {expected}; complete or remove it")]
    Ragged {
        /// Counted from one, the header included.
        line: u64,
        /// The fields of the header.
        expected: usize,
        /// The fields of the row.
        found: usize,
    },
    /// A quoted field runs on over lines that should be rows of their own.
    #[error(
        "the row that begins on line {line} runs on over {n_lines} lines; close its quote, or \
         double a quote that is part of the text"
    )]
    OpenQuote {
        /// Counted from one, the header included.
        line: u64,
        /// How many lines the row takes.
        n_lines: u64,
    },
    /// A field can not be used.
    #[error("line {line}, column `{column}`: {value:?} {problem}")]
    BadCell {
        /// Counted from one, the header included.
        line: u64,
        /// The column's name.
        column: String,
        /// The field, cut to forty characters.
        value: String,
        /// What is wrong with it and what to do.
        problem: &'static str,
    },
    /// A row is not text.
    #[error("line {line} is not UTF-8; save the file in that encoding")]
    NotText {
        /// Counted from one, the header included.
        line: u64,
    },

    /// A text can not be cut into characters.
    #[error(
        "it is not UTF-8 at byte {offset_bytes}; save it in that encoding, or set tokens = \
         \"bytes\""
    )]
    NotUtf8 {
        /// Of the first byte that is not, counted from zero.
        offset_bytes: usize,
    },
    /// All tokens of a text are the same.
    #[error("all of its tokens are the same; there is nothing to predict: use another text")]
    OneToken,
    /// There are more than [`N_CLASSES_MAX`] different tokens.
    #[error(
        "it has {vocabulary} different tokens, and at most {N_CLASSES_MAX} can be told apart; set \
         tokens = \"bytes\""
    )]
    VocabularyTooLarge {
        /// How many there are.
        vocabulary: usize,
    },
    /// A token in memory is not below its vocabulary.
    #[error("token {position} is {token}, and the vocabulary {vocabulary}; it must be below")]
    TokenRange {
        /// Counted from zero.
        position: usize,
        /// As found.
        token: u32,
        /// How many different tokens there may be.
        vocabulary: usize,
    },
    /// An example would see nothing.
    #[error("context = 0 is out of range; an example sees one token at least")]
    NoContext,
    /// A part of a text is too short for one example.
    #[error(
        "its {part} text has {n_tokens} tokens, and an example takes {context} and the one that \
         follows; shorten `context`, change the shares or use a longer text"
    )]
    ContextTooLong {
        /// Which part of the text.
        part: &'static str,
        /// How many tokens it has.
        n_tokens: usize,
        /// How many tokens an example sees.
        context: usize,
    },
    /// A text can not be regressed on.
    #[error(
        "a text is learned by predicting its tokens, which is classification; remove task = \
         \"regression\""
    )]
    TextRegression,
    /// Tokens were to be predicted from numbers.
    #[error("tokens are predicted from tokens alone; make its examples of the same windows")]
    MixedText,

    /// Examples that have no neighbouring elements were to be augmented.
    #[error("augmentation varies images and signals, and its examples are {kind}; turn it off")]
    NotAnImage {
        /// What they are.
        kind: &'static str,
    },
    /// An augmentation does not fit the images.
    #[error(
        "{name} = {value} is out of range for examples of shape {shape:?}; it must be at most {max}"
    )]
    AugmentRange {
        /// Which one.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The largest that fits.
        max: usize,
        /// The shape of an example.
        shape: Vec<usize>,
    },

    /// A share is not between 0 and 1.
    #[error("{name} = {value} is out of range; it must be above 0 and below 1")]
    Share {
        /// The key in the scenario.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// Validation and test leave nothing to train on.
    #[error(
        "validation_share and test_share add up to {sum}, which leaves nothing to train on; their \
         sum must be below 1"
    )]
    ShareSum {
        /// Of the two.
        sum: f64,
    },
    /// A part of the split would be empty.
    #[error(
        "its {n_examples} examples are too few: the {part} set would be empty; add examples or \
         change the shares"
    )]
    TooFewExamples {
        /// How many there are to split.
        n_examples: usize,
        /// Which part is empty.
        part: &'static str,
    },
    /// `data.classes` names a class that the data has not.
    #[error("there is no class {class}: the {n_classes} classes are numbered from 0")]
    UnknownClass {
        /// The class.
        class: u64,
        /// How many there are.
        n_classes: usize,
    },
    /// `data.classes` for data without classes.
    #[error("`data.classes` is for classification, and these targets are values")]
    NoClasses,
    /// A part has no example of the classes.
    #[error("no example of `data.classes` is left in a part of the data")]
    NoneOfClasses,
}

impl DataFault {
    /// The error of this fault in a file, folder or source.
    pub(super) fn at(self, place: impl Display) -> DataError {
        DataError { place: place.to_string(), fault: self }
    }

    /// The fault of a file that the operating system would not give.
    pub(super) fn unreadable(reason: io::Error) -> Self {
        Self::Unreadable { reason }
    }
}
