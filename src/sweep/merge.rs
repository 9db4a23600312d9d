//! Parts of a sweep, put together.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use esper_engine::run_dir::{FileError, write_atomic};

use super::{
    csv::write_tables,
    error::SweepError,
    record::{CellId, CellRecord},
    store::{read_results, results_name, to_line},
};

/// What parts came to together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Files of results that were read.
    pub n_files: usize,
    /// Cells.
    pub n_cells: usize,
    /// Cells that several parts had: choices, which every part makes.
    pub n_shared: usize,
}

/// Puts the results of the parts in `parts` into the folder `out`, each cell once. Folders of runs stay where they are.
///
/// # Errors
///
/// Fails when the parts are not of one sweep, when two came to different results for one cell, or when a file can not be
/// read or written.
pub fn merge(parts: &[PathBuf], out: &Path) -> Result<Merged, SweepError> {
    let mut cells: BTreeMap<CellId, CellRecord> = BTreeMap::new();
    let (mut n_files, mut n_shared) = (0, 0);
    let mut spec: Option<[Vec<u8>; 2]> = None;
    for part in parts {
        let found = ["sweep.toml", "sweep.json"].map(|name| read(&part.join(name)));
        let [toml, json] = found;
        let found = [toml?, json?];
        if spec.get_or_insert_with(|| found.clone()) != &found {
            return Err(SweepError::Other {
                dir: part.clone(),
                what: "it holds another sweep than the parts before".to_owned(),
            });
        }
        for path in results_in(part)? {
            n_files += 1;
            for mut record in read_results(&path)?.0 {
                if part != out {
                    record.dir = record.dir.map(|dir| part.join(dir));
                }
                match cells.get(&record.id) {
                    None => _ = cells.insert(record.id.clone(), record),
                    Some(other) if is_same(other, &record) => n_shared += 1,
                    Some(_) => {
                        return Err(SweepError::Other {
                            dir: part.clone(),
                            what: format!("`{}` has another result in another part", record.id),
                        });
                    }
                }
            }
        }
    }
    let Some([toml, json]) = spec else {
        let what = "no part to merge".to_owned();
        return Err(SweepError::Unfit { what, help: "name the parts' folders".to_owned() });
    };
    fs::create_dir_all(out).map_err(FileError::at(out, "create the sweep's folder"))?;
    write_atomic(&out.join("sweep.toml"), &toml)?;
    write_atomic(&out.join("sweep.json"), &json)?;
    let lines: Vec<u8> = cells.values().flat_map(to_line).collect();
    write_atomic(&out.join(results_name(None)), &lines)?;
    write_tables(out, &cells, &[])?;
    Ok(Merged { n_files, n_cells: cells.len(), n_shared })
}

/// Whether two parts found the same; what the time was is no result.
fn is_same(one: &CellRecord, other: &CellRecord) -> bool {
    let digest = |it: &CellRecord| it.summary.as_ref().map(|it| (it.weights_digest, it.flops));
    digest(one) == digest(other)
}

fn read(path: &Path) -> Result<Vec<u8>, SweepError> {
    Ok(fs::read(path).map_err(FileError::at(path, "read the sweep"))?)
}

/// The files of results in a folder, in the order of names.
fn results_in(dir: &Path) -> Result<Vec<PathBuf>, SweepError> {
    let entries = fs::read_dir(dir).map_err(FileError::at(dir, "read the sweep's folder"))?;
    let is_results = |path: &PathBuf| {
        let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        name.starts_with("results") && name.ends_with(".jsonl")
    };
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_results).collect();
    found.sort();
    Ok(found)
}
