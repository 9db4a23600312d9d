//! A library that a sweep shares: frozen when the sweep begins, read by every cell, and added to when it ends.
//!
//! What a cell finds in the library must not hang on which cells ended before it. Each has a copy of the library as it was
//! when the sweep began, and writes to that; what the copies have more is put into the library itself once all cells
//! have ended, or the parts of the sweep are put together.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use esper_engine::run_dir::{FileError, to_json, write_atomic};
use esper_nn::digest::Digest;
use esper_systems::urza::{self, LibraryError};
use serde::{Deserialize, Serialize};

use super::{error::SweepError, record::CellId, spec::SweepSpec, store::Shard};
use crate::{RunError, scenario::URZA};

/// The folder of libraries in a sweep's.
const FOLDER: &str = "libraries";

/// The libraries of a sweep, in its folder.
pub(super) struct Libraries {
    root: PathBuf,
    /// The folder in `root` of the cells' copies. Parts have their own, as each makes the choices of all.
    copies: String,
}

/// What lies beside a frozen library: parts are put together without the scenarios that name it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Frozen {
    /// The library's path, as scenarios name it.
    path: String,
    /// Of the library's bytes when it was frozen.
    digest: Digest,
}

impl Libraries {
    /// Freezes the library of each task that names one, unless the sweep or a part of it in this folder has done so before.
    pub fn freeze(dir: &Path, spec: &SweepSpec, shard: Option<Shard>) -> Result<Self, SweepError> {
        let copies = match shard {
            None => "cells".to_owned(),
            Some(Shard { index, of }) => format!("cells-{index}-of-{of}"),
        };
        let libraries = Self { root: dir.join(FOLDER), copies };
        let paths = shared_paths(spec)?;
        if paths.is_empty() {
            return Ok(libraries);
        }
        let root = &libraries.root;
        fs::create_dir_all(root).map_err(FileError::at(root, "create the folder"))?;
        // Parts that begin at one time freeze one content.
        let lock = root.join("lock");
        let failed = || FileError::at(&lock, "lock the folder of libraries");
        let file = File::create(&lock).map_err(failed())?;
        file.lock().map_err(failed())?;
        for path in paths {
            libraries.freeze_one(&path)?;
        }
        Ok(libraries)
    }

    fn freeze_one(&self, path: &str) -> Result<(), SweepError> {
        let (from, to) = (Path::new(path), self.frozen(path));
        let read = if to.exists() { fs::read(&to) } else { fs::read(from) };
        let bytes = match read {
            // There is none yet: cells begin with an empty one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(FileError::at(from, "read the shared library"))?,
        };
        if !to.exists() {
            write_atomic(&to, &bytes)?;
        }
        let (note, digest) = (to.with_extension("json"), Digest::of(&bytes));
        if !note.exists() {
            write_atomic(&note, &to_json(&Frozen { path: path.to_owned(), digest }))?;
        }
        Ok(())
    }

    /// A copy of the frozen library `path` for the cell `id`, made anew unless its run is there to be resumed.
    pub fn copy_for(&self, id: &CellId, path: &str, is_resumed: bool) -> Result<PathBuf, RunError> {
        let (frozen, copy) = (self.frozen(path), self.copy(id, path));
        if is_resumed && copy.exists() {
            return Ok(copy);
        }
        let folder = copy.parent().expect("it is in a folder");
        fs::create_dir_all(folder).map_err(FileError::at(folder, "create the folder"))?;
        let bytes = fs::read(&frozen).map_err(FileError::at(&frozen, "read the library"))?;
        let removed = match fs::remove_file(&copy) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        removed.map_err(FileError::at(&copy, "remove the copy of the library"))?;
        if !bytes.is_empty() {
            write_atomic(&copy, &bytes)?;
        }
        Ok(copy)
    }

    /// Puts what the copies of `cells` have more into the library `path`, in the order of cells, and removes the copies.
    pub fn merge<'a>(
        &self,
        path: &str,
        cells: impl Iterator<Item = &'a CellId>,
    ) -> Result<(), SweepError> {
        cells.map(|id| self.copy(id, path)).try_for_each(|copy| take_in(path, &copy))
    }

    fn frozen(&self, path: &str) -> PathBuf {
        self.root.join(format!("frozen-{}.redb", short(path)))
    }

    fn copy(&self, id: &CellId, path: &str) -> PathBuf {
        self.root.join(&self.copies).join(copy_name(id, path))
    }
}

/// The libraries that the parts of a sweep share.
#[derive(Default)]
pub(super) struct PartLibraries {
    frozen: BTreeMap<String, Frozen>,
    /// The parts' folders of libraries.
    roots: Vec<PathBuf>,
}

impl PartLibraries {
    /// Finds those of `parts`, and holds each to have been the same when the parts began.
    ///
    /// # Errors
    ///
    /// Fails when parts began with libraries of different content: their cells are not of one sweep.
    pub fn find(parts: &[PathBuf]) -> Result<Self, SweepError> {
        let mut found = Self::default();
        for part in parts {
            let root = part.join(FOLDER);
            if !root.is_dir() {
                continue;
            }
            for note in files_in(&root, |name| name.ends_with(".json"))? {
                let bytes = fs::read(&note).map_err(FileError::at(&note, "read the library's"))?;
                let frozen: Frozen = serde_json::from_slice(&bytes).map_err(|error| {
                    let what = format!("{}: {error}", note.display());
                    SweepError::Unfit { what, help: "run the part again".to_owned() }
                })?;
                let path = frozen.path.clone();
                if found.frozen.entry(path.clone()).or_insert_with(|| frozen.clone()) != &frozen {
                    return Err(SweepError::Unfit {
                        what: format!(
                            "{}: its cells began with another library `{path}` than those of the parts before",
                            part.display()
                        ),
                        help: "run every part from one copy of the library".to_owned(),
                    });
                }
            }
            found.roots.push(root);
        }
        Ok(found)
    }

    /// Puts what the copies of `cells` have more into each library, in the order of cells, and removes the copies; of a cell
    /// that several parts have, the first part's is taken. `out` keeps the libraries as they were frozen. Says how many
    /// there are.
    ///
    /// # Errors
    ///
    /// Fails when a file can not be read or written.
    pub fn merge<'a>(
        &self,
        out: &Path,
        cells: impl Iterator<Item = &'a CellId> + Clone,
    ) -> Result<usize, SweepError> {
        let mut folders = Vec::new();
        for root in &self.roots {
            folders.extend(files_in(root, |name| name.starts_with("cells"))?);
            self.keep_frozen(root, &out.join(FOLDER))?;
        }
        for path in self.frozen.keys() {
            for id in cells.clone() {
                let copies = folders.iter().map(|it| it.join(copy_name(id, path)));
                let mut copies = copies.filter(|it| it.exists());
                let Some(first) = copies.next() else { continue };
                take_in(path, &first)?;
                copies.try_for_each(|copy| remove_copy(&copy))?;
            }
        }
        Ok(self.frozen.len())
    }

    /// Whoever goes on with the sweep in `to` begins with what the parts in `from` began with.
    fn keep_frozen(&self, from: &Path, to: &Path) -> Result<(), SweepError> {
        fs::create_dir_all(to).map_err(FileError::at(to, "create the folder"))?;
        for file in files_in(from, |name| name.starts_with("frozen-"))? {
            let kept = to.join(file.file_name().expect("it is in a folder"));
            if !kept.exists() {
                let bytes = fs::read(&file).map_err(FileError::at(&file, "read the library"))?;
                write_atomic(&kept, &bytes)?;
            }
        }
        Ok(())
    }
}

/// Puts what `copy` has more into the library `path`, and removes the copy, if there is one.
fn take_in(path: &str, copy: &Path) -> Result<(), SweepError> {
    if !copy.exists() {
        return Ok(());
    }
    let failed = |error: LibraryError| SweepError::from(RunError::Library(error));
    let bundle = copy.with_extension("bundle");
    let _ = fs::remove_file(&bundle);
    urza::export(copy, &bundle, &[]).map_err(failed)?;
    urza::import(path, &bundle).map_err(failed)?;
    remove_copy(&bundle)?;
    remove_copy(copy)
}

fn remove_copy(copy: &Path) -> Result<(), SweepError> {
    Ok(fs::remove_file(copy).map_err(FileError::at(copy, "remove a copy of the library"))?)
}

fn copy_name(id: &CellId, path: &str) -> String {
    format!("{}.redb", Digest::of(format!("{id}\n{path}").as_bytes()))
}

/// What lies in `folder` under a name that is wanted, in the order of names.
fn files_in(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, SweepError> {
    let entries = fs::read_dir(folder).map_err(FileError::at(folder, "read the folder"))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let name = |path: &PathBuf| path.file_name().map(|it| it.to_string_lossy().into_owned());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| name(path).is_some_and(|it| is_wanted(&it))).collect();
    found.sort();
    Ok(found)
}

/// The shared libraries that tasks and settings name, each once.
pub(super) fn shared_paths(spec: &SweepSpec) -> Result<Vec<String>, SweepError> {
    let mut paths = Vec::new();
    for task in &spec.tasks {
        for settings in spec.settings() {
            if let Some(path) = &task.resolve(&settings)?[URZA].path
                && !paths.contains(path)
            {
                paths.push(path.clone());
            }
        }
    }
    Ok(paths)
}

fn short(path: &str) -> String {
    Digest::of(path.as_bytes()).to_string()[..16].to_owned()
}
