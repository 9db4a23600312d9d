//! `--tensorboard`: curves that TensorBoard reads, of runs that are stopped, killed and gone on with too.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use esper::{
    prelude::*,
    tensorboard::{self, EventFiles, Scalar},
};

use super::{
    command::{Desk, Told},
    support::brief,
};

/// The event files in a folder, in the order of their names.
fn event_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of curves");
    let mut files: Vec<PathBuf> =
        entries.map(|it| it.expect("an entry").path()).filter(|it| it.is_file()).collect();
    files.sort();
    files
}

/// The scalars of every event file in a folder, in order.
fn scalars(folder: &Path) -> Vec<Scalar> {
    let files = event_files(folder);
    files.iter().flat_map(|path| tensorboard::read(path).expect("it can be read")).collect()
}

/// CRC-32C bit by bit: the polynomial 0x1EDC6F41, reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0x82f6_3b78))
    };
    !bytes.iter().fold(!0, step)
}

/// The records of an event file, each checked against its checksums.
fn records(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).expect("it can be read");
    let masked =
        |bytes: &[u8]| crc32c(bytes).rotate_left(17).wrapping_add(0xa282_ead8).to_le_bytes();
    let (mut found, mut rest) = (Vec::new(), bytes.as_slice());
    while !rest.is_empty() {
        let (len, after) = rest.split_at(8);
        assert_eq!(after[..4], masked(len), "{}", path.display());
        let len = u64::from_le_bytes(len.try_into().expect("eight bytes")) as usize;
        let record = &after[4..4 + len];
        assert_eq!(after[4 + len..8 + len], masked(record), "{}", path.display());
        found.push(record.to_vec());
        rest = &after[8 + len..];
    }
    found
}

/// The rows of `metrics.csv` as the curves should have them.
fn of_metrics(run: &Path) -> Vec<Scalar> {
    let text = fs::read_to_string(run.join("metrics.csv")).expect("metrics");
    let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
    let rows = text.lines().skip(1).flat_map(|line| {
        let row: BTreeMap<&str, &str> = header.iter().copied().zip(line.split(',')).collect();
        [
            ("loss/train", "train_loss"),
            ("loss/validation", "val_loss"),
            ("accuracy/train", "train_accuracy"),
            ("accuracy/validation", "val_accuracy"),
            ("learning_rate", "lr"),
            ("parameters", "params"),
            ("seeds/active", "active_seeds"),
        ]
        .map(|(tag, column)| Scalar {
            tag: tag.to_owned(),
            step: row["step"].parse().expect("a step"),
            value: row[column].parse::<f64>().expect("a number") as f32,
        })
    });
    rows.collect()
}

/// A run of some epochs in which no seed lives.
fn plain(n_epochs: u64) -> Scenario {
    let mut scenario = brief();
    scenario[RUN].epochs = n_epochs;
    scenario[TAMIYO].policy = "off".to_owned();
    scenario
}

/// Runs `scenario` with curves, in `out`; more arguments follow.
fn run_with_curves(desk: &Desk, scenario: &Scenario, out: &str, more: &[&str]) -> Told {
    desk.write("brief.toml", scenario.to_toml());
    let args = ["run", "brief.toml", "--quiet", "--out", out, "--tensorboard"];
    desk.done(args.iter().chain(more))
}

#[test]
fn curves_have_the_metrics_and_what_gates_saw() {
    let desk = Desk::new();
    run_with_curves(&desk, &brief(), "r", &[]);
    let run = desk.path("r");
    let [file] = &event_files(&run.join("tensorboard"))[..] else { panic!("one file") };
    let records = records(file);
    assert!(records[0].ends_with(b"brain.Event:2"), "{:?}", records[0]);
    let found = scalars(&run.join("tensorboard"));
    let of_epochs = of_metrics(&run);
    let tags: Vec<&String> = of_epochs.iter().map(|it| &it.tag).collect();
    let (epochs, lives): (Vec<Scalar>, Vec<Scalar>) =
        found.into_iter().partition(|it| tags.contains(&&it.tag));
    assert_eq!(epochs, of_epochs);

    let events = fs::read_to_string(run.join("events.jsonl")).expect("a journal");
    let count = |pattern: &str| events.lines().filter(|line| line.contains(pattern)).count();
    let n = |start: &str| lives.iter().filter(|it| it.tag.starts_with(start)).count();
    assert_eq!(n("stage/seed"), count("\"kind\":\"stage_changed\""));
    for gate in ["G2_gain/seed", "G5_gain/seed", "G5_gain_low/seed", "G5_gain_high/seed"] {
        let n_looks = count(&format!("\"gate\":\"{}\"", &gate[..2]));
        assert!(n(gate) == n_looks && n_looks > 0, "{gate}: {} {n_looks}", n(gate));
    }
    desk.done(["verify", "r"]);
}

#[test]
fn a_run_that_goes_on_adds_a_file_and_no_step_twice() {
    let desk = Desk::new();
    run_with_curves(&desk, &brief(), "whole", &[]);
    let expected = scalars(&desk.path("whole/tensorboard"));
    run_with_curves(&desk, &brief(), "r", &["--stop-at-tick", "60"]);
    let folder = desk.path("r/tensorboard");
    let before = scalars(&folder);
    assert!(!before.is_empty() && before.len() < expected.len());
    desk.done(["resume", "r", "--quiet", "--tensorboard"]);
    assert_eq!(event_files(&folder).len(), 2);
    assert_eq!(scalars(&folder), expected);
    event_files(&folder).iter().for_each(|file| assert!(!records(file).is_empty()));
}

#[test]
fn what_a_kill_cost_is_written_again_and_what_was_written_beyond_the_checkpoint_is_not() {
    let desk = Desk::new();
    let scenario = brief();
    run_with_curves(&desk, &scenario, "whole", &[]);
    let expected = scalars(&desk.path("whole/tensorboard"));

    // As a kill leaves it: the last checkpoint is that of tick 60, and the journal and the curves go on to tick 90.
    run_with_curves(&desk, &scenario, "r", &["--stop-at-tick", "60"]);
    let kept: Vec<PathBuf> = fs::read_dir(desk.path("r/checkpoints"))
        .expect("checkpoints")
        .map(|it| it.expect("an entry").path())
        .collect();
    desk.done(["resume", "r", "--quiet", "--tensorboard", "--stop-at-tick", "90"]);
    for entry in fs::read_dir(desk.path("r/checkpoints")).expect("checkpoints") {
        let path = entry.expect("an entry").path();
        if !kept.contains(&path) {
            fs::remove_dir_all(path).expect("it can be removed");
        }
    }
    let folder = desk.path("r/tensorboard");
    let last = event_files(&folder).pop().expect("a file");
    let bytes = fs::read(&last).expect("it can be read");
    fs::write(&last, &bytes[..bytes.len() - 3]).expect("it can be written");
    let torn = scalars(&folder);

    desk.done(["resume", "r", "--quiet", "--tensorboard"]);
    let mut found = scalars(&folder);
    assert!(torn.len() < expected.len() && found.starts_with(&torn), "what was there stays");
    let key = |it: &Scalar| (it.step, it.tag.clone(), it.value.to_bits());
    let mut expected = expected;
    found.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(found, expected);
}

#[test]
fn several_hosts_have_a_folder_each() {
    let desk = Desk::new();
    let mut scenario = plain(2);
    scenario[RUN].replicas = 2;
    run_with_curves(&desk, &scenario, "r", &[]);
    let of_host = |host: &str| scalars(&desk.path("r/tensorboard").join(host));
    let (first, second) = (of_host("host0"), of_host("host1"));
    assert_eq!([first.len(), second.len()], [14, 14]);
    assert_ne!(first, second);
}

#[test]
fn curves_that_can_not_be_written_end_the_run_with_a_reason_and_it_can_be_resumed() {
    let desk = Desk::new();
    run_with_curves(&desk, &plain(3), "r", &["--stop-at-tick", "2"]);
    desk.write("r/tensorboard", "a file in the folder's place");
    let told = desk.esper(["resume", "r", "--quiet", "--tensorboard"]);
    assert_eq!(told.status, Some(1), "{told:?}");
    assert!(told.err.contains("TensorBoard's events"), "{told:?}");
    assert!(told.err.contains("`esper resume r` goes on"), "{told:?}");
    let summary = fs::read_to_string(desk.path("r/summary.json")).expect("a summary");
    assert!(summary.contains("\"failed\"") && summary.contains("TensorBoard"), "{summary}");
    fs::remove_file(desk.path("r/tensorboard")).expect("it is there");
    desk.done(["resume", "r", "--quiet", "--tensorboard"]);
    assert_eq!(scalars(&desk.path("r/tensorboard")).len(), 21);
}

#[test]
fn a_program_of_ones_own_subscribes_as_the_command_does() {
    let desk = Desk::new();
    let mut run = Run::start(RunOptions::new(plain(2)).folder(desk.path("r"))).unwrap();
    let mut files = EventFiles::new(run.dir().unwrap());
    run.try_subscribe(move |event| Ok(files.take(event)?)).unwrap();
    run.finish().unwrap();
    assert_eq!(scalars(&desk.path("r/tensorboard")), of_metrics(&desk.path("r")));
}

/// The `tensorboard` package reads what was written; run where `PEER_PYTHON` names a Python that has it.
#[test]
fn tensorboard_itself_reads_the_curves() {
    let Some(python) = env::var_os("PEER_PYTHON") else { return };
    let desk = Desk::new();
    run_with_curves(&desk, &brief(), "r", &["--stop-at-tick", "60"]);
    desk.done(["resume", "r", "--quiet", "--tensorboard"]);
    let folder = desk.path("r/tensorboard");
    let script = "import sys\n\
        from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer\n\
        runs = EventMultiplexer().AddRunsFromDirectory(sys.argv[1])\n\
        runs.Reload()\n\
        for tag in runs.GetAccumulator('.').Tags()['scalars']:\n\
        \x20   for it in runs.Scalars('.', tag):\n\
        \x20       print(tag, it.step, repr(it.value))\n";
    let told = Command::new(python).arg("-c").arg(script).arg(&folder).output();
    let told = Told::from(told.expect("Python runs"));
    assert_eq!(told.status, Some(0), "{told:?}");
    let mut found: Vec<(String, u64, f32)> = Vec::new();
    for line in told.out.lines() {
        let [tag, step, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let value: f64 = value.parse().expect("a number");
        found.push((tag.to_owned(), step.parse().expect("a step"), value as f32));
    }
    let mut expected: Vec<(String, u64, f32)> =
        scalars(&folder).into_iter().map(|it| (it.tag, it.step, it.value)).collect();
    found.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    expected.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    assert_eq!(found, expected);
}
