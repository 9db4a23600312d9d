//! `esper inspect`: what grew where, when and why.

use std::{fmt::Write, path::PathBuf};

use clap::Args as ClapArgs;
use esper::{
    engine::run_dir::{Manifest, RunDir},
    systems::nissa::{Inspection, Summary},
};
use serde::Serialize;

use super::{failure::Failure, output::Output};

/// Arguments of `esper inspect`.
#[derive(ClapArgs)]
pub struct Args {
    /// The run's folder.
    dir: PathBuf,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    manifest: &'a Manifest,
    summary: Option<&'a Summary>,
    #[serde(flatten)]
    inspection: &'a Inspection,
}

/// Shows what a run's audit chain records of its seeds.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    let dir = RunDir::open(&args.dir)?;
    let manifest = dir.read_manifest()?;
    let summary = Summary::read(&dir).map_err(Failure::failed)?;
    let inspection = Inspection::read(&dir.events()).map_err(Failure::failed)?;
    let text = describe(&manifest, summary.as_ref(), &inspection);
    let answer = Answer { manifest: &manifest, summary: summary.as_ref(), inspection: &inspection };
    output.print_result("inspection", &answer, text.trim_end());
    Ok(())
}

fn describe(manifest: &Manifest, summary: Option<&Summary>, inspection: &Inspection) -> String {
    let state = match (summary, inspection.is_complete) {
        (Some(summary), _) => format!("{:?}", summary.status).to_lowercase(),
        (None, true) => "complete, without a summary".to_owned(),
        (None, false) => "not ended".to_owned(),
    };
    let mut text = format!(
        "{} seed {}: {state}, {} events, {} rollbacks",
        manifest.scenario, manifest.seed, inspection.n_events, inspection.n_rollbacks
    );
    if inspection.is_torn {
        text.push_str("; its last line is torn, as a kill leaves it");
    }
    text.push('\n');
    if let Some(summary) = summary {
        let accuracy = |name: &str, share: Option<f64>| {
            share.map_or_else(String::new, |share| format!(", {name} accuracy {share:.4}"))
        };
        writeln!(
            text,
            "params {} -> {}{}{}; gains are measured by {}",
            summary.params_initial,
            summary.params_final,
            accuracy("validation", summary.scores.val_accuracy),
            accuracy("test", summary.scores.test_accuracy),
            summary.counterfactual,
        )
        .expect("a string takes all");
    }
    if 0 < inspection.n_verdicts {
        writeln!(
            text,
            "{} verdicts; of modules that add nothing they keep at most {:.3} in the mean",
            inspection.n_verdicts, inspection.false_keeps_max,
        )
        .expect("a string takes all");
    }
    text.push('\n');
    text.push_str(&inspection.to_table());
    text
}
