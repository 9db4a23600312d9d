//! What breaks under a run is found, said with its place, and costs no more than it must.

use std::{
    fs,
    path::{Path, PathBuf},
};

use esper::{
    prelude::scenario,
    scenario::{DATA, HOST},
    systems::tolaria,
};

use super::{
    command::{Desk, Told, assert_same_run, summary, undisturbed},
    support::brief,
};

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folders");
    for entry in fs::read_dir(from).expect("a folder") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).expect("room for a copy");
        }
    }
}

/// A copy of the undisturbed run as `r`.
fn copied_run() -> (Desk, PathBuf) {
    let desk = Desk::new();
    let dir = desk.path("r");
    copy_folder(&undisturbed(), &dir);
    desk.done(["verify", "r"]);
    (desk, dir)
}

/// Changes one bit of the byte at `share` of the file's length, has `r` verified, and changes it back.
fn verify_changed(desk: &Desk, file: &Path, share: f64) -> Told {
    let whole = fs::read(file).expect("it was written");
    let mut changed = whole.clone();
    let at = ((whole.len() - 1) as f64 * share) as usize;
    changed[at] ^= 1;
    fs::write(file, changed).expect("it is ours");
    let told = desk.esper(["verify", "r"]);
    fs::write(file, whole).expect("it is ours");
    assert_eq!(told.status, Some(1), "{} byte {at}: {told:?}", file.display());
    told
}

#[test]
fn one_changed_byte_of_the_audit_chain_is_found_at_its_line() {
    let (desk, dir) = copied_run();
    let events = dir.join("events.jsonl");
    let text = fs::read_to_string(&events).expect("it was written");
    for share in [0.0, 0.1, 0.33, 0.5, 0.77, 0.9, 0.999] {
        let told = verify_changed(&desk, &events, share);
        let at = ((text.len() - 1) as f64 * share) as usize;
        let line = text[..at].matches('\n').count() + 1;
        let expected = format!("WRONG  events.jsonl: r/events.jsonl: line {line} (byte ");
        assert!(told.out.contains(&expected), "{expected}: {told:?}");
    }
}

#[test]
fn one_changed_byte_of_a_checkpoint_is_found_in_its_file() {
    let (desk, dir) = copied_run();
    let checkpoints = tolaria::list_checkpoints(&dir.join("checkpoints"));
    assert!(!checkpoints.is_empty());
    for checkpoint in checkpoints {
        for name in ["weights.safetensors", "state.bin", "checkpoint.json"] {
            for share in [0.0, 0.4, 1.0] {
                let told = verify_changed(&desk, &checkpoint.join(name), share);
                let folder = checkpoint.file_name().expect("a name").to_string_lossy();
                let expected = format!("WRONG  checkpoints/{folder}: ");
                let line = told.out.lines().find(|line| line.starts_with(&expected));
                assert!(line.is_some_and(|line| line.contains(name)), "{name}: {told:?}");
            }
        }
    }
}

#[test]
fn one_changed_byte_of_the_library_is_found() {
    let (desk, dir) = copied_run();
    for share in [0.0, 0.2, 0.41, 0.6, 0.83, 1.0] {
        let told = verify_changed(&desk, &dir.join("library.redb"), share);
        assert!(told.out.contains("WRONG  library.redb"), "{told:?}");
    }
}

#[test]
fn a_changed_scenario_summary_or_manifest_is_found() {
    let (desk, dir) = copied_run();
    let told = verify_changed(&desk, &dir.join("scenario.toml"), 0.5);
    assert!(told.out.contains("WRONG  scenario.toml"), "{told:?}");
    let told = verify_changed(&desk, &dir.join("manifest.json"), 0.0);
    assert!(told.out.contains("WRONG  manifest.json"), "{told:?}");
    let path = dir.join("summary.json");
    let text = fs::read_to_string(&path).expect("it was written");
    for key in ["weights_digest", "audit_head"] {
        let digest = summary(&dir)[key].as_str().expect("text").to_owned();
        fs::write(&path, text.replace(&digest, &digest.replace(&digest[..1], "0"))).expect("ours");
        let told = desk.esper(["verify", "r"]);
        let is_same = digest.starts_with('0');
        assert_eq!(told.status, Some(i32::from(!is_same)), "{key} {digest}: {told:?}");
    }
}

#[test]
fn lines_missing_at_the_end_of_the_chain_are_found() {
    let (desk, dir) = copied_run();
    let path = dir.join("events.jsonl");
    let text = fs::read_to_string(&path).expect("it was written");
    let end = text.trim_end().rfind('\n').expect("two lines") + 1;
    fs::write(&path, &text[..end]).expect("it is ours");
    let told = desk.esper(["verify", "r"]);
    assert_eq!(told.status, Some(1), "{told:?}");
    assert!(told.out.contains("but summary.json names"), "{told:?}");
}

#[test]
fn a_damaged_checkpoint_is_left_out_and_the_one_before_it_taken() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "90"]);
    let checkpoints = tolaria::list_checkpoints(&desk.path("r/checkpoints"));
    let newest = checkpoints.last().expect("it was stopped").join("state.bin");
    let mut bytes = fs::read(&newest).expect("it was written");
    bytes[100] ^= 1;
    fs::write(&newest, bytes).expect("it is ours");
    let resumed = desk.done(["resume", "r"]);
    assert!(resumed.err.contains("a damaged checkpoint is left out"), "{resumed:?}");
    assert!(resumed.err.contains("state.bin"), "{resumed:?}");
    assert_same_run(&desk.path("r"), &undisturbed(), "the newest checkpoint was damaged");
}

#[test]
fn a_run_is_not_resumed_on_other_data() {
    let desk = Desk::new();
    let rows = |n: usize| -> String {
        (0..n).map(|i| format!("{}.5,{},{}\n", i % 7, i % 5, ["no", "yes"][i % 2])).collect()
    };
    desk.write("data/table.csv", format!("a,b,class\n{}", rows(60)));
    let mut scenario = brief();
    scenario[DATA].source = "data/table.csv".to_owned();
    scenario[HOST] = scenario::Host::mlp([2, 4, 2]);
    desk.write("brief.toml", scenario.to_toml());
    desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "1"]);
    // From another folder: the run knows where its data lies.
    desk.write("elsewhere/here", "");
    let dir = desk.path("r");
    let args = ["resume".as_ref(), dir.as_os_str(), "--stop-at-tick".as_ref(), "2".as_ref()];
    let mut command = desk.command(args);
    let told = Told::from(command.current_dir(desk.path("elsewhere")).output().expect("it runs"));
    assert_eq!(told.status, Some(0), "{told:?}");

    desk.write("data/table.csv", format!("a,b,class\n{}", rows(61)));
    let told = desk.esper(["resume", "r"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.err.contains("data.source: "), "{told:?}");
    assert!(told.err.contains("help: put the data back as it was"), "{told:?}");
}

#[test]
fn a_run_is_not_resumed_on_another_graph() {
    let desk = Desk::new();
    let graph = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/graphs/digits_branch.toml");
    let graph = fs::read_to_string(graph).expect("it ships");
    desk.write("net.toml", &graph);
    let mut scenario = brief();
    let file = scenario::GraphFile { file: "net.toml".to_owned() };
    scenario[HOST] = scenario::Host::new(scenario::Network::Graph(file));
    desk.write("brief.toml", scenario.to_toml());
    desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "1"]);
    desk.done(["resume", "r", "--stop-at-tick", "2"]);

    desk.write("net.toml", graph.replace("outputs = 4", "outputs = 6"));
    let told = desk.esper(["resume", "r"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.err.contains("host.file: "), "{told:?}");
    assert!(told.err.contains("help: put the graph back as it was"), "{told:?}");
}

#[cfg(unix)]
#[test]
fn a_full_disk_ends_the_run_clearly_and_leaves_its_last_checkpoint() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "30"]);
    let sound = tolaria::list_checkpoints(&desk.path("r/checkpoints"));

    // No file may grow beyond what the journal has now; a disk that is full refuses the same way, at the same calls.
    let len_bytes = fs::metadata(desk.path("r/events.jsonl")).expect("it was written").len();
    let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", len_bytes / 512 + 1);
    let esper = desk.command(["resume", "r"]);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", &limit, "sh"]).arg(esper.get_program()).args(esper.get_args());
    let told = Told::from(limited.current_dir(desk.path("")).output().expect("there is a shell"));
    assert_eq!(told.status, Some(1), "{told:?}");
    let is_clear = |text: &str| told.err.contains(text);
    assert!(is_clear("File too large") && is_clear("free some space"), "{told:?}");
    assert!(is_clear("`esper resume r` goes on"), "{told:?}");

    for checkpoint in sound {
        tolaria::verify_checkpoint(&checkpoint).expect("it is as it was");
    }
    desk.done(["resume", "r", "--quiet"]);
    assert_same_run(&desk.path("r"), &undisturbed(), "after a full disk");
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_ends_the_run_clearly_and_leaves_its_last_checkpoint() {
    use std::os::unix::fs::PermissionsExt;

    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    let bound = |args: &[&str]| Told::from(desk.bound_command(args).output().expect("it runs"));
    let began = bound(&["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "30"]);
    assert_eq!(began.status, Some(0), "{began:?}");
    let folder = desk.path("r/checkpoints");
    let sound = tolaria::list_checkpoints(&folder);
    let set_mode = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode));

    set_mode(0o555).expect("it is ours");
    let told = bound(&["resume", "r"]);
    assert_eq!(told.status, Some(1), "{told:?}");
    assert!(told.err.contains("the checkpoint could not be written"), "{told:?}");
    assert!(told.err.contains("make the folder writable"), "{told:?}");
    assert_eq!(tolaria::list_checkpoints(&folder), sound);
    for checkpoint in sound {
        tolaria::verify_checkpoint(&checkpoint).expect("it is as it was");
    }
    set_mode(0o755).expect("it is ours");
    let told = bound(&["resume", "r", "--quiet"]);
    assert_eq!(told.status, Some(0), "{told:?}");
    assert_same_run(&desk.path("r"), &undisturbed(), "after a read-only folder");
}

#[cfg(unix)]
#[test]
fn a_folder_that_can_not_be_made_is_said_and_nothing_left() {
    use std::os::unix::fs::PermissionsExt;

    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    desk.write("locked/here", "");
    let closed = fs::Permissions::from_mode(0o555);
    let mut command = desk.bound_command(["run", "brief.toml", "--out", "locked/r"]);
    fs::set_permissions(desk.path("locked"), closed).expect("it is ours");
    let told = Told::from(command.output().expect("it runs"));
    assert_eq!(told.status, Some(1), "{told:?}");
    assert!(told.err.contains("locked/r"), "{told:?}");
    assert!(told.err.contains("check its permissions"), "{told:?}");
    assert!(!desk.path("locked/r").exists());
}

#[test]
fn a_run_that_diverges_fails_with_its_reason_in_the_summary() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    let sgd = "train.optimizer={ kind = \"sgd\", lr = 1000.0, momentum = 0.9 }";
    let wild = ["--set", sgd, "--set", "governor.rollbacks_max=0"];
    let told = desk.esper(["run", "brief.toml", "--out", "r"].iter().chain(&wild));
    assert_eq!(told.status, Some(1), "{told:?}");
    assert!(told.err.contains("lower train.optimizer.lr"), "{told:?}");
    let summary = summary(&desk.path("r"));
    assert_eq!(summary["status"], "failed");
    assert!(summary["reason"].as_str().is_some_and(|it| it.contains("host0")), "{summary}");
    desk.done(["verify", "r"]);
}
