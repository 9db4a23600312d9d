//! `esper export`: what is written fits what is written beside it, and nothing is overwritten.

use std::{fs, path::Path};

use esper::{
    engine::{
        graph::GraphFormat,
        program::{CompileOptions, Program},
        runtime::StateDict,
    },
    prelude::*,
};

use super::command::{Desk, summary, undisturbed};

#[test]
fn an_export_is_the_network_that_a_run_ended_with() {
    let desk = Desk::new();
    let run = undisturbed();
    let args = |format, out| {
        ["export".as_ref(), run.as_os_str(), "--format".as_ref(), format, "--out".as_ref(), out]
    };
    let told = desk.done(args("safetensors".as_ref(), "w.safetensors".as_ref()));
    assert!(told.out.starts_with("w.safetensors: host0 after step "), "{told:?}");
    desk.done(args("graph".as_ref(), "net.toml".as_ref()));

    let weights = StateDict::read(&desk.path("w.safetensors")).expect("a safetensors file");
    let n_values: usize = weights.iter().map(|(_, tensor)| tensor.values.len()).sum();
    assert_eq!(summary(&run)["params_final"], n_values);
    assert_eq!(weights.get("layers.0.weight").expect("the host's own").shape, [6, 64]);
    let text = fs::read_to_string(desk.path("net.toml")).expect("a graph file");
    let graph = NetworkGraph::from_file_text(&text, GraphFormat::Toml).expect("a sound host");
    let program = Program::compile(&graph, CompileOptions::HOST).expect("it compiles");
    assert_eq!(weights.check(&graph, &program), Ok(()));
}

#[test]
fn an_export_in_json_is_one_object() {
    let desk = Desk::new();
    let run = undisturbed();
    let args =
        ["export".as_ref(), run.as_os_str(), "--json".as_ref(), "--out".as_ref(), "w".as_ref()];
    let told = desk.done(args);
    let object = &told.objects()[0];
    assert_eq!((&object["kind"], &object["host"]), (&"export".into(), &"host0".into()));
    assert_eq!(object["n_values"], summary(&run)["params_final"]);
    assert_eq!((told.objects().len(), told.err.as_str()), (1, ""));
}

#[test]
fn what_can_not_be_exported_is_wrong_usage() {
    let desk = Desk::new();
    let run = undisturbed();
    let run = run.to_str().expect("Unicode");
    desk.write("taken", "");
    desk.write(
        "bare/manifest.json",
        fs::read(Path::new(run).join("manifest.json")).expect("it is there"),
    );
    for (args, words) in [
        (&["export", "nowhere"][..], "nowhere"),
        (&["export", "bare"], "no sound checkpoint"),
        (&["export", run, "--host", "7"], "the run has host 0 to host 0"),
        (&["export", run, "--out", "taken"], "nothing is overwritten"),
        (&["export", run, "--out", "no/folder"], "make it first"),
        (&["export", run, "--out", ".."], "not the name of a file"),
        (&["export", run, "--format", "onnx"], "safetensors"),
    ] {
        let told = desk.esper(args);
        assert_eq!((told.status, told.out.as_str()), (Some(2), ""), "{args:?}: {told:?}");
        assert!(told.err.contains(words), "{args:?}: {told:?}");
    }
    assert_eq!(fs::read(desk.path("taken")).expect("it is there"), b"");
}
