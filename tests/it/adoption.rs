//! A run takes over what other runs found valid in the library it shares.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use esper::prelude::*;
use serde_json::Value;

use super::{
    command::{Desk, assert_same_run, summary, undisturbed},
    support::{Family, brief, brief_of},
};

/// [`brief_of`] with a library beside it.
fn sharing(family: Family) -> Scenario {
    let mut scenario = brief_of(family);
    scenario[URZA].path = Some("shared.redb".to_owned());
    scenario
}

/// A library that one run has written, that run, and another that found it so.
fn shared(family: Family) -> (Desk, PathBuf, PathBuf) {
    let desk = Desk::new();
    let [first, second] = ["first", "second"].map(|name| desk.run(&sharing(family), name));
    (desk, first, second)
}

fn events(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("events.jsonl")).expect("it was written");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["kind"] == kind).collect()
}

#[test]
fn a_run_adopts_what_another_found_valid_and_compiles_none_of_it_again() {
    Family::ALL.into_iter().for_each(adopt);
}

fn adopt(family: Family) {
    let (desk, first, second) = shared(family);
    let (first, found) = (events(&first), events(&second));
    let ids = |events: &[&Value]| -> BTreeSet<String> {
        events.iter().map(|event| event["kernel"].to_string()).collect()
    };
    let mut valid = of_kind(&first, "kernel_judged");
    valid.retain(|event| event["status"] == "VALIDATED");
    let adopted = of_kind(&found, "kernel_adopted");
    assert!(!valid.is_empty(), "{family:?}: a library without a valid kernel proves nothing");
    assert_eq!((ids(&adopted), adopted.len()), (ids(&valid), valid.len()), "{family:?}");
    for (event, place) in found[1..].iter().zip(0..adopted.len()) {
        assert_eq!(
            (&event["kind"], &event["tick"]),
            (&"kernel_adopted".into(), &0.into()),
            "{family:?} {place}"
        );
    }
    for kind in ["blueprint_designed", "kernel_judged"] {
        assert_eq!(of_kind(&found, kind), Vec::<&Value>::new(), "{family:?}");
    }
    let admitted = of_kind(&found, "job_admitted");
    assert!(admitted.iter().all(|job| job["forge"] == "compile_host"), "{admitted:?}");

    assert_eq!(summary(&second)["status"], "completed");
    let mut changes = of_kind(&found, "stage_changed").into_iter();
    let is_used = changes.any(|change| change["to"] == "GRAFTING");
    assert!(is_used, "{family:?}: no adopted kernel was put to use");
    desk.done(["verify", "second"]);
    let inspected = desk.done(["inspect", "second", "--json"]).objects();
    let seeds = inspected[0]["seeds"].as_array().expect("an array");
    let mut grown = seeds.iter().filter(|seed| !seed["blueprint"].is_null()).peekable();
    assert!(grown.peek().is_some() && grown.all(|seed| seed["params_elems"].is_u64()), "{seeds:?}");
}

#[test]
fn a_run_that_adopted_is_replayed_and_resumed_to_the_same_bits() {
    for (family, ticks) in [
        (Family::Mlp, &["0", "7", "60"][..]),
        (Family::Cnn, &["60"]),
        (Family::Transformer, &["60"]),
    ] {
        let (desk, _, second) = shared(family);
        let replayed = desk.done(["replay", "second", "--json"]);
        let answer = &replayed.objects()[0];
        assert_eq!(answer["weights_digest"], summary(&second)["weights_digest"], "{family:?}");
        assert_eq!(answer["n_events"], events(&second).len(), "{family:?}");
        for tick in ticks {
            desk.done(["run", "brief.toml", "--quiet", "--out", tick, "--stop-at-tick", tick]);
            desk.done(["resume", tick, "--quiet"]);
            assert_same_run(&desk.path(tick), &second, &format!("{family:?} {tick}"));
        }
    }
}

#[test]
fn a_run_that_was_killed_after_it_adopted_and_before_its_first_checkpoint_begins_anew() {
    let (desk, _, second) = shared(Family::Mlp);
    desk.done(["run", "brief.toml", "--quiet", "--out", "r", "--stop-at-tick", "0"]);
    fs::remove_dir_all(desk.path("r/checkpoints/tick-0000000000")).expect("it is there");
    let resumed = desk.done(["resume", "r"]);
    assert!(resumed.err.contains("begins anew"), "{resumed:?}");
    assert_same_run(&desk.path("r"), &second, "killed at birth");
}

#[test]
fn an_empty_library_changes_nothing() {
    let desk = Desk::new();
    let first = desk.run(&sharing(Family::Mlp), "first");
    let whole = undisturbed();
    let kinds = |dir: &Path| -> Vec<(Value, Value)> {
        events(dir).iter().map(|it| (it["tick"].clone(), it["kind"].clone())).collect()
    };
    assert_eq!(kinds(&first), kinds(&whole));
    assert_eq!(summary(&first)["weights_digest"], summary(&whole)["weights_digest"]);
}

#[test]
fn a_verdict_by_other_limits_is_not_adopted_and_neither_is_one_that_nobody_needs() {
    let (desk, ..) = shared(Family::Mlp);
    // Each run has a copy of the library to itself: what one finds out is not the next one's to adopt.
    let run = |name: &str, change: fn(&mut Scenario)| {
        let library = format!("{name}.redb");
        fs::copy(desk.path("shared.redb"), desk.path(&library)).expect("room for a copy");
        let mut scenario = brief();
        scenario[URZA].path = Some(library);
        scenario[RUN].epochs = 2;
        change(&mut scenario);
        events(&desk.run(&scenario, name))
    };
    let same = run("same", |_| ());
    assert!(!of_kind(&same, "kernel_adopted").is_empty());
    let strict = run("strict", |scenario| scenario[URABRASK].flops_max = 1);
    let batch = run("batch", |scenario| scenario[DATA].batch = 32);
    let off = run("off", |scenario| scenario[TAMIYO].policy = "off".to_owned());
    for events in [&strict, &batch, &off] {
        assert_eq!(of_kind(events, "kernel_adopted"), Vec::<&Value>::new());
    }
    let judged = of_kind(&strict, "kernel_judged");
    assert!(!judged.is_empty() && judged.iter().all(|it| it["status"] == "REJECTED"));
    assert!(!of_kind(&batch, "kernel_judged").is_empty());
}
