//! Reads the results of sweeps.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::error::CompareError;
use crate::sweep::{CellId, CellRecord, CellStatus, UNFINISHED};

/// The file of a sweep's folder that has a line for each cell that ended.
const RESULTS: &str = "results.jsonl";

/// What sweeps came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// The cells that ended, in the order of their ids.
    pub cells: Vec<CellRecord>,
    /// What was passed over: a last line that a kill tore.
    pub notes: Vec<String>,
}

/// Reads `results.jsonl` of each of `dirs`.
///
/// A last line without a line break that is no record is what a sweep leaves that was killed as it wrote: it is passed
/// over, with a note.
///
/// # Errors
///
/// Fails when a folder has no results, or they can not be read; at a line that is no record of a cell; and when a cell has
/// two records.
pub fn read_results(dirs: &[PathBuf]) -> Result<Results, CompareError> {
    let mut results = Results::default();
    let mut places: BTreeMap<CellId, String> = BTreeMap::new();
    for dir in dirs {
        if dir.join(UNFINISHED).exists() {
            let text = format!("{}: the sweep has not ended, and cells are missing", dir.display());
            results.notes.push(text);
        }
        let path = dir.join(RESULTS);
        let text = read_file(dir, &path)?;
        let (whole, torn) = match text.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => text.split_at(at + 1),
            None => text.split_at(0),
        };
        let lines = whole.split_inclusive(|byte| *byte == b'\n');
        for (at, line) in lines.chain((!torn.is_empty()).then_some(torn)).enumerate() {
            let line_number = at + 1;
            let place = format!("{}:{line_number}", path.display());
            let record = match parse(line) {
                Ok(record) => record,
                Err(_) if !line.ends_with(b"\n") => {
                    results.notes.push(format!("{place}: the last line is torn, and left out"));
                    continue;
                }
                Err(reason) => {
                    return Err(CompareError::Damaged { path, line: line_number, reason });
                }
            };
            if let Some(first) = places.insert(record.id.clone(), place.clone()) {
                let cell = record.id.to_string();
                return Err(CompareError::Duplicate { cell, first, again: place });
            }
            results.cells.push(record);
        }
    }
    results.cells.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(results)
}

/// Whether there are results of parts in the folder.
fn has_parts(dir: &Path) -> bool {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|it| it.file_name());
    names.map(|it| it.to_string_lossy().into_owned()).any(|it| it.starts_with("results-"))
}

fn read_file(dir: &Path, path: &Path) -> Result<Vec<u8>, CompareError> {
    let missing = |what| CompareError::NoResults { dir: dir.to_owned(), what };
    match fs::read(path) {
        Ok(text) if text.is_empty() => Err(missing("its results.jsonl is empty")),
        Ok(text) => Ok(text),
        Err(_) if !dir.exists() => Err(missing("there is no such folder")),
        Err(_) if !dir.is_dir() => Err(missing("this is no folder")),
        Err(_) if has_parts(dir) => {
            Err(missing("parts of a sweep are in it; `esper sweep --merge` puts them together"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(missing("no results.jsonl in it")),
        Err(source) => Err(CompareError::Unreadable { path: path.to_owned(), source }),
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
