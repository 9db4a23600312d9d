//! `esper replay`: runs a run again in memory, and compares.

use std::{fs, path::PathBuf};

use clap::Args as ClapArgs;
use esper::{
    engine::{
        forge::Scripts,
        journal::{self, Journal, Recorded},
    },
    systems::nissa::{KernelAdopted, RunEnded, RunStarted},
};
use esper_nn::digest::Digest;
use serde::Serialize;

use super::{failure::Failure, run_folder::RunFolder, voice::Voice};

/// Arguments of `esper replay`.
#[derive(ClapArgs)]
pub struct Args {
    /// The run's folder; nothing in it is changed.
    dir: PathBuf,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// How a replay went.
#[derive(Serialize)]
struct Answer {
    is_same: bool,
    /// Events that are the same.
    n_events: u64,
    /// Whether the record is of a run that took all its steps.
    is_complete: bool,
    /// Digest of the replayed run's weights.
    weights_digest: Digest,
    /// The first event that differs, as recorded and as replayed; `None` where one of the two has no such event.
    recorded: Option<String>,
    replayed: Option<String>,
}

/// What a run's journal says.
struct Record {
    /// Its whole lines.
    bytes: Vec<u8>,
    last_tick: u64,
    is_complete: bool,
    /// What the run adopted from a shared library.
    adopted: Vec<KernelAdopted>,
}

/// Replays a run.
pub fn execute(args: &Args, voice: Voice) -> Result<(), Failure> {
    let folder = RunFolder::open(&args.dir)?;
    let record = read(&folder)?;
    let builder = folder
        .builder()?
        .scripts(Scripts::read(&folder.dir.events()).map_err(Failure::failed)?)
        .adopted(record.adopted.clone());
    let mut run = builder.build().map_err(|error| Failure::run(error, &folder.file))?;
    // A replay that goes astray may never come to its end; the record's is far enough to see that.
    let summary = run.finish_unless(|tick| tick >= record.last_tick)?;
    let journal = run.engine().world().resource::<Journal>();
    let answer =
        compare(&record, journal.bytes().expect("a run without a folder"), summary.weights_digest);
    let text = describe(&answer);
    voice.answer("replay", &answer, &text);
    if answer.is_same { Ok(()) } else { Err(Failure::failed("the replay differs from the run")) }
}

fn read(folder: &RunFolder) -> Result<Record, Failure> {
    let path = folder.dir.events();
    let mut record =
        Record { bytes: Vec::new(), last_tick: 0, is_complete: false, adopted: Vec::new() };
    let mut n_events = 0;
    for event in journal::read(&path).map_err(Failure::failed)? {
        match event {
            Ok(event) => {
                RunStarted::check_format(&event, &path).map_err(Failure::failed)?;
                record.last_tick = event.tick;
                record.is_complete = event.kind == RunEnded::KIND;
                if event.kind == KernelAdopted::KIND {
                    record.adopted.push(event.to().map_err(Failure::failed)?);
                }
                n_events += 1;
            }
            Err(error) if error.is_torn_end() => break,
            Err(error) => return Err(Failure::failed(error)),
        }
    }
    let mut bytes =
        fs::read(&path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let len_bytes = ends.take(n_events).last().unwrap_or(0);
    bytes.truncate(len_bytes);
    record.bytes = bytes;
    Ok(record)
}

fn compare(record: &Record, replayed: &[u8], weights_digest: Digest) -> Answer {
    let lines = |bytes: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
    };
    let (old, new) = (lines(&record.bytes), lines(replayed));
    let n_same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    // A killed run's journal may end in the middle of a tick.
    let is_same = n_same == old.len() && (n_same == new.len() || !record.is_complete);
    let differing = |lines: &[String]| (!is_same).then(|| lines.get(n_same).cloned()).flatten();
    Answer {
        is_same,
        n_events: n_same as u64,
        is_complete: record.is_complete,
        weights_digest,
        recorded: differing(&old),
        replayed: differing(&new),
    }
}

fn describe(answer: &Answer) -> String {
    let Answer { n_events, weights_digest, recorded, replayed, .. } = answer;
    if answer.is_same {
        let whole = if answer.is_complete { "" } else { ", which is where the record ends" };
        return format!("same bits: {n_events} events{whole}, weights {weights_digest}");
    }
    let or_end = |line: &Option<String>| line.clone().unwrap_or_else(|| "(it ends)".to_owned());
    format!(
        "event {n_events} is the first that differs\n  recorded: {}\n  replayed: {}",
        or_end(recorded),
        or_end(replayed)
    )
}
