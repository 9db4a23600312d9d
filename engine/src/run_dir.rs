//! A run's directory: where each file lies, and how files are written so that a crash leaves the old or the new.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use esper_nn::digest::Digest;

/// Runs of one scenario that may begin in the same second with the same seed.
const SAME_NAME_MAX: u32 = 10_000;

/// The operating system refused to do something to a file.
#[derive(Debug, thiserror::Error)]
#[error("{}: can not {action}: {source}{}", path.display(), advice(source.kind()))]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was to be done.
    pub action: &'static str,
    /// What the operating system says.
    pub source: io::Error,
}

impl FileError {
    /// Makes an [`io::Error`] one that names `path` and what was to be done there.
    pub fn at(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), action, source }
    }
}

fn advice(kind: io::ErrorKind) -> &'static str {
    use io::ErrorKind::{
        AlreadyExists, FileTooLarge, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem,
        StorageFull,
    };
    match kind {
        StorageFull | QuotaExceeded | FileTooLarge => "; free some space, then resume the run",
        PermissionDenied => "; check its permissions and those of its folder",
        ReadOnlyFilesystem => "; make the folder writable or choose another",
        AlreadyExists => "; nothing is overwritten: choose another folder",
        NotFound => "; is it the folder of a run?",
        _ => "",
    }
}

/// Why there is no such directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunDirError {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A name would lead out of the folder of runs.
    #[error(
        "`{name}` can not name a folder: use letters, digits, `_`, `-` and `.`, and begin with a letter or digit"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A file of the run is not what was written there.
    #[error("{}: it can not be read: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: serde_json::Error,
    },
}

/// Where, with what and on what a run was made: `manifest.json`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Esper's version.
    pub version: String,
    /// How it was built: profile, target and the commit if known.
    pub build: String,
    /// The processor's name and the instruction sets in use.
    pub cpu: String,
    /// When the run began, as its folder's name has it.
    pub started: String,
    /// The scenario's name.
    pub scenario: String,
    /// Digest of `scenario.toml`.
    pub scenario_digest: Digest,
    /// The run's seed.
    pub seed: u64,
    /// Digests of the data, by what they are of.
    pub data_digests: BTreeMap<String, Digest>,
    /// The shared library's path; `None` for the run's own.
    pub library: Option<PathBuf>,
}

/// A run's directory.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
    /// Folders that were made for it, outermost first.
    made: Vec<PathBuf>,
}

impl RunDir {
    /// Makes `<runs>/<scenario>/<started>-<seed>/` with `scenario.toml`, `manifest.json` and an empty `checkpoints/`.
    ///
    /// A directory is never used twice: where that name is taken, `-2`, `-3`, ... is added to it.
    ///
    /// # Errors
    ///
    /// Fails when a name is not one, or when something can not be made; what had been made is then removed.
    pub fn create(
        runs: &Path,
        manifest: &Manifest,
        scenario_toml: &str,
    ) -> Result<Self, RunDirError> {
        let Manifest { scenario, started, seed, .. } = manifest;
        check_name(scenario)?;
        check_name(started)?;
        let parent = runs.join(scenario);
        let mut made = Made::folders(&parent)?;
        for n in 1..=SAME_NAME_MAX {
            let suffix = if n == 1 { String::new() } else { format!("-{n}") };
            let root = parent.join(format!("{started}-{seed}{suffix}"));
            match fs::create_dir(&root) {
                Ok(()) => {
                    made.0.push(root.clone());
                    return Self { root, made: Vec::new() }.fill(made, manifest, scenario_toml);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
                Err(error) => {
                    return Err(FileError::at(&root, "create the run's folder")(error).into());
                }
            }
        }
        let taken = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(FileError::at(&parent, "find a free name for the run's folder")(taken).into())
    }

    /// Makes the directory at `root` itself, which must not exist or be empty.
    ///
    /// # Errors
    ///
    /// As [`RunDir::create`], and when `root` has something in it.
    pub fn create_at(
        root: &Path,
        manifest: &Manifest,
        scenario_toml: &str,
    ) -> Result<Self, RunDirError> {
        let failed = || FileError::at(root, "create the run's folder");
        let made = Made::folders(root)?;
        if fs::read_dir(root).map_err(failed())?.next().is_some() {
            return Err(failed()(io::ErrorKind::AlreadyExists.into()).into());
        }
        Self { root: root.to_owned(), made: Vec::new() }.fill(made, manifest, scenario_toml)
    }

    /// The directory of a run that was made before.
    ///
    /// # Errors
    ///
    /// Fails when there is no `manifest.json` in it.
    pub fn open(root: &Path) -> Result<Self, RunDirError> {
        let dir = Self { root: root.to_owned(), made: Vec::new() };
        let path = dir.manifest();
        fs::metadata(&path).map_err(FileError::at(&path, "open the run"))?;
        Ok(dir)
    }

    /// Removes the directory, everything in it, and the folders that were made for it: the run could not begin.
    ///
    /// # Errors
    ///
    /// Fails when something in it can not be removed.
    pub fn discard(self) -> Result<(), FileError> {
        let failed = || FileError::at(&self.root, "remove the folder of a run that did not begin");
        for entry in fs::read_dir(&self.root).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(failed())?;
        }
        drop(Made(self.made));
        Ok(())
    }

    fn fill(
        mut self,
        mut made: Made,
        manifest: &Manifest,
        scenario_toml: &str,
    ) -> Result<Self, RunDirError> {
        self.made.clone_from(&made.0);
        let checkpoints = self.checkpoints();
        fs::create_dir(&checkpoints)
            .map_err(FileError::at(&checkpoints, "create the folder of checkpoints"))?;
        made.0.push(checkpoints);
        made.0.extend([self.scenario(), self.manifest()]);
        write_atomic(&self.scenario(), scenario_toml.as_bytes())?;
        write_atomic(&self.manifest(), &to_json(manifest))?;
        made.0.clear();
        Ok(self)
    }

    /// Reads `manifest.json`.
    ///
    /// # Errors
    ///
    /// Fails when it can not be read or is not a manifest.
    pub fn read_manifest(&self) -> Result<Manifest, RunDirError> {
        let path = self.manifest();
        let bytes = fs::read(&path).map_err(FileError::at(&path, "read the manifest"))?;
        serde_json::from_slice(&bytes).map_err(|source| RunDirError::Damaged { path, source })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The scenario as resolved.
    pub fn scenario(&self) -> PathBuf {
        self.root.join("scenario.toml")
    }

    /// Version, build, processor, digests: a [`Manifest`].
    pub fn manifest(&self) -> PathBuf {
        self.root.join("manifest.json")
    }

    /// The audit chain: a [`super::journal::Journal`].
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// One row an epoch and host.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.csv")
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// The run's own library.
    pub fn library(&self) -> PathBuf {
        self.root.join("library.redb")
    }

    /// How the run ended; written last.
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }
}

/// What a creation that may still fail has made; removed, last first, unless it is emptied. Folders go only while
/// they are empty: another run may have begun in one of them.
struct Made(Vec<PathBuf>);

impl Made {
    /// Makes `path` and the folders above it that are missing.
    fn folders(path: &Path) -> Result<Self, FileError> {
        let missing = path.ancestors().take_while(|it| !it.as_os_str().is_empty() && !it.exists());
        let mut missing: Vec<&Path> = missing.collect();
        missing.reverse();
        let mut made = Self(Vec::new());
        for folder in missing {
            match fs::create_dir(folder) {
                Ok(()) => made.0.push(folder.to_owned()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
                Err(error) => return Err(FileError::at(folder, "create the folder")(error)),
            }
        }
        Ok(made)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
    }
}

/// Whether `name` is 1 to 128 letters, digits, `_`, `-` and `.`, and neither hidden nor a way out.
fn check_name(name: &str) -> Result<(), RunDirError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_name = (1..=128).contains(&name.len())
        && name.bytes().all(is_plain)
        && name.as_bytes()[0].is_ascii_alphanumeric();
    if is_name { Ok(()) } else { Err(RunDirError::Name { name: name.to_owned() }) }
}

/// Indented JSON of plain data, with a newline at its end.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("plain data serialises");
    bytes.push(b'\n');
    bytes
}

/// Writes a file so that after a crash it is the old one or the new one, whole: to a temporary name beside it, to the
/// disk, then renamed. One process at a time writes a path.
///
/// # Errors
///
/// Fails when the disk is full, the folder read-only, or the like; the old file is then as it was.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    let temporary = folder.join(format!(".{name}.tmp"));
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_folder(folder));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        FileError::at(path, "write the file")(source)
    })
}

/// Makes a rename in `folder` last; only Unix lets a folder be opened for that.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            version: "0.1.0".into(),
            build: "release".into(),
            cpu: "a processor".into(),
            started: "20260102-030405".into(),
            scenario: "digits_mlp".into(),
            scenario_digest: Digest::of(b"[run]\n"),
            seed: 7,
            data_digests: BTreeMap::from([("digits".into(), Digest::of(b"data"))]),
            library: None,
        }
    }

    fn n_entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_run_has_a_directory_of_its_own_even_in_the_same_second() {
        let base = tempfile::tempdir().unwrap();
        let runs = base.path().join("deep/runs");
        let names: Vec<String> = (0..3)
            .map(|_| {
                let dir = RunDir::create(&runs, &manifest(), "[run]\n").unwrap();
                assert_eq!(RunDir::open(dir.root()).unwrap().read_manifest().unwrap(), manifest());
                assert_eq!(fs::read_to_string(dir.scenario()).unwrap(), "[run]\n");
                assert!(dir.checkpoints().is_dir());
                dir.root().strip_prefix(&runs).unwrap().display().to_string()
            })
            .collect();
        let first = "digits_mlp/20260102-030405-7";
        assert_eq!(names, [first.to_owned(), format!("{first}-2"), format!("{first}-3")]);
    }

    #[test]
    fn a_name_can_not_lead_out_of_the_folder_of_runs() {
        let base = tempfile::tempdir().unwrap();
        for scenario in
            ["..", ".", "", "a/b", "/etc", ".hidden", "a\0b", "é", "-x", &"n".repeat(129)]
        {
            let manifest = Manifest { scenario: scenario.into(), ..manifest() };
            let error = RunDir::create(base.path(), &manifest, "").unwrap_err();
            assert!(matches!(error, RunDirError::Name { .. }), "{scenario}: {error}");
        }
        assert_eq!(n_entries(base.path()), 0);
    }

    #[test]
    fn a_creation_that_fails_leaves_nothing_behind() {
        let base = tempfile::tempdir().unwrap();
        let runs = base.path().join("deep/runs");
        let dir = RunDir { root: runs.join("run"), made: Vec::new() };
        let made = Made::folders(dir.root()).unwrap();
        // In the way of `manifest.json`: the last file of a creation can not be written.
        fs::create_dir_all(dir.manifest().join("x")).unwrap();
        let manifest_blocker = dir.manifest();
        let error = dir.clone().fill(made, &manifest(), "").unwrap_err();
        assert!(error.to_string().contains("manifest.json"), "{error}");
        assert!(!dir.scenario().exists() && !dir.checkpoints().exists());
        assert_eq!(n_entries(dir.root()), 1, "only what was there before");
        fs::remove_dir_all(manifest_blocker).unwrap();

        let in_the_way = base.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let error = RunDir::create(&in_the_way.join("runs"), &manifest(), "").unwrap_err();
        assert!(matches!(error, RunDirError::File(_)), "{error}");
    }

    #[test]
    fn a_run_that_could_not_begin_leaves_nothing_behind() {
        let base = tempfile::tempdir().unwrap();
        let runs = base.path().join("deep/runs");
        let kept = RunDir::create(&runs, &manifest(), "").unwrap();
        let dir = RunDir::create(&runs, &manifest(), "").unwrap();
        fs::write(dir.events(), "an event").unwrap();
        dir.discard().unwrap();
        assert!(kept.scenario().exists());
        assert_eq!(n_entries(&runs.join("digits_mlp")), 1);
        kept.discard().unwrap();
        assert_eq!(n_entries(base.path()), 0);

        let mine = base.path().join("mine");
        fs::create_dir(&mine).unwrap();
        RunDir::create_at(&mine, &manifest(), "").unwrap().discard().unwrap();
        assert_eq!(n_entries(&mine), 0, "a folder that was there before stays");
    }

    #[test]
    fn a_directory_with_something_in_it_is_not_taken() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("out");
        RunDir::create_at(&root, &manifest(), "").unwrap();
        let error = RunDir::create_at(&root, &manifest(), "").unwrap_err();
        assert!(error.to_string().contains("nothing is overwritten"), "{error}");
        assert!(RunDir::open(&root).is_ok());
        assert!(RunDir::open(base.path()).is_err());
    }

    #[test]
    fn an_atomic_write_that_fails_leaves_the_old_file() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("state");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::create_dir(base.path().join(".state.tmp")).unwrap();
        let error = write_atomic(&path, b"newest").unwrap_err();
        assert!(error.to_string().contains("state"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(n_entries(base.path()), 2);
    }

    #[test]
    fn an_error_says_what_to_do() {
        let path = Path::new("runs/x/events.jsonl");
        let full = FileError::at(path, "write the journal")(io::ErrorKind::StorageFull.into());
        assert!(full.to_string().contains("runs/x/events.jsonl"), "{full}");
        assert!(full.to_string().contains("free some space"), "{full}");
        let locked =
            FileError::at(path, "write the journal")(io::ErrorKind::ReadOnlyFilesystem.into());
        assert!(locked.to_string().contains("writable"), "{locked}");
    }
}
