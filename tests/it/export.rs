//! `esper export`: what is written fits what is written beside it, and `host.init` takes it up.

use std::{ffi::OsStr, fs, path::Path};

use esper::{
    engine::{
        graph::GraphFormat,
        program::{CompileOptions, Program},
        runtime::StateDict,
    },
    prelude::*,
};

use super::{
    command::{Desk, summary, undisturbed},
    support::brief,
};

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

/// The weights of the hosts of `scenario` before their first step.
fn at_birth(scenario: &Scenario) -> Vec<StateDict> {
    let run = Run::start(scenario.clone()).expect("it begins");
    run.engine().world().resource::<Runtimes>().iter().map(HostRuntime::state_dict).collect()
}

#[test]
fn every_host_of_a_run_begins_with_the_weights_that_init_names() {
    let desk = Desk::new();
    let mut scenario = brief();
    scenario[RUN].seed = 1;
    let weights = at_birth(&scenario).remove(0);
    let file = desk.write("w.safetensors", weights.to_bytes());
    scenario[RUN].seed = 0;
    scenario[RUN].replicas = 2;
    let drawn = at_birth(&scenario);
    scenario[HOST].init = Some(file.display().to_string());
    let begun = at_birth(&scenario);
    assert_eq!(begun, [weights.clone(), weights.clone()]);
    assert!(!drawn.contains(&weights), "otherwise they are drawn");
}

#[test]
fn a_network_that_has_grown_goes_on_from_what_was_exported() {
    let desk = Desk::new();
    let run = undisturbed();
    for (format, file) in [("safetensors", "w.safetensors"), ("graph", "net.toml")] {
        let args = ["--format", format, "--out", file].map(OsStr::new);
        desk.done([OsStr::new("export"), run.as_os_str()].into_iter().chain(args));
    }
    desk.write(
        "on.toml",
        "run = { epochs = 1 }\ndata = { source = \"digits\" }\ntamiyo = { policy = \"off\" }\n\
         host = { kind = \"graph\", file = \"net.toml\", init = \"w.safetensors\" }\n",
    );
    desk.done(["run", "on.toml", "--quiet", "--out", "on"]);
    assert_eq!(summary(&desk.path("on"))["params_final"], summary(&run)["params_final"]);
    let events = fs::read_to_string(desk.path("on/events.jsonl")).expect("a journal");
    let weights = StateDict::read(&desk.path("w.safetensors")).expect("a safetensors file");
    let first = events.lines().next().expect("a first event");
    assert!(first.contains(&weights.digest().to_string()), "{first}");
    desk.done(["replay", "on"]);

    let mut bytes = fs::read(desk.path("w.safetensors")).expect("it is there");
    *bytes.last_mut().expect("it has values") ^= 1;
    desk.write("w.safetensors", bytes);
    let told = desk.esper(["replay", "on"]);
    assert_eq!(told.status, Some(1), "other weights are another run: {told:?}");
}

#[test]
fn weights_that_are_not_the_hosts_are_refused_at_their_key() {
    let desk = Desk::new();
    let mut scenario = brief();
    desk.write("w.safetensors", at_birth(&scenario).remove(0).to_bytes());
    desk.write("none.safetensors", "hello");
    scenario[HOST].init = Some("w.safetensors".to_owned());
    desk.write("same.toml", scenario.to_toml());
    desk.done(["check", "same.toml"]);
    for (from, to, words) in [
        ("[64, 6, 10]", "[64, 7, 10]", "`layers.0.weight` is [6, 64], the host's is [7, 64]"),
        ("[64, 6, 10]", "[64, 6, 6, 10]", "missing: `layers.2.weight` [10, 6]"),
        ("w.safetensors", "none.safetensors", "not a safetensors file"),
        ("w.safetensors", "w.safetensor", "did you mean `w.safetensors`?"),
    ] {
        let text = scenario.to_toml();
        assert!(text.contains(from), "{text}");
        desk.write("other.toml", text.replace(from, to));
        for verb in [&["check", "other.toml"][..], &["run", "other.toml", "--out", "no"]] {
            let told = desk.esper(verb);
            assert_eq!((told.status, told.out.as_str()), (Some(2), ""), "{to}: {told:?}");
            assert!(told.err.contains("host.init") && told.err.contains(words), "{to}: {told:?}");
        }
    }
    assert!(!desk.path("no").exists(), "nothing is begun");
}
