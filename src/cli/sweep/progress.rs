//! What is shown while a sweep runs: a table that changes on a terminal, lines or objects elsewhere.

use std::{collections::BTreeMap, time::Instant};

use esper::sweep::{CellRecord, CellStatus, Phase, SweepEvent};
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};

use super::super::output::Output;

/// Arms that have a line of their own; more would not fit a terminal.
const LINES_MAX: usize = 20;

/// What is shown while a sweep runs.
pub struct SweepProgress {
    output: Output,
    table: Option<Table>,
    began: Instant,
    n_ended: usize,
    n_cells: usize,
    n_done: usize,
    steps: u64,
}

/// A line for the whole, and one for each arm of each task.
struct Table {
    lines: MultiProgress,
    whole: ProgressBar,
    arms: BTreeMap<(String, String), Line>,
}

struct Line {
    bar: ProgressBar,
    n_ended: usize,
    n_failed: usize,
    scores: Vec<f64>,
}

impl SweepProgress {
    /// Shows nothing yet.
    pub fn new(output: Output) -> Self {
        let is_table = output.progress() == esper::prelude::ProgressMode::Bar;
        let table = is_table.then(Table::new);
        Self { output, table, began: Instant::now(), n_ended: 0, n_cells: 0, n_done: 0, steps: 0 }
    }

    /// Shows what happened.
    pub fn observe(&mut self, event: SweepEvent<'_>) {
        match event {
            SweepEvent::WaveBegan { n_cells, n_done } => {
                self.n_cells += n_cells;
                self.n_done += n_done;
            }
            SweepEvent::CellEnded(record) => {
                self.n_done += 1;
                self.n_ended += 1;
                self.steps += record.summary.as_ref().map_or(0, |it| it.steps);
                match &mut self.table {
                    Some(table) => table.add(record),
                    None => self.output.print_event("cell", record, self.line(record)),
                }
            }
        }
        let whole = self.whole();
        if let Some(table) = &self.table {
            table.whole.set_length(self.n_cells as u64);
            table.whole.set_position(self.n_done as u64);
            table.whole.set_message(whole);
        }
    }

    /// Leaves the last state of the table on the screen.
    pub fn finish(&self) {
        if let Some(table) = &self.table {
            table.whole.abandon();
            table.arms.values().for_each(|line| line.bar.abandon());
        }
    }

    /// How fast it goes, and how long this wave will take.
    fn whole(&self) -> String {
        let elapsed = self.began.elapsed();
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let (runs, steps) = (self.n_ended as f64 / seconds, self.steps as f64 / seconds);
        let left = self.n_cells.saturating_sub(self.n_done) as f64;
        let eta = match self.n_ended {
            0 => "-".to_owned(),
            _ => HumanDuration(std::time::Duration::from_secs_f64(left / runs)).to_string(),
        };
        format!("{runs:.2} runs/s, {steps:.0} steps/s, this wave: {eta} left")
    }

    fn line(&self, record: &CellRecord) -> String {
        let (n_done, n_cells, wall_s) = (self.n_done, self.n_cells, record.wall_s);
        // Choices are made on validation data, and test data has no part in them.
        let (score, data) = match record.id.phase {
            Phase::Tune => (record.val_score(), "validation"),
            Phase::Test | Phase::Front => (record.test_score(), "test"),
        };
        match (&record.reason, score) {
            (Some(reason), _) => format!("[{n_done}/{n_cells}] {}: failed: {reason}", record.id),
            (None, Some(score)) => {
                format!("[{n_done}/{n_cells}] {}: {data} {score:.4}, {wall_s:.1} s", record.id)
            }
            (None, None) => format!("[{n_done}/{n_cells}] {}: {wall_s:.1} s", record.id),
        }
    }
}

impl Table {
    fn new() -> Self {
        let lines = MultiProgress::new();
        let style = ProgressStyle::with_template("[{bar:24}] {pos}/{len} cells, {msg}");
        let whole = ProgressBar::new(0).with_style(style.expect("the template is sound"));
        Self { whole: lines.add(whole), lines, arms: BTreeMap::new() }
    }

    fn add(&mut self, record: &CellRecord) {
        let phase = match record.id.phase {
            Phase::Tune => "tune ",
            Phase::Test | Phase::Front => "",
        };
        let key = (record.id.task.clone(), format!("{phase}{}", record.id.arm));
        if !self.arms.contains_key(&key) {
            if self.arms.len() >= LINES_MAX {
                return;
            }
            let style = ProgressStyle::with_template("{msg}").expect("the template is sound");
            let bar = self.lines.add(ProgressBar::new(1).with_style(style));
            self.arms
                .insert(key.clone(), Line { bar, n_ended: 0, n_failed: 0, scores: Vec::new() });
        }
        let line = self.arms.get_mut(&key).expect("it was just put there");
        line.n_ended += 1;
        line.n_failed += usize::from(record.status == CellStatus::Failed);
        line.scores.extend(match record.id.phase {
            Phase::Tune => record.val_score(),
            Phase::Test | Phase::Front => record.test_score(),
        });
        let mean = line.scores.iter().sum::<f64>() / line.scores.len().max(1) as f64;
        let failed = match line.n_failed {
            0 => String::new(),
            n_failed => format!(", {n_failed} failed"),
        };
        let (task, arm) = key;
        let n_ended = line.n_ended;
        line.bar.set_message(format!(
            "{task:<20} {arm:<20} {n_ended:>5} ended, mean {mean:.4}{failed}"
        ));
    }
}
