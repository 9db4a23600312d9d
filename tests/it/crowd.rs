//! Cells of a sweep that run as hosts of one world: nothing but the time tells.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use esper::sweep::{CellId, CellRecord, CellStatus, Phase};

use crate::{
    command::Desk,
    sweep::{desk, digests, kill_after, records, sweep},
};

/// The records in the sweep's folder `dir` by cell, without what says when and where: times, folders, and the chain of events
/// of a run that is kept.
fn bare(dir: &Path) -> BTreeMap<CellId, CellRecord> {
    let strip = |mut record: CellRecord| {
        (record.dir, record.wall_s) = (None, 0.0);
        if let Some(summary) = &mut record.summary {
            (summary.wall_s, summary.n_late, summary.innovation_flops) = (0.0, 0, 0);
            (summary.audit_head, summary.library_digest) = (None, None);
        }
        (record.id.clone(), record)
    };
    records(dir).into_iter().map(strip).collect()
}

/// How many cells of the arm shared a world with another: they share its time as well, to the last bit.
fn n_in_company(dir: &Path, arm: &str) -> usize {
    let found = records(dir);
    let times = found.iter().filter(|it| it.id.arm == arm).filter_map(|it| it.summary.as_ref());
    let times: Vec<u64> = times.map(|it| it.wall_s.to_bits()).collect();
    times.iter().filter(|time| times.iter().filter(|it| it == time).count() > 1).count()
}

#[test]
fn a_cell_comes_to_the_same_in_company_and_alone() {
    let desk = desk();
    let arms = "off,heuristic,static_final,restart,off_longer,static_flops,scenario";
    let args = ["--arms", arms, "--seeds", "0..16", "--jobs", "1"];
    sweep(&desk, args.into_iter().chain(["--out", "alone"]));
    sweep(&desk, args.into_iter().chain(["--out", "together", "--no-run-dirs"]));
    let alone = bare(&desk.path("alone"));
    assert_eq!(alone.len(), 7 * 16);
    for (id, record) in bare(&desk.path("together")) {
        assert_eq!(record, alone[&id], "{id}");
    }
    let n_of = |dir: &str, arm| n_in_company(&desk.path(dir), arm);
    assert!(n_of("together", "off") > 8, "many to a world");
    assert!(n_of("together", "static_final") > 8, "networks that grew, too, each its own");
    for arm in ["heuristic", "scenario"] {
        assert_eq!(n_of("together", arm), 0, "what grows has a world of its own");
    }
    assert_eq!(n_of("alone", "off"), 0, "a cell with a folder has one, too");
    let has_chain = |it: &CellRecord| it.summary.as_ref().is_some_and(|it| it.audit_head.is_some());
    assert!(records(&desk.path("alone")).iter().all(has_chain));
    let together = records(&desk.path("together"));
    assert!(!together.iter().any(has_chain), "no chain was kept, in company or not");
}

#[test]
fn a_cell_is_the_same_alone_and_among_64_and_after_kills() {
    let desk = desk();
    let args = ["--arms", "off", "--no-run-dirs", "--seeds"];
    let whole = args.into_iter().chain(["0..200", "--jobs", "1", "--out", "whole"]);
    sweep(&desk, whole.clone());
    let whole_digests = digests(&desk.path("whole"));
    assert_eq!(largest_crowd(&desk.path("whole")), 64);
    for jobs in ["1", "2"] {
        let out = format!("few-{jobs}");
        sweep(&desk, args.into_iter().chain(["7,63,64,199", "--jobs", jobs, "--out", &out]));
        assert_eq!(largest_crowd(&desk.path(&out)), 1);
        for (id, digest) in digests(&desk.path(&out)) {
            assert_eq!(digest, whole_digests[&id], "{id}");
        }
    }
    // Each kill hits a crowd, unless all was done before.
    for patience_ms in [20, 60, 110, 170, 240] {
        let args = args.into_iter().chain(["0..200", "--jobs", "2", "--out", "killed"]);
        let args = ["sweep", "small.toml", "--quiet"].into_iter().chain(args);
        kill_after(desk.start(args), Duration::from_millis(patience_ms));
    }
    sweep(&desk, args.into_iter().chain(["0..200", "--jobs", "2", "--out", "killed"]));
    assert_eq!(records(&desk.path("killed")).len(), 200, "every cell is there, and once");
    assert_eq!(digests(&desk.path("killed")), whole_digests);
}

/// The most cells that shared a world.
fn largest_crowd(dir: &Path) -> usize {
    let mut sizes: BTreeMap<u64, usize> = BTreeMap::new();
    for time in records(dir).iter().filter_map(|it| Some(it.summary.as_ref()?.wall_s.to_bits())) {
        *sizes.entry(time).or_default() += 1;
    }
    sizes.into_values().max().unwrap_or(0)
}

#[test]
fn a_host_that_diverges_fails_its_own_cell_alone() {
    let desk = Desk::new();
    // A rate at which some seeds diverge and some do not.
    desk.write(
        "small.toml",
        "[run]\nepochs = 4\n[data]\nsource = \"digits\"\nbatch = 64\n[host]\nlayers = [64, 8, 10]\n\
         [train]\noptimizer = { kind = \"sgd\", lr = 4.0 }\n[governor]\nrollbacks_max = 1\n",
    );
    let args = ["sweep", "small.toml", "--arms", "off", "--seeds", "0..30", "--jobs", "1"];
    for out in [vec!["--out", "alone"], vec!["--out", "together", "--no-run-dirs"]] {
        let told = desk.esper(args.into_iter().chain(out));
        assert_eq!(told.status, Some(1), "{told:?}");
    }
    let (alone, together) = (bare(&desk.path("alone")), bare(&desk.path("together")));
    assert_eq!(alone, together);
    let n_failed = together.values().filter(|it| it.status == CellStatus::Failed).count();
    assert!((1..30).contains(&n_failed), "{n_failed} of 30 failed");
    assert!(n_in_company(&desk.path("together"), "off") > 1, "crowds without one that fails stay");
}

#[test]
fn hosts_of_the_front_share_a_world_unless_they_were_measured_before() {
    let desk = desk();
    let front = |seeds: &str| {
        format!(
            "[sweep]\nscenarios = [\"small.toml\"]\nseeds = \"0\"\narms = [\"off\"]\n\
             [front]\nwidths = [2.0]\nseeds = \"{seeds}\"\n"
        )
    };
    for (name, seeds, fronts) in
        [("one", "17", "f"), ("all", "10..22", "f"), ("anew", "10..22", "none")]
    {
        desk.write(&format!("{name}.toml"), front(seeds));
        let file = format!("{name}.toml");
        let args = ["sweep", &file, "--quiet", "--out", name, "--fronts", fronts, "--jobs", "1"];
        desk.done(args.into_iter().chain(["--no-run-dirs"]));
    }
    assert_eq!(bare(&desk.path("all")), bare(&desk.path("anew")));
    assert!(n_in_company(&desk.path("anew"), "front") > 3, "many to a world");
    let cached = fs::read_to_string(desk.path("f")).expect("a file of fronts");
    assert_eq!(cached.lines().count(), 12, "seed 17 was measured once");
    let of_17 = |dir: &str| {
        let found = records(&desk.path(dir)).into_iter();
        let mut found = found.filter(|it| (it.id.phase, it.id.seed) == (Phase::Front, 17));
        found.next().expect("it is there").summary
    };
    assert_eq!(of_17("all"), of_17("one"), "to the time that it took");
    assert_eq!(of_17("anew").map(|it| it.weights_digest), of_17("one").map(|it| it.weights_digest));
}
