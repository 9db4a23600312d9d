//! What can be wrong with a data set, and what to do about it.

use std::{fmt::Display, io};

use super::{LEN_MAX_BYTES, N_CLASSES_MAX};

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
         the scenario's folder", did_you_mean(.nearest), .bundled.join(" and ")
    )]
    UnknownSource {
        /// The bundled data set or file with the nearest name.
        nearest: Option<String>,
        /// The data sets that ship with Esper.
        bundled: &'static [&'static str],
    },
    /// A device, a socket or a pipe.
    #[error("it is neither a file nor a folder; name a data file or a folder of IDX files")]
    NotAFile,
    /// The file's extension is not one that can be loaded.
    #[error(
        "this kind of file is not supported; use a .csv with a header, a .npy, or the folder that \
         holds IDX files"
    )]
    UnsupportedFormat,
    /// The labels beside a `.npy` file of features are not there.
    #[error(
        "there is no such file, and the labels are expected in it; write it, or name another one \
         beside the features with `label`"
    )]
    NoLabelFile,
    /// `label` was set for a source that brings its own labels.
    #[error("`label` applies to .csv and .npy files only, and this source has its own; remove it")]
    LabelNotUsed,

    /// A folder lacks one of the IDX files.
    #[error(
        "there is no `{prefix}*` in it; a folder of IDX files holds train-images*, train-labels* \
         and, both or neither, t10k-images* and t10k-labels*, plain or .gz"
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
    /// No column has the name given as `label`.
    #[error("there is no column `{label}`{}; its columns are {columns}", did_you_mean(.nearest))]
    MissingLabel {
        /// The name asked for.
        label: String,
        /// The nearest there is.
        nearest: Option<String>,
        /// The first of those there are.
        columns: String,
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

/// The candidate nearest to `wanted`, if one is near enough to be meant.
///
/// Near enough is an edit distance (Damerau, 1964), case aside, of at most a third of the name
/// and at least one.
pub(super) fn nearest<'a>(
    wanted: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let wanted = wanted.to_lowercase();
    let reach = (wanted.chars().count() / 3).max(1);
    let (distance, name) = candidates
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wanted, &name.to_lowercase()), name))
        .min()?;
    (distance <= reach).then(|| name.to_owned())
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_suggested() {
        let names = ["digits", "mnist1d"];
        assert_eq!(nearest("digit", names), Some("digits".into()));
        assert_eq!(nearest("Mnist_1d", names), Some("mnist1d".into()));
        assert_eq!(nearest("imagenet", names), None);
        assert_eq!(nearest("x", []), None);
    }
}
