//! What `esper report` makes of runs and sweeps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use esper::{
    engine::{run_dir::RunDir, runtime::Flops},
    report::Report,
    sweep::{CellId, CellRecord, CellStatus, Phase},
    systems::nissa::Summary,
};
use roxmltree::{Document, Node};

use super::command::{Desk, undisturbed};

/// What has no place in a page but as text.
const HOSTILE: &str = "<script>alert('x')</script>&\"\u{1}\u{7f}]]>";

/// Sections of a run in which a seed was kept.
const RUN_SECTIONS: [&str; 8] = [
    "overview",
    "host0-curves",
    "host0-seeds",
    "host0-gains",
    "host0-network",
    "host0-compute",
    "host0-gates",
    "made-with",
];

/// Sections of the sweep that [`sweep`] writes.
const SWEEP_SECTIONS: [&str; 7] =
    ["overview", "task0", "task0-scores", "task0-params", "task0-flops", "failed", "cells"];

/// The page of the run or sweep in `dir`, and its sentences on what is missing.
#[track_caller]
fn page_of(dir: &Path) -> (String, Vec<String>) {
    let report = Report::read(dir).expect("it can be read");
    (report.to_html(), report.missing().to_vec())
}

/// Copies what is in a run's folder, but for what `is_left_out` names.
fn copy(from: &Path, to: &Path, is_left_out: &dyn Fn(&str) -> bool) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_left_out(&name) {
            continue;
        }
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(name), is_left_out);
        } else {
            fs::copy(entry.path(), to.join(name)).expect("a copy");
        }
    }
}

/// A sweep of four arms, one cell of which failed, and a front; its strings are `task`, `arm` and `reason`.
fn sweep(desk: &Desk, task: &str, arm: &str, reason: &str) -> PathBuf {
    let run = undisturbed();
    let summary = RunDir::open(&run).map(|it| Summary::read(&it)).expect("a run");
    let summary = summary.expect("it can be read").expect("it ended");
    let cell = |phase, arm: &str, setting: Option<u64>, seed, accuracy: Option<f64>| {
        let settings = setting.map(|n| ("host.layers".to_owned(), n.to_string()));
        let settings: BTreeMap<String, String> = settings.into_iter().collect();
        let mut summary = summary.clone();
        summary.scores.test_accuracy = accuracy;
        summary.params_final += setting.unwrap_or(0) * 100;
        let record = CellRecord {
            id: CellId { task: task.to_owned(), phase, arm: arm.to_owned(), settings, seed },
            status: if accuracy.is_some() { CellStatus::Completed } else { CellStatus::Failed },
            reason: accuracy.is_none().then(|| reason.to_owned()),
            tuned: BTreeMap::new(),
            basis: None,
            dir: (seed == 0).then(|| PathBuf::from("cells/one")),
            summary: accuracy.is_some().then_some(summary),
            flops_before: Flops::default(),
            network: None,
            actions: Vec::new(),
            wall_s: 0.25,
        };
        serde_json::to_string(&record).expect("plain data")
    };
    let mut lines = Vec::new();
    for seed in 0..3 {
        for (name, accuracy) in [("off", 0.91), ("off_longer", 0.92), (arm, 0.95)] {
            let accuracy = accuracy + seed as f64 * 0.002;
            lines.push(cell(Phase::Test, name, None, seed, Some(accuracy)));
        }
    }
    lines.push(cell(Phase::Test, "random", None, 0, None));
    for width in 1..5 {
        let accuracy = 0.88 + width as f64 * 0.02;
        lines.push(cell(Phase::Front, "front", Some(width), 0, Some(accuracy)));
    }
    desk.write("sweep/cells/one/manifest.json", "{}");
    desk.write("sweep/results.jsonl", lines.join("\n") + "\n");
    desk.path("sweep")
}

/// The page's body, which is XML as well.
#[track_caller]
fn body(html: &str) -> Document<'_> {
    let from = html.find("<body>").expect("a body");
    let to = html.find("</body>").expect("its end") + "</body>".len();
    Document::parse(&html[from..to]).expect("it is well-formed")
}

/// Asserts what holds of every page: it stands alone, leads only to what is there, and is told to who can not see it.
#[track_caller]
fn assert_sound(html: &str, sections: &[&str]) {
    assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    for word in ["http:", "https:", "<script", "@import", "javascript:", "NaN", "inf\""] {
        assert!(!html.contains(word), "{word}");
    }
    let document = body(html);
    let elements = || document.descendants().filter(Node::is_element);
    let ids: Vec<&str> = elements().filter_map(|it| it.attribute("id")).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "no two have one id: {ids:?}");
    for section in sections {
        assert!(unique.contains(section), "{section}: {ids:?}");
    }
    for link in elements().filter_map(|it| it.attribute("href")) {
        let is_there = match link.strip_prefix('#') {
            Some(id) => unique.contains(id),
            None => link.starts_with("./"),
        };
        assert!(is_there, "{link}");
    }
    for element in elements() {
        let has = |name: &str| element.children().any(|it| it.has_tag_name(name));
        match element.tag_name().name() {
            "svg" => {
                let label = element.attribute("aria-label").unwrap_or_default();
                assert!(label.len() > 20 && element.attribute("role") == Some("img"), "{label}");
            }
            "table" => assert!(has("caption") && has("thead"), "a table says what it is"),
            "th" => assert!(element.attribute("scope").is_some(), "a heading says what it is of"),
            "figure" => assert!(has("figcaption") && has("svg"), "a figure says what it shows"),
            _ => (),
        }
    }
}

#[test]
fn a_run_becomes_one_page_with_every_section() {
    let desk = Desk::new();
    let run = undisturbed();
    let told = desk.done([
        "report".as_ref(),
        run.as_os_str(),
        "--out".as_ref(),
        "page.html".as_ref(),
        "--json".as_ref(),
    ]);
    let written = &told.objects()[0];
    assert_eq!((&written["kind"], &written["of"]), (&"report".into(), &"run".into()));
    assert_eq!(written["missing"], serde_json::json!([]), "{told:?}");
    let html = fs::read_to_string(desk.path("page.html")).expect("it was written");
    assert_sound(&html, &RUN_SECTIONS);
    for words in
        ["brief", "completed", "seed 0", "Test accuracy", "grafting", "twin", "beyond the axis"]
    {
        assert!(html.contains(words), "{words}");
    }
    let document = body(&html);
    let gates = document.descendants().filter(|it| it.has_tag_name("td"));
    assert!(gates.filter_map(|it| it.text()).any(|it| it.contains("passed")), "gates tell");
}

#[test]
fn a_run_that_lacks_files_becomes_a_page_that_says_so() {
    let desk = Desk::new();
    let run = undisturbed();
    let (dir, lacking) = (desk.path("lacking"), ["summary.json", "checkpoints", "library.redb"]);
    copy(&run, &dir, &|name| lacking.contains(&name));
    let mut events = fs::read(dir.join("events.jsonl")).expect("events");
    events.truncate(events.len() - 10);
    fs::write(dir.join("events.jsonl"), events).expect("it can be written");
    let (html, missing) = page_of(&dir);
    assert_sound(
        &html,
        &["overview", "missing", "host0-curves", "host0-seeds", "host0-gains", "made-with"],
    );
    for words in ["has not ended", "torn", "no sound checkpoint", "no checkpoint has its network"] {
        assert!(missing.iter().any(|it| it.contains(words)), "{words}: {missing:?}");
    }

    let bare = desk.path("bare");
    copy(&run, &bare, &|name| name != "manifest.json");
    let (html, missing) = page_of(&bare);
    assert_sound(&html, &["overview", "missing", "made-with"]);
    assert!(missing.iter().any(|it| it.contains("No host has left a trace")), "{missing:?}");

    fs::write(dir.join("metrics.csv"), "epoch,host\n1,x\n").expect("it can be written");
    fs::write(dir.join("events.jsonl"), "{\"seq\":0}\n").expect("it can be written");
    let (html, missing) = page_of(&dir);
    assert_sound(&html, &["overview", "missing"]);
    for file in ["metrics.csv", "events.jsonl"] {
        assert!(missing.iter().any(|it| it.contains(file)), "{file}: {missing:?}");
    }
}

#[test]
fn a_run_of_several_hosts_has_a_section_for_each() {
    let desk = Desk::new();
    let mut scenario = super::support::brief();
    scenario[esper::scenario::RUN].replicas = 14;
    scenario[esper::scenario::RUN].epochs = 2;
    let (html, _) = page_of(&desk.run(&scenario, "many"));
    assert_sound(&html, &["hosts", "compute", "host0", "host0-curves", "host11", "host11-network"]);
    assert!(!html.contains("id=\"host12\"") && html.contains("The first 12 of 14 hosts"));
}

#[test]
fn a_sweep_becomes_one_page_with_every_section() {
    let desk = Desk::new();
    let dir = sweep(&desk, "digits_mlp", "heuristic", "the loss is not finite");
    desk.done(["report", "sweep"]);
    let html = fs::read_to_string(dir.join("report.html")).expect("it was written");
    assert_sound(&html, &SWEEP_SECTIONS);
    for words in ["off_longer", "the loss is not finite", "static front", "./cells/one/"] {
        assert!(html.contains(words), "{words}");
    }
    // The best arm stands first, and a failed cell has no arm.
    let at = |arm: &str| html.find(&format!("<th scope=\"row\">{arm}</th>"));
    assert!(at("heuristic") < at("off_longer") && at("off_longer") < at("off"));
    assert_eq!(at("random"), None);

    fs::create_dir(desk.path("pages")).expect("a folder");
    desk.done(["report", "sweep", "--out", "pages/page.html"]);
    let html = fs::read_to_string(desk.path("pages/page.html")).expect("it was written");
    assert!(html.contains("href=\"./../sweep/cells/one/\""), "links lead from where the page lies");
}

#[test]
fn what_files_say_is_text_and_nothing_else() {
    let desk = Desk::new();
    let dir = sweep(&desk, HOSTILE, HOSTILE, HOSTILE);
    let (html, _) = page_of(&dir);
    assert_sound(&html, &SWEEP_SECTIONS);
    assert!(html.contains("&lt;script&gt;"));

    let run = desk.path("run");
    copy(&undisturbed(), &run, &|name| name == "library.redb");
    let manifest = fs::read_to_string(run.join("manifest.json")).expect("a manifest");
    let mut manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    for key in ["scenario", "cpu", "build", "started"] {
        manifest[key] = HOSTILE.into();
    }
    fs::write(run.join("manifest.json"), manifest.to_string()).expect("it can be written");
    let (html, _) = page_of(&run);
    assert_sound(&html, &RUN_SECTIONS);
    assert!(html.contains("&lt;script&gt;"));
}

#[test]
fn a_report_that_can_not_be_made_says_why() {
    let desk = Desk::new();
    fs::create_dir(desk.path("empty")).expect("a folder");
    for (args, status, words) in [
        (["report", "empty", "--out", "x.html"], 2, "neither `manifest.json` nor `results.jsonl`"),
        (["report", "nowhere", "--out", "x.html"], 2, "name the folder of a run or of a sweep"),
        (["report", "sweep", "--out", "no/x.html"], 2, "the folder is not there"),
        (["report", "sweep", "--out", "empty"], 2, "it is not the name of a file"),
    ] {
        sweep(&desk, "digits_mlp", "heuristic", "");
        let told = desk.esper(args);
        assert_eq!(told.status, Some(status), "{told:?}");
        assert!(told.err.contains(words), "{words}: {told:?}");
    }
    desk.write("sweep/results.jsonl", "{\"task\":1}\n{}\n");
    let told = desk.esper(["report", "sweep"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.err.contains("results.jsonl:1: the line is no record of a cell"), "{told:?}");
    desk.write("sweep/results.jsonl", "{\"task\":");
    let told = desk.done(["report", "sweep"]);
    assert!(told.out.contains("torn") && told.out.contains("No cell has ended yet"), "{told:?}");
}

#[cfg(feature = "png")]
#[test]
fn every_figure_can_be_had_as_a_picture() {
    let desk = Desk::new();
    sweep(&desk, "digits_mlp", "heuristic", "");
    let run = undisturbed();
    let report = Report::read(&run).expect("it can be read");
    let mut pictures = report.write_pngs(&desk.path("pictures")).expect("they are drawn");
    assert_eq!(pictures.len(), report.figures().count());
    desk.done(["report", "sweep", "--png", "of-sweep"]);
    pictures.push(desk.path("of-sweep/task0-flops.png"));
    for path in pictures {
        let bytes = fs::read(&path).expect("it was written");
        assert!(bytes.starts_with(b"\x89PNG"), "{}", path.display());
        let length = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
        // Twice the drawing's width and its margins; some of it is drawn, and compresses worse than white.
        assert!(length(16) >= 2 * 960 && length(20) > 100, "{}", path.display());
        assert!(bytes.len() > 8000, "{}: {} bytes", path.display(), bytes.len());
    }
}

/// A browser: what `CHROMIUM` names, or one of those that are usual.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["chromium", "chromium-browser", "google-chrome"];
    let mut on_path = std::env::split_paths(&path).flat_map(|it| usual.map(|name| it.join(name)));
    named.or_else(|| on_path.find(|it| it.is_file()))
}

#[test]
fn a_browser_opens_the_pages_without_an_error() {
    let Some(browser) = browser() else {
        println!("no browser is found: the pages' structure is checked by the other tests alone");
        return;
    };
    let desk = Desk::new();
    let dir = sweep(&desk, "digits_mlp", HOSTILE, HOSTILE);
    desk.done([
        "report".as_ref(),
        undisturbed().as_os_str(),
        "--out".as_ref(),
        "run.html".as_ref(),
    ]);
    desk.done(["report", "sweep"]);
    let pages = [
        (desk.path("run.html"), RUN_SECTIONS.as_slice()),
        (dir.join("report.html"), &SWEEP_SECTIONS),
    ];
    let widths_px = [400, 1400];
    for ((page, sections), width_px) in pages.iter().flat_map(|it| widths_px.map(|px| (it, px))) {
        let output = Command::new(&browser)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
            .args(["--dump-dom", "--virtual-time-budget=1000"])
            .arg(format!("--window-size={width_px},2000"))
            .arg(format!("--user-data-dir={}", desk.path("profile").display()))
            .arg(format!("file://{}", page.display()))
            .output()
            .expect("the browser runs");
        let dom = String::from_utf8_lossy(&output.stdout);
        // One that was found but not asked for may be a browser that can not start here.
        if std::env::var_os("CHROMIUM").is_none() && (!output.status.success() || dom.is_empty()) {
            println!("the browser does not start: {}", output.status);
            return;
        }
        for section in *sections {
            assert!(dom.contains(&format!("id=\"{section}\"")), "{section}: {output:?}");
        }
        let told = String::from_utf8_lossy(&output.stderr);
        let console: Vec<&str> = told.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(console.is_empty(), "{console:?}");
    }
}
