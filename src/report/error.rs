//! Why there is no report.

use std::path::PathBuf;

use esper_engine::run_dir::{FileError, RunDirError};

use crate::sweep::ResultsError;

/// Why a report can not be made. What is merely missing in a folder is said in the report instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder's manifest can not be read.
    #[error(transparent)]
    Dir(#[from] RunDirError),
    /// Neither a run nor a sweep lies there.
    #[error(
        "{}: neither `manifest.json` nor `results.jsonl` is in it; name the folder of a run or of a sweep",
        path.display()
    )]
    Neither {
        /// The folder.
        path: PathBuf,
    },
    /// The sweep's results can not be read.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// A figure can not be made a picture.
    #[error("the figure `{figure}` can not be drawn as a PNG: {what}")]
    Picture {
        /// The figure's name.
        figure: String,
        /// What the renderer says.
        what: String,
    },
}
