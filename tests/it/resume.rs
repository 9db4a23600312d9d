//! A run that was stopped, however it was stopped, ends as one that was not.

use std::{
    fs,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use esper::{
    engine::stage::Stage,
    scenario::{CHECKPOINT, Mode, RUN, Scenario, TEZZERET},
    systems::tolaria,
};
use serde_json::Value;

use super::{
    command::{Desk, assert_same_run, summary, undisturbed},
    support::{Family, brief, brief_of},
};

/// [`brief_of`] with a checkpoint every epoch and a tick every step: as many moments as there can be.
fn finely_divided(family: Family) -> Scenario {
    let mut scenario = brief_of(family);
    scenario[RUN].steps_per_tick = 1;
    scenario[CHECKPOINT].every_epochs = 1;
    scenario
}

#[test]
fn a_run_that_is_stopped_and_resumed_ends_as_one_that_was_not() {
    let whole = undisturbed();
    let n = last_tick(&whole);
    stop_and_resume(Family::Mlp, &whole, &[0, 1, 7, n / 5, n / 3, n / 2, n * 2 / 3, n - 1]);
    for family in [Family::Cnn, Family::Transformer] {
        let desk = Desk::new();
        let whole = desk.run(&brief_of(family), "whole");
        let n = last_tick(&whole);
        assert!(n_entered(&whole, Stage::Fossilized) > 0, "{family:?}: nothing was kept");
        stop_and_resume(family, &whole, &[7, n / 3, n / 2, n * 9 / 10]);
    }
}

fn stop_and_resume(family: Family, whole: &Path, ticks: &[u64]) {
    let n_grafts = n_entered(whole, Stage::Grafting);
    assert!(n_grafts > 0, "{family:?}: a run in which nothing happens proves nothing");
    let desk = Desk::new();
    desk.write("brief.toml", brief_of(family).to_toml());
    for tick in ticks {
        let (dir, tick) = (format!("{family:?}-stopped-at-{tick}"), tick.to_string());
        desk.done(["run", "brief.toml", "--quiet", "--out", &dir, "--stop-at-tick", &tick]);
        assert_eq!(summary(&desk.path(&dir))["status"], "interrupted");
        desk.done(["resume", &dir, "--quiet"]);
        assert_same_run(&desk.path(&dir), whole, &dir);
    }
}

#[test]
fn a_run_that_is_stopped_again_and_again_ends_as_one_that_was_not() {
    let whole = undisturbed();
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "5"]);
    for tick in (10..last_tick(&whole)).step_by(17) {
        desk.done(["resume", "r", "--quiet", "--stop-at-tick", &tick.to_string()]);
        desk.done(["verify", "r"]);
    }
    desk.done(["resume", "r", "--quiet"]);
    assert_same_run(&desk.path("r"), &whole, "stopped every 17 ticks");
    let again = desk.done(["resume", "r"]);
    assert!(again.err.contains("nothing left to do"), "{again:?}");
}

#[test]
fn a_run_that_is_killed_at_random_moments_ends_as_one_that_was_not() {
    for (family, n_kills_min) in [(Family::Mlp, 24), (Family::Cnn, 6), (Family::Transformer, 6)] {
        kill_and_resume(family, n_kills_min);
    }
}

fn kill_and_resume(family: Family, n_kills_min: u32) {
    let desk = Desk::new();
    let began = Instant::now();
    let whole = desk.run(&finely_divided(family), "whole");
    let whole_ms = began.elapsed().as_millis() as u64;
    let n_grafts = n_entered(&whole, Stage::Grafting);
    assert!(n_grafts > 0, "{family:?}: a run in which nothing happens proves nothing");
    let mut random = Random(u64::from(std::process::id()) | 1);
    let (mut n_kills, mut n_runs) = (0, 0);
    while n_kills < n_kills_min {
        n_runs += 1;
        let name = format!("{family:?}-killed{n_runs}");
        let dir = desk.path(&name);
        let mut patience_ms = whole_ms / 4 + 1;
        loop {
            let child = if dir.join("manifest.json").exists() {
                desk.start(["resume", &name])
            } else {
                // The run was never said to exist: its folder may be half made.
                let _ = fs::remove_dir_all(&dir);
                desk.start(["run", "brief.toml", "--out", &name])
            };
            if has_ended_within(child, Duration::from_millis(random.below(patience_ms))) {
                break;
            }
            n_kills += 1;
            patience_ms += patience_ms / 4;
        }
        assert_same_run(&dir, &whole, &name);
        desk.done(["verify", &name]);
    }
}

/// Whether `child` ends by itself, and well, within `patience`; it is killed if not.
#[track_caller]
fn has_ended_within(mut child: Child, patience: Duration) -> bool {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            assert!(status.success(), "{status}");
            return true;
        }
        if began.elapsed() >= patience {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_a_killed_run_left_half_written_or_half_removed_is_no_checkpoint_and_goes_away() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "40"]);
    let leftovers = [".draft-0000000039", ".removed-tick-0000000012"];
    for leftover in leftovers {
        desk.write(&format!("r/checkpoints/{leftover}/weights.safetensors"), "half of it");
    }

    desk.done(["verify", "r"]);
    desk.done(["resume", "r", "--quiet"]);
    assert_same_run(&desk.path("r"), &undisturbed(), "leftovers");
    for leftover in leftovers {
        assert!(!desk.path("r/checkpoints").join(leftover).exists(), "{leftover}");
    }
}

#[test]
fn a_torn_last_line_is_cut_off_and_said() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "40"]);
    let events = desk.path("r/events.jsonl");
    let mut bytes = fs::read(&events).expect("it was written");
    bytes.extend_from_slice(b"{\"seq\":99,\"tick\":41,\"kind\":\"stage_cha");
    fs::write(&events, bytes).expect("it is ours");

    let verified = desk.esper(["verify", "r"]);
    assert_eq!(verified.status, Some(1), "{verified:?}");
    assert!(verified.out.contains("torn"), "{verified:?}");
    let inspected = desk.done(["inspect", "r"]);
    assert!(inspected.out.contains("torn"), "{inspected:?}");
    let resumed = desk.done(["resume", "r"]);
    assert!(resumed.err.contains("cut off 37 bytes of a torn last line"), "{resumed:?}");
    assert_same_run(&desk.path("r"), &undisturbed(), "torn");
}

#[test]
fn a_run_that_was_killed_before_its_first_checkpoint_begins_anew() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "0"]);
    fs::remove_dir_all(desk.path("r/checkpoints/tick-0000000000")).expect("it is there");
    let resumed = desk.done(["resume", "r"]);
    assert!(resumed.err.contains("begins anew"), "{resumed:?}");
    assert_same_run(&desk.path("r"), &undisturbed(), "killed at birth");
}

#[test]
fn a_run_whose_checkpoints_were_removed_is_not_begun_anew() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "40"]);
    let events = fs::read(desk.path("r/events.jsonl")).expect("it was written");
    fs::remove_dir_all(desk.path("r/checkpoints")).expect("it is there");
    let resumed = desk.esper(["resume", "r"]);
    assert_eq!(resumed.status, Some(1), "{resumed:?}");
    assert!(resumed.err.contains("no sound checkpoint"), "{resumed:?}");
    assert_eq!(fs::read(desk.path("r/events.jsonl")).expect("it is there"), events);
}

#[test]
fn a_run_that_an_older_esper_wrote_is_refused_and_left_as_it_was() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "0"]);
    let info = desk.path("r/checkpoints/tick-0000000000/checkpoint.json");
    let mut fields: Value = serde_json::from_slice(&fs::read(&info).expect("it was written"))
        .expect("a checkpoint says what it is in JSON");
    // The first form had no number.
    fields.as_object_mut().expect("an object").remove("format").expect("it has a number now");
    fs::write(&info, fields.to_string()).expect("it is ours");
    let events = fs::read(desk.path("r/events.jsonl")).expect("it was written");
    let resumed = desk.esper(["resume", "r"]);
    assert_eq!(resumed.status, Some(1), "{resumed:?}");
    let sentence = "it has format 1 and this Esper reads format 3; go on with the Esper that began";
    assert!(resumed.err.replace('\n', " ").contains(sentence), "{resumed:?}");
    assert_eq!(fs::read(desk.path("r/events.jsonl")).expect("it is there"), events);
}

#[test]
fn ctrl_c_saves_the_run_and_ends_well() {
    let desk = Desk::new();
    let mut scenario = brief();
    scenario[RUN].epochs = 2000;
    desk.write("brief.toml", scenario.to_toml());
    let mut child = desk.start(["run", "brief.toml", "--out", "r"]);
    let is_under_way = || tolaria::list_checkpoints(&desk.path("r/checkpoints")).len() > 1;
    while !is_under_way() {
        assert!(child.try_wait().expect("it is our child").is_none(), "it ended too soon");
        std::thread::sleep(Duration::from_millis(5));
    }
    let told = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(told.expect("there is a kill command").success());
    assert!(child.wait().expect("it is our child").success());
    assert_eq!(summary(&desk.path("r"))["status"], "interrupted");
    desk.done(["verify", "r"]);
    desk.done(["resume", "r", "--quiet", "--stop-at-tick", "0"]);
}

#[test]
fn a_replay_gives_the_same_bits() {
    let desk = Desk::new();
    let whole = undisturbed();
    let told = desk.done(["replay".as_ref(), whole.as_os_str(), "--json".as_ref()]);
    let answer = &told.objects()[0];
    assert_eq!(answer["is_same"], true, "{told:?}");
    assert_eq!(answer["weights_digest"], summary(&whole)["weights_digest"]);
}

#[test]
fn a_replay_of_a_free_run_gives_the_same_bits_and_so_does_that_of_a_part_of_it() {
    for family in Family::ALL {
        let desk = Desk::new();
        let mut scenario = brief_of(family);
        scenario[TEZZERET].mode = Mode::Free;
        let dir = desk.run(&scenario, "free");
        let told = desk.done(["replay", "free", "--json"]);
        let replayed = &told.objects()[0];
        assert_eq!(replayed["weights_digest"], summary(&dir)["weights_digest"], "{family:?}");

        desk.done(["run", "brief.toml", "--quiet", "--out", "part", "--stop-at-tick", "60"]);
        let told = desk.done(["replay", "part", "--json"]);
        assert_eq!(told.objects()[0]["is_complete"], false, "{family:?}: {told:?}");
    }
}

#[test]
fn a_replay_of_a_run_that_was_not_like_that_names_the_first_event_that_differs() {
    let desk = Desk::new();
    let dir = desk.run(&brief(), "r");
    let scenario = fs::read_to_string(dir.join("scenario.toml")).expect("it was written");
    let changed = scenario.replace("graft_steps = 20", "graft_steps = 21");
    assert_ne!(changed, scenario);
    fs::write(dir.join("scenario.toml"), changed).expect("it is ours");
    let told = desk.esper(["replay", "r"]);
    assert_eq!(told.status, Some(1), "{told:?}");
    assert!(told.out.contains("event 0 is the first that differs"), "{told:?}");
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for family in Family::ALL {
        let desk = Desk::new();
        let mut scenario = brief_of(family);
        (scenario[RUN].replicas, scenario[RUN].epochs) = (3, 8);
        let dirs = [1, 2].map(|threads| {
            scenario[RUN].threads = threads;
            desk.run(&scenario, &format!("with-{threads}"))
        });
        let [one, two] = dirs.each_ref().map(|dir| bare_events(dir));
        assert_eq!(one[1..], two[1..], "{family:?}");
        let digests = dirs.each_ref().map(|dir| summary(dir)["weights_digest"].clone());
        assert_eq!(digests[0], digests[1], "{family:?}");
    }
}

/// The events of a run without their seals, which depend on the scenario's digest.
fn bare_events(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("events.jsonl")).expect("it was written");
    let bare = |line: &str| {
        let mut event: Value = serde_json::from_str(line).expect("JSON");
        let fields = event.as_object_mut().expect("an object");
        fields.remove("prev");
        fields.remove("hash");
        event
    };
    text.lines().map(bare).collect()
}

fn last_tick(dir: &Path) -> u64 {
    let events = bare_events(dir);
    events.last().expect("a run has events")["tick"].as_u64().expect("a number")
}

/// Seeds that entered `stage`.
fn n_entered(dir: &Path, stage: Stage) -> usize {
    bare_events(dir).iter().filter(|event| event["to"] == stage.to_string()).count()
}

/// Xorshift64 (Marsaglia 2003, section 3).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
