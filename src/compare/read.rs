//! Reads the results of sweeps.

use std::{collections::BTreeMap, path::PathBuf};

use super::error::CompareError;
use crate::sweep::{CellId, CellRecord, ResultsError, ResultsFile, UNFINISHED};

/// What sweeps came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// The cells that ended, in the order of their ids.
    pub cells: Vec<CellRecord>,
    /// What was passed over: a last line that a kill tore.
    pub notes: Vec<String>,
}

/// Reads `results.jsonl` of each of `dirs`, as [`ResultsFile`] does; a last line that a kill tore is passed over, with a
/// note.
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
        let file = ResultsFile::of_dir(dir)?;
        let torn = file.torn.map(|line| file.place(line));
        results.notes.extend(torn.map(|it| format!("{it}: the last line is torn, and left out")));
        for (line, record) in &file.records {
            let again = file.place(*line);
            if let Some(first) = places.insert(record.id.clone(), again.clone()) {
                let cell = record.id.to_string();
                return Err(ResultsError::Duplicate { cell, first, again }.into());
            }
        }
        results.cells.extend(file.records.into_iter().map(|(_, record)| record));
    }
    results.cells.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(results)
}
