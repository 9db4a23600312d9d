//! Sweeps, through the command.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use esper::{
    HostSpec,
    prelude::*,
    sweep::{CellId, CellRecord, CellStatus, Phase},
};

use crate::command::{Desk, Told};

/// Digits for few epochs, growing from early on.
pub const SCENARIO: &str = r#"
[run]
epochs = 4

[data]
source = "digits"
batch = 64

[host]
layers = [64, 8, 10]

[train]
optimizer = { kind = "adamw", lr = 1e-2 }

[kasmina]
train_min_steps = 20
"#;

pub fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("small.toml", SCENARIO);
    desk
}

pub fn records(dir: &Path) -> Vec<CellRecord> {
    let text = fs::read_to_string(dir.join("results.jsonl")).expect("the sweep wrote it");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is a record")).collect()
}

pub fn digests(dir: &Path) -> BTreeMap<CellId, String> {
    let digest = |it: CellRecord| {
        let summary = it.summary.expect("it was completed");
        (it.id, summary.weights_digest.to_string())
    };
    records(dir).into_iter().map(digest).collect()
}

pub fn sweep<'a>(desk: &Desk, args: impl IntoIterator<Item = &'a str>) -> Told {
    let args: Vec<&str> = ["sweep", "small.toml", "--quiet"].into_iter().chain(args).collect();
    desk.done(args)
}

#[test]
fn a_cell_is_the_same_alone_in_a_sweep_and_in_a_crowd() {
    let desk = desk();
    let arms = ["--arms", "off,heuristic", "--seeds", "3..6"];
    sweep(&desk, arms.into_iter().chain(["--out", "kept", "--jobs", "2", "--tensorboard"]));
    sweep(&desk, arms.into_iter().chain(["--out", "bare", "--jobs", "1", "--no-run-dirs"]));
    let kept = digests(&desk.path("kept"));
    assert_eq!(kept, digests(&desk.path("bare")), "with and without folders, on one job and two");
    assert_eq!(kept.len(), 6);

    for record in records(&desk.path("kept")) {
        let (arm, seed) = (&record.id.arm, record.id.seed);
        let name = format!("{arm}-{seed}");
        let policy = format!("tamiyo.policy={arm}");
        let set = ["run", "small.toml", "--quiet", "--out", &name, "--set", &policy];
        desk.done(set.into_iter().chain(["--seed", &seed.to_string()]));
        let alone = summary(&desk.path(&name));
        assert_eq!(alone["weights_digest"], kept[&record.id].as_str(), "{name}");
        let dir = record.dir.expect("it has a folder");
        desk.done(["verify", desk.path("kept").join(dir).to_str().expect("it is Unicode")]);
    }

    let cells = fs::read_to_string(desk.path("kept/cells.csv")).expect("a table of cells");
    assert_eq!(cells.lines().count(), 1 + 6, "{cells}");
    assert!(cells.starts_with("task,phase,arm,seed,epochs,steps,train_loss,"), "{cells}");
    assert!(!desk.path("kept/unfinished").exists(), "it has ended");
    let metrics = fs::read_to_string(desk.path("kept/metrics.csv")).expect("a table of epochs");
    assert_eq!(metrics.lines().count(), 1 + 6 * 4, "a row an epoch: {metrics}");

    let curves = walk(&desk.path("kept/cells"));
    let is_curve = |path: &&std::path::PathBuf| path.to_string_lossy().contains("tfevents");
    assert_eq!(curves.iter().filter(is_curve).count(), 6, "each run has its curves");

    let crowd = crowd_of_64();
    for (id, digest) in kept.iter().filter(|(id, _)| id.arm == "off") {
        assert_eq!(crowd[&id.seed], *digest, "{id} in a world of 64 hosts");
    }
}

fn summary(dir: &Path) -> serde_json::Value {
    let text = fs::read_to_string(dir.join("summary.json")).expect("the run ended");
    serde_json::from_str(&text).expect("a summary is JSON")
}

/// Digests of the hosts alone, by seed, all trained in one world.
fn crowd_of_64() -> BTreeMap<u64, String> {
    let mut scenario =
        Scenario::clone(&scenario::parse(SCENARIO, "small.toml", &[]).expect("it is sound"));
    scenario[TAMIYO].policy = "off".to_owned();
    let options = RunOptions::new(scenario);
    let options = (0..64).fold(options, |options, seed| options.host(HostSpec::new().seed(seed)));
    let summary = Run::start(options).expect("it can begin").finish().expect("it goes well");
    let digest = |(seed, host): (u64, &esper::systems::nissa::HostSummary)| {
        (seed, host.weights_digest.to_string())
    };
    (0..).zip(&summary.hosts).map(digest).collect()
}

#[test]
fn every_arm_runs_and_keeps_to_its_budget() {
    let desk = desk();
    let arms = "off,off_longer,static_final,restart,static_flops,static_flops_deep,best_static,\
                best_static_any,direct,random,heuristic,permuted,noop,oracle,fixed,scenario";
    desk.write(
        "all.toml",
        format!(
            "[sweep]\nscenarios = [\"small.toml\"]\nseeds = \"0..2\"\narms = {:?}\n\
             set = [\"run.epochs=12\", \"tamiyo.timetable=[{{ epoch = 1.0, action = 'germinate', site = 'hidden0', \
             blueprint = 'residual_mlp' }}]\"]\noracle = [\"small=residual_mlp\"]\n",
            arms.split(',').collect::<Vec<_>>()
        ),
    );
    desk.done(["sweep", "all.toml", "--quiet", "--out", "s", "--no-run-dirs"]);
    let found: BTreeMap<(String, u64), CellRecord> = records(&desk.path("s"))
        .into_iter()
        .map(|it| ((it.id.arm.clone(), it.id.seed), it))
        .collect();
    assert_eq!(found.len(), 32, "every arm with every seed");
    for seed in 0..2 {
        let of = |arm: &str| &found[&(arm.to_owned(), seed)];
        let flops = |arm: &str| of(arm).flops_total() as f64;
        let growth = flops("heuristic");
        assert!(growth > 1.2 * flops("off"), "growth costs something");
        let ratio = flops("off_longer") / growth;
        assert!((0.9..1.1).contains(&ratio), "off_longer spends {ratio} of the growth's FLOPs");
        for arm in ["static_flops", "static_flops_deep"] {
            let ratio = flops(arm) / growth;
            assert!((0.6..1.05).contains(&ratio), "{arm} spends {ratio} of the growth's FLOPs");
        }
        for arm in ["best_static", "best_static_any"] {
            assert!(flops(arm) <= 1.1 * growth, "{arm} spends no more than the growth");
        }
        let network = of("static_final").summary.as_ref().expect("completed");
        let grown = of("heuristic").summary.as_ref().expect("completed");
        assert_eq!(network.params_initial, grown.params_final, "the network that grew");
        let restart = of("restart");
        assert_eq!(restart.flops_before, grown.flops, "the growth is counted");
        assert_eq!(
            restart.summary.as_ref().map(|it| it.weights_digest),
            Some(network.weights_digest)
        );
    }
}

#[test]
fn what_is_tuned_is_chosen_on_other_seeds_by_the_validation_score() {
    let desk = desk();
    let tune = ["--tune", "train.optimizer.lr=1e-5,1e-2", "--arms", "off", "--seeds", "0..2"];
    sweep(&desk, tune.into_iter().chain(["--out", "s", "--no-run-dirs"]));
    let found = records(&desk.path("s"));
    let (tuned, tested): (Vec<_>, Vec<_>) = found.iter().partition(|it| it.id.phase == Phase::Tune);
    assert_eq!((tuned.len(), tested.len()), (6, 2));
    assert!(
        tested.iter().all(|it| it.tuned["train.optimizer.lr"] == "0.01"),
        "1e-5 learns nothing"
    );
    let seeds: BTreeSet<u64> = tuned.iter().map(|it| it.id.seed).collect();
    assert!(seeds.iter().all(|seed| *seed > 1), "choices have seeds of their own");
}

#[test]
fn a_front_is_measured_over_width_depth_and_length() {
    let desk = desk();
    desk.write(
        "front.toml",
        "[sweep]\nscenarios = [\"small.toml\"]\nseeds = \"0\"\narms = [\"off\"]\n\
         [front]\nwidths = [1.0, 2.0]\ndepths = [0, 1]\nepochs = [0.5, 1.0]\nseeds = \"7\"\n",
    );
    desk.done(["sweep", "front.toml", "--quiet", "--out", "s", "--no-run-dirs"]);
    let front: Vec<CellRecord> =
        records(&desk.path("s")).into_iter().filter(|it| it.id.phase == Phase::Front).collect();
    assert_eq!(front.len(), 8);
    let params = |width: &str, depth: &str| {
        let is_it = |it: &&CellRecord| {
            it.id.settings["front.width"] == width && it.id.settings["front.depth"] == depth
        };
        let found = front.iter().find(is_it).expect("it was measured");
        found.summary.as_ref().expect("completed").params_final
    };
    let lines =
        || fs::read_to_string(desk.path("runs/fronts.jsonl")).expect("kept").lines().count();
    assert_eq!(lines(), 8, "kept for other sweeps");
    desk.done(["sweep", "front.toml", "--quiet", "--out", "again", "--no-run-dirs"]);
    assert_eq!(lines(), 8, "and measured once");
    assert_eq!(digests(&desk.path("again")), digests(&desk.path("s")));
    let other = ["--set", "train.optimizer.lr=2e-2", "--out", "other"];
    desk.done(["sweep", "front.toml", "--quiet", "--no-run-dirs"].into_iter().chain(other));
    assert_eq!(lines(), 16, "what all cells have, the front has too");
    assert_eq!(params("1.0", "0"), 64 * 8 + 8 + 8 * 10 + 10);
    assert_eq!(params("2.0", "1"), 64 * 16 + 16 + 16 * 16 + 16 + 16 * 10 + 10);
}

#[test]
fn cells_that_are_done_are_skipped_and_one_that_fails_stops_no_other_and_is_run_again() {
    let desk = desk();
    // A rate at which training diverges until the governor gives up.
    let args = ["sweep", "small.toml", "--out", "s", "--no-run-dirs", "--arms", "off", "--seeds"];
    let args: Vec<&str> = args
        .into_iter()
        .chain([
            "0..2",
            "--set",
            "train.optimizer.lr=1e-2,900",
            "--set",
            "train.optimizer.kind=sgd",
        ])
        .collect();
    let first = desk.esper(&args);
    assert_eq!(first.status, Some(1), "{first:?}");
    assert!(first.err.contains("2 cells failed"), "{first:?}");
    let count = |status| records(&desk.path("s")).iter().filter(|it| it.status == status).count();
    assert_eq!((count(CellStatus::Completed), count(CellStatus::Failed)), (2, 2));
    let cells = fs::read_to_string(desk.path("s/cells.csv")).expect("a table of cells");
    assert_eq!(cells.matches(",failed,").count(), 2, "cells that failed are in it: {cells}");

    let again = desk.esper(&args);
    assert_eq!(again.status, Some(1), "{again:?}");
    assert_eq!((count(CellStatus::Completed), count(CellStatus::Failed)), (2, 2));
    assert_eq!(again.err.matches("small/off/").count(), 2 + 1, "the two that failed: {again:?}");
}

#[test]
fn a_sweep_that_is_killed_at_random_moments_has_every_cell_once_and_the_same() {
    let desk = desk();
    let args = ["--arms", "off,heuristic,static_final", "--seeds", "0..12", "--jobs", "2"];
    let began = Instant::now();
    sweep(&desk, args.into_iter().chain(["--out", "whole"]));
    let whole_ms = began.elapsed().as_millis() as u64;
    let mut state = u64::from(std::process::id()) | 1;
    for n_kills in 0..10 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n_kills);
        let patience = Duration::from_millis((state >> 33) % (whole_ms / 4 + 1));
        let args = ["sweep", "small.toml", "--quiet", "--out", "killed"].into_iter().chain(args);
        kill_after(desk.start(args), patience);
    }
    sweep(&desk, args.into_iter().chain(["--out", "killed"]));
    let killed = records(&desk.path("killed"));
    let ids: BTreeSet<&CellId> = killed.iter().map(|it| &it.id).collect();
    assert_eq!((ids.len(), killed.len()), (36, 36), "every cell is there, and once");
    assert_eq!(digests(&desk.path("killed")), digests(&desk.path("whole")));
    for record in &killed {
        let dir = desk.path("killed").join(record.dir.as_ref().expect("it has a folder"));
        desk.done(["verify", dir.to_str().expect("it is Unicode")]);
    }
}

pub fn kill_after(mut child: Child, patience: Duration) {
    std::thread::sleep(patience);
    let _ = child.kill();
    child.wait().expect("it is our child");
}

#[test]
#[cfg(unix)]
fn a_signal_saves_the_cells_in_flight_and_ends_the_sweep_with_its_status() {
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        a_sweep_that_is_stopped(signal, status);
    }
}

#[cfg(unix)]
fn a_sweep_that_is_stopped(signal: &str, status: i32) {
    let desk = desk();
    let long = ["--set", "run.epochs=2000", "--arms", "off", "--seeds", "0..2"];
    let args: Vec<&str> = ["sweep", "small.toml", "--out", "s"].into_iter().chain(long).collect();
    let mut command = desk.command(&args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let cell = desk.path("s/cells/small/off");
    let began = Instant::now();
    while !fs::read_dir(&cell).is_ok_and(|it| it.count() > 0) {
        assert!(began.elapsed() < Duration::from_secs(30), "cells begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    let pid = child.id().to_string();
    std::process::Command::new("kill").args([signal, &pid]).status().expect("kill is there");
    let told = Told::from(child.wait_with_output().expect("it ends"));
    assert_eq!(told.status, Some(status), "128 and the signal's number: {told:?}");
    assert!(told.out.contains("0 cells completed; stopped"), "{told:?}");
    assert!(told.err.contains("the same command goes on with them"), "{told:?}");
    assert!(desk.path("s/unfinished").exists(), "it has not ended");
    let n_saved = walk(&cell).iter().filter(|it| it.ends_with("checkpoint.json")).count();
    assert!(n_saved > 0, "cells in flight were saved");
}

pub fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return vec![dir.to_owned()] };
    entries.flatten().flat_map(|entry| walk(&entry.path())).collect()
}

#[test]
fn parts_come_together_as_the_whole() {
    let desk = desk();
    let args = ["--arms", "off,heuristic,restart", "--seeds", "0..5", "--no-run-dirs"];
    sweep(&desk, args.into_iter().chain(["--out", "whole"]));
    for part in ["1/2", "2/2"] {
        sweep(&desk, args.into_iter().chain(["--out", "parts", "--shard", part]));
    }
    let merged = desk.done(["sweep", "--merge", "parts"]);
    assert!(merged.out.contains("15 cells of 2 files"), "{merged:?}");
    assert_eq!(digests(&desk.path("parts")), digests(&desk.path("whole")));
    let again = desk.done(["sweep", "--merge", "parts", "whole", "--out", "both"]);
    assert!(again.out.contains("15 cells"), "{again:?}");
}

#[test]
fn a_folder_is_one_sweeps() {
    let desk = desk();
    let out = ["--out", "s", "--no-run-dirs", "--arms", "off"];
    sweep(&desk, out.into_iter().chain(["--seeds", "0..1"]));
    sweep(&desk, out.into_iter().chain(["--seeds", "0..2"]));
    assert_eq!(records(&desk.path("s")).len(), 2, "more seeds are more cells of the same sweep");
    let args = ["sweep", "small.toml", "--seeds", "0..2", "--set", "run.epochs=3"];
    let other = desk.esper(args.into_iter().chain(out));
    assert_eq!(other.status, Some(2), "{other:?}");
    assert!(other.err.contains("another sweep"), "{other:?}");
    desk.write("small.toml", SCENARIO.replace("epochs = 4", "epochs = 5"));
    let args = ["sweep", "small.toml", "--seeds", "0..2"].into_iter().chain(out);
    let changed = desk.esper(args);
    assert_eq!(changed.status, Some(2), "{changed:?}");
    assert!(changed.err.contains("another scenario `small`"), "{changed:?}");
    desk.write("full/notes.txt", "mine");
    let full = desk.esper(["sweep", "small.toml", "--out", "full"]);
    assert_eq!(full.status, Some(2), "{full:?}");
    assert!(full.err.contains("it is not empty"), "{full:?}");
}

#[test]
fn a_line_that_was_cut_off_is_run_again_and_one_that_is_damaged_is_named() {
    let desk = desk();
    let args = ["--out", "s", "--no-run-dirs", "--arms", "off", "--seeds", "0..3"];
    sweep(&desk, args);
    let path = desk.path("s/results.jsonl");
    let text = fs::read_to_string(&path).expect("it is there");
    fs::write(&path, &text[..text.len() - 20]).expect("it is ours");
    sweep(&desk, args);
    assert_eq!(digests(&desk.path("s")).len(), 3);
    fs::write(&path, text.replacen("\"seed\":", "\"sead\":", 1)).expect("it is ours");
    let damaged = desk.esper(["sweep", "small.toml", "--quiet"].into_iter().chain(args));
    assert_eq!(damaged.status, Some(2), "{damaged:?}");
    let words = "s/results.jsonl:1: the line is no record of a cell: missing field `seed`";
    assert!(damaged.err.contains(words), "{damaged:?}");
}

#[test]
fn damaged_results_are_refused_with_status_2_and_their_place_by_all_who_read_them() {
    let desk = desk();
    let sweep_again = ["sweep", "small.toml", "--arms", "off", "--seeds", "0..2", "--no-run-dirs"];
    let sweep_again: Vec<&str> = sweep_again.into_iter().chain(["--out", "s"]).collect();
    desk.done(&sweep_again);
    let path = desk.path("s/results.jsonl");
    let whole = fs::read_to_string(&path).expect("it is there");
    let second = whole.lines().nth(1).expect("two cells");
    let no_summary = second.replace("\"summary\"", "\"sumary\"");
    let readers: [&[&str]; 4] =
        [&sweep_again, &["compare", "s"], &["report", "s"], &["sweep", "--merge", "s"]];
    for (line, words) in [
        ("{\"task\":3}", "s/results.jsonl:2: the line is no record of a cell"),
        ("no JSON", "s/results.jsonl:2: the line is no record of a cell: expected"),
        ("\u{7f}\0", "s/results.jsonl:2: the line is no record of a cell"),
        (&no_summary, "s/results.jsonl:2: the line is no record of a cell: it is completed"),
        (whole.lines().next().expect("a cell"), "s/results.jsonl:2: the cell small/off/"),
    ] {
        let first = whole.lines().next().expect("a cell");
        fs::write(&path, format!("{first}\n{line}\n{second}\n")).expect("it is ours");
        for args in readers {
            let told = desk.esper(args);
            assert_eq!(told.status, Some(2), "{args:?}: {told:?}");
            assert!(told.err.contains(words), "{args:?}: {words}: {told:?}");
        }
    }
    fs::remove_file(&path).expect("it is ours");
    for args in &readers[1..] {
        let told = desk.esper(*args);
        assert_eq!(told.status, Some(2), "without results, {args:?}: {told:?}");
    }
    fs::create_dir(&path).expect("it is ours");
    for args in readers {
        let told = desk.esper(args);
        assert_eq!(told.status, Some(2), "a folder in their place, {args:?}: {told:?}");
        assert!(told.err.contains("results.jsonl"), "{told:?}");
    }
}

#[test]
fn a_dry_run_says_what_it_costs_and_writes_nothing() {
    let desk = desk();
    let args = ["sweep", "small.toml", "--arms", "off,heuristic,off_longer", "--seeds", "0..4"];
    let told = desk.done(args.into_iter().chain(["--dry-run", "--json"]));
    let cost: serde_json::Value = serde_json::from_str(&told.out).expect("one object");
    assert_eq!(cost["n_cells"], 12);
    assert!(cost["flops"].as_f64().expect("a number") > 1e6);
    assert!(!desk.path("runs").exists(), "nothing is written");
}

#[test]
fn a_shared_library_is_frozen_for_all_cells_and_gains_what_they_learnt() {
    let desk = desk();
    let path = desk.path("shared.redb");
    let set = format!("urza.path={}", path.display());
    let args = ["--arms", "heuristic", "--set", &set, "--jobs", "1"];
    sweep(&desk, args.into_iter().chain(["--seeds", "0..3", "--out", "one"]));
    let listed = desk.done(["library", "ls", path.to_str().expect("it is Unicode")]);
    assert!(listed.out.contains("residual_mlp"), "{listed:?}");
    let adopted = |dir: &str| -> Vec<usize> {
        let files = walk(&desk.path(dir));
        let events = files.iter().filter(|it| it.ends_with("events.jsonl"));
        let count = |path: &std::path::PathBuf| {
            fs::read_to_string(path).expect("it is there").matches("kernel_adopted").count()
        };
        events.map(count).collect()
    };
    assert_eq!(adopted("one"), [0, 0, 0], "no cell sees what another learnt");
    sweep(&desk, args.into_iter().chain(["--seeds", "0..6", "--out", "one"]));
    assert_eq!(adopted("one"), [0; 6], "nor do cells that come later, in the same sweep");
    // What a run of that name and seed wrote itself is not adopted, so that it can be repeated.
    sweep(&desk, args.into_iter().chain(["--seeds", "3..6", "--out", "two"]));
    let second = adopted("two");
    assert!(second.iter().all(|n| *n > 0 && *n == second[0]), "all see the same: {second:?}");
}

#[test]
fn merging_takes_no_other_sweep_and_no_running_one_and_says_which_parts_are_missing() {
    let desk = desk();
    let bare = ["--no-run-dirs", "--arms", "off", "--out"];
    sweep(&desk, bare.into_iter().chain(["one", "--seeds", "0..2"]));
    sweep(&desk, bare.into_iter().chain(["two", "--seeds", "0..2", "--set", "run.epochs=2"]));
    let before = fs::read(desk.path("two/results.jsonl")).expect("it is there");
    let told = desk.esper(["sweep", "--merge", "one", "--out", "two"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert_eq!(fs::read(desk.path("two/results.jsonl")).expect("it is there"), before);

    let part = ["part", "--seeds", "0..4", "--shard", "1/2"];
    sweep(&desk, bare.into_iter().chain(part));
    let told = desk.done(["sweep", "--merge", "part"]);
    assert!(told.out.contains("1 parts are missing"), "{told:?}");
    assert!(desk.done(["compare", "part"]).out.contains("the sweep has not ended"));

    let lock = fs::File::open(desk.path("one/lock")).expect("a sweep has one");
    lock.lock().expect("nobody holds it");
    for args in [vec!["sweep", "--merge", "one"], {
        let again = ["sweep", "small.toml", "--seeds", "0..2"].into_iter();
        again.chain(bare).chain(["one"]).collect()
    }] {
        let told = desk.esper(args);
        assert_eq!(told.status, Some(1), "{told:?}");
        assert!(told.err.contains("another process runs this sweep"), "{told:?}");
    }
}

#[test]
fn a_sweep_that_was_killed_at_its_very_beginning_begins_again() {
    let desk = desk();
    for left in [".sweep.toml.tmp", "sweep.toml", "lock"] {
        desk.write(&format!("s/{left}"), "");
    }
    sweep(&desk, ["--out", "s", "--no-run-dirs", "--arms", "off", "--seeds", "0"]);
    assert_eq!(records(&desk.path("s")).len(), 1);
}

#[test]
fn what_is_drawn_twice_is_one_cell() {
    let desk = desk();
    let search = ["--search", "train.optimizer.lr=choice(1e-2,2e-2)", "--samples", "6"];
    let out = ["--out", "s", "--no-run-dirs", "--arms", "off", "--seeds", "0"];
    sweep(&desk, search.into_iter().chain(out));
    assert_eq!(records(&desk.path("s")).len(), 2);
    let many = ["sweep", "small.toml", "--seeds", "0..100000", "--arms", "off,heuristic,noop"];
    let told = desk.esper(many);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.err.contains("300000 cells are more than 200000"), "{told:?}");
}

#[test]
fn a_cell_tested_with_another_choice_is_tested_again() {
    let desk = desk();
    let args = ["--tune", "train.optimizer.lr=1e-4,1e-2", "--arms", "off", "--seeds", "0..2"];
    let args: Vec<&str> = args.into_iter().chain(["--out", "s", "--no-run-dirs"]).collect();
    sweep(&desk, args.clone());
    // As if a run that chooses had failed for once: what was better then is not what is better now.
    let path = desk.path("s/results.jsonl");
    let text = fs::read_to_string(&path).expect("it is there");
    let worse = text.replace("\"tuned\":{\"train.optimizer.lr\":\"0.01\"},\"summary\"", "X");
    let stale: String = worse
        .lines()
        .map(|line| match line.contains("\"phase\":\"test\"") {
            true => {
                line.replace('X', "\"tuned\":{\"train.optimizer.lr\":\"0.0001\"},\"summary\"")
                    + "\n"
            }
            false => {
                line.replace('X', "\"tuned\":{\"train.optimizer.lr\":\"0.01\"},\"summary\"") + "\n"
            }
        })
        .collect();
    assert_ne!(stale, text);
    fs::write(&path, stale).expect("it is ours");
    sweep(&desk, args);
    let tested = records(&desk.path("s"));
    let tested: Vec<_> = tested.iter().filter(|it| it.id.phase == Phase::Test).collect();
    assert_eq!(tested.len(), 2);
    assert!(tested.iter().all(|it| it.tuned["train.optimizer.lr"] == "0.01"), "{tested:?}");
}

#[test]
fn a_cell_made_from_another_growth_is_run_again() {
    let desk = desk();
    let args = ["--arms", "off,heuristic,static_final", "--seeds", "0", "--out", "s"];
    let args: Vec<&str> = args.into_iter().chain(["--no-run-dirs"]).collect();
    sweep(&desk, args.clone());
    let path = desk.path("s/results.jsonl");
    let of_arm = |arm: &str| {
        let found = records(&desk.path("s")).into_iter().find(|it| it.id.arm == arm);
        found.expect("it is there")
    };
    let weights = |arm: &str| of_arm(arm).summary.expect("it was completed").weights_digest;
    assert_eq!(of_arm("static_final").basis, Some(weights("heuristic")));
    assert_eq!(of_arm("off").basis, None);
    // As if the growth had been another when the network was trained.
    let other = "0".repeat(64);
    let before = format!("\"basis\":\"{}\"", weights("heuristic"));
    let text = fs::read_to_string(&path).expect("it is there");
    assert!(text.contains(&before), "{text}");
    fs::write(&path, text.replace(&before, &format!("\"basis\":\"{other}\""))).expect("ours");
    sweep(&desk, args);
    assert_eq!(of_arm("static_final").basis, Some(weights("heuristic")));
}

#[test]
fn data_that_changed_since_a_sweep_began_is_noticed() {
    let desk = desk();
    let rows = |shift: usize| -> String {
        (0..60).map(|at| format!("{},{},{}\n", at + shift, at % 7, at % 2)).collect()
    };
    desk.write("d.csv", format!("a,b,class\n{}", rows(0)));
    let scenario =
        "[run]\nepochs = 1\n[data]\nsource = \"d.csv\"\nbatch = 8\n[host]\nlayers = [2, 3, 2]\n";
    desk.write("table.toml", scenario);
    let args =
        ["sweep", "table.toml", "--arms", "off", "--seeds", "0", "--out", "s", "--no-run-dirs"];
    desk.done(args);
    desk.write("d.csv", format!("a,b,class\n{}", rows(1)));
    let told = desk.esper(args);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.err.contains("other data for `table`"), "{told:?}");
}
