//! `esper evaluate`: a run's network on the test data of another scenario.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use esper::{
    engine::run_dir::RunDir,
    evaluate,
    scenario::{DATA, RUN},
    systems::tolaria,
};
use serde::Serialize;

use super::{
    export::pick,
    failure::Failure,
    output::Output,
    source::{ScenarioArgs, Source},
};

/// Arguments of `esper evaluate`.
#[derive(ClapArgs)]
pub struct Args {
    /// The run's folder.
    dir: PathBuf,
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Which of the run's hosts.
    #[arg(long, value_name = "N", default_value_t = 0)]
    host: u64,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    host: String,
    step: u64,
    scenario: &'a str,
    source: &'a str,
    n_examples: usize,
    test_loss: f64,
    test_accuracy: Option<f64>,
}

/// Evaluates the network of a run's newest checkpoint on the test data of a scenario.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    let dir = RunDir::open(&args.dir)?;
    dir.read_manifest()?;
    let (checkpoint, damaged) = tolaria::latest_checkpoint(&dir.checkpoints())?;
    for error in damaged {
        output.print_note(&format!("a damaged checkpoint is left out: {error}"));
    }
    let exported = pick(tolaria::read_weights(&checkpoint)?, args.host)?;
    let Source { file, scenario, options } = args.scenario.load()?;
    let (host, step) = (exported.host.to_string(), exported.step);
    let found = evaluate(options, exported.graph, exported.weights)
        .map_err(|error| Failure::run(error, &file))?;
    let answer = Answer {
        host,
        step,
        scenario: &scenario[RUN].name,
        source: &scenario[DATA].source,
        n_examples: found.n_examples,
        test_loss: found.loss,
        test_accuracy: found.accuracy,
    };
    let accuracy = found.accuracy.map_or_else(String::new, |it| format!(", accuracy {it:.4}"));
    let text = format!(
        "{} after step {} on {} test examples of {}: loss {:.4}{accuracy}",
        answer.host, answer.step, answer.n_examples, answer.scenario, answer.test_loss
    );
    output.print_result("evaluate", &answer, &text);
    Ok(())
}
