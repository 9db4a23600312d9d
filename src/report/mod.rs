//! Reports: a run or a sweep as one HTML file that needs nothing else, and its figures as pictures.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use esper::report::Report;
//!
//! let report = Report::read(Path::new("runs/digits_mlp/20260102-030405-0"))?;
//! report.write_html(Path::new("report.html"))?;
//! # Ok::<(), esper::report::ReportError>(())
//! ```
//!
//! A report is drawn twice, for wide pages and for narrow ones; a page has no script and asks no network for anything.
//! What is not in the folder is not in the report, which says so.

mod axis;
mod canvas;
mod error;
mod figure;
mod number;
mod page;
#[cfg(feature = "png")]
mod png;
mod rows;
mod run;
mod sweep;
mod theme;

use std::path::{Component, Path, PathBuf};

use esper_engine::run_dir::write_atomic;

pub use self::{
    error::ReportError,
    figure::Figure,
    sweep::{ArmFigures, FrontPoint, TaskFigures},
};
use self::{page::Page, run::RunData, sweep::SweepData};

/// A report of a run's or a sweep's folder.
pub struct Report {
    root: PathBuf,
    source: Source,
    page: Page,
}

enum Source {
    Run,
    Sweep(Box<SweepData>),
}

impl Report {
    /// Reads the folder of a run or of a sweep. What is missing or damaged in it is said in the report.
    ///
    /// # Errors
    ///
    /// Fails when neither lies there, the run's manifest can not be read, or a line of the sweep's results is not a record.
    pub fn read(dir: &Path) -> Result<Self, ReportError> {
        let root = dir.to_owned();
        if let Some(data) = SweepData::read(dir)? {
            let page = sweep::page(&data, "./");
            return Ok(Self { root, source: Source::Sweep(Box::new(data)), page });
        }
        if !dir.join("manifest.json").is_file() {
            return Err(ReportError::Neither { path: root });
        }
        Ok(Self { root, source: Source::Run, page: run::page(&RunData::read(dir)?) })
    }

    /// Whether it is of a sweep rather than of a run.
    pub fn is_of_sweep(&self) -> bool {
        matches!(self.source, Source::Sweep(_))
    }

    /// The figures, in the order of the page.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.page.figures()
    }

    /// What is missing in the folder, a sentence each.
    pub fn missing(&self) -> &[String] {
        &self.page.missing
    }

    /// The page, for a file in the folder that was read.
    pub fn to_html(&self) -> String {
        self.page.to_html()
    }

    /// Writes the page to `path`, whole or not at all, in place of a file that is there.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be written.
    pub fn write_html(&self, path: &Path) -> Result<(), ReportError> {
        let html = match &self.source {
            Source::Run => self.page.to_html(),
            Source::Sweep(data) => sweep::page(data, &links(path, &self.root)).to_html(),
        };
        Ok(write_atomic(path, html.as_bytes())?)
    }

    /// Writes every figure as `<id>.png` to `folder`, which is made if it is not there; gives the files.
    ///
    /// # Errors
    ///
    /// Fails when a figure can not be drawn or a file can not be written.
    #[cfg(feature = "png")]
    pub fn write_pngs(&self, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
        use esper_engine::run_dir::FileError;

        std::fs::create_dir_all(folder)
            .map_err(FileError::at(folder, "make the folder of pictures"))?;
        let painter = png::Painter::new();
        let write = |figure: &Figure| {
            let path = folder.join(format!("{}.png", figure.id));
            write_atomic(&path, &painter.png(figure)?)?;
            Ok(path)
        };
        self.figures().map(write).collect()
    }
}

/// How a page at `path` reaches what is in `root`.
fn links(path: &Path, root: &Path) -> String {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Ok(from), Ok(to)) = (folder.canonicalize(), root.canonicalize()) else {
        return "./".to_owned();
    };
    let n_common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let ups = from.components().skip(n_common).map(|_| "../".to_owned());
    let downs = to.components().skip(n_common).filter_map(|it| match it {
        Component::Normal(name) => Some(sweep::encoded(&name.to_string_lossy()) + "/"),
        _ => None,
    });
    format!("./{}", ups.chain(downs).collect::<String>())
}
