//! What a sweep's folder says.

use std::path::{Path, PathBuf};

use crate::{
    report::error::ReportError,
    sweep::{CellRecord, RESULTS, ResultsFile},
};

/// A sweep's folder, read.
pub(in crate::report) struct SweepData {
    pub root: PathBuf,
    pub records: Vec<CellRecord>,
    pub missing: Vec<String>,
}

impl SweepData {
    /// Reads the sweep in the folder at `root`; `None` if there is no file of results. A last line that is torn, as a kill
    /// leaves it, is left out.
    pub fn read(root: &Path) -> Result<Option<Self>, ReportError> {
        let Some(file) = ResultsFile::read(&root.join(RESULTS))? else { return Ok(None) };
        let mut missing = Vec::new();
        if file.torn.is_some() {
            missing.push(format!("The last line of {RESULTS} is torn, as a kill leaves it."));
        }
        let records: Vec<CellRecord> = file.records.into_iter().map(|(_, record)| record).collect();
        if records.is_empty() {
            missing.push("No cell has ended yet.".to_owned());
        }
        Ok(Some(Self { root: root.to_owned(), records, missing }))
    }
}
