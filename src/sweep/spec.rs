//! A sweep as it is asked for: its file, what was changed on the command line, and its tasks.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use esper_engine::scenario::{Override, Resolved, ScenarioFile};
use esper_nn::digest::Digest;

use super::{
    axis::{Axis, Draw, Settings, parse_seeds},
    error::SweepError,
    section::{FRONT, Front, SWEEP, Sweep, sections},
};
use crate::{
    RunError, read_scenario_text,
    scenario::{self, HOST, Network, RUN, ScenarioError},
};

/// Cells that a sweep may have.
const CELLS_MAX: u64 = 200_000;

/// What a command line changes of a sweep.
#[derive(Clone, Debug, Default)]
pub struct SweepChanges {
    /// `sweep.seeds`.
    pub seeds: Option<String>,
    /// `sweep.arms`.
    pub arms: Vec<String>,
    /// More of `sweep.set`; values of `tamiyo.policy` are arms.
    pub set: Vec<String>,
    /// More of `sweep.tune`.
    pub tune: Vec<String>,
    /// More of `sweep.search`.
    pub search: Vec<String>,
    /// `sweep.samples`.
    pub samples: Option<u64>,
}

/// A sweep that is sound.
#[derive(Clone, Debug)]
pub struct SweepSpec {
    /// The name of the sweep: its file's without the ending.
    pub name: String,
    /// `[sweep]`.
    pub sweep: Sweep,
    /// `[front]`.
    pub front: Front,
    /// The file with what was changed, for the places of what is wrong.
    pub(super) file: ScenarioFile,
    pub(super) tasks: Vec<Task>,
    /// The sections above with every key written out.
    pub(super) toml: String,
}

/// A scenario of a sweep.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub name: String,
    pub file: ScenarioFile,
    /// Where its relative paths start.
    pub base_dir: PathBuf,
    /// Of its text.
    pub digest: Digest,
}

impl SweepSpec {
    /// Reads a sweep's file, or makes a sweep of a scenario, with `changes`.
    ///
    /// # Errors
    ///
    /// Fails with the place of everything that is wrong, in the sweep's file and in its scenarios.
    pub fn load(path: &Path, changes: &SweepChanges) -> Result<Self, SweepError> {
        let text = read_scenario_text(path)?;
        let is_sweep = text.lines().any(|line| line.trim_start().starts_with("[sweep]"));
        let (text, name) = if is_sweep {
            (text, path.to_string_lossy().into_owned())
        } else {
            let own = path.file_name().unwrap_or_default().to_string_lossy();
            (format!("[sweep]\nscenarios = [{}]\n", toml_string(&own)), String::new())
        };
        let (file, resolved) = resolve(&text, &name, changes)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (sweep, front) = (resolved[SWEEP].clone(), resolved[FRONT].clone());
        let tasks: Vec<Task> = sweep
            .scenarios
            .iter()
            .map(|file| Task::load(&folder.join(file)))
            .collect::<Result<_, SweepError>>()?;
        let mut seen = BTreeMap::new();
        for (task, file) in tasks.iter().zip(&sweep.scenarios) {
            if let Some(other) = seen.insert(&task.name, file) {
                return Err(SweepError::Unfit {
                    what: format!("{other} and {file} are both called `{}`", task.name),
                    help: "give one of them another `run.name`".to_owned(),
                });
            }
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let spec = Self { name: stem, toml: resolved.to_toml(), sweep, front, file, tasks };
        spec.check_size()?;
        spec.check_front()?;
        Ok(spec)
    }

    /// Refuses more cells than anybody could mean.
    fn check_size(&self) -> Result<(), SweepError> {
        let product = |axes: &[Axis]| {
            axes.iter().fold(1_u64, |n, axis| n.saturating_mul(axis.values.len() as u64))
        };
        let n_settings =
            product(&axes(&self.sweep.set)).saturating_mul(self.sweep.samples.max(1) as u64);
        let n_choices = product(&axes(&self.sweep.tune));
        let n_seeds = self.seeds().len() as u64;
        let n_tuned = match n_choices {
            1 => 0,
            n => n.saturating_mul(self.tune_seeds().len() as u64),
        };
        let n_arms = (self.tasks.len() * self.sweep.arms.len()) as u64;
        let n_cells = n_settings.saturating_mul(n_arms).saturating_mul(n_seeds + n_tuned);
        if n_cells <= CELLS_MAX {
            return Ok(());
        }
        Err(SweepError::Unfit {
            what: format!("{n_cells} cells are more than {CELLS_MAX}"),
            help: "take fewer values, samples or seeds".to_owned(),
        })
    }

    fn check_front(&self) -> Result<(), SweepError> {
        let is_file = |task: &&Task| {
            let scenario = task.file.resolve(&scenario::sections());
            scenario.is_ok_and(|it| matches!(it[HOST].network, Network::Graph(_)))
        };
        match self.tasks.iter().find(is_file) {
            Some(task) if !self.front.widths.is_empty() => Err(SweepError::Unfit {
                what: format!("the host of `{}` is a file, which has no width", task.name),
                help: "leave `[front]` out".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Seeds of the runs that are compared.
    pub(super) fn seeds(&self) -> Vec<u64> {
        checked(&self.sweep.seeds)
    }

    /// Seeds of the runs that choose.
    pub(super) fn tune_seeds(&self) -> Vec<u64> {
        checked(&self.sweep.tune_seeds)
    }

    /// Seeds of static hosts.
    pub(super) fn front_seeds(&self) -> Vec<u64> {
        checked(&self.front.seeds)
    }

    /// What the sweep varies besides arm, seed and tuned keys.
    pub(super) fn settings(&self) -> Vec<Settings> {
        let grid = Axis::grid(&axes(&self.sweep.set));
        let draws: Vec<Draw> =
            self.sweep.search.iter().map(|it| Draw::parse(it).expect("it was checked")).collect();
        if draws.is_empty() {
            return grid;
        }
        let with = |settings: &Settings, sample: u64| {
            let mut all = settings.clone();
            all.extend(Draw::sample(&draws, self.sweep.search_seed, sample));
            all
        };
        let samples = 0..self.sweep.samples as u64;
        let drawn = grid.iter().flat_map(|it| samples.clone().map(move |at| with(it, at)));
        // What is drawn twice is one cell.
        let mut seen = BTreeSet::new();
        drawn.filter(|it| seen.insert(it.clone())).collect()
    }

    /// Keys that are set to one value in every cell: static hosts of the front have it too.
    pub(super) fn fixed_settings(&self) -> Settings {
        let axes = axes(&self.sweep.set).into_iter().filter(|axis| axis.values.len() == 1);
        axes.map(|axis| (axis.key, axis.values[0].clone())).collect()
    }

    /// What an arm is tuned over; one empty choice where there is nothing to tune.
    pub(super) fn choices(&self) -> Vec<Settings> {
        Axis::grid(&axes(&self.sweep.tune))
    }

    /// The families that `oracle` has on `task`.
    pub(super) fn oracle(&self, task: &str) -> Option<Vec<String>> {
        let of_task = |text: &String| {
            let (name, families) = text.split_once('=')?;
            (name.trim() == task)
                .then(|| families.split(',').map(|it| it.trim().to_owned()).collect())
        };
        self.sweep.oracle.iter().find_map(of_task)
    }
}

fn checked(seeds: &str) -> Vec<u64> {
    parse_seeds(seeds).expect("it was checked")
}

fn axes(texts: &[String]) -> Vec<Axis> {
    texts.iter().map(|it| Axis::parse(it).expect("it was checked")).collect()
}

impl Task {
    fn load(path: &Path) -> Result<Self, SweepError> {
        let text = read_scenario_text(path)?;
        let file = ScenarioFile::parse(&text, &path.to_string_lossy())?;
        let scenario = file.resolve(&scenario::sections())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let base_dir = std::path::absolute(if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        })
        .map_err(|error| RunError::Path { path: folder.to_owned(), reason: error.to_string() })?;
        let name = scenario[RUN].name.clone();
        Ok(Self { name, file, base_dir, digest: Digest::of(text.as_bytes()) })
    }

    /// The scenario with `settings`.
    pub fn resolve(&self, settings: &Settings) -> Result<Resolved, ScenarioError> {
        let mut file = self.file.clone();
        for (key, value) in settings {
            file.set(&Override::parse(&format!("{key}={value}"))?)?;
        }
        file.resolve(&scenario::sections())
    }
}

/// The sweep that `text` says, with `changes`.
fn resolve(
    text: &str,
    name: &str,
    changes: &SweepChanges,
) -> Result<(ScenarioFile, Resolved), SweepError> {
    let mut file = ScenarioFile::parse(text, name)?;
    let mut set = |key: &str, value: String| -> Result<(), SweepError> {
        Ok(file.set(&Override::parse(&format!("sweep.{key}={value}"))?)?)
    };
    let (policies, more): (Vec<&String>, Vec<&String>) =
        changes.set.iter().partition(|it| it.split('=').next().unwrap_or("").trim() == POLICY);
    let named = policies.iter().filter_map(|it| it.split_once('=')).flat_map(|it| it.1.split(','));
    let arms: Vec<String> = changes
        .arms
        .iter()
        .map(String::as_str)
        .chain(named)
        .map(|it| it.trim().to_owned())
        .collect();
    if !arms.is_empty() {
        set("arms", toml_list(arms.iter()))?;
    }
    if let Some(seeds) = &changes.seeds {
        set("seeds", toml_string(seeds))?;
    }
    if let Some(samples) = changes.samples {
        set("samples", samples.to_string())?;
    }
    // What is added to lists of the file needs them read first; what is wrong with the rest is reported below.
    let written = ScenarioFile::parse(text, name)?.resolve(&sections()).ok();
    let written = written.map(|it| it[SWEEP].clone()).unwrap_or_default();
    let lists = [
        ("set", &written.set, more),
        ("tune", &written.tune, changes.tune.iter().collect()),
        ("search", &written.search, changes.search.iter().collect()),
    ];
    for (key, written, more) in lists {
        if !more.is_empty() {
            set(key, toml_list(written.iter().chain(more)))?;
        }
    }
    let resolved = file.resolve(&sections())?;
    Ok((file, resolved))
}

const POLICY: &str = "tamiyo.policy";

fn toml_list<'a>(items: impl Iterator<Item = &'a String>) -> String {
    let items: Vec<String> = items.map(|it| toml_string(it)).collect();
    format!("[{}]", items.join(", "))
}

/// JSON's strings are strings of TOML.
fn toml_string(text: &str) -> String {
    serde_json::to_string(text).expect("a string serialises")
}
