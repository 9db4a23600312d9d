//! Results as tables that any tool reads: `cells.csv`, a row a cell, and `metrics.csv`, a row an epoch and cell.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use esper_engine::run_dir::{FileError, write_atomic};

use super::{cells::Records, error::SweepError, record::CellRecord};

/// Columns that name a cell.
const ID: [&str; 4] = ["task", "phase", "arm", "seed"];

/// Numbers of a cell.
type Column = (&'static str, fn(&CellRecord) -> Option<String>);

macro_rules! of_summary {
    ($($name:literal: $get:expr),+ $(,)?) => {
        [$(($name, |it: &CellRecord| {
            let get: fn(&esper_systems::nissa::Summary) -> Option<String> = $get;
            it.summary.as_ref().and_then(get)
        })),+]
    };
}

const COLUMNS: [Column; 19] = of_summary! {
    "epochs": |it| Some(it.epochs.to_string()),
    "steps": |it| Some(it.steps.to_string()),
    "train_loss": |it| number(it.scores.train_loss),
    "val_loss": |it| number(it.scores.val_loss),
    "val_accuracy": |it| number(it.scores.val_accuracy),
    "test_loss": |it| number(it.scores.test_loss),
    "test_accuracy": |it| number(it.scores.test_accuracy),
    "params_initial": |it| Some(it.params_initial.to_string()),
    "params_final": |it| Some(it.params_final.to_string()),
    "germinated": |it| Some(it.seeds.germinated.to_string()),
    "fossilized": |it| Some(it.seeds.fossilized.to_string()),
    "culled": |it| Some(it.seeds.culled.to_string()),
    "cancelled": |it| Some(it.seeds.cancelled.to_string()),
    "rolled_back": |it| Some(it.seeds.rolled_back.to_string()),
    "flops_host": |it| Some(it.flops.host.to_string()),
    "flops_seeds": |it| Some(it.flops.seeds.to_string()),
    "flops_evaluation": |it| Some(it.flops.evaluation.to_string()),
    "flops_validation": |it| Some(it.flops.validation.to_string()),
    "weights_digest": |it| Some(it.weights_digest.to_string()),
};

fn number(value: Option<f64>) -> Option<String> {
    value.map(|it| it.to_string())
}

/// Writes `cells.csv`, and where runs were kept `metrics.csv`, of `records` into the folder `dir`.
pub(super) fn write_tables(
    dir: &Path,
    records: &Records,
    failed: &[CellRecord],
) -> Result<(), SweepError> {
    let all = || records.values().chain(failed);
    let keys: BTreeSet<&String> =
        all().flat_map(|it| it.id.settings.keys().chain(it.tuned.keys())).collect();
    let mut header: Vec<&str> = ID.to_vec();
    header.extend(keys.iter().map(|key| key.as_str()));
    header.extend(COLUMNS.map(|(name, _)| name));
    header.extend(["flops_before", "flops_innovation", "wall_s", "dir", "status", "reason"]);
    let mut cells = vec![line(header.iter().map(|it| (*it).to_owned()))];
    for record in all() {
        let setting = |key: &&String| {
            record.id.settings.get(*key).or_else(|| record.tuned.get(*key)).cloned()
        };
        let mut row: Vec<String> = id_of(record).to_vec();
        row.extend(keys.iter().map(|key| setting(key).unwrap_or_default()));
        row.extend(COLUMNS.map(|(_, get)| get(record).unwrap_or_default()));
        row.push(record.flops_before.total().to_string());
        let innovation = record.summary.as_ref().map_or(0, |it| it.innovation_flops);
        row.push(innovation.to_string());
        row.push(record.wall_s.to_string());
        row.push(record.dir.as_ref().map_or_else(String::new, |it| it.display().to_string()));
        row.push(format!("{:?}", record.status).to_lowercase());
        row.push(record.reason.clone().unwrap_or_default());
        cells.push(line(row));
    }
    write_atomic(&dir.join("cells.csv"), cells.concat().as_bytes())?;
    write_metrics(dir, records)
}

fn write_metrics(dir: &Path, records: &Records) -> Result<(), SweepError> {
    let mut lines: Vec<String> = Vec::new();
    for record in records.values() {
        let Some(run) = &record.dir else { continue };
        let path: PathBuf = dir.join(run).join("metrics.csv");
        let text = match fs::read_to_string(&path) {
            // A run that was removed since is missed by nobody here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read.map_err(FileError::at(&path, "read the metrics"))?,
        };
        let mut rows = text.lines();
        let Some(header) = rows.next() else { continue };
        if lines.is_empty() {
            lines.push(format!("{},{header}\n", ID.join(",")));
        }
        let id = line(id_of(record));
        lines.extend(rows.map(|row| format!("{},{row}\n", id.trim_end())));
    }
    if lines.is_empty() {
        return Ok(());
    }
    Ok(write_atomic(&dir.join("metrics.csv"), lines.concat().as_bytes())?)
}

fn id_of(record: &CellRecord) -> [String; 4] {
    let phase = format!("{:?}", record.id.phase).to_lowercase();
    [record.id.task.clone(), phase, record.id.arm.clone(), record.id.seed.to_string()]
}

/// A line of CSV (RFC 4180).
fn line(fields: impl IntoIterator<Item = String>) -> String {
    let quoted = |field: String| match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    };
    let fields: Vec<String> = fields.into_iter().map(quoted).collect();
    format!("{}\n", fields.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_commas_and_quotes_are_quoted() {
        let fields = ["a", "[64, 8]", "\"x\""].map(str::to_owned);
        assert_eq!(line(fields), "a,\"[64, 8]\",\"\"\"x\"\"\"\n");
    }
}
