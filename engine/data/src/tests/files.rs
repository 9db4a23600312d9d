//! Writers for the formats that are read, and a folder to write into.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use crate::{DataConfig, DataError, DataFault, Dataset, SplitData, Task, load};

/// A folder of the test's own, removed at its end.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a writable folder");
        path
    }

    pub(super) fn load(&self, config: &DataConfig) -> Result<SplitData, DataError> {
        load(config, self.path())
    }
}

/// Loads, expects an error, and checks that it names the place and says all of `words`.
#[track_caller]
pub(super) fn refused(
    folder: &Folder,
    config: &DataConfig,
    place: &str,
    words: &[&str],
) -> DataFault {
    let error = folder.load(config).expect_err("the data is bad");
    assert!(error.place.ends_with(place), "{} does not end with {place}", error.place);
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
    assert!(text.contains(';') || text.ends_with('?'), "{text:?} does not say what to do");
    error.fault
}

/// The features of a data set that is no text.
pub(super) fn numbers(set: &Dataset) -> &[f32] {
    set.features.dense().expect("no text")
}

pub(super) fn classification(source: &str) -> DataConfig {
    DataConfig::new(source)
}

pub(super) fn regression(source: &str) -> DataConfig {
    DataConfig { task: Task::Regression, ..DataConfig::new(source) }
}

pub(super) fn labelled(label: &str, config: DataConfig) -> DataConfig {
    DataConfig { label: Some(label.to_owned()), ..config }
}

/// An IDX file of the element type `code`, whose values are big-endian `payload`.
pub(super) fn idx(code: u8, shape: &[u32], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, shape.len() as u8];
    shape.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
    bytes.extend(payload);
    bytes
}

/// A version 1.0 NPY file of the dtype `descr`, whose values are `payload`.
pub(super) fn npy(descr: &str, fortran_order: &str, shape: &str, payload: &[u8]) -> Vec<u8> {
    let header =
        format!("{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.into_bytes());
    bytes.extend(payload);
    bytes
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte")
}

/// `0, 1, 0, 1, ...`
pub(super) fn alternating(n_examples: usize) -> Vec<u8> {
    (0..n_examples).map(|example| (example % 2) as u8).collect()
}
