//! The binary versions of CIFAR-10 and CIFAR-100 (A. Krizhevsky, "Learning Multiple Layers of
//! Features from Tiny Images", 2009; <https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! A record is one byte for each label, then 3,072 for the image: its red, green and blue planes,
//! 32 rows of 32. CIFAR-100 has two labels, the coarse one first.

use std::path::Path;

use esper_nn::suggest::nearest;

use super::{
    DataConfig, DataError, DataFault, Dataset, ExampleNames, LEN_MAX_BYTES, Targets, Task,
    input::Input, names::first_names, source::Loaded,
};

/// The axes of an image: channels, rows, columns.
const SHAPE: [usize; 3] = [3, 32, 32];

/// Pixels of an image, a byte each.
const IMAGE_LEN_BYTES: usize = 3 * 32 * 32;

/// The longest file of names; the longest official one has 1,110 bytes.
const NAMES_MAX_BYTES: u64 = 65_536;

/// One of the two data sets, as its folder holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cifar {
    Ten,
    Hundred,
}

/// A label of every record.
struct Labels {
    /// As `label` names it.
    name: &'static str,
    /// Its place in a record.
    at_byte: usize,
    n_classes: usize,
    /// The file that names its classes.
    names: &'static str,
}

impl Cifar {
    /// Which one a folder with files of these names holds, if it is either.
    ///
    /// # Errors
    ///
    /// Fails where it holds the version for Python.
    pub(super) fn recognize(names: &[String]) -> Result<Option<Self>, DataFault> {
        let has = |name: &str| names.iter().any(|other| other == name);
        for cifar in [Self::Ten, Self::Hundred] {
            if cifar.train().iter().any(|name| has(name)) || has(cifar.test()) {
                return Ok(Some(cifar));
            }
        }
        let is_pickled =
            has("data_batch_1") || ["train", "test", "meta"].iter().all(|name| has(name));
        if is_pickled { Err(DataFault::Pickled) } else { Ok(None) }
    }

    /// Reads a folder of files of these names.
    pub(super) fn read(
        self,
        folder: &Path,
        names: &[String],
        config: &DataConfig,
    ) -> Result<Loaded, DataError> {
        let in_folder = |fault: DataFault| fault.at(folder.display());
        let labels = self.choose_labels(config).map_err(in_folder)?;
        for name in self.train().iter().chain([&self.test()]) {
            if !names.iter().any(|other| other == name) {
                let (format, all) = (self.format(), self.files());
                return Err(in_folder(DataFault::MissingFile { name, format, all }));
            }
        }
        let read = |files: &[&str]| self.read_part(folder, files, labels, config.task);
        let examples = read(self.train())?;
        examples.targets.check_classes().map_err(in_folder)?;
        let classes = match names.iter().any(|name| name == labels.names) {
            true => read_names(&folder.join(labels.names), labels.n_classes)?,
            false => Vec::new(),
        };
        let names = ExampleNames { classes, ..ExampleNames::default() };
        Ok(Loaded { examples, test: Some(read(&[self.test()])?), names })
    }

    fn read_part(
        self,
        folder: &Path,
        files: &[&str],
        labels: &Labels,
        task: Task,
    ) -> Result<Dataset, DataError> {
        let (mut pixels, mut classes) = (Vec::new(), Vec::new());
        for file in files {
            let path = folder.join(file);
            let read = Input::open(&path)
                .and_then(|input| self.read_records(input, labels, &mut pixels, &mut classes));
            read.map_err(|fault| fault.at(path.display()))?;
        }
        let targets = match task {
            Task::Classification => {
                Targets::Classes { labels: classes.into(), n_classes: labels.n_classes }
            }
            Task::Regression => Targets::Values {
                values: classes.into_iter().map(|class| class as f32).collect(),
                width: 1,
            },
        };
        Dataset::new(pixels, SHAPE.to_vec(), targets).map_err(|fault| fault.at(folder.display()))
    }

    /// Appends the records of a file to `pixels` and `classes`.
    fn read_records(
        self,
        mut input: Input,
        labels: &Labels,
        pixels: &mut Vec<f32>,
        classes: &mut Vec<u32>,
    ) -> Result<(), DataFault> {
        let n_labels = self.labels().len();
        let record_len_bytes = n_labels + IMAGE_LEN_BYTES;
        let n_images_max = LEN_MAX_BYTES as usize / (4 * IMAGE_LEN_BYTES);
        let room = (n_images_max - classes.len()) * record_len_bytes;
        let bytes = input.read_up_to(room as u64 + 1)?;
        if room < bytes.len() {
            return Err(DataFault::TooLarge { what: format!("more than {n_images_max} images") });
        }
        if bytes.is_empty() {
            return Err(DataFault::Empty);
        }
        if !bytes.len().is_multiple_of(record_len_bytes) {
            return Err(DataFault::PartialRecord {
                format: self.format(),
                len_bytes: bytes.len() as u64,
                record_len_bytes: record_len_bytes as u64,
            });
        }
        pixels.reserve(bytes.len() / record_len_bytes * IMAGE_LEN_BYTES);
        for (example, record) in bytes.chunks_exact(record_len_bytes).enumerate() {
            let (record_labels, image) = record.split_at(n_labels);
            let (label, n_classes) = (record_labels[labels.at_byte], labels.n_classes);
            if n_classes <= usize::from(label) {
                let format = self.format();
                return Err(DataFault::LabelRange { format, example, label, n_classes });
            }
            classes.push(label.into());
            pixels.extend(image.iter().map(|pixel| f32::from(*pixel)));
        }
        Ok(())
    }

    fn choose_labels(self, config: &DataConfig) -> Result<&'static Labels, DataFault> {
        let all = self.labels();
        let Some(wanted) = &config.label else { return Ok(&all[0]) };
        if self == Self::Ten {
            return Err(DataFault::LabelNotUsed);
        }
        let names = || all.iter().map(|labels| labels.name);
        all.iter().find(|labels| labels.name == wanted).ok_or_else(|| DataFault::MissingLabel {
            kind: "set of classes",
            label: wanted.clone(),
            nearest: nearest(wanted, names()).map(str::to_owned),
            names: first_names(names()),
        })
    }

    fn format(self) -> &'static str {
        match self {
            Self::Ten => "CIFAR-10",
            Self::Hundred => "CIFAR-100",
        }
    }

    /// The labels of a record, one byte each; the first is learned unless another is named.
    fn labels(self) -> &'static [Labels] {
        match self {
            Self::Ten => {
                &[Labels { name: "class", at_byte: 0, n_classes: 10, names: "batches.meta.txt" }]
            }
            Self::Hundred => &[
                Labels { name: "fine", at_byte: 1, n_classes: 100, names: "fine_label_names.txt" },
                Labels {
                    name: "coarse",
                    at_byte: 0,
                    n_classes: 20,
                    names: "coarse_label_names.txt",
                },
            ],
        }
    }

    fn train(self) -> &'static [&'static str] {
        match self {
            Self::Ten => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            Self::Hundred => &["train.bin"],
        }
    }

    fn test(self) -> &'static str {
        match self {
            Self::Ten => "test_batch.bin",
            Self::Hundred => "test.bin",
        }
    }

    fn files(self) -> &'static str {
        match self {
            Self::Ten => "data_batch_1.bin to data_batch_5.bin and test_batch.bin",
            Self::Hundred => "train.bin and test.bin",
        }
    }
}

/// The names of classes, one a line.
fn read_names(path: &Path, n_classes: usize) -> Result<Vec<String>, DataError> {
    let read = || {
        let bytes = Input::open(path)?.read_up_to(NAMES_MAX_BYTES + 1)?;
        if NAMES_MAX_BYTES < bytes.len() as u64 {
            let reason = format!("it takes more than {NAMES_MAX_BYTES} bytes");
            return Err(DataFault::BadHeader { reason });
        }
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let mut names = Vec::new();
        for (line, text) in (1..).zip(lines).filter(|(_, text)| !text.is_empty()) {
            let text = std::str::from_utf8(text).map_err(|_| DataFault::NotText { line })?;
            names.push(text.to_owned());
        }
        if names.len() != n_classes {
            return Err(DataFault::ClassNames { expected: n_classes, found: names.len() });
        }
        Ok(names)
    };
    read().map_err(|fault| fault.at(path.display()))
}
