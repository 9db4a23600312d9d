//! Reads files of results: the one place that does, for sweeps, their parts, comparisons and reports.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::record::{CellId, CellRecord, CellStatus};

/// The file of a sweep's folder that has a line for each cell that ended.
pub const RESULTS: &str = "results.jsonl";

/// What a file of results holds: a record a line, of no cell two.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultsFile {
    /// The file.
    pub path: PathBuf,
    /// The records with their lines, which count from 1, in the file's order.
    pub records: Vec<(usize, CellRecord)>,
    /// The last line, where it was torn by a kill and is left out.
    pub torn: Option<usize>,
    /// Whether a record can be put behind what is there: the file is empty, or ends with a line break.
    pub is_whole: bool,
}

/// Why a file of results can not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// A folder has none.
    #[error(
        "{}: {what}; name the folder that `--out` of the sweep named, which has {RESULTS} once a cell has ended",
        dir.display()
    )]
    Missing {
        /// The folder.
        dir: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The operating system refused.
    #[error("{}: the results can not be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A line is no record of a cell.
    #[error(
        "{}:{line}: the line is no record of a cell: {reason}; remove the line and run the sweep again, which runs the \
         cell again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A cell has two records.
    #[error(
        "{again}: the cell {cell} is already in {first}; name each sweep once, or remove one of the two lines"
    )]
    Duplicate {
        /// The cell.
        cell: String,
        /// File and line of the first.
        first: String,
        /// File and line of the second.
        again: String,
    },
}

impl ResultsFile {
    /// Reads [`RESULTS`] of the sweep in `dir`.
    ///
    /// # Errors
    ///
    /// Fails when there is none or it is empty, and as [`ResultsFile::read`].
    pub fn of_dir(dir: &Path) -> Result<Self, ResultsError> {
        let missing = |what| ResultsError::Missing { dir: dir.to_owned(), what };
        let path = dir.join(RESULTS);
        if !dir.exists() {
            return Err(missing("there is no such folder"));
        }
        if !dir.is_dir() {
            return Err(missing("this is no folder"));
        }
        match Self::read(&path)? {
            None if has_parts(dir) => {
                Err(missing("parts of a sweep are in it; `esper sweep --merge` puts them together"))
            }
            None => Err(missing("no results.jsonl in it")),
            Some(it) if it.records.is_empty() && it.torn.is_none() => {
                Err(missing("its results.jsonl is empty"))
            }
            Some(it) => Ok(it),
        }
    }

    /// Reads the file at `path`; `None` if there is none. A last line without a line break that is no record is what a sweep
    /// leaves that was killed as it wrote: it is left out. So are blank lines.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be read, at any other line that is no record of a cell, and when a cell has two records.
    pub fn read(path: &Path) -> Result<Option<Self>, ResultsError> {
        let bytes = match fs::read(path) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(ResultsError::Unreadable { path: path.to_owned(), source }),
            Ok(bytes) => bytes,
        };
        let is_whole = bytes.last().is_none_or(|byte| *byte == b'\n');
        let mut found = Self { path: path.to_owned(), records: Vec::new(), torn: None, is_whole };
        let mut lines: BTreeMap<CellId, usize> = BTreeMap::new();
        for (index, text) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line = index + 1;
            if text.trim_ascii().is_empty() {
                continue;
            }
            let record = match parse(text) {
                Ok(record) => record,
                Err(_) if !text.ends_with(b"\n") => {
                    found.torn = Some(line);
                    continue;
                }
                Err(reason) => {
                    return Err(ResultsError::Damaged { path: path.to_owned(), line, reason });
                }
            };
            if let Some(first) = lines.insert(record.id.clone(), line) {
                let (first, again) = (found.place(first), found.place(line));
                return Err(ResultsError::Duplicate { cell: record.id.to_string(), first, again });
            }
            found.records.push((line, record));
        }
        Ok(Some(found))
    }

    /// `FILE:LINE`.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

impl ResultsError {
    /// Whether what the user named is at fault: exit status 2 rather than 1.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Unreadable { source, .. } => source.kind() == ErrorKind::IsADirectory,
            Self::Missing { .. } | Self::Damaged { .. } | Self::Duplicate { .. } => true,
        }
    }
}

/// The record of a line, or why it is none.
fn parse(line: &[u8]) -> Result<CellRecord, String> {
    let record: CellRecord = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if record.status == CellStatus::Completed && record.summary.is_none() {
        return Err("it is completed and has no `summary`".to_owned());
    }
    Ok(record)
}

/// Whether there are results of parts in the folder.
fn has_parts(dir: &Path) -> bool {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|it| it.file_name());
    names.map(|it| it.to_string_lossy().into_owned()).any(|it| it.starts_with("results-"))
}
