//! Parts of a sweep that share a library.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    command::Desk,
    sweep::{desk, digests, sweep, walk},
};

/// What the library `shared.redb` of the desk holds: the names of its blueprints and kernels.
fn held(desk: &Desk) -> BTreeSet<String> {
    let listed = desk.done(["library", "ls", "shared.redb", "--json"]);
    let listing = &listed.objects()[0];
    let rows = ["blueprints", "kernels"].map(|kind| listing[kind].as_array().expect("rows"));
    let id = |row: &serde_json::Value| row["id"].as_str().expect("a name").to_owned();
    rows.into_iter().flatten().map(id).collect()
}

fn n_copies(dir: &Path) -> usize {
    let is_copy = |path: &&std::path::PathBuf| {
        let text = path.to_string_lossy();
        text.contains("cells") && text.ends_with(".redb") && text.contains("libraries")
    };
    walk(dir).iter().filter(is_copy).count()
}

const ARGS: [&str; 7] =
    ["--arms", "heuristic", "--set", "urza.path=shared.redb", "--jobs", "2", "--no-run-dirs"];
const TUNE: [&str; 4] = ["--tune", "train.optimizer.lr=5e-3,1e-2", "--seeds", "0..4"];

fn run(desk: &Desk, more: &[&str]) {
    sweep(desk, ARGS.into_iter().chain(TUNE).chain(more.iter().copied()));
}

/// A desk whose library has what one run learnt, and the bytes of that library.
fn desk_with_library() -> (Desk, Vec<u8>) {
    let desk = desk();
    let few = ["--set", "karn.catalogue=[\"norm\"]", "--seeds", "90", "--out", "before"];
    sweep(&desk, ARGS.into_iter().chain(few));
    let bytes = fs::read(desk.path("shared.redb")).expect("the sweep made it");
    (desk, bytes)
}

#[test]
fn parts_add_to_the_library_that_they_share_when_they_are_put_together_and_as_the_whole_does() {
    let (desk, before) = desk_with_library();
    let held_before = held(&desk);
    run(&desk, &["--out", "whole"]);
    let held_by_whole = held(&desk);
    assert!(held_before.len() < held_by_whole.len(), "cells learn something");

    fs::write(desk.path("shared.redb"), &before).expect("it is ours");
    for part in ["1", "2"] {
        run(&desk, &["--out", &format!("p{part}"), "--shard", &format!("{part}/2")]);
        let now = fs::read(desk.path("shared.redb")).expect("it is there");
        assert!(now == before, "no part writes to what parts share");
    }
    let told = desk.done(["sweep", "--merge", "p1", "--out", "both"]);
    assert!(told.out.contains("1 parts are missing, and shared libraries wait"), "{told:?}");
    assert_eq!(held(&desk), held_before);
    let told = desk.done(["sweep", "--merge", "p2", "p1", "--out", "both"]);
    assert!(told.out.contains("1 shared libraries have what they learnt"), "{told:?}");
    assert_eq!(held(&desk), held_by_whole);
    assert_eq!(digests(&desk.path("both")), digests(&desk.path("whole")));
    assert_eq!(n_copies(&desk.path("p1")) + n_copies(&desk.path("p2")), 0, "each was taken in");
    desk.done(["sweep", "--merge", "p1", "p2", "--out", "both"]);
    assert_eq!(held(&desk), held_by_whole, "once");
    run(&desk, &["--out", "both"]);
    let frozen = |dir: &str| {
        let files = walk(&desk.path(dir).join("libraries"));
        let file = files.into_iter().find(|it| {
            let name = it.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("frozen-") && name.ends_with(".redb")
        });
        fs::read(file.expect("a frozen library")).expect("it can be read")
    };
    assert!(frozen("both") == before, "whoever goes on begins with what the parts began with");
}

#[test]
fn parts_that_began_with_different_libraries_are_not_put_together() {
    let (desk, before) = desk_with_library();
    run(&desk, &["--out", "p1", "--shard", "1/2"]);
    sweep(&desk, ARGS.into_iter().chain(["--seeds", "91", "--out", "more"]));
    let now = fs::read(desk.path("shared.redb")).expect("it is there");
    assert!(now != before);
    run(&desk, &["--out", "p2", "--shard", "2/2"]);
    let held_before = held(&desk);
    let told = desk.esper(["sweep", "--merge", "p1", "p2", "--out", "both"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    for words in ["p2", "began with another library `shared.redb`", "from one copy"] {
        assert!(told.err.contains(words), "{words}: {told:?}");
    }
    assert_eq!(held(&desk), held_before);
    assert!(!desk.path("both/results.jsonl").exists(), "nothing was written");
}

#[test]
fn parts_that_came_to_different_results_for_one_cell_are_not_put_together() {
    let desk = desk();
    let part = |number: &str| {
        let (out, shard) = (format!("p{number}"), format!("{number}/2"));
        let args = ["--arms", "off", "--no-run-dirs", "--out", &out, "--shard", &shard];
        sweep(&desk, args.into_iter().chain(TUNE));
    };
    ["1", "2"].into_iter().for_each(part);
    let told = desk.done(["sweep", "--merge", "p1", "p2", "--out", "both"]);
    assert!(told.out.contains("10 cells of 2 files"), "{told:?}");
    // A run that chooses, which both have made: as if one had come to other weights.
    let path = desk.path("p2/results-2-of-2.jsonl");
    let text = fs::read_to_string(&path).expect("it is there");
    let tuned = text.find("\"phase\":\"tune\"").expect("choices are made by every part");
    let key = "\"weights_digest\":\"";
    let at = tuned + text[tuned..].find(key).expect("it was completed") + key.len();
    let other = format!("{}{}{}", &text[..at], "0".repeat(64), &text[at + 64..]);
    fs::write(&path, other).expect("it is ours");
    let told = desk.esper(["sweep", "--merge", "p1", "p2", "--out", "again"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.err.contains("has another result in another part"), "{told:?}");
}

#[test]
fn folders_that_are_no_parts_are_refused_with_what_is_missing() {
    let desk = desk();
    desk.write("empty/notes.txt", "mine");
    desk.write("bare/sweep.toml", "");
    desk.write("bare/sweep.json", "");
    for (dir, words) in [
        ("nowhere", "nowhere: there is no such folder"),
        ("empty", "empty: no sweep.toml and sweep.json in it"),
        ("bare", "bare: no results in it"),
    ] {
        let told = desk.esper(["sweep", "--merge", dir]);
        assert_eq!(told.status, Some(2), "{told:?}");
        assert!(told.err.contains(words), "{words}: {told:?}");
    }
    assert!(!desk.path("nowhere").exists() && !desk.path("empty/lock").exists());
}
