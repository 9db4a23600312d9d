//! Modules form no circle: neither those of a crate nor those inside one of its folders.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The source folder of every crate.
const CRATES: [&str; 7] = [
    "kernels/src",
    "engine/nn/src",
    "engine/stats/src",
    "engine/data/src",
    "engine/src",
    "systems/src",
    "src",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Why one module needs another: the file, the line and what it says.
type Reasons = BTreeMap<(String, String), String>;

/// Names from the crate's root, and the paths at which what they name is declared.
type Exports = BTreeMap<Vec<String>, Vec<String>>;

/// Blanks out comments, strings and the bodies of `#[cfg(test)] mod`, keeping line breaks.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if next == '"' {
            let mut is_escaped = false;
            let is_end = |(_, c): &(usize, char)| {
                let is_end = *c == '"' && !is_escaped;
                is_escaped = *c == '\\' && !is_escaped;
                is_end
            };
            rest[1..].char_indices().find(is_end).map_or(rest.len(), |(at, _)| at + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else {
            0
        };
        if skipped == 0 {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        }
    }
    match code.find("#[cfg(test)]\nmod tests {") {
        Some(at) => code[..at].to_owned(),
        None => code,
    }
}

/// Every path that begins with `crate`, `self` or `super` in `code`, with the offset at which it is named; nested
/// lists are written out.
fn paths_of(code: &str) -> Vec<(usize, Vec<String>)> {
    paths_from(code, &["crate", "self", "super"].map(str::to_owned))
}

/// Every path that begins with one of `heads`.
fn paths_from(code: &str, heads: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for head in heads {
        for (at, _) in code.match_indices(&format!("{head}::")) {
            let is_part_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '$');
            if !code[..at].ends_with(is_part_of_name) {
                read_path(code, at, &mut Vec::new(), &mut found);
            }
        }
    }
    found
}

/// Reads the path or the `{list, of, paths}` at `at`, below `prefix`; gives where it ends.
fn read_path(
    code: &str,
    mut at: usize,
    prefix: &mut Vec<String>,
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let depth = prefix.len();
    let start = at;
    loop {
        let rest = &code[at..];
        if let Some(list) = rest.strip_prefix('{') {
            at += rest.len() - list.len();
            loop {
                at += code[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(0);
                if code[at..].is_empty() || code[at..].starts_with('}') {
                    break;
                }
                let end = read_path(code, at, prefix, found);
                // What is not a path, in code that is no `use`: the list is a block.
                if end == at {
                    break;
                }
                at = end;
            }
            at = (at + 1).min(code.len());
            break;
        }
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '*';
        let len = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        prefix.push(rest[..len].to_owned());
        at += len;
        if len == 0 || !code[at..].starts_with("::") {
            found.push((start, prefix.clone()));
            // `name as other`
            if let Some(alias) = code[at..].strip_prefix(" as ") {
                let len = alias.find(|c| !is_name(c)).unwrap_or(alias.len());
                at += " as ".len() + len;
            }
            break;
        }
        at += "::".len();
    }
    prefix.truncate(depth);
    at
}

/// The path of the module that a file holds, from the crate's root.
fn module_of(source: &Path, file: &Path) -> Vec<String> {
    let path = file.strip_prefix(source).expect("it lies below").with_extension("");
    let mut names: Vec<String> =
        path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
        names.pop();
    }
    names
}

/// `path`, named in `module`, from the crate's root.
fn resolved(module: &[String], path: &[String]) -> Vec<String> {
    let mut base = module.to_vec();
    let mut rest = path;
    if let [head, tail @ ..] = rest
        && head == "crate"
    {
        base.clear();
        rest = tail;
    }
    while let [head, tail @ ..] = rest {
        match head.as_str() {
            "super" => drop(base.pop()),
            "self" => (),
            _ => break,
        }
        rest = tail;
    }
    base.extend(rest.iter().cloned());
    base
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// What a folder's own file (`mod.rs`, or `a.rs` beside `a/`) takes from its modules and so lets others take from it: the
/// name, from the crate's root, and where it is declared.
fn exports_of(source: &Path, files: &[PathBuf], modules: &BTreeSet<Vec<String>>) -> Exports {
    let mut exports = Exports::new();
    for file in files {
        let module = module_of(source, file);
        let is_child = |it: &&Vec<String>| it.len() == module.len() + 1 && it.starts_with(&module);
        let code = code_of(&fs::read_to_string(file).expect("a source file can be read"));
        for child in modules.iter().filter(is_child) {
            let heads = [child.last().expect("it has a name").clone()];
            for (_, path) in paths_from(&code, &heads) {
                let declared = [&module[..], &path[..]].concat();
                let name = path.last().expect("a path has names").clone();
                let taken = [&module[..], &[name]].concat();
                // A module may hold a function of its own name.
                if !modules.contains(&taken) {
                    exports.insert(taken, declared);
                }
            }
        }
    }
    exports
}

/// Where what `path` names is declared, through what folders take from their modules.
fn declared(exports: &Exports, mut path: Vec<String>) -> Vec<String> {
    let at =
        |path: &[String]| (1..=path.len()).find_map(|len| Some((len, exports.get(&path[..len])?)));
    while let Some((len, place)) = at(&path) {
        path = [&place[..], &path[len..]].concat();
    }
    path
}

/// For every folder of a crate: which of its modules names which, and the first line that does. What is in a folder's
/// own `mod.rs` belongs to no module of it: a folder's face may name its parts, and they may name what it declares.
fn graphs_of(source: &Path) -> BTreeMap<PathBuf, Reasons> {
    let mut graphs: BTreeMap<PathBuf, Reasons> = BTreeMap::new();
    let files = files_below(source);
    let modules: BTreeSet<Vec<String>> = files.iter().map(|it| module_of(source, it)).collect();
    let exports = exports_of(source, &files, &modules);
    for file in &files {
        let is_test = file
            .strip_prefix(source)
            .is_ok_and(|it| it.iter().any(|name| name == "tests.rs" || name == "tests"));
        if is_test {
            continue; // A module's tests may use the whole crate.
        }
        let from = module_of(source, file);
        let code = code_of(&fs::read_to_string(file).expect("a source file can be read"));
        for (at, path) in paths_of(&code) {
            let to = declared(&exports, resolved(&from, &path));
            let n_shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            let (Some(below), Some(named)) = (from.get(n_shared), to.get(n_shared)) else {
                continue;
            };
            let sibling: Vec<String> = [&from[..n_shared], std::slice::from_ref(named)].concat();
            if !modules.contains(&sibling) {
                continue;
            }
            let folder = from[..n_shared].iter().fold(source.to_owned(), |it, name| it.join(name));
            let n_line = code[..at].matches('\n').count() + 1;
            let shown = file.strip_prefix(root()).unwrap_or(file).display();
            graphs
                .entry(folder)
                .or_default()
                .entry((below.clone(), named.clone()))
                .or_insert_with(|| format!("{shown}:{n_line}: {}", path.join("::")));
        }
    }
    graphs
}

/// The modules that can be reached from `start`.
fn reachable(graph: &Reasons, start: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(module) = open.pop() {
        for (from, to) in graph.keys() {
            if *from == module && seen.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    seen
}

/// The lines that lie on a circle.
fn lines_on_circles(graph: &Reasons) -> Vec<String> {
    let closes = |(from, to): &(String, String)| reachable(graph, to).contains(from);
    graph
        .iter()
        .filter(|(edge, _)| closes(edge))
        .map(|((from, to), line)| format!("  {from} -> {to}: {line}"))
        .collect()
}

#[test]
fn modules_form_no_circle() {
    let mut found = String::new();
    let mut n_edges = 0;
    for source in CRATES {
        for (folder, graph) in graphs_of(&root().join(source)) {
            n_edges += graph.len();
            let shown = folder.strip_prefix(root()).expect("it is ours").display();
            let lines = lines_on_circles(&graph);
            if !lines.is_empty() {
                found += &format!("{shown}\n{}\n", lines.join("\n"));
            }
        }
    }
    assert!(n_edges > 100, "modules name each other, and the walk sees it: {n_edges}");
    assert!(found.is_empty(), "modules form circles:\n{found}");
}

#[test]
fn a_circle_is_seen_in_nested_lists_and_through_super() {
    let folder = tempfile::tempdir().expect("a folder of the test's own");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(path, text).expect("it can be written");
    };
    write("lib.rs", "pub mod a;\npub mod b;\npub mod c;\n");
    write("a/mod.rs", "mod one;\nmod two;\npub use one::One;\n");
    write("a/one.rs", "use std::fmt;\nuse super::{\n    two::{self, Two},\n};\npub struct One;\n");
    write(
        "a/two.rs",
        "// use super::one::One;\npub fn two() -> &'static str { \"super::one::One\" }\n",
    );
    write("b.rs", "use crate::{\n    a::One,\n    c::{C, D as E},\n};\n");
    write("c.rs", "pub fn c() { crate::a::one(); }\n");
    let graphs = graphs_of(folder.path());
    assert_eq!(graphs.len(), 2, "{graphs:?}");
    for graph in graphs.values() {
        assert_eq!(lines_on_circles(graph), Vec::<String>::new());
    }
    write("c.rs", "mod d { }\n/// Docs.\npub fn c() { let _ = (1, crate::b::B { x: 1 }); }\n");
    write("a/two.rs", "pub fn two() {\n    super::super::a::one::One;\n}\n");
    let graphs = graphs_of(folder.path());
    let lines: Vec<String> = graphs.values().flat_map(lines_on_circles).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().any(|it| it.ends_with("c.rs:3: crate::b::B")), "{lines:?}");
    assert!(
        lines.iter().any(|it| it.ends_with("two.rs:2: super::super::a::one::One")),
        "{lines:?}"
    );
}

#[test]
fn a_circle_is_seen_through_what_a_folder_takes_from_its_modules() {
    let folder = tempfile::tempdir().expect("a folder of the test's own");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("it can be written");
    };
    fs::create_dir(folder.path().join("a")).expect("it can be made");
    write("lib.rs", "pub mod a;\nmod b;\n");
    write("a/mod.rs", "mod one;\nmod two;\npub use one::{One, one};\npub use two::Two;\n");
    write("a/one.rs", "use super::Two;\npub struct One;\npub fn one() {}\n");
    write("a/two.rs", "pub struct Two;\n");
    write("b.rs", "use crate::a::{One, Two};\n");
    let lines = || -> Vec<String> {
        graphs_of(folder.path()).values().flat_map(lines_on_circles).collect()
    };
    assert_eq!(lines(), Vec::<String>::new());
    write("a/two.rs", "pub struct Two;\nuse super::One;\n");
    let lines = lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with("one.rs:1: super::Two"), "{lines:?}");
    assert!(lines[1].ends_with("two.rs:2: super::One"), "{lines:?}");
}
