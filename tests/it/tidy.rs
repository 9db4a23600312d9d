//! What a reader may rely on about the tree itself.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use esper::prelude::scenario;

/// The source folders of the crates without `unsafe`.
const SAFE: [&str; 6] =
    ["src", "engine/nn/src", "engine/stats/src", "engine/data/src", "engine/src", "systems/src"];

/// Lines a source file has at most; beyond that it is two ideas.
const LINES_MAX: usize = 700;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `folder` whose name ends in one of `endings`, in order; what builds and runs leave is left out.
fn files_below(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
            let is_left_out = [".git", "target", "runs"].contains(&name.as_str());
            if path.is_dir() && !is_left_out {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {endings:?} below {}", folder.display());
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The lines of a file that are code, numbered from 1; comments are free to name what they like.
fn code_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    text.lines()
        .enumerate()
        .filter(move |(_, line)| !is_comment(line))
        .map(|(at, line)| (at + 1, line))
}

/// Whether `line` has `word`, and nothing before it that would make it part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(is_part_of_name))
}

/// The subsystems: the folders of `systems/src`.
fn subsystems() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join("systems/src"))
        .expect("systems/src is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.join("mod.rs").is_file())
        .map(|path| path.file_name().expect("it has a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.contains(&"oona".to_owned()), "the bus is a subsystem: {names:?}");
    names
}

#[test]
fn subsystems_meet_only_on_the_bus() {
    let names = subsystems();
    for name in &names {
        for path in files_below(&root().join("systems/src").join(name), &[".rs"]) {
            let text = read(&path);
            for other in names.iter().filter(|it| *it != name && *it != "oona") {
                let forbidden = format!("{other}::");
                for (at, line) in code_of(&text) {
                    let is_named = has_word(line, &forbidden);
                    assert!(!is_named, "{}:{at} names {other}: {line}", shown(&path));
                }
            }
        }
    }
}

#[test]
fn the_engine_and_the_kernels_look_at_nothing_above_them() {
    for (folder, above) in [
        ("kernels", ["esper_engine", "esper_systems", "bevy_ecs"].as_slice()),
        ("engine/nn", &["esper_data", "esper_engine", "esper_systems", "bevy_ecs"]),
        ("engine/stats", &["esper_data", "esper_engine", "esper_systems", "bevy_ecs"]),
        ("engine/data", &["esper_engine", "esper_systems", "bevy_ecs"]),
        ("engine", &["esper_systems"]),
        ("systems", &["esper"]),
    ] {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        for name in above {
            let depends = |line: &str| {
                let key = line.split(['.', ' ', '=']).next().unwrap_or_default();
                key.replace('-', "_") == *name
            };
            assert!(!manifest.lines().any(depends), "{folder}/Cargo.toml depends on {name}");
            for path in files_below(&root().join(folder).join("src"), &[".rs"]) {
                let text = read(&path);
                let named = code_of(&text).find(|(_, line)| has_word(line, &format!("{name}::")));
                assert_eq!(named, None, "{} looks upwards", shown(&path));
            }
        }
    }
}

#[test]
fn every_subsystem_says_what_it_is_and_needs() {
    let names = subsystems();
    let declared = read(&root().join("systems/src/lib.rs"));
    for name in &names {
        assert!(declared.contains(&format!("pub mod {name};")), "{name} is part of the crate");
        let folder = root().join("systems/src").join(name);
        let module = read(&folder.join("mod.rs"));
        let (first, rest) = name.split_at(1);
        let title = format!("{}{rest}", first.to_uppercase());

        let greeting = format!("//! {title}, the ");
        assert!(module.starts_with(&greeting), "{name}/mod.rs opens with `{greeting}...`");
        let table = "//! | reads | writes | owns |\n//! | --- | --- | --- |\n//! | ";
        assert!(module.contains(table), "{name}/mod.rs says what it reads, writes and owns");
        let plugin = format!("pub struct {title}Plugin");
        assert!(module.contains(&plugin), "{name}/mod.rs has `{plugin}`");
        let adds = format!("/// Adds [{title}](self)");
        assert!(module.contains(&adds), "{name}/mod.rs documents its plugin with `{adds}`");
        let call = format!("\"{name}\"");
        assert!(module.contains(&call), "{name}Plugin is called {call}");

        if name == "oona" {
            assert!(folder.join("messages.rs").is_file(), "the bus has messages");
            continue; // The bus has nothing to set, to keep or to do.
        }
        assert!(module.contains("config::"), "{name}/mod.rs makes its configuration public");
        let requires = "fn requires(&self) -> &[&'static str] {\n        &[\"oona\"]";
        assert!(module.contains(requires), "{name} refuses to be built without the bus");
    }
}

#[test]
fn every_source_file_says_what_it_is_and_is_one_idea_long() {
    for folder in ["src", "kernels", "engine", "systems", "tests", "examples", "benches"] {
        let folder = root().join(folder);
        if !folder.is_dir() {
            continue;
        }
        for path in files_below(&folder, &[".rs"]) {
            let text = read(&path);
            // `tests.rs` is told by the file it tests.
            let is_told = text.starts_with("//! ") || path.ends_with("tests.rs");
            assert!(is_told, "{} opens with a sentence of documentation", shown(&path));
            let n_lines = text.lines().count();
            assert!(n_lines <= LINES_MAX, "{} has {n_lines} lines", shown(&path));
        }
    }
}

#[test]
fn nothing_iterates_in_random_order_or_reads_the_calendar() {
    let forbidden = ["Map", "Set"].map(|kind| format!("Hash{kind}"));
    let clock = format!("System{}", "Time");
    for folder in SAFE.iter().filter(|it| **it != "src").chain(&["kernels/src"]) {
        for path in files_below(&root().join(folder), &[".rs"]) {
            let text = read(&path);
            for word in forbidden.iter().chain([&clock]) {
                let found = code_of(&text).find(|(_, line)| has_word(line, word));
                assert_eq!(found, None, "{} uses {word}", shown(&path));
            }
        }
    }
}

#[test]
fn only_the_kernels_are_unsafe() {
    for folder in SAFE {
        for path in files_below(&root().join(folder), &[".rs"]) {
            let text = read(&path);
            let found = code_of(&text).find(|(_, line)| has_word(line, "unsafe "));
            assert_eq!(found, None, "{}", shown(&path));
        }
    }
}

#[test]
fn nothing_names_a_folder_of_one_machine() {
    let folders = ["home", "root", "work", "tmp", "Users", "mnt"].map(|name| format!("/{name}/"));
    let endings = [".rs", ".toml", ".md", ".json", ".yml", "run", ".gitignore"];
    for path in files_below(root(), &endings) {
        let text = read(&path);
        for (at, line) in text.lines().enumerate() {
            for folder in &folders {
                let is_absolute = line.match_indices(folder.as_str()).any(|(at, _)| {
                    line[..at].is_empty() || line[..at].ends_with(['"', '\'', '`', ' ', '(', '='])
                });
                assert!(!is_absolute, "{}:{} names {folder}", shown(&path), at + 1);
            }
        }
    }
}

#[test]
fn every_scenario_is_sound_and_described() {
    let folder = root().join("scenarios");
    let index = read(&folder.join("README.md"));
    let is_graph = |path: &PathBuf| path.starts_with(folder.join("graphs"));
    for path in files_below(&folder, &[".toml"]).into_iter().filter(|path| !is_graph(path)) {
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        let text = read(&path);
        if let Err(error) = scenario::parse(&text, &name, &[]) {
            panic!("{}: {error}", shown(&path));
        }
        assert!(text.starts_with("# "), "{name} opens by saying what it shows");
        assert!(index.contains(&format!("| `{name}` |")), "scenarios/README.md describes {name}");
    }
}

/// The documents at the root and beside the folders they describe.
fn documents() -> Vec<PathBuf> {
    files_below(root(), &[".md"])
}

#[test]
fn every_link_in_a_document_leads_somewhere() {
    let mut n_links = 0;
    for path in documents() {
        let text = read(&path);
        for (_, rest) in text.match_indices("](").map(|(at, found)| (at, &text[at + found.len()..]))
        {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let folder = path.parent().expect("a file lies in a folder");
            assert!(folder.join(target).exists(), "{} links to {target}", shown(&path));
            n_links += 1;
        }
    }
    assert!(n_links > 0, "documents that lead nowhere are not read");
}

/// The lines of fenced blocks of a document that are marked `language`.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_commands_of_the_documents_exist() {
    let mut verbs = BTreeSet::new();
    for path in documents() {
        let text = read(&path);
        for line in blocks(&text, "sh").into_iter().flat_map(str::lines) {
            let command = line.split(" #").next().unwrap_or_default().trim();
            let Some(rest) = ["cargo run --release -- ", "esper "]
                .iter()
                .find_map(|start| command.strip_prefix(start))
            else {
                continue;
            };
            let verb = rest
                .split_whitespace()
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()));
            verbs.insert(verb.map(str::to_owned).collect::<Vec<_>>());
            for scenario in rest.split_whitespace().filter(|word| word.ends_with(".toml")) {
                assert!(root().join(scenario).is_file(), "{} names {scenario}", shown(&path));
            }
        }
    }
    assert!(verbs.contains(&vec!["run".to_owned()]), "the README says how to run: {verbs:?}");
    for verb in verbs {
        let help = Command::new(env!("CARGO_BIN_EXE_esper"))
            .args(&verb)
            .arg("--help")
            .output()
            .expect("the command was built");
        assert!(help.status.success(), "`esper {} --help` fails", verb.join(" "));
    }
}

#[test]
fn the_readmes_code_is_the_examples() {
    let readme = read(&root().join("README.md"));
    let example = read(&root().join("examples/embedding.rs"));
    let shown = blocks(&readme, "rust");
    assert!(!shown.is_empty(), "the README shows how to embed Esper");
    for block in shown {
        assert!(example.contains(block.trim()), "not in examples/embedding.rs:\n{block}");
    }
}

#[test]
fn continuous_integration_runs_what_the_readme_says() {
    let script = read(&root().join(".ci/run"));
    let readme = read(&root().join("README.md"));
    let tests = "cargo test --workspace";
    assert!(blocks(&readme, "sh").iter().any(|block| block.lines().any(|line| line == tests)));
    for command in ["cargo fmt --all --check", "cargo clippy", "-D warnings", tests, "cargo doc"] {
        assert!(script.contains(command), ".ci/run has `{command}`");
    }
}
