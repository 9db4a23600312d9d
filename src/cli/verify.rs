//! `esper verify`: whether a run's files are what was written.

use std::{fmt::Display, fs, path::PathBuf};

use clap::Args as ClapArgs;
use esper::{
    engine::{
        journal::{self, Recorded},
        run_dir::{Manifest, RunDir},
    },
    systems::{
        nissa::{RunEnded, Summary},
        tolaria, urza,
    },
};
use esper_nn::digest::Digest;
use serde::Serialize;

use super::{failure::Failure, output::Output};

/// Arguments of `esper verify`.
#[derive(ClapArgs)]
pub struct Args {
    /// The run's folder.
    dir: PathBuf,
    /// One JSON object a line on standard output.
    #[arg(long)]
    pub json: bool,
}

/// What was looked at, and what was found there.
#[derive(Serialize)]
struct Check {
    /// The file, or the part of it.
    place: String,
    /// Whether it is what was written.
    is_sound: bool,
    /// What it is, or what is wrong with it.
    found: String,
}

/// Checks a run's files.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    let dir = RunDir::open(&args.dir)?;
    let mut checks = Checks::default();
    checks.scenario(&dir);
    checks.chain(&dir);
    checks.summary(&dir);
    checks.checkpoints(&dir);
    checks.library(&dir);
    let checks = checks.0;
    for check in &checks {
        let word = if check.is_sound { "ok   " } else { "WRONG" };
        output.print_result("check", check, format!("{word}  {}: {}", check.place, check.found));
    }
    let n_wrong = checks.iter().filter(|check| !check.is_sound).count();
    match n_wrong {
        0 => Ok(()),
        n => Err(Failure::failed(format!(
            "{}: {n} of {} parts are not what was written",
            dir.root().display(),
            checks.len()
        ))),
    }
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add<E: Display>(&mut self, place: impl Into<String>, found: Result<String, E>) {
        let (is_sound, found) = match found {
            Ok(text) => (true, text),
            Err(error) => (false, error.to_string()),
        };
        self.0.push(Check { place: place.into(), is_sound, found });
    }

    /// The scenario against the digest that the manifest has of it.
    fn scenario(&mut self, dir: &RunDir) {
        let manifest = dir.read_manifest();
        let of = |it: &Manifest| format!("{} seed {}, of {}", it.scenario, it.seed, it.version);
        self.add("manifest.json", manifest.as_ref().map(of));
        let Ok(manifest) = manifest else { return };
        let found = fs::read(dir.scenario()).map_err(|error| error.to_string());
        let expected = manifest.scenario_digest;
        let found = found.and_then(|bytes| match Digest::of(&bytes) {
            found if found == expected => Ok(format!("BLAKE3 {found}")),
            found => Err(format!("its BLAKE3 is {found}, and {expected} in manifest.json")),
        });
        self.add("scenario.toml", found);
    }

    /// Every line of the audit chain, and that it ends where the summary says.
    fn chain(&mut self, dir: &RunDir) {
        let found = Summary::verify_chain(dir);
        let of = |it: &journal::ChainReport| format!("{} events, head {}", it.n_events, it.head);
        self.add("events.jsonl", found.as_ref().map(of));
    }

    /// The summary's weights against those that the chain's last event names.
    fn summary(&mut self, dir: &RunDir) {
        let summary = match Summary::read(dir) {
            Ok(Some(summary)) => summary,
            Ok(None) => return,
            Err(error) => return self.add("summary.json", Err(error)),
        };
        let Ok(events) = journal::read(&dir.events()) else { return };
        let last = events.map_while(Result::ok).filter(|event| event.kind == RunEnded::KIND).last();
        let ended = last.and_then(|event| event.to::<RunEnded>().ok());
        let found = match ended {
            Some(ended) if ended.weights_digest != summary.weights_digest => Err(format!(
                "weights_digest is {}, and {} in events.jsonl",
                summary.weights_digest, ended.weights_digest
            )),
            _ => Ok(format!("weights_digest {}", summary.weights_digest)),
        };
        self.add("summary.json", found);
    }

    fn checkpoints(&mut self, dir: &RunDir) {
        let paths = tolaria::list_checkpoints(&dir.checkpoints());
        if paths.is_empty() {
            let error =
                format!("there is none: the run in {} can not be resumed", dir.root().display());
            self.add("checkpoints", Err::<String, _>(error));
        }
        for path in paths {
            let place = path.strip_prefix(dir.root()).unwrap_or(&path).display().to_string();
            let found = tolaria::verify_checkpoint(&path);
            self.add(
                place,
                found.map(|info| format!("tick {}, weights {}", info.tick, info.weights)),
            );
        }
    }

    /// The run's own library to the last byte, or the content of the one it shares.
    fn library(&mut self, dir: &RunDir) {
        let shared = dir.read_manifest().ok().and_then(|manifest| manifest.library);
        let is_own = shared.is_none();
        let path = shared.unwrap_or_else(|| dir.library());
        let summary = Summary::read(dir).ok().flatten().filter(|_| is_own);
        let expected = summary.and_then(|summary| summary.library_digest);
        let place = if is_own { "library.redb".to_owned() } else { path.display().to_string() };
        match urza::verify(&path, expected) {
            Ok(findings) if findings.is_empty() => {
                let what = if expected.is_some() { "every byte" } else { "all content" };
                self.add(place, Ok::<_, String>(format!("{what} is as it was written")));
            }
            Ok(findings) => {
                for urza::Finding { table, key, what } in findings {
                    self.add(format!("{place}, {table} {key}"), Err::<String, _>(what));
                }
            }
            Err(error) => self.add(place, Err(error.kind)),
        }
    }
}
