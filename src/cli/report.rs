//! `esper report`: a run or a sweep as a page, and its figures as pictures.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use esper::report::{Report, ReportError};
use serde::Serialize;

use super::{failure::Failure, output::Output};

/// Arguments of `esper report`.
#[derive(ClapArgs)]
pub struct Args {
    /// The folder of a run or of a sweep.
    dir: PathBuf,
    /// The page [default: report.html in the folder]; a file that is there is replaced.
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// A folder for the figures, as PNG for papers.
    #[cfg(feature = "png")]
    #[arg(long, value_name = "DIR")]
    png: Option<PathBuf>,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Written<'a> {
    file: PathBuf,
    of: &'static str,
    figures: Vec<&'a str>,
    pngs: Vec<PathBuf>,
    missing: &'a [String],
}

/// Writes the report.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    let report = Report::read(&args.dir)?;
    let file = args.out.clone().unwrap_or_else(|| args.dir.join("report.html"));
    check(&file)?;
    report.write_html(&file)?;
    let written = Written {
        file,
        of: if report.is_of_sweep() { "sweep" } else { "run" },
        figures: report.figures().map(|it| it.id.as_str()).collect(),
        pngs: pngs(args, &report)?,
        missing: report.missing(),
    };
    output.print_result("report", &written, written.text());
    Ok(())
}

#[cfg(feature = "png")]
fn pngs(args: &Args, report: &Report) -> Result<Vec<PathBuf>, Failure> {
    Ok(args.png.as_ref().map(|folder| report.write_pngs(folder)).transpose()?.unwrap_or_default())
}

#[cfg(not(feature = "png"))]
fn pngs(_args: &Args, _report: &Report) -> Result<Vec<PathBuf>, Failure> {
    Ok(Vec::new())
}

/// Refuses a place where no file can be.
fn check(file: &std::path::Path) -> Result<(), Failure> {
    let refuse = |why| Failure::usage(format!("{}: {why}", file.display()));
    if file.file_name().is_none() || file.is_dir() {
        return Err(refuse("it is not the name of a file"));
    }
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    if folder.is_some_and(|it| !it.is_dir()) {
        return Err(refuse("the folder is not there").help("make it first"));
    }
    Ok(())
}

impl Written<'_> {
    fn text(&self) -> String {
        let mut text = format!("{}: {} figures", self.file.display(), self.figures.len());
        if let Some(folder) = self.pngs.first().and_then(|it| it.parent()) {
            text.push_str(&format!("\n{}: {} pictures", folder.display(), self.pngs.len()));
        }
        for sentence in self.missing {
            text.push_str(&format!("\nmissing: {sentence}"));
        }
        text
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Dir(error) => error.into(),
            error @ ReportError::Neither { .. } => Self::usage(error),
            ReportError::Results(error) if error.is_usage() => Self::usage(error),
            error => Self::failed(error),
        }
    }
}
