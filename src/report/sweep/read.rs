//! What a sweep's folder says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use esper_engine::run_dir::FileError;

use crate::{report::error::ReportError, sweep::CellRecord};

/// Name of the file with a line a cell.
pub(in crate::report) const RESULTS: &str = "results.jsonl";

/// A sweep's folder, read.
pub(in crate::report) struct SweepData {
    pub root: PathBuf,
    pub records: Vec<CellRecord>,
    pub missing: Vec<String>,
}

impl SweepData {
    /// Reads the sweep in the folder at `root`. A last line that is torn, as a kill leaves it, is left out; of several
    /// records of a cell the last counts.
    pub fn read(root: &Path) -> Result<Self, ReportError> {
        let path = root.join(RESULTS);
        let text = fs::read(&path).map_err(FileError::at(&path, "read the results"))?;
        let text = String::from_utf8_lossy(&text);
        let mut missing = Vec::new();
        let mut records: Vec<CellRecord> = Vec::new();
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(record) => records.push(record),
                Err(_) if index + 1 == lines.len() && !text.ends_with('\n') => {
                    missing
                        .push(format!("The last line of {RESULTS} is torn, as a kill leaves it."));
                }
                Err(source) => return Err(ReportError::Record { path, line: index + 1, source }),
            }
        }
        // A cell that was run again is in the file twice.
        let mut newest = std::collections::BTreeMap::new();
        for (index, record) in records.iter().enumerate() {
            newest.insert(record.id.clone(), index);
        }
        let mut index = 0;
        records.retain(|record| {
            index += 1;
            newest.get(&record.id) == Some(&(index - 1))
        });
        if records.is_empty() {
            missing.push("No cell has ended yet.".to_owned());
        }
        Ok(Self { root: root.to_owned(), records, missing })
    }
}
