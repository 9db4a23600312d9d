//! A library that a sweep shares: frozen when the sweep begins, read by every cell, and added to when it ends.
//!
//! What a cell finds in the library must not hang on which cells ended before it. Each has a copy of the library as it was
//! when the sweep began, and writes to that; what the copies have more is put into the library itself once all cells
//! have ended.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use esper_engine::run_dir::{FileError, write_atomic};
use esper_nn::digest::Digest;
use esper_systems::urza::{self, LibraryError};

use super::{error::SweepError, record::CellId, spec::SweepSpec};
use crate::{RunError, scenario::URZA};

/// The libraries of a sweep, in its folder.
pub(super) struct Libraries {
    root: PathBuf,
}

impl Libraries {
    /// Freezes the library of each task that names one, unless the sweep has done so before.
    pub fn freeze(dir: &Path, spec: &SweepSpec) -> Result<Self, SweepError> {
        let libraries = Self { root: dir.join("libraries") };
        for path in shared_paths(spec)? {
            let (from, to) = (PathBuf::from(&path), libraries.frozen(&path));
            if to.exists() {
                continue;
            }
            let root = &libraries.root;
            fs::create_dir_all(root).map_err(FileError::at(root, "create the folder"))?;
            let bytes = match fs::read(&from) {
                // There is none yet: cells begin with an empty one.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                read => read.map_err(FileError::at(&from, "read the shared library"))?,
            };
            write_atomic(&to, &bytes)?;
        }
        Ok(libraries)
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
        let failed = |error: LibraryError| SweepError::from(RunError::Library(error));
        for id in cells {
            let copy = self.copy(id, path);
            if !copy.exists() {
                continue;
            }
            let bundle = copy.with_extension("bundle");
            let _ = fs::remove_file(&bundle);
            urza::export(&copy, &bundle, &[]).map_err(failed)?;
            urza::import(path, &bundle).map_err(failed)?;
            for done in [&bundle, &copy] {
                fs::remove_file(done)
                    .map_err(FileError::at(done, "remove a copy of the library"))?;
            }
        }
        Ok(())
    }

    fn frozen(&self, path: &str) -> PathBuf {
        self.root.join(format!("frozen-{}.redb", short(path)))
    }

    fn copy(&self, id: &CellId, path: &str) -> PathBuf {
        let name = Digest::of(format!("{id}\n{path}").as_bytes());
        self.root.join("cells").join(format!("{name}.redb"))
    }
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
