//! Parts of a sweep, put together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use esper_engine::run_dir::{FileError, write_atomic};

use super::{
    csv::write_tables,
    error::SweepError,
    library::PartLibraries,
    record::{CellId, CellRecord},
    results::ResultsError,
    store::{UNFINISHED, lock_folder, read_completed, results_name, set_finished, to_line},
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
    /// Parts that are missing.
    pub n_missing: u64,
    /// Shared libraries that gained what the cells learnt; 0 as long as parts are missing.
    pub n_libraries: usize,
}

/// Puts the results of the parts in `parts` into the folder `out`, each cell once, and once no part is missing what their
/// cells learnt into the libraries that they share. Folders of runs stay where they are.
///
/// # Errors
///
/// Fails when the parts are not of one sweep, when two came to different results for one cell or began with different
/// libraries, or when a file can not be read or written.
pub fn merge(parts: &[PathBuf], out: &Path) -> Result<Merged, SweepError> {
    parts.iter().try_for_each(|part| check_part(part))?;
    fs::create_dir_all(out).map_err(FileError::at(out, "create the sweep's folder"))?;
    let out = &absolute(out)?;
    let mut parts: Vec<PathBuf> = parts.iter().map(|it| absolute(it)).collect::<Result<_, _>>()?;
    parts.sort();
    parts.dedup();
    let all = parts.iter().chain((!parts.contains(out)).then_some(out));
    let _locks = all.map(|dir| lock_folder(dir, false)).collect::<Result<Vec<_>, _>>()?;
    let libraries = PartLibraries::find(&parts)?;
    let mut merging = Merging::default();
    for part in &parts {
        merging.add(part, out)?;
    }
    let Merging { cells, spec, n_files, n_shared, of_parts } = merging;
    let Some([toml, json]) = spec else {
        let what = "no part to merge".to_owned();
        return Err(SweepError::Unfit { what, help: "name the parts' folders".to_owned() });
    };
    if let Ok(there) = fs::read(out.join("sweep.toml"))
        && there != toml
    {
        let what = "it holds another sweep than the parts".to_owned();
        return Err(SweepError::Other { dir: out.clone(), what });
    }
    let n_missing = of_parts.keys().next().map_or(0, |of| of - of_parts[of].len() as u64);
    write_atomic(&out.join("sweep.toml"), &toml)?;
    write_atomic(&out.join("sweep.json"), &json)?;
    let lines: Vec<u8> = cells.values().flat_map(to_line).collect();
    write_atomic(&out.join(results_name(None)), &lines)?;
    write_tables(out, &cells, &[])?;
    let mut n_libraries = 0;
    if n_missing > 0 {
        write_atomic(&out.join(UNFINISHED), b"parts of this sweep are missing\n")?;
    } else {
        n_libraries = libraries.merge(out, cells.keys())?;
        set_finished(out)?;
    }
    Ok(Merged { n_files, n_cells: cells.len(), n_shared, n_missing, n_libraries })
}

/// Holds `part` to be the folder of a sweep that has results.
fn check_part(part: &Path) -> Result<(), SweepError> {
    let missing = |what| Err(ResultsError::Missing { dir: part.to_owned(), what }.into());
    if !part.is_dir() {
        return missing("there is no such folder");
    }
    if !part.join("sweep.toml").is_file() || !part.join("sweep.json").is_file() {
        return missing("no sweep.toml and sweep.json in it");
    }
    if results_in(part)?.is_empty() {
        return missing("no results in it");
    }
    Ok(())
}

/// What was read so far.
#[derive(Default)]
struct Merging {
    cells: BTreeMap<CellId, CellRecord>,
    spec: Option<[Vec<u8>; 2]>,
    n_files: usize,
    n_shared: usize,
    /// The parts that are there, by how many there are in all.
    of_parts: BTreeMap<u64, BTreeSet<u64>>,
}

impl Merging {
    fn add(&mut self, part: &Path, out: &Path) -> Result<(), SweepError> {
        let other = |what: String| SweepError::Other { dir: part.to_owned(), what };
        let [toml, json] = ["sweep.toml", "sweep.json"].map(|name| read(&part.join(name)));
        let found = [toml?, json?];
        if self.spec.get_or_insert_with(|| found.clone()) != &found {
            return Err(other("it holds another sweep than the parts before".to_owned()));
        }
        for path in results_in(part)? {
            self.n_files += 1;
            if let Some((index, of)) = part_of(&path) {
                self.of_parts.entry(of).or_default().insert(index);
            }
            for mut record in read_completed(&path)?.0 {
                if part != out {
                    record.dir = record.dir.map(|dir| part.join(dir));
                }
                match self.cells.get(&record.id) {
                    None => _ = self.cells.insert(record.id.clone(), record),
                    Some(same) if is_same(same, &record) => self.n_shared += 1,
                    Some(_) => {
                        return Err(other(format!(
                            "`{}` has another result in another part",
                            record.id
                        )));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Which part of how many the results at `path` are.
fn part_of(path: &Path) -> Option<(u64, u64)> {
    let name = path.file_stem()?.to_str()?.strip_prefix("results-")?;
    let (index, of) = name.split_once("-of-")?;
    Some((index.parse().ok()?, of.parse().ok()?))
}

fn absolute(path: &Path) -> Result<PathBuf, SweepError> {
    Ok(fs::canonicalize(path).map_err(FileError::at(path, "open the sweep"))?)
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
