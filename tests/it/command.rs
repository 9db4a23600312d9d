//! The `esper` command as a child process, and a folder for what it reads and writes.

use std::{
    ffi::OsStr,
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use esper::prelude::*;
use serde_json::Value;

/// A folder of a test's own, removed when the test passes.
pub struct Desk(tempfile::TempDir);

/// How a command ended.
#[derive(Debug)]
pub struct Told {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the folders it is in.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("folders");
        fs::write(&path, content).expect("a file");
        path
    }

    /// `esper` in this folder.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esper"));
        command.args(args).current_dir(self.0.path());
        command
    }

    /// Runs `esper` in this folder.
    pub fn esper<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Told {
        Told::from(self.command(args).output().expect("the command runs"))
    }

    /// Runs `esper` in this folder and expects it to do what it is asked to.
    #[track_caller]
    pub fn done<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Told {
        let told = self.esper(args);
        assert_eq!(told.status, Some(0), "{told:?}");
        told
    }

    /// Starts `esper` in this folder, with nobody listening.
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command starts")
    }

    /// Writes `scenario` as `brief.toml` and runs it in the folder `out`.
    #[track_caller]
    pub fn run(&self, scenario: &Scenario, out: &str) -> PathBuf {
        self.write("brief.toml", scenario.to_toml());
        self.done(["run", "brief.toml", "--quiet", "--out", out]);
        self.path(out)
    }

    /// `esper` as a user whom permissions bind, which they do not bind root; the folder is open to that user.
    #[cfg(unix)]
    pub fn bound_command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        use std::os::unix::{
            fs::{MetadataExt, PermissionsExt},
            process::CommandExt,
        };
        const NOBODY: u32 = 65_534;

        let mut command = self.command(args);
        if fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0) {
            // The build's folder may not be open to everybody.
            let program = self.path("esper-of-nobody");
            if !program.exists() {
                fs::copy(env!("CARGO_BIN_EXE_esper"), &program).expect("room for a copy");
                let open = fs::Permissions::from_mode(0o777);
                fs::set_permissions(self.0.path(), open).expect("the folder is ours");
            }
            let mut as_nobody = Command::new(program);
            as_nobody.args(command.get_args()).current_dir(self.0.path()).uid(NOBODY).gid(NOBODY);
            command = as_nobody;
        }
        command
    }
}

impl From<Output> for Told {
    fn from(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the command writes UTF-8");
        Self { status: status.code(), out: text(stdout), err: text(stderr) }
    }
}

impl Told {
    /// Standard output as one JSON object a line.
    #[track_caller]
    pub fn objects(&self) -> Vec<Value> {
        let object = |line: &str| {
            let value: Value = serde_json::from_str(line).expect(line);
            assert!(value.is_object(), "{line}");
            value
        };
        self.out.lines().map(object).collect()
    }
}

/// `summary.json` of the run in `dir`, without what no two runs share.
#[track_caller]
pub fn summary(dir: &Path) -> Value {
    let bytes = fs::read(dir.join("summary.json")).expect("a summary");
    let mut summary: Value = serde_json::from_slice(&bytes).expect("JSON");
    let fields = summary.as_object_mut().expect("an object");
    for timing in ["wall_s", "n_late", "library_digest"] {
        fields.remove(timing);
    }
    summary
}

/// Asserts that two runs left the same events, metrics and summaries, to the last bit.
#[track_caller]
pub fn assert_same_run(found: &Path, expected: &Path, what: &str) {
    for name in ["events.jsonl", "metrics.csv"] {
        let read = |dir: &Path| fs::read_to_string(dir.join(name)).expect("it was written");
        let (found, expected) = (read(found), read(expected));
        let differs =
            found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        assert_eq!(differs, None, "{what}: {name}");
        assert!(found == expected, "{what}: {name} has {} lines", found.lines().count());
    }
    assert_eq!(summary(found), summary(expected), "{what}");
}

/// A run of [`brief`](super::support::brief) that nobody disturbed. Tests share it while any of them holds it.
pub fn undisturbed() -> Arc<Undisturbed> {
    static SHARED: Mutex<Weak<Undisturbed>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let desk = Desk::new();
        let dir = desk.run(&super::support::brief(), "whole");
        let made = Arc::new(Undisturbed { dir, _desk: desk });
        *shared = Arc::downgrade(&made);
        made
    })
}

/// A run's folder, and what keeps it from being removed.
pub struct Undisturbed {
    dir: PathBuf,
    _desk: Desk,
}

impl Deref for Undisturbed {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.dir
    }
}
