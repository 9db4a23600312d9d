//! What `esper compare` says of sweeps, and what it refuses.

use std::{collections::BTreeMap, fs};

use esper::{
    compare::{ArmComparison, Comparison, Gap, Verdict},
    engine::runtime::Flops,
    nn::digest::Digest,
    sweep::{CellId, CellRecord, CellStatus, Phase},
    systems::nissa::{RunEnd, Scores, SeedTally, Summary},
};
use serde_json::Value;

use super::command::{Desk, Told};

/// A completed cell of a task; tests change what they are about.
fn cell(task: &str, arm: &str, seed: u64, test_accuracy: f64) -> CellRecord {
    let scores = Scores {
        val_accuracy: Some(test_accuracy + 0.01),
        test_accuracy: Some(test_accuracy),
        test_loss: Some(1.0),
        ..Scores::default()
    };
    CellRecord {
        id: CellId {
            task: task.to_owned(),
            phase: Phase::Test,
            arm: arm.to_owned(),
            settings: BTreeMap::new(),
            seed,
        },
        status: CellStatus::Completed,
        reason: None,
        tuned: BTreeMap::new(),
        basis: None,
        dir: None,
        summary: Some(Summary {
            n_averaged: 0,
            status: RunEnd::Completed,
            reason: None,
            seed,
            epochs: 1,
            steps: 10,
            scores,
            params_initial: 100,
            params_final: 100,
            seeds: SeedTally::default(),
            flops: Flops { host: 900, validation: 100, ..Flops::default() },
            wall_s: 1.0,
            n_late: 0,
            weights_digest: Digest::of(b"weights"),
            audit_head: Some(Digest::of(b"head")),
            library_digest: None,
            counterfactual: "twin".to_owned(),
            innovation_flops: 0,
            hosts: Vec::new(),
        }),
        flops_before: Flops::default(),
        network: None,
        actions: Vec::new(),
        wall_s: 1.5,
    }
}

fn summary_of(cell: &mut CellRecord) -> &mut Summary {
    cell.summary.as_mut().expect("it is completed")
}

fn failed(task: &str, arm: &str, seed: u64, reason: &str) -> CellRecord {
    let (status, reason) = (CellStatus::Failed, Some(reason.to_owned()));
    CellRecord { status, reason, summary: None, ..cell(task, arm, seed, 0.0) }
}

/// A cell with a loss alone, as a regression has.
fn loss_cell(task: &str, arm: &str, seed: u64, test_loss: f64) -> CellRecord {
    let mut cell = cell(task, arm, seed, 0.0);
    summary_of(&mut cell).scores =
        Scores { val_loss: Some(test_loss), test_loss: Some(test_loss), ..Scores::default() };
    cell
}

/// A static host of a task, by its width.
fn front_cell(task: &str, width: u64, seed: u64, val: f64, test: f64) -> CellRecord {
    let mut cell = cell(task, "front", seed, test);
    cell.id.phase = Phase::Front;
    cell.id.settings.insert("host.width".to_owned(), width.to_string());
    let summary = summary_of(&mut cell);
    summary.scores.val_accuracy = Some(val);
    summary.flops = Flops { host: width * 100, ..Flops::default() };
    cell
}

/// Noise that differs from seed to seed, in `[-1, 1]`, and repeats on no short period.
fn noise(seed: u64, stream: u64) -> f64 {
    (seed * 7919 + stream * 104_729 + seed * seed * 31) as f64 % 201.0 / 100.0 - 1.0
}

/// A better arm, a worse one, one that does nothing and a baseline, ten seeds each.
fn four_arms(task: &str) -> Vec<CellRecord> {
    let mut cells = Vec::new();
    for seed in 0..10 {
        let base = 0.9 + 0.01 * noise(seed, 0);
        cells.push(cell(task, "off", seed, base));
        cells.push(cell(task, "noop", seed, base));
        cells.push(cell(task, "better", seed, base + 0.03 + 0.005 * noise(seed, 1)));
        cells.push(cell(task, "worse", seed, base - 0.03 + 0.005 * noise(seed, 2)));
    }
    for cell in cells.iter_mut().filter(|it| it.id.arm == "better") {
        let summary = summary_of(cell);
        summary.params_final = 160;
        summary.seeds = SeedTally { germinated: 3, fossilized: 1, culled: 2, ..summary.seeds };
        summary.flops = Flops { host: 1000, seeds: 600, evaluation: 300, validation: 100 };
    }
    cells
}

fn lines(cells: &[CellRecord]) -> String {
    cells.iter().map(|it| serde_json::to_string(it).expect("plain data") + "\n").collect()
}

/// Writes `cells` as the results of the sweep `dir`.
fn write(desk: &Desk, dir: &str, cells: &[CellRecord]) {
    desk.write(&format!("{dir}/results.jsonl"), lines(cells));
}

fn compared(desk: &Desk, args: &[&str]) -> Comparison {
    let told = desk.done([&["compare"], args, &["--json"]].concat());
    assert_eq!(told.err, "");
    let [object] = &told.objects()[..] else { panic!("one object: {told:?}") };
    assert_eq!(object["kind"], "comparison");
    serde_json::from_value(object.clone()).expect("what is printed can be read")
}

fn verdicts(comparison: &Comparison) -> Vec<(&str, Option<Verdict>)> {
    let arms = &comparison.cases[0].arms;
    arms.iter().map(|it| (it.arm.as_str(), it.versus.map(|it| it.verdict))).collect()
}

#[track_caller]
fn refused(told: &Told, status: i32, words: &[&str]) {
    assert_eq!(told.status, Some(status), "{told:?}");
    assert_eq!(told.out, "", "{told:?}");
    for words in words {
        assert!(told.err.contains(words), "{words}: {told:?}");
    }
}

#[test]
fn each_arm_gets_the_verdict_that_its_pairs_show() {
    let desk = Desk::new();
    write(&desk, "s", &four_arms("digits"));
    let comparison = compared(&desk, &["s"]);
    let expected = [
        ("off", None),
        ("better", Some(Verdict::Beats)),
        ("noop", Some(Verdict::OnPar)),
        ("worse", Some(Verdict::Loses)),
    ];
    assert_eq!(verdicts(&comparison), expected);
    let better = &comparison.cases[0].arms[1];
    let versus = better.versus.expect("it is compared");
    assert!((versus.difference - 0.03).abs() < 0.005, "{versus:?}");
    assert_eq!((versus.n_pairs, versus.improvement), (10, 1.0));
    // Ten differences of one sign: 2 of 2^10 choices of signs; the other family members are three in all.
    assert_eq!(versus.p, 2.0 / 1024.0);
    assert_eq!(versus.p_holm, 6.0 / 1024.0);
    assert_eq!(comparison.cases[0].arms[2].versus.expect("compared").p_holm, 1.0);
    let cost = better.cost.expect("it has runs");
    assert_eq!((cost.params_final, cost.flops.total(), cost.wall_s), (160.0, 2000.0, 1.5));
    assert_eq!((cost.seeds.germinated, cost.seeds.fossilized, cost.seeds.culled), (30, 10, 20));
    assert_eq!(comparison.overall, comparison.cases[0].arms, "one case is all there is");

    let other = compared(&desk, &["s", "--baseline", "better"]);
    let beaten: Vec<_> = verdicts(&other).into_iter().skip(1).map(|it| it.1).collect();
    assert_eq!(beaten, [Some(Verdict::Loses); 3]);
    assert_eq!(other.baseline, "better");
    assert_eq!(comparison, compared(&desk, &["s"]), "the same bits");
}

#[test]
fn a_difference_that_few_pairs_show_is_undecided_and_it_says_how_many_it_takes() {
    let desk = Desk::new();
    let few: Vec<_> = four_arms("digits").into_iter().filter(|it| it.id.seed < 5).collect();
    write(&desk, "s", &few);
    let comparison = compared(&desk, &["s"]);
    let undecided = Some(Verdict::Undecided);
    let found = verdicts(&comparison);
    assert_eq!((found[1].1, found[3].1), (undecided, undecided), "{found:?}");
    let told = "5 pairs can not show a difference on a single task in a family of 3 comparisons: no p-value is small \
                enough; 7 pairs can";
    assert_eq!(comparison.notes, [told]);
}

#[test]
fn a_single_pair_has_no_interval_and_no_verdict() {
    let desk = Desk::new();
    write(&desk, "s", &[cell("digits", "off", 0, 0.5), cell("digits", "heuristic", 0, 0.9)]);
    let comparison = compared(&desk, &["s"]);
    let versus = comparison.cases[0].arms[1].versus.expect("one pair");
    assert_eq!((versus.interval, versus.equivalence, versus.p), (None, None, 1.0));
    assert_eq!(versus.verdict, Verdict::Undecided);
    assert!(desk.done(["compare", "s"]).out.contains("+0.4000 "));
}

#[test]
fn only_common_seeds_are_compared_and_it_says_how_many_are_left_out() {
    let desk = Desk::new();
    let mut cells = four_arms("digits");
    cells.retain(|it| !(it.id.arm == "better" && it.id.seed >= 8));
    cells.push(failed("digits", "better", 8, "host 0: the loss is not finite"));
    cells.push(cell("digits", "apart", 77, 0.9));
    write(&desk, "s", &cells);
    let comparison = compared(&desk, &["s"]);
    let arm = |name: &str| {
        comparison.cases[0].arms.iter().find(|it| it.arm == name).expect("it is there")
    };
    let versus = arm("better").versus.expect("eight pairs");
    assert_eq!((versus.n_pairs, versus.n_left_out), (8, 2));
    assert_eq!(arm("better").failed[0].cell, "digits/better/8");
    assert_eq!(arm("apart").versus, None);
    assert_eq!(
        comparison.notes,
        [
            "digits: `apart` and `off` have no seed in common, and are not compared",
            "digits: `better` and `off` are compared on 8 common seeds, and 2 seeds that only one of them has left out",
        ]
    );
    let text = desk.done(["compare", "s"]).out;
    assert!(text.contains("- digits/better/8: host 0: the loss is not finite"), "{text}");
}

#[test]
fn tasks_are_averaged_equally_and_losses_relative_to_the_baselines() {
    let desk = Desk::new();
    let mut cells = four_arms("digits");
    cells.retain(|it| ["off", "better"].contains(&it.id.arm.as_str()));
    // Many more pairs, in which nothing changes; losses of 200 have a margin of 1.
    for seed in 0..40 {
        let loss = 200.0 + noise(seed, 3);
        cells.push(loss_cell("housing", "off", seed, loss));
        cells.push(loss_cell("housing", "better", seed, loss - 0.5 * noise(seed, 4)));
    }
    write(&desk, "a", &cells[..30]);
    write(&desk, "b", &cells[30..]);
    let comparison = compared(&desk, &["a", "b"]);
    let [digits, housing] = &comparison.cases[..] else { panic!("{comparison:?}") };
    assert!((housing.margin - 1.0).abs() < 0.01, "{}", housing.margin);
    assert_eq!(digits.margin, 0.005);
    let [of_digits, of_housing] =
        [digits, housing].map(|it| it.arms[1].versus.expect("it is compared"));
    assert_eq!(of_housing.verdict, Verdict::OnPar, "{of_housing:?}");
    let overall = comparison.overall[1].versus.expect("it is compared");
    assert_eq!((overall.n_pairs, comparison.overall[1].n_cases), (50, 2));
    let expected = f64::midpoint(of_digits.difference, of_housing.difference / 200.0);
    assert!((overall.difference - expected).abs() < 1e-5, "{overall:?} {expected}");
    assert_eq!(overall.verdict, Verdict::Beats);
    assert_eq!(comparison.overall[1].score, None, "scores are of two kinds");
    let text = desk.done(["compare", "a", "b"]).out;
    assert!(text.contains("all 2 tasks and settings, against `off`"), "{text}");
    let unwrapped = text.replace("\n  ", " ");
    let margin = "the margin, 0.005 of accuracy, or 0.5 % of the mean |loss| of `off`.";
    assert!(unwrapped.contains(margin), "{text}");
}

#[test]
fn settings_are_cases_of_their_own() {
    let desk = Desk::new();
    let mut cells = Vec::new();
    for (size, gain) in [("100", 0.05), ("200", 0.0)] {
        for seed in 0..8 {
            let base = 0.8 + 0.01 * noise(seed, 5);
            for (arm, score) in [("off", base), ("heuristic", base + gain)] {
                let mut cell = cell("digits", arm, seed, score);
                cell.id.settings.insert("data.size".to_owned(), size.to_owned());
                cells.push(cell);
            }
        }
    }
    write(&desk, "s", &cells);
    let comparison = compared(&desk, &["s"]);
    let titles: Vec<String> = comparison.cases.iter().map(|it| it.title()).collect();
    assert_eq!(titles, ["digits (data.size=100)", "digits (data.size=200)"]);
    let found = comparison.cases.iter().map(|it| it.arms[1].versus.expect("pairs").verdict);
    assert_eq!(found.collect::<Vec<_>>(), [Verdict::Beats, Verdict::OnPar]);
}

#[test]
fn the_gap_is_to_the_host_that_validation_chose_among_those_the_arm_could_afford() {
    let desk = Desk::new();
    let mut cells = four_arms("digits");
    for seed in 0..10 {
        let at = |mean: f64| mean + 0.01 * noise(seed, 0);
        cells.push(front_cell("digits", 15, seed, at(0.92), at(0.91)));
        // Better on test data by luck, and not chosen.
        cells.push(front_cell("digits", 18, seed, at(0.91), at(0.99)));
        cells.push(front_cell("digits", 90, seed, at(0.99), at(0.99)));
    }
    cells.push(front_cell("other", 1, 0, 1.0, 1.0));
    write(&desk, "s", &cells);
    let comparison = compared(&desk, &["s"]);
    let case = &comparison.cases[0];
    let better = case.arms[1].gap.as_ref().expect("2000 FLOPs buy a width of 15");
    assert_eq!(better.hosts, ["host.width=15"]);
    assert!(better.is_paired && (better.difference - 0.02).abs() < 0.003, "{better:?}");
    let interval = better.interval.expect("ten pairs");
    assert!(interval.low > 0.015 && interval.high < 0.025, "{interval:?}");
    assert_eq!(case.arms[0].gap, None, "1000 FLOPs buy nothing");
    let front: Vec<(&str, bool)> =
        case.front.iter().map(|it| (it.host.name.as_str(), it.is_chosen)).collect();
    assert_eq!(front, [("host.width=15", true), ("host.width=18", false), ("host.width=90", true)]);
    assert!(desk.done(["compare", "s"]).out.contains("gap [95 %]"));
}

#[test]
fn a_front_of_other_seeds_is_compared_side_for_side_and_over_all_tasks() {
    let desk = Desk::new();
    let mut cells = [four_arms("digits"), four_arms("letters")].concat();
    for seed in 100..112 {
        let at = |mean: f64| mean + 0.01 * noise(seed, 0);
        cells.push(front_cell("digits", 5, seed, at(0.88), at(0.88)));
        cells.push(front_cell("letters", 5, seed, at(0.86), at(0.86)));
    }
    let mut lost = failed("letters", "front", 112, "no room");
    lost.id = CellId { seed: 112, ..cells[cells.len() - 1].id.clone() };
    cells.push(lost);
    write(&desk, "s", &cells);
    let comparison = compared(&desk, &["s"]);
    let gap = |arms: &[ArmComparison]| arms[1].gap.clone().expect("it can afford a width of 5");
    assert_eq!(comparison.notes, ["letters: 1 of 13 cells of the static front failed"]);
    let [digits, letters] = [0, 1].map(|at| gap(&comparison.cases[at].arms));
    assert!(!digits.is_paired, "{digits:?}");
    assert!((letters.difference - digits.difference - 0.02).abs() < 1e-9, "{letters:?}");
    let interval = digits.interval.expect("ten runs and twelve");
    assert!(interval.low > 0.03 && interval.high < 0.07, "{interval:?}");
    let overall = gap(&comparison.overall);
    assert_eq!(overall.hosts.len(), 2);
    let expected = f64::midpoint(digits.difference, letters.difference);
    assert!((overall.difference - expected).abs() < 1e-12, "{overall:?}");
    let width = |gap: &Gap| gap.interval.map_or(f64::NAN, |it| it.high - it.low);
    assert!(width(&overall) < width(&digits), "two tasks say more than one");
}

#[test]
fn what_was_spent_before_a_run_counts_and_decides_the_pareto_front() {
    let desk = Desk::new();
    let mut cells = four_arms("digits");
    for cell in cells.iter_mut().filter(|it| it.id.arm == "noop") {
        cell.flops_before = Flops { host: 5000, ..Flops::default() };
    }
    write(&desk, "s", &cells);
    let comparison = compared(&desk, &["s"]);
    let on_fronts: Vec<(&str, bool, bool)> = comparison.cases[0]
        .arms
        .iter()
        .map(|it| (it.arm.as_str(), it.is_on_params_front, it.is_on_flops_front))
        .collect();
    let expected = [
        ("off", true, true),
        ("better", true, true),
        ("noop", true, false),
        ("worse", false, false),
    ];
    assert_eq!(on_fronts, expected);
    let noop = comparison.cases[0].arms[2].cost.expect("it has runs");
    assert_eq!((noop.flops.before, noop.flops.total()), (5000.0, 6000.0));
}

#[test]
fn cells_that_chose_settings_are_shown_only_as_what_was_chosen() {
    let desk = Desk::new();
    let mut cells = four_arms("digits");
    let chosen = BTreeMap::from([("train.optimizer.lr".to_owned(), "0.01".to_owned())]);
    for cell in cells.iter_mut().filter(|it| it.id.arm == "better") {
        cell.tuned = chosen.clone();
    }
    let before = {
        write(&desk, "s", &cells);
        compared(&desk, &["s"])
    };
    for seed in 100..103 {
        let mut cell = cell("digits", "better", seed, 0.0);
        cell.id.phase = Phase::Tune;
        cell.id.settings.insert("train.optimizer.lr".to_owned(), "0.1".to_owned());
        cells.push(cell);
    }
    write(&desk, "s", &cells);
    let mut after = compared(&desk, &["s"]);
    assert_eq!(after.cases[0].arms[1].n_tune_cells, 3);
    assert_eq!(after.cases[0].arms[1].chosen, [chosen]);
    for arms in [&mut after.cases[0].arms, &mut after.overall] {
        arms[1].n_tune_cells = 0;
    }
    assert_eq!(after, before, "they change no figure");
    let text = desk.done(["compare", "s"]).out;
    assert!(text.contains("- digits: `better`: train.optimizer.lr=0.01 (by 3 cells)"), "{text}");
}

#[test]
fn the_text_of_a_small_comparison_is_what_it_was() {
    let desk = Desk::new();
    write(&desk, "s", &four_arms("digits"));
    let told = desk.done(["compare", "s"]);
    assert_eq!(told.err, "");
    assert_eq!(told.out, include_str!("../data/compare.txt"), "\n{}", told.out);
    let widest = told.out.lines().map(|it| it.chars().count()).max();
    assert!(widest <= Some(120), "{widest:?}");
}

#[test]
fn long_names_and_large_losses_fit_as_well() {
    let desk = Desk::new();
    let mut cells = Vec::new();
    for seed in 0..8 {
        let loss = 123_456.0 + 1e4 * noise(seed, 6);
        cells.push(loss_cell("housing", "off", seed, loss));
        cells.push(loss_cell("housing", &"long_".repeat(20), seed, loss + 1e3 * noise(seed, 7)));
    }
    write(&desk, "s", &cells);
    let told = desk.done(["compare", "s"]);
    for line in told.out.lines().take_while(|it| *it != "how to read this:") {
        assert!(line.chars().count() <= 120, "{line}");
    }
    assert!(told.out.contains("long_long_long_lo…"), "{told:?}");
}

#[test]
fn comma_separated_values_have_a_row_for_each_arm_and_quote_what_they_must() {
    let desk = Desk::new();
    write(&desk, "s", &four_arms("digits, \"8x8\""));
    let told = desk.done(["compare", "s", "--csv"]);
    assert!(told.out.lines().count() == 5 && told.out.ends_with("\r\n"), "{told:?}");
    assert!(told.out.contains("task,\"digits, \"\"8x8\"\"\",,better,off,accuracy,"), "{told:?}");
    let names: Vec<&str> = told.out.lines().next().expect("names").split(',').collect();
    let at = |name: &str| names.iter().position(|it| *it == name).expect(name);
    // Behind the quoted name, which holds one comma itself.
    let row: Vec<&str> = told.out.lines().nth(2).expect("better").split(',').collect();
    let value = |name: &str| row[at(name) + 1];
    assert_eq!((value("verdict"), value("n_pairs"), value("flops_seeds")), ("beats", "10", "600"));
    assert_eq!((value("p"), value("fossilized")), ("0.001953125", "10"));
}

#[test]
fn the_latex_table_escapes_names() {
    let desk = Desk::new();
    write(&desk, "s", &four_arms("50%_of{digits}"));
    let out = desk.done(["compare", "s", "--latex"]).out;
    assert!(out.contains("50\\%\\_of\\{digits\\} & off & -- & "), "{out}");
    for words in ["\\begin{tabular}{llrrrllrrl}", "\\toprule", "\\bottomrule\n\\end{tabular}\n"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let rows = out.lines().filter(|line| line.ends_with("\\\\"));
    for row in rows {
        assert_eq!(row.replace("\\&", "").matches('&').count(), 9, "{row}");
    }
}

#[test]
fn a_torn_last_line_is_left_out_with_a_note() {
    let desk = Desk::new();
    let whole = lines(&four_arms("digits"));
    desk.write("s/results.jsonl", whole.clone() + "{\"task\":\"digits\",\"pha");
    let torn = compared(&desk, &["s"]);
    assert_eq!(torn.notes, ["s/results.jsonl:41: the last line is torn, and left out"]);
    let told = desk.done(["compare", "s", "--csv"]);
    assert_eq!(told.err, "s/results.jsonl:41: the last line is torn, and left out\n");
    // A whole record without a line break is a record.
    desk.write("s/results.jsonl", whole.trim_end());
    assert_eq!(compared(&desk, &["s"]).notes, Vec::<String>::new());
}

#[test]
fn lines_that_are_no_records_and_cells_with_two_are_refused_with_their_places() {
    let desk = Desk::new();
    let cells = four_arms("digits");
    desk.write("s/results.jsonl", lines(&cells[..2]) + "{\"task\":3}\n" + &lines(&cells[2..]));
    let told = desk.esper(["compare", "s"]);
    refused(
        &told,
        2,
        &["s/results.jsonl:3: the line is no record of a cell", "run the sweep again"],
    );
    let mut empty = cells[0].clone();
    empty.summary = None;
    write(&desk, "s", &[empty]);
    let told = desk.esper(["compare", "s"]);
    refused(&told, 2, &["s/results.jsonl:1: ", "it is completed and has no `summary`"]);
    write(&desk, "a", &cells);
    write(&desk, "b", &cells[5..6]);
    let told = desk.esper(["compare", "a", "b"]);
    let words = "b/results.jsonl:1: the cell digits/noop/1 is already in a/results.jsonl:6";
    refused(&told, 2, &[words]);
}

#[test]
fn what_can_not_be_compared_is_refused_with_what_to_do() {
    let desk = Desk::new();
    write(&desk, "s", &four_arms("digits"));
    let told = desk.esper(["compare", "s", "--baseline", "beter"]);
    refused(&told, 2, &["--baseline beter: no such arm was tested; did you mean `better`?"]);
    refused(&told, 2, &["the arms are: `better`, `noop`, `off`, `worse`"]);
    for margin in ["0", "-1", "nan", "inf"] {
        let told = desk.esper(["compare", "s", "--margin", margin]);
        refused(&told, 2, &["the margin has to be above 0 and finite"]);
    }
    refused(&desk.esper(["compare", "gone"]), 2, &["gone: there is no such folder"]);
    fs::create_dir(desk.path("empty")).expect("a folder");
    refused(&desk.esper(["compare", "empty"]), 2, &["empty: no results.jsonl in it", "--out"]);
    desk.write("blank/results.jsonl", "");
    refused(&desk.esper(["compare", "blank"]), 2, &["its results.jsonl is empty"]);
    refused(&desk.esper(["compare", "s/results.jsonl"]), 2, &["this is no folder"]);

    write(&desk, "f", &[failed("digits", "off", 0, "no room"), failed("digits", "on", 0, "x")]);
    let told = desk.esper(["compare", "f"]);
    refused(&told, 1, &["all 2 tested cells failed, the first of them, digits/off/0, so: no room"]);
    write(&desk, "t", &[front_cell("digits", 1, 0, 0.5, 0.5)]);
    refused(&desk.esper(["compare", "t"]), 2, &["none of 1 cells is of the phase `test`"]);
    write(&desk, "m", &[cell("digits", "off", 0, 0.5), loss_cell("digits", "on", 0, 2.0)]);
    let words = "digits/off/0 has an accuracy on test data and digits/on/0 only a loss";
    refused(&desk.esper(["compare", "m"]), 2, &[words]);

    let told = desk.esper(["compare", "gone", "--json"]);
    let error: &Value = &told.objects()[0];
    assert_eq!((&error["kind"], &error["status"]), (&"error".into(), &2.into()));
}

#[test]
fn without_off_the_first_arm_is_the_baseline_and_one_that_failed_is_told() {
    let desk = Desk::new();
    let mut cells = four_arms("digits");
    cells.retain(|it| it.id.arm != "off");
    write(&desk, "s", &cells);
    assert_eq!(compared(&desk, &["s"]).baseline, "better");
    cells.push(failed("digits", "off", 0, "no room"));
    write(&desk, "s", &cells);
    let comparison = compared(&desk, &["s"]);
    let told = "digits: `off` has no run, and nothing is compared to it";
    assert_eq!(
        (comparison.baseline.as_str(), &comparison.notes[..]),
        ("off", &[told.to_owned()][..])
    );
    assert!(comparison.cases[0].arms.iter().all(|it| it.versus.is_none()));
}

#[test]
fn a_seed_is_one_pair_however_many_settings_it_was_run_with() {
    let desk = Desk::new();
    let mut cells = Vec::new();
    for value in ["1", "2", "3", "4", "5"] {
        for seed in 0..2 {
            for (arm, gain) in [("off", 0.0), ("better", 0.04)] {
                let mut cell = cell("digits", arm, seed, 0.9 + gain + 0.001 * noise(seed, 1));
                cell.id.settings.insert("tamiyo.incubate_max".to_owned(), value.to_owned());
                cells.push(cell);
            }
        }
    }
    write(&desk, "s", &cells);
    let comparison = compared(&desk, &["s"]);
    assert_eq!(comparison.cases.len(), 5);
    let overall = comparison.overall[1].versus.expect("it is compared");
    assert_eq!(overall.n_pairs, 2);
    assert_eq!(overall.verdict, Verdict::Undecided, "two seeds show nothing: {overall:?}");
}

#[test]
fn an_arm_with_a_cell_that_failed_neither_beats_nor_is_on_par() {
    let desk = Desk::new();
    let mut cells = four_arms("digits");
    for arm in ["better", "noop", "worse"] {
        cells.push(failed("digits", arm, 10, "it diverged"));
    }
    write(&desk, "s", &cells);
    let comparison = compared(&desk, &["s"]);
    let verdict = |arm: &str| {
        let arms = &comparison.cases[0].arms;
        let found = arms.iter().find(|it| it.arm == arm).expect("it is there");
        found.versus.expect("it is compared").verdict
    };
    assert_eq!(verdict("better"), Verdict::Undecided);
    assert_eq!(verdict("noop"), Verdict::Undecided);
    assert_eq!(verdict("worse"), Verdict::Loses);
}

#[test]
fn a_sweep_that_has_not_ended_and_parts_that_are_not_merged_are_told() {
    let desk = Desk::new();
    write(&desk, "s", &four_arms("digits"));
    desk.write("s/unfinished", "");
    let text = desk.done(["compare", "s"]).out;
    assert!(text.contains("the sweep has not ended"), "{text}");
    desk.write("parts/results-1-of-2.jsonl", lines(&four_arms("digits")));
    let told = desk.esper(["compare", "parts"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.err.contains("esper sweep --merge"), "{told:?}");
}
