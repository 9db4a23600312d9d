//! `[urza]`: which library, and in whose name.

use std::path::{Path, PathBuf};

use esper_engine::scenario::{Key, Keys, PATH, Scenario, Section, Text};

use super::store::LibraryStore;

/// The key of `[urza]`.
pub const URZA: Key<Urza> = Key::new();

/// Where blueprints and kernels are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Urza {
    /// A library shared between runs; a relative path starts at the working directory. Default:
    /// `library.redb` in the run's own folder.
    pub path: Option<String>,
}

impl Section for Urza {
    const NAME: &'static str = "urza";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("path", &mut self.path, Text { example: "library.redb", ..PATH });
    }
}

/// Where a run keeps what it learns about blueprints and kernels.
#[derive(Clone, Debug, Default)]
pub struct UrzaConfig {
    /// The library.
    pub place: LibraryPlace,
    /// The run's lasting name, the same after a resume.
    pub run: String,
}

/// Where a library is.
#[derive(Clone, Debug, Default)]
pub enum LibraryPlace {
    /// In memory, and gone with the run.
    #[default]
    Memory,
    /// In a file; it is created when it is not there, its folder is not.
    File(PathBuf),
    /// Open already: engines of one process share it.
    Open(LibraryStore),
}

impl UrzaConfig {
    /// What `scenario` says; `library` is the place of the run's own library, if the run is kept at all.
    pub fn new(scenario: &Scenario, library: Option<&Path>) -> Self {
        let place = match (&scenario.or_default::<Urza>().path, library) {
            (Some(shared), _) => LibraryPlace::File(PathBuf::from(shared)),
            (None, Some(own)) => LibraryPlace::File(own.to_owned()),
            (None, None) => LibraryPlace::Memory,
        };
        let run = library.and_then(Path::parent).map(run_name);
        let unkept = || {
            let name: String = scenario.value("run.name").unwrap_or_default();
            format!("{name}/unkept-{}", scenario.value::<u64>("run.seed").unwrap_or_default())
        };
        Self { place, run: run.unwrap_or_else(unkept) }
    }
}

/// A run is named by its folder and the folder that is in: `<scenario>/<time>-<seed>`.
fn run_name(run_dir: &Path) -> String {
    // A folder that does not exist keeps the name it was given.
    let folder = run_dir.canonicalize().unwrap_or_else(|_| run_dir.to_owned());
    let names: Vec<_> = folder.iter().map(|name| name.to_string_lossy()).collect();
    names[names.len().saturating_sub(2)..].join("/")
}

#[cfg(test)]
mod tests {
    use esper_engine::scenario::Sections;

    use super::*;

    fn scenario() -> Scenario {
        Sections::default().add::<Urza>().scenario()
    }

    #[test]
    fn a_run_is_named_by_its_folder_from_wherever_it_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let run_dir = dir.path().join("digits/2026-01-01T00-00-00-7");
        std::fs::create_dir_all(run_dir.join("checkpoints")).unwrap();
        let around = run_dir.join("checkpoints/../library.redb");
        for library in [run_dir.join("library.redb"), around] {
            let config = UrzaConfig::new(&scenario(), Some(&library));
            assert_eq!(config.run, "digits/2026-01-01T00-00-00-7");
            assert!(matches!(config.place, LibraryPlace::File(path) if path == library));
        }
    }

    #[test]
    fn a_shared_library_goes_before_the_runs_own_and_a_run_that_is_not_kept_has_one_in_memory() {
        let mut scenario = scenario();
        let config = UrzaConfig::new(&scenario, None);
        assert!(matches!(config.place, LibraryPlace::Memory), "{config:?}");
        scenario[URZA].path = Some("shared.redb".to_owned());
        for own in [None, Some(Path::new("runs/a/b/library.redb"))] {
            let config = UrzaConfig::new(&scenario, own);
            assert!(
                matches!(config.place, LibraryPlace::File(path) if path == Path::new("shared.redb"))
            );
        }
    }
}
