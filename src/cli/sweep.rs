//! `esper sweep`: many runs that differ in task, arm, settings and seed.

mod progress;

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use esper::sweep::{
    CellCost, CellRecord, Shard, Stop, SweepChanges, SweepEnd, SweepError, SweepOptions, SweepSpec,
    merge,
};
use serde::Serialize;

use self::progress::SweepProgress;
use super::{
    failure::Failure,
    interrupt::{self, Signalled},
    output::{Output, OutputArgs},
};

/// The folder that sweeps without `--out` are kept in.
const SWEEPS: &str = "runs/sweeps";
/// Where static hosts are kept that were measured before.
const FRONTS: &str = "runs/fronts.jsonl";
/// What to write to keep and use none.
const NO_FRONTS: &str = "none";

/// Arguments of `esper sweep`.
#[derive(ClapArgs)]
pub struct Args {
    /// A sweep's file, or a scenario.
    #[arg(required_unless_present = "merge")]
    file: Option<PathBuf>,
    /// Seeds of the runs that are compared, such as `0..30` or `1,4,10..12`.
    #[arg(long)]
    seeds: Option<String>,
    /// What is compared, such as `off,heuristic,off_longer`.
    #[arg(long, value_delimiter = ',')]
    arms: Vec<String>,
    /// Set a key to each of some values, such as `tamiyo.incubate_max=2,4`; may be given often.
    #[arg(long, value_name = "KEY=VALUE,VALUE")]
    set: Vec<String>,
    /// Choose a key's value for each arm on validation data, with seeds of its own; may be given often.
    #[arg(long, value_name = "KEY=VALUE,VALUE")]
    tune: Vec<String>,
    /// Draw a key's value, such as `train.optimizer.lr=log_uniform(1e-4, 1e-1)`; may be given often.
    #[arg(long, value_name = "KEY=DISTRIBUTION")]
    search: Vec<String>,
    /// Draws of `--search`.
    #[arg(long, value_name = "N")]
    samples: Option<u64>,
    /// Runs at once [default: one a core].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    jobs: usize,
    /// Say what the sweep would cost, and run nothing.
    #[arg(long)]
    dry_run: bool,
    /// The sweep's folder; one that holds part of this sweep is gone on with [default: runs/sweeps/NAME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keep no folder for each run: results alone, in one file.
    #[arg(long)]
    no_run_dirs: bool,
    /// Write curves of each run for TensorBoard to tensorboard/ in its folder.
    #[arg(long, conflicts_with = "no_run_dirs")]
    tensorboard: bool,
    /// The file in which static hosts that were measured are kept for other sweeps; `none` to measure them anew.
    #[arg(long, value_name = "FILE", default_value = FRONTS)]
    fronts: PathBuf,
    /// Run part I of N; `--merge` puts the parts together.
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<Shard>,
    /// Put the results of parts together in the folder `--out` [default: the first of them].
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with = "file")]
    merge: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

fn parse_shard(text: &str) -> Result<Shard, String> {
    let parts = text
        .split_once('/')
        .and_then(|(index, of)| Some(Shard { index: index.parse().ok()?, of: of.parse().ok()? }));
    let is_one = |it: &Shard| (1..=it.of).contains(&it.index) && it.of <= 100_000;
    parts.filter(is_one).ok_or_else(|| "must be a part of parts, such as 1/4".to_owned())
}

/// Runs a sweep, or goes on with it.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    if !args.merge.is_empty() {
        return merge_parts(args, output);
    }
    let file = args.file.as_deref().expect("clap asks for it");
    let changes = SweepChanges {
        seeds: args.seeds.clone(),
        arms: args.arms.clone(),
        set: args.set.clone(),
        tune: args.tune.clone(),
        search: args.search.clone(),
        samples: args.samples,
    };
    let spec = SweepSpec::load(file, &changes)?;
    if args.dry_run {
        print_cost(&spec.cost(args.shard)?, output);
        return Ok(());
    }
    let dir = args.out.clone().unwrap_or_else(|| Path::new(SWEEPS).join(&spec.name));
    let stop = Stop::default();
    let signalled = interrupt::on_signal({
        let stop = stop.clone();
        move || stop.ask()
    })?;
    let keeps_runs = !args.no_run_dirs;
    let options = SweepOptions {
        dir: dir.clone(),
        jobs: args.jobs,
        keeps_runs,
        shard: args.shard,
        fronts: Some(args.fronts.clone()).filter(|it| it != Path::new(NO_FRONTS)),
        tensorboard: args.tensorboard,
    };
    print_folder(&dir, output);
    let mut progress = SweepProgress::new(output);
    let end = spec.run(&options, &stop, |event| progress.observe(event))?;
    progress.finish();
    print_end(&end, &dir, output);
    told_of_stop(&end, keeps_runs, &signalled)?;
    told_of_failed(&end.failed)
}

fn print_folder(dir: &Path, output: Output) {
    #[derive(Serialize)]
    struct Folder<'a> {
        dir: &'a Path,
    }

    output.print_event("sweep_dir", &Folder { dir }, format!("sweep folder: {}", dir.display()));
}

fn print_end(end: &SweepEnd, dir: &Path, output: Output) {
    #[derive(Serialize)]
    struct Ended {
        n_completed: usize,
        n_failed: usize,
        is_stopped: bool,
    }

    let SweepEnd { n_completed, failed, is_stopped } = end;
    let ended =
        Ended { n_completed: *n_completed, n_failed: failed.len(), is_stopped: *is_stopped };
    let shown = dir.display();
    let next = if *is_stopped {
        "stopped; the same command goes on".to_owned()
    } else {
        format!("`esper compare {shown}` says what they come to")
    };
    output.print_result("sweep", &ended, format!("{n_completed} cells completed; {next}"));
}

/// The sweep that a signal stopped ends with that signal's status.
fn told_of_stop(end: &SweepEnd, keeps_runs: bool, signalled: &Signalled) -> Result<(), Failure> {
    let Some(status) = signalled.status().filter(|_| end.is_stopped) else { return Ok(()) };
    let in_flight = if keeps_runs {
        "cells in flight are saved, and the same command goes on with them"
    } else {
        "the same command goes on; cells in flight have no folders and begin anew"
    };
    let message = format!("stopped by {}, {} cells completed", signalled.name(), end.n_completed);
    Err(Failure::stopped(status, message).help(in_flight))
}

fn told_of_failed(failed: &[CellRecord]) -> Result<(), Failure> {
    let Some(first) = failed.first() else { return Ok(()) };
    let reason = first.reason.as_deref().unwrap_or_default();
    let message = format!("{} cells failed; the first is {}: {reason}", failed.len(), first.id);
    let help = "the same command tries them again; a run that diverged does so again, unless its settings are changed";
    Err(Failure::failed(message).help(help))
}

fn merge_parts(args: &Args, output: Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Merged<'a> {
        dir: &'a Path,
        n_files: usize,
        n_cells: usize,
        n_shared: usize,
        n_missing: u64,
        n_libraries: usize,
    }

    let dir = args.out.as_deref().unwrap_or(&args.merge[0]);
    let merged = merge(&args.merge, dir)?;
    let (n_files, n_cells, n_shared) = (merged.n_files, merged.n_cells, merged.n_shared);
    let (n_missing, n_libraries) = (merged.n_missing, merged.n_libraries);
    let more = match (n_missing, n_libraries) {
        (0, 0) => String::new(),
        (0, n) => format!("; {n} shared libraries have what they learnt"),
        (n, _) => format!("; {n} parts are missing, and shared libraries wait for them"),
    };
    let text = format!("{n_cells} cells of {n_files} files are in {}{more}", dir.display());
    let merged = Merged { dir, n_files, n_cells, n_shared, n_missing, n_libraries };
    output.print_result("merged", &merged, text);
    Ok(())
}

fn print_cost(costs: &[CellCost], output: Output) {
    #[derive(Serialize)]
    struct Cost<'a> {
        cells: &'a [CellCost],
        n_cells: usize,
        flops: f64,
        core_hours: f64,
    }

    let n_cells = costs.iter().map(|it| it.n_cells).sum();
    let flops = costs.iter().map(|it| it.flops_per_cell * it.n_cells as f64).sum();
    let core_hours = costs.iter().map(|it| it.core_s).sum::<f64>() / 3600.0;
    let mut lines = vec![format!(
        "{:<24} {:<6} {:<18} {:>6} {:>13} {:>12}",
        "task", "phase", "arm", "cells", "GFLOP a cell", "core seconds"
    )];
    lines.extend(costs.iter().map(|it| {
        let phase = format!("{:?}", it.phase).to_lowercase();
        let (gflops, core_s) = (it.flops_per_cell / 1e9, it.core_s);
        format!(
            "{:<24} {phase:<6} {:<18} {:>6} {gflops:>13.3} {core_s:>12.1}",
            it.task, it.arm, it.n_cells
        )
    }));
    lines.push(format!(
        "{n_cells} cells, {:.1} GFLOP, {core_hours:.3} core hours; growth as far as ten seconds of it tell",
        flops / 1e9
    ));
    output.print_result(
        "cost",
        &Cost { cells: costs, n_cells, flops, core_hours },
        lines.join("\n"),
    );
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::File(error) => Self::scenario(error, ""),
            error if error.is_usage() => Self::usage(error),
            error => Self::failed(error),
        }
    }
}
