//! What the command says, where it says it, and how it ends.

use esper::scenario::URZA;
use std::{fs, path::Path};

use super::{
    command::{Desk, summary, undisturbed},
    support::brief,
};

fn shipped(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name).display().to_string()
}

#[test]
fn every_scenario_that_ships_can_be_run() {
    let desk = Desk::new();
    let mut n_scenarios = 0;
    for entry in fs::read_dir(shipped("")).expect("there are scenarios") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|it| it == "toml") {
            n_scenarios += 1;
            let told = desk.esper(["check".as_ref(), path.as_os_str()]);
            // Its images do not ship, and need not be on this machine.
            let lacks_data =
                path.ends_with("fashion_cnn.toml") && told.err.contains("no such data set");
            assert_eq!(told.status, Some(if lacks_data { 2 } else { 0 }), "{told:?}");
        }
    }
    assert!(n_scenarios >= 4);
}

#[test]
fn check_tells_what_would_be_trained_and_writes_nothing() {
    let desk = Desk::new();
    let told = desk.done(["check", &shipped("digits_mlp.toml")]);
    for words in [
        "params     610 of at most 20000",
        "hidden0       f32[batch, 8]",
        "10 classes",
        "residual_mlp",
    ] {
        assert!(told.out.contains(words), "{words}: {told:?}");
    }
    assert!(told.out.contains("none begins after step 510"), "{told:?}");
    let short = ["check", &shipped("digits_mlp.toml"), "--set", "run.epochs=2"];
    let told = desk.done(short);
    assert!(
        told.out.contains("growth     none: a race and its verdict take 470 steps"),
        "{told:?}"
    );
    let told = desk.done(short.into_iter().chain(["--json"]));
    let plan = &told.objects()[0];
    assert_eq!(plan["steps_to_verdict"], 470);
    // A blend has no spans.
    let told = desk.done(short.into_iter().chain(["--set", "kasmina.composition=blend"]));
    assert!(!told.out.contains("input..logits"), "{told:?}");
    assert_eq!((&plan["params"], &plan["epochs"]), (&610.into(), &2.into()));
    // Each example: 64 x 8 and 8 x 10 multiply-adds, forward, and once more each for the gradient of the weights and,
    // but for the first layer, of the input; biases, activation and loss come on top.
    let multiply_adds = 2 * (64 * 8 + 8 * 10) * 2 + 2 * (8 * 10);
    let flops = plan["flops_per_step"].as_u64().expect("a number") / 64;
    assert!((multiply_adds..multiply_adds + 500).contains(&flops), "{flops} {multiply_adds}");
    assert_eq!(fs::read_dir(desk.path("")).expect("our folder").count(), 0);
}

#[test]
fn a_run_has_a_folder_of_its_own_and_says_where() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    let args = ["run", "brief.toml", "--seed", "7", "--set", "run.epochs=1"];
    let told = desk.done(args);
    let folder = told.err.lines().find_map(|line| line.strip_prefix("run folder: "));
    let folder = folder.expect("it says where the run lies");
    assert!(folder.starts_with("runs/brief/") && folder.ends_with("-7"), "{folder}");
    for name in ["scenario.toml", "manifest.json", "events.jsonl", "metrics.csv", "summary.json"] {
        assert!(desk.path(folder).join(name).is_file(), "{name}");
    }
    assert_eq!(summary(&desk.path(folder))["seed"], 7);
    let manifest =
        fs::read_to_string(desk.path(folder).join("manifest.json")).expect("it is there");
    assert!(manifest.contains("\"digits\"") && manifest.contains("\"cpu\""), "{manifest}");
    let again = desk.done(args);
    assert!(!again.err.contains(&format!("run folder: {folder}\n")), "never used twice: {again:?}");

    let taken = desk.esper(["run", "brief.toml", "--out", folder]);
    assert_eq!(taken.status, Some(2), "{taken:?}");
    assert!(taken.err.contains("nothing is overwritten: choose another folder"), "{taken:?}");
}

#[test]
fn json_output_is_one_object_a_line_and_nothing_else() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    let told = desk.done(["run", "brief.toml", "--out", "r", "--json"]);
    assert_eq!(told.err, "");
    let objects = told.objects();
    let kinds: Vec<&str> = objects.iter().map(|it| it["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds.first(), Some(&"run_dir"));
    assert_eq!(kinds.last(), Some(&"summary"));
    for kind in ["epoch_ended", "stage_changed", "gate_judged"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let last = objects.last().expect("a summary");
    assert_eq!(last["weights_digest"], summary(&desk.path("r"))["weights_digest"]);

    for args in [
        &["check", "brief.toml", "--json"][..],
        &["inspect", "r", "--json"],
        &["verify", "r", "--json"],
        &["replay", "r", "--json"],
        &["library", "ls", "r", "--json"],
        &["library", "gc", "r", "--json"],
    ] {
        let told = desk.done(args);
        assert!(!told.objects().is_empty(), "{args:?}");
        assert_eq!(told.err, "", "{args:?}");
    }
}

#[test]
fn json_output_of_a_failure_is_an_object_too() {
    let desk = Desk::new();
    desk.write("bad.toml", "[run]\nepochs = 0\n");
    let told = desk.esper(["run", "bad.toml", "--json"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    let objects = told.objects();
    assert_eq!(objects.len(), 1);
    assert_eq!((&objects[0]["kind"], &objects[0]["status"]), (&"error".into(), &2.into()));
    let problems = objects[0]["scenario"]["problems"].as_array().expect("an array");
    let problem = problems.iter().find(|it| it["key"] == "run.epochs").expect("it is a problem");
    assert_eq!(problem["place"]["text"]["line"], 2, "{problem}");
}

#[test]
fn a_quiet_run_says_nothing_unless_it_fails() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    let told = desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "3"]);
    assert_eq!((told.out.as_str(), told.err.as_str()), ("", ""));
    let told = desk.esper(["run", "brief.toml", "--quiet", "--set", "run.epochs=0"]);
    assert_eq!((told.status, told.out.as_str()), (Some(2), ""));
    assert!(told.err.contains("run.epochs"), "{told:?}");
}

#[test]
fn what_many_seeds_do_at_once_is_told_in_one_line() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    let told = desk.done(["run", "brief.toml", "--out", "r"]);
    let mut germinated = told.err.lines().filter(|line| line.contains("DORMANT -> GERMINATED"));
    let first = germinated.next().expect("a race begins");
    assert!(first.ends_with(" seeds  DORMANT -> GERMINATED"), "{first}");
    assert!(germinated.count() < 4, "{}", told.err);
    let grafted = told.err.lines().find(|line| line.contains("TRAINING -> GRAFTING"));
    assert!(grafted.is_some_and(|line| line.contains("seed") && line.contains("(G2 +")));
}

#[test]
fn inspect_tells_where_what_when_and_why() {
    let desk = Desk::new();
    let run = undisturbed();
    let told = desk.done(["inspect".as_ref(), run.as_os_str()]);
    for words in ["brief seed 0: completed", "seed1", "@input", "hidden0", "G5 interval"] {
        let words = words.trim_start_matches('@');
        assert!(told.out.contains(words), "{words}: {told:?}");
    }
    let told = desk.done(["inspect".as_ref(), run.as_os_str(), "--json".as_ref()]);
    let answer = &told.objects()[0];
    assert_eq!(answer["manifest"]["scenario"], "brief");
    let seeds = answer["seeds"].as_array().expect("an array");
    let n = |stage: &str| {
        let entered = |seed: &&serde_json::Value| seed["stages"].to_string().contains(stage);
        seeds.iter().filter(entered).count()
    };
    assert_eq!(summary(&run)["seeds"]["germinated"], n("GERMINATED"));
    assert_eq!(summary(&run)["seeds"]["culled"], n("CULLED"));
}

#[test]
fn what_is_no_run_is_wrong_usage() {
    let desk = Desk::new();
    desk.write("folder/file", "");
    for verb in ["resume", "replay", "inspect", "attribute", "verify"] {
        for place in ["nowhere", "folder"] {
            let told = desk.esper([verb, place]);
            assert_eq!(told.status, Some(2), "{verb} {place}: {told:?}");
            assert!(told.err.contains("is it the folder of a run?"), "{verb} {place}: {told:?}");
        }
    }
    for args in [&["grow"][..], &["run"], &["run", "a.toml", "--json", "--quiet"], &[]] {
        assert_eq!(desk.esper(args).status, Some(2), "{args:?}");
    }
}

#[test]
fn bad_blueprints_are_all_rejected_with_reasons_and_the_run_ends_well() {
    let desk = Desk::new();
    desk.done(["run", &shipped("adversarial.toml"), "--quiet", "--out", "r"]);
    assert_eq!(summary(&desk.path("r"))["status"], "completed");
    assert_eq!(summary(&desk.path("r"))["seeds"]["fossilized"], 0);
    let events = fs::read_to_string(desk.path("r/events.jsonl")).expect("it was written");
    let judged: Vec<serde_json::Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|event: &serde_json::Value| event["kind"] == "kernel_judged")
        .collect();
    assert!(!judged.is_empty());
    for kernel in &judged {
        assert_eq!(kernel["status"], "REJECTED", "{kernel}");
        assert!(kernel["reasons"].as_array().is_some_and(|it| !it.is_empty()), "{kernel}");
    }
    for family in ["bad_nan", "bad_exploding", "bad_shape", "bad_dead", "bad_memory", "bad_slow"] {
        assert!(judged.iter().any(|kernel| kernel["family"] == family), "{family}");
    }
    desk.done(["verify", "r"]);
}

#[test]
fn a_library_moves_from_one_run_to_another_and_two_runs_share_one() {
    let desk = Desk::new();
    let run = undisturbed();
    let library = run.as_os_str();
    let listed = desk.done(["library".as_ref(), "ls".as_ref(), library, "--json".as_ref()]);
    let listing = &listed.objects()[0];
    let kernels = listing["kernels"].as_array().expect("an array");
    assert!(kernels.iter().any(|it| it["n_deployments"] != 0), "{listing}");
    let id = kernels[0]["id"].as_str().expect("an id");
    let shown = desk.done(["library".as_ref(), "show".as_ref(), library, id.as_ref()]);
    assert!(shown.out.contains(id) && shown.out.contains("signature  valid"), "{shown:?}");

    desk.done(["library".as_ref(), "export".as_ref(), library, "bundle".as_ref()]);
    desk.done(["library", "import", "shared.redb", "bundle"]);
    let imported = desk.done(["library", "ls", "shared.redb", "--json"]);
    let n_kernels = imported.objects()[0]["kernels"].as_array().map(Vec::len);
    assert_eq!(n_kernels, Some(kernels.len()));

    let mut scenario = brief();
    scenario[URZA].path = Some("shared.redb".to_owned());
    let shared = desk.run(&scenario, "sharing");
    assert_eq!(summary(&shared)["weights_digest"], summary(&run)["weights_digest"]);
    desk.done(["verify", "sharing"]);
    desk.done(["replay", "sharing"]);

    let told = desk.esper(["library", "show", "shared.redb", "zz"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    let told = desk.esper(["library", "ls", "brief.toml"]);
    assert_eq!(told.status, Some(2), "{told:?}");
}
