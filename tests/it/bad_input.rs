//! Bad scenario and data files are refused whole: exit status 2, what is wrong and where, what to do, and nothing left.

use std::fs;

use super::command::{Desk, Told};

const SOUND: &str = "\
[run]
epochs = 2

[data]
source = \"digits\"
batch = 64

[host]
layers = [64, 8, 10]
sites = [\"hidden0\"]

[train]
optimizer = { kind = \"adamw\", lr = 0.01 }

[tamiyo]
policy = \"heuristic\"
";

/// Asserts that `told` is a refusal at `place` that says all of `words`, and that no run was begun.
#[track_caller]
fn assert_refused(desk: &Desk, told: &Told, place: &str, words: &[&str]) {
    assert_eq!(told.status, Some(2), "{told:?}");
    assert_eq!(told.out, "", "{told:?}");
    assert!(!told.err.contains("panicked") && !told.err.contains("bug"), "{told:?}");
    assert!(told.err.lines().any(|line| line.starts_with(place)), "{place}: {told:?}");
    for word in words {
        assert!(told.err.contains(word), "{word:?}: {told:?}");
    }
    let says_what_to_do = told.err.contains("help: ") || told.err.contains("; ");
    assert!(says_what_to_do, "{told:?}");
    for left in ["runs", "out"] {
        assert!(!desk.path(left).exists(), "a run directory is left behind");
    }
}

/// Runs the sound scenario with `from` written as `to`.
#[track_caller]
fn refuse_scenario(from: &str, to: &str, place: &str, words: &[&str]) {
    assert_eq!(SOUND.matches(from).count(), 1, "{from}");
    let desk = Desk::new();
    desk.write("bad.toml", SOUND.replace(from, to));
    let told = desk.esper(["run", "bad.toml"]);
    assert_refused(&desk, &told, place, words);
    let told = desk.esper(["check", "bad.toml"]);
    assert_refused(&desk, &told, place, words);
}

#[test]
fn the_scenario_that_is_made_bad_here_is_sound() {
    let desk = Desk::new();
    desk.write("good.toml", SOUND);
    desk.done(["check", "good.toml"]);
}

#[test]
fn scenarios_that_are_not_toml_are_refused_where_they_stop_being_it() {
    refuse_scenario("epochs = 2", "epochs = ", "bad.toml:2:", &["help"]);
    refuse_scenario("[data]", "[data", "bad.toml:4:", &["help"]);
    refuse_scenario("batch = 64", "batch = 64\nbatch = 32", "bad.toml:7:1:", &["duplicate key"]);
    refuse_scenario("\"digits\"", "\"digits", "bad.toml:5:", &["help"]);
}

#[test]
fn keys_that_do_not_exist_are_refused_with_the_nearest() {
    refuse_scenario("epochs = 2", "epocs = 2", "bad.toml:2:1: run.epocs", &["`epochs`?"]);
    refuse_scenario("[tamiyo]", "[tamyo]", "bad.toml:15:2: tamyo", &["`tamiyo`?"]);
    refuse_scenario("lr = 0.01", "learning_rate = 0.01", "bad.toml:13:", &["keys of"]);
    refuse_scenario("adamw", "adamm", "bad.toml:13:", &["`adamw`"]);
    refuse_scenario("heuristic", "heuristik", "bad.toml:16:10: tamiyo.policy", &["`heuristic`?"]);
    refuse_scenario(
        "heuristic",
        "graph",
        "bad.toml:16:10: tamiyo.policy",
        &["not in this version"],
    );
}

#[test]
fn values_of_the_wrong_type_are_refused() {
    refuse_scenario("epochs = 2", "epochs = \"two\"", "bad.toml:2:10: run.epochs", &["the string"]);
    refuse_scenario("epochs = 2", "epochs = 2.5", "bad.toml:2:10: run.epochs", &["2.5"]);
    refuse_scenario("\"digits\"", "7", "bad.toml:5:10: data.source", &["7"]);
    refuse_scenario("[64, 8, 10]", "64", "bad.toml:9:10: host.layers", &["an array"]);
    refuse_scenario("[64, 8, 10]", "[64, true, 10]", "bad.toml:9:", &["host.layers[1]"]);
    refuse_scenario("{ kind = \"adamw\", lr = 0.01 }", "[1]", "bad.toml:13:", &["optimizer"]);
    refuse_scenario("lr = 0.01", "lr = nan", "bad.toml:13:", &["train.optimizer.lr"]);
    refuse_scenario("epochs = 2", "epochs = 1979-05-27", "bad.toml:2:10: run.epochs", &["a date"]);
}

#[test]
fn values_out_of_range_are_refused() {
    refuse_scenario("epochs = 2", "epochs = 0", "bad.toml:2:10: run.epochs", &["1"]);
    refuse_scenario("epochs = 2", "epochs = -2", "bad.toml:2:10: run.epochs", &["-2"]);
    refuse_scenario("batch = 64", "batch = 0", "bad.toml:6:9: data.batch", &["is 0"]);
    refuse_scenario("batch = 64", "batch = 10000000", "bad.toml:6:9: data.batch", &["65536"]);
    refuse_scenario("[64, 8, 10]", "[64, -8, 10]", "bad.toml:9:", &["host.layers[1]", "-8"]);
    refuse_scenario("[64, 8, 10]", "[64]", "bad.toml:9:10: host.layers", &["2"]);
    refuse_scenario("lr = 0.01", "lr = -1", "bad.toml:13:", &["train.optimizer.lr", "above 0"]);
    refuse_scenario("epochs = 2", "epochs = 2\nreplicas = 99999", "bad.toml:3:", &["run.replicas"]);
    refuse_scenario("epochs = 2", "epochs = 2\nseed = -1", "bad.toml:3:8: run.seed", &["-1"]);
    refuse_scenario("batch = 64", "validation_share = 1.0", "bad.toml:6:", &["below 1"]);
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    refuse_scenario("[\"hidden0\"]", "[\"hidden1\"]", "bad.toml:10:", &["hidden1", "`hidden0`"]);
    refuse_scenario("[\"hidden0\"]", "[]", "bad.toml:10:", &["host.sites", "policy"]);
    refuse_scenario("[64, 8, 10]", "[63, 8, 10]", "bad.toml:9:10: host.layers", &["write 64"]);
    refuse_scenario("[64, 8, 10]", "[64, 8, 9]", "bad.toml:9:10: host.layers", &["write 10"]);
    let wide = "[64, 20000, 20000, 10]";
    refuse_scenario("[64, 8, 10]", wide, "bad.toml:8:2: host", &["401520010 parameters"]);
    let limits = |line: &str| format!("policy = \"heuristic\"\n[limits]\n{line}");
    let policy = "policy = \"heuristic\"";
    refuse_scenario(policy, &limits("params_max = 609"), "bad.toml:18:14:", &["610 parameters"]);
    refuse_scenario(policy, &limits("seeds_max = 0"), "bad.toml:18:13:", &["limits.seeds_max"]);
    let crowded = limits("seeds_max = 1\n[kasmina]\nseeds_per_site = 2");
    refuse_scenario(policy, &crowded, "bad.toml:18:13: limits.seeds_max", &["2 seeds"]);
    refuse_scenario(policy, &limits("hosts_max = 1"), "bad.toml:18:", &["limits.hosts_max"]);
    refuse_scenario(policy, "policy = \"fixed\"", "bad.toml:16:", &["timetable"]);
    let karn = |list: &str| format!("{policy}\n[karn]\ncatalogue = {list}");
    refuse_scenario(policy, &karn("[]"), "bad.toml:18:13: karn.catalogue", &["`catalogue = ["]);
    let wrong = karn("[\"residul_mlp\"]");
    refuse_scenario(policy, &wrong, "bad.toml:18:13: karn.catalogue", &["`residual_mlp`?"]);
    let table = |entry: &str| format!("policy = \"fixed\"\ntimetable = [{{ {entry} }}]");
    let unknown = "epoch = 1, action = \"germinate\", site = \"hidden0\", blueprint = \"glue\"";
    refuse_scenario(policy, &table(unknown), "bad.toml:17:", &["[0].blueprint", "`glu`?"]);
    let elsewhere = "epoch = 1, action = \"germinate\", site = \"hidden7\", blueprint = \"glu\"";
    refuse_scenario(policy, &table(elsewhere), "bad.toml:17:", &["[0].site", "hidden7"]);
}

/// A folder with a scenario of `data` in line 4 and of `host` from line 6 on.
fn desk_of(data: &str, host: &str) -> Desk {
    let desk = Desk::new();
    let scenario = format!("[run]\nepochs = 2\n[data]\n{data}\n[host]\n{host}\n");
    desk.write("deep/bad.toml", scenario);
    desk
}

/// Checks and runs the scenario of `desk`.
#[track_caller]
fn refuse_desk(desk: &Desk, place: &str, words: &[&str]) {
    for verb in ["check", "run"] {
        let told = desk.esper([verb, "deep/bad.toml"]);
        assert_refused(desk, &told, &format!("deep/bad.toml:{place}"), words);
    }
}

/// Runs a scenario of `data` in line 4 and of `host` from line 6 on.
#[track_caller]
fn refuse_host(data: &str, host: &str, place: &str, words: &[&str]) {
    refuse_desk(&desk_of(data, host), place, words);
}

const DIGITS: &str = "source = \"digits\"";
const MNIST1D: &str = "source = \"mnist1d\"";
const HAMLET: &str = "source = \"hamlet\"";
const DECODER: &str = "kind = \"transformer\"\nlayers = 1\nwidth = 16\nheads = 2";
const VIT: &str =
    "kind = \"transformer\"\nlayers = 1\nwidth = 16\nheads = 2\nform = \"vit\"\npatch = 4";
const CNN: &str = "kind = \"cnn\"\nchannels = [4, 8]";

#[test]
fn the_hosts_that_are_made_bad_here_are_sound() {
    for (data, host) in [(DIGITS, CNN), (DIGITS, VIT), (HAMLET, DECODER), (MNIST1D, CNN)] {
        desk_of(data, host).done(["check", "deep/bad.toml"]);
    }
}

#[test]
fn hosts_for_other_data_are_refused() {
    let mlp = "layers = [64, 8, 10]";
    refuse_host(HAMLET, mlp, "5:2: host.kind", &["`hamlet` is a text", "\"transformer\""]);
    refuse_host(HAMLET, CNN, "6:8: host.kind", &["`hamlet` is a text", "\"transformer\""]);
    refuse_host(HAMLET, VIT, "10:8: host.form", &["`hamlet` is a text", "`form = \"decoder\"`"]);
    let words = ["`digits` has images of 8x8", "`form = \"vit\"`"];
    refuse_host(DIGITS, DECODER, "5:2: host.form", &words);
    refuse_host(MNIST1D, mlp, "6:10: host.layers", &["has vectors of 40", "write 40"]);
}

#[test]
fn images_of_the_wrong_size_are_refused() {
    let deep = CNN.replace("[4, 8]", "[4, 4, 4, 4, 4]");
    let words = ["`stage5` halves its images", "1x1", "`channels = [4, 4, 4, 4]`"];
    refuse_host(DIGITS, &deep, "7:12: host.channels", &words);
    let plain = format!("{deep}\nform = \"vgg\"");
    let words = ["`stage4` halves its images", "`channels = [4, 4, 4]`"];
    refuse_host(DIGITS, &plain, "7:12: host.channels", &words);
    let patch = VIT.replace("patch = 4", "patch = 3");
    refuse_host(DIGITS, &patch, "11:9: host.patch", &["3x3", "8x8", "sides that do: 1, 2, 4, 8"]);
    refuse_host(MNIST1D, VIT, "11:9: host.patch", &["1x40", "sides that do: 1"]);
    let huge = VIT.replace("width = 16", "width = 60000");
    refuse_host(DIGITS, &huge, "5:2: host", &["43202760010 parameters", "1073741824"]);
}

#[test]
fn heads_and_groups_that_do_not_divide_are_refused() {
    let heads = DECODER.replace("heads = 2", "heads = 3");
    refuse_host(HAMLET, &heads, "9:9: host.heads", &["`host.width` (16), is 3", "`heads = 2`"]);
    let groups = format!("{CNN}\nnorm = \"group\"\ngroups = 3");
    refuse_host(DIGITS, &groups, "9:10: host.groups", &["3 does not divide 4", "`groups = 2`"]);
}

#[test]
fn texts_that_are_too_short_or_no_texts_are_refused() {
    let text = |context: usize| format!("{HAMLET}\ncontext = {context}");
    refuse_host(&text(50_000), DECODER, "5:11: data.context", &["an example takes 50000"]);
    let desk = desk_of("source = \"note.txt\"", DECODER);
    desk.write("deep/note.txt", "to be or not to be");
    refuse_desk(&desk, "3:2: data.context", &["128", "shorten `context`"]);
    desk.write("deep/note.txt", "a".repeat(9000));
    refuse_desk(&desk, "4:10: data.source", &["all of its tokens are the same"]);
    desk.write("deep/note.txt", [vec![b'a'; 7], vec![0xff; 9000]].concat());
    refuse_desk(&desk, "3:2: data.tokens", &["not UTF-8 at byte 7", "bytes"]);
    desk.write("deep/note.txt", "");
    refuse_desk(&desk, "4:10: data.source", &["it is empty"]);
}

#[test]
fn keys_of_other_kinds_of_data_are_refused() {
    let mlp = "layers = [64, 8, 10]";
    let data = format!("{DIGITS}\ncontext = 64");
    refuse_host(&data, mlp, "5:1: data.context", &["`context` is a key of texts"]);
    let data = format!("{HAMLET}\naugment = {{ flip = true }}");
    refuse_host(&data, DECODER, "5:1: data.augment", &["`augment` is a key of sources"]);
    let data = format!("{DIGITS}\naugment = {{ crop_padding = 8 }}");
    refuse_host(&data, CNN, "5:1: data.augment", &["crop_padding = 8", "at most 7"]);
}

/// A graph for `digits` with its input, site, layer and loss in lines 1, 2, 3 and 4 of `nodes`.
const GRAPH: &str = "nodes = [
    { name = \"x\", op = \"input\", shape = [64] },
    { name = \"mid\", op = \"site\", inputs = [\"x\"] },
    { name = \"fc\", op = \"linear\", inputs = [\"mid\"], outputs = 10 },
    { name = \"loss\", op = \"loss\", inputs = [\"fc\"], kind = \"cross_entropy\" },
]
";

/// Runs a scenario on `digits` whose host is [`GRAPH`] with `from` written as `to`.
#[track_caller]
fn refuse_graph(from: &str, to: &str, words: &[&str]) {
    assert_eq!(GRAPH.matches(from).count(), 1, "{from}");
    let desk = desk_of(DIGITS, "kind = \"graph\"\nfile = \"net.toml\"");
    desk.write("deep/net.toml", GRAPH.replace(from, to));
    refuse_desk(&desk, "7:8: host.file", words);
}

#[test]
fn graphs_that_do_not_fit_their_data_are_refused() {
    let desk = desk_of(DIGITS, "kind = \"graph\"\nfile = \"net.toml\"");
    desk.write("deep/net.toml", GRAPH);
    desk.done(["check", "deep/bad.toml"]);

    refuse_graph("[64]", "[63]", &["its input `x` has shape [63]", "8x8", "`shape = [1, 8, 8]`"]);
    refuse_graph(
        "outputs = 10",
        "outputs = 9",
        &["its loss `loss` reads outputs of shape [9]", "`outputs = 10`"],
    );
    refuse_graph(
        "cross_entropy",
        "mean_squared_error",
        &["its loss `loss` is of kind mean_squared_error", "`kind = \"cross_entropy\"`"],
    );
    refuse_graph("op = \"linear\"", "op = \"linaer\"", &["net.toml: line 4", "`linear`"]);
    refuse_graph("[\"mid\"]", "[\"mit\"]", &["net.toml: line 4", "`mit`", "`mid`"]);
    refuse_graph("outputs = 10", "outptus = 10", &["net.toml: line 4", "`outputs`"]);
    refuse_graph("\"site\"", "\"fork\"", &["it has no site for policy \"heuristic\""]);
    refuse_graph("nodes = [", "nodes = [[", &["net.toml: line"]);
    let twice = "{ name = \"y\", op = \"input\", shape = [64] },\n    { name = \"fc\"";
    refuse_graph("{ name = \"fc\"", twice, &["net.toml: ", "`input`"]);
    let tokens = "op = \"embedding\", vocabulary = 8, width = 4, inputs = [\"x\"] },
    { name = \"mean\", op = \"mean_positions\", inputs = [\"mid\"] },
    { name = \"fc\", op = \"linear\", inputs = [\"mean\"], outputs";
    let from = "op = \"site\", inputs = [\"x\"] },
    { name = \"fc\", op = \"linear\", inputs = [\"mid\"], outputs";
    refuse_graph(from, tokens, &["its embedding `mid` reads tokens", "images of 8x8"]);
}

/// A graph for `hamlet` in windows of 16 tokens, of which there are 64.
const TEXT_GRAPH: &str = "nodes = [
    { name = \"x\", op = \"input\", shape = [16] },
    { name = \"embed\", op = \"embedding\", inputs = [\"x\"], vocabulary = 64, width = 8 },
    { name = \"mid\", op = \"site\", inputs = [\"embed\"] },
    { name = \"qkv\", op = \"linear\", inputs = [\"mid\"], outputs = 24 },
    { name = \"mix\", op = \"attention\", inputs = [\"qkv\"], heads = 2, causal = true },
    { name = \"head\", op = \"linear\", inputs = [\"mix\"], outputs = 64 },
    { name = \"loss\", op = \"loss\", inputs = [\"head\"], kind = \"cross_entropy\" },
]
";

#[test]
fn graphs_that_do_not_fit_their_text_are_refused() {
    let data = format!("{HAMLET}\ncontext = 16");
    let desk = desk_of(&data, "kind = \"graph\"\nfile = \"net.toml\"");
    desk.write("deep/net.toml", TEXT_GRAPH);
    desk.done(["check", "deep/bad.toml"]);
    for (from, to, words) in [
        ("[16]", "[15]", ["its input `x` has shape [15]", "`shape = [16]`"]),
        ("outputs = 64", "outputs = 63", ["outputs of shape [16, 63]", "`outputs = 64`"]),
        ("vocabulary = 64", "vocabulary = 63", ["`embed` knows 63 tokens", "`vocabulary = 64`"]),
        (", causal = true", "", ["its attention `mix` shows each position", "`causal = true`"]),
        ("inputs = [\"embed\"]", "inputs = [\"x\"]", ["net.toml: line 6: node `mix`", "queries"]),
    ] {
        assert_eq!(TEXT_GRAPH.matches(from).count(), 1, "{from}");
        desk.write("deep/net.toml", TEXT_GRAPH.replace(from, to));
        refuse_desk(&desk, "8:8: host.file", &words);
    }
}

#[test]
fn graph_files_that_can_not_be_read_are_refused() {
    let of = |name: &str| desk_of(DIGITS, &format!("kind = \"graph\"\nfile = \"{name}\""));
    let desk = of("nte.toml");
    desk.write("deep/net.toml", GRAPH);
    refuse_desk(&desk, "7:8: host.file", &["can not be read", "did you mean `net.toml`?"]);
    refuse_desk(&of("net.yaml"), "7:8: host.file", &["neither a .toml nor a .json"]);
    let desk = of("net.json");
    desk.write("deep/net.json", "{\"nodes\": [");
    refuse_desk(&desk, "7:8: host.file", &["net.json"]);
    desk.write("deep/net.json", b"\xff\xfe");
    refuse_desk(&desk, "7:8: host.file", &["save it as UTF-8"]);
    desk.write("deep/net.json", " ".repeat(5 << 20));
    refuse_desk(&desk, "7:8: host.file", &["at most 4194304"]);
    let table = "[tamiyo]\npolicy = \"fixed\"\ntimetable = [{ epoch = 1, action = \"germinate\", \
                 site = \"mit\", blueprint = \"glu\" }]";
    let desk = desk_of(DIGITS, &format!("kind = \"graph\"\nfile = \"net.toml\"\n{table}"));
    desk.write("deep/net.toml", GRAPH);
    refuse_desk(&desk, "10:", &["tamiyo.timetable[0].site", "did you mean `mid`?"]);
}

#[test]
fn weights_to_begin_with_that_are_not_there_or_of_another_host_are_refused() {
    let host = format!("{CNN}\ninit = \"hots.safetensors\"");
    let desk = desk_of(DIGITS, &host);
    refuse_desk(&desk, "8:8: host.init", &["can not be read"]);
    desk.write("deep/host.safetensors", "");
    refuse_desk(&desk, "8:8: host.init", &["did you mean `host.safetensors`?"]);
    desk.write("deep/hots.safetensors", "x");
    refuse_desk(&desk, "8:8: host.init", &["name a .safetensors file of a `state_dict`"]);
    let of_mlp = include_bytes!("../data/mlp.safetensors");
    desk.write("deep/hots.safetensors", of_mlp);
    refuse_desk(&desk, "8:8: host.init", &["hots.safetensors", "PYTORCH.md has the names"]);
    fs::remove_file(desk.path("deep/hots.safetensors")).expect("it was written");
    desk.write("deep/hots.safetensors/x", "");
    refuse_desk(
        &desk,
        "8:8: host.init",
        &["name the folder of a run, in which `manifest.json` lies"],
    );
}

#[test]
fn bad_overrides_are_refused_by_name() {
    for (set, words) in [
        ("run.epochs", "has no value"),
        ("run.epoch=3", "did you mean `epochs`?"),
        ("run.epochs=many", "the string \"many\""),
        ("=3", "is not a key's path"),
        ("host.layers=[64,", "is not a TOML value"),
        ("run.epochs.deep=1", "not a table"),
    ] {
        let desk = Desk::new();
        desk.write("good.toml", SOUND);
        let told = desk.esper(["run", "good.toml", "--set", set]);
        assert_refused(&desk, &told, "--set", &[words]);
    }
    let desk = Desk::new();
    desk.write("good.toml", SOUND);
    let told = desk.esper(["run", "good.toml", "--device", "tpu", "--out", "out"]);
    assert_refused(&desk, &told, "--set run.device", &["cpu"]);
    let told = desk.esper(["run", "good.toml", "--seed=-4", "--out", "out"]);
    assert_refused(&desk, &told, "--set run.seed", &["-4"]);
}

#[test]
fn files_that_are_no_scenario_are_refused() {
    let desk = Desk::new();
    desk.write("digits.toml", SOUND);
    let told = desk.esper(["run", "digit.toml"]);
    assert_refused(&desk, &told, "error: digit.toml", &["did you mean digits.toml?"]);
    let told = desk.esper(["run", "."]);
    assert_refused(&desk, &told, "error: .", &["name a .toml file in it"]);
    desk.write("bytes.toml", b"[run]\nepochs = \xff\n");
    let told = desk.esper(["run", "bytes.toml"]);
    assert_refused(&desk, &told, "error: bytes.toml", &["line 2 is not UTF-8"]);
    desk.write("empty.toml", "");
    let told = desk.esper(["run", "empty.toml"]);
    assert_refused(&desk, &told, "empty.toml:1:1: run.epochs", &["required"]);
    desk.write("long.toml", "#".repeat(3 << 20));
    let told = desk.esper(["run", "long.toml"]);
    assert_refused(&desk, &told, "long.toml:1:1", &["1 MiB"]);
}

/// Runs a scenario on `source`, a path relative to it.
#[track_caller]
fn refuse_data(desk: &Desk, source: &str, data: &str, words: &[&str]) {
    let scenario = SOUND.replace("\"digits\"", &format!("\"{source}\"\n{data}"));
    desk.write("deep/bad.toml", scenario.replace("[64, 8, 10]", "[2, 8, 2]"));
    let told = desk.esper(["run", "deep/bad.toml", "--out", "out"]);
    assert_refused(desk, &told, "deep/bad.toml:", words);
}

fn refuse_csv(text: impl AsRef<[u8]>, data: &str, words: &[&str]) {
    let desk = Desk::new();
    desk.write("deep/table.csv", text);
    refuse_data(&desk, "table.csv", data, words);
}

fn rows(n: usize) -> String {
    (0..n).map(|i| format!("{},{},{}\n", i % 7, i % 5, i % 2)).collect()
}

#[test]
fn bad_tables_are_refused_at_their_line() {
    let header = "a,b,class\n";
    refuse_csv("", "", &["data.source", "table.csv", "it is empty"]);
    refuse_csv(header, "", &["table.csv"]);
    refuse_csv(rows(9), "", &["names of the columns"]);
    refuse_csv(format!("{header}{}nan,1,0\n", rows(9)), "", &["line 11, column `a`", "nan"]);
    refuse_csv(format!("{header}{}inf,1,0\n", rows(9)), "", &["line 11, column `a`"]);
    refuse_csv(format!("{header}{}x,1,0\n", rows(9)), "", &["line 11, column `a`", "\"x\""]);
    refuse_csv(format!("{header}{}1,0\n", rows(9)), "", &["line 11 has 2 fields"]);
    refuse_csv(format!("{header}{}1,1e39,0\n", rows(9)), "", &["line 11, column `b`"]);
    refuse_csv(format!("a,a,class\n{}", rows(9)), "", &["two columns are named `a`"]);
    refuse_csv(format!("a,,class\n{}", rows(9)), "", &["column 2 has no name"]);
    refuse_csv(format!("{header}{}", rows(2)), "", &["too few"]);
    refuse_csv(format!("{header}1,2,0\n3,4,0\n5,6,0\n"), "", &["same label"]);
    refuse_csv(format!("{header}{}", rows(40)), "label = \"clas\"", &["data.label", "`class`?"]);
    refuse_csv([header.as_bytes(), b"\xff,1,0\n"].concat(), "", &["line 2 is not UTF-8"]);
    let shares = "validation_share = 0.6\ntest_share = 0.6";
    refuse_csv(format!("{header}{}", rows(40)), shares, &["share"]);
}

fn idx(kind: u8, axes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, axes.len() as u8];
    bytes.extend(axes.iter().flat_map(|len| len.to_be_bytes()));
    bytes.extend_from_slice(values);
    bytes
}

/// Runs on a folder of forty images of two pixels, one file of which is `bytes`.
fn refuse_idx(name: &str, bytes: &[u8], words: &[&str]) {
    let desk = Desk::new();
    let labels: Vec<u8> = (0..40).map(|i| i % 2).collect();
    desk.write("deep/d/train-images", idx(8, &[40, 2], &[3; 80]));
    desk.write("deep/d/train-labels", idx(8, &[40], &labels));
    desk.write(&format!("deep/d/{name}"), bytes);
    refuse_data(&desk, "d", "", &[&["data.source"], words].concat());
}

#[test]
fn bad_idx_files_are_refused_by_name() {
    let labels: Vec<u8> = (0..40).map(|i| i % 2).collect();
    refuse_idx("train-images", &idx(8, &[40, 2], &[3; 79]), &["train-images", "truncated"]);
    refuse_idx("train-images", &idx(8, &[40, 2], &[3; 81]), &["goes on after"]);
    refuse_idx("train-images", &idx(8, &[40, 2], &[3; 80])[..6], &["train-images"]);
    refuse_idx("train-images", b"", &["it is empty"]);
    refuse_idx("train-images", b"\x89PNG\r\n\x1a\n", &["another kind of file"]);
    refuse_idx("train-images", &idx(8, &[u32::MAX, u32::MAX], &[0; 9]), &["train-images"]);
    refuse_idx("train-images", &idx(8, &[0, 2], &[]), &["train-images"]);
    refuse_idx("train-images", &idx(0x55, &[40, 2], &[0; 80]), &["not supported"]);
    refuse_idx("train-labels", &idx(8, &[39], &labels[..39]), &["39 targets for 40 examples"]);
    let wild: Vec<u8> = labels.iter().map(|label| label * 250).collect();
    refuse_idx("train-labels", &idx(8, &[40], &wild), &["label 250 is out of range"]);
    refuse_idx("train-labels", &idx(8, &[40], &[1; 40]), &["label"]);
    let mut nan = idx(0x0D, &[40, 2], &[0; 320]);
    nan[12..16].copy_from_slice(&f32::NAN.to_be_bytes());
    refuse_idx("train-images", &nan, &["element 0 of example 0 is NaN"]);
    refuse_idx("t10k-images", &idx(8, &[4, 2], &[3; 8]), &["no `t10k-labels*`"]);
}

#[test]
fn bad_cifar_folders_are_refused_by_name() {
    let desk = Desk::new();
    let record = |coarse: u8, fine: u8| [vec![coarse, fine], vec![7; 3072]].concat();
    desk.write("deep/d/train.bin", record(0, 0));
    refuse_data(&desk, "d", "", &["data.source", "there is no `test.bin` in it"]);
    desk.write("deep/d/test.bin", record(0, 0));
    desk.write("deep/d/train.bin", &record(0, 0)[..3000]);
    refuse_data(&desk, "d", "", &["train.bin", "cut short"]);
    desk.write("deep/d/train.bin", record(0, 100));
    refuse_data(&desk, "d", "", &["train.bin", "label of example 0 is 100"]);
    refuse_data(&desk, "d", "label = \"corse\"", &["data.label", "did you mean `coarse`?"]);
    desk.write("deep/p/data_batch_1", "a pickle");
    refuse_data(&desk, "p", "", &["Python pickles", "download the binary version"]);
}

#[test]
fn sources_that_are_not_there_or_of_no_use_are_refused() {
    let desk = Desk::new();
    desk.write("deep/wine.csv", "a,b,class\n");
    desk.write("deep/model.onnx", "x");
    desk.write("deep/model.safetensors", "x");
    desk.write("deep/empty/.keep", "");
    desk.write("deep/x.npy", "not numpy");
    refuse_data(&desk, "digit", "", &["data.source", "did you mean `digits`?"]);
    refuse_data(&desk, "wnie.csv", "", &["data.source", "did you mean `wine.csv`?"]);
    refuse_data(&desk, "model.onnx", "", &["not supported"]);
    refuse_data(&desk, "model.safetensors", "", &["its header is damaged"]);
    refuse_data(&desk, "empty", "", &["no `train-images*`"]);
    refuse_data(&desk, "x.npy", "", &["x_labels.npy"]);
    desk.write("deep/x_labels.npy", "not numpy");
    refuse_data(&desk, "x.npy", "", &["x.npy"]);
    refuse_data(&desk, "digits", "label = \"class\"", &["data.label", "remove it"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let desk = Desk::new();
    desk.write("closed/train-images", "");
    desk.write("bad.toml", SOUND.replace("digits", "closed"));
    let mut command = desk.bound_command(["run", "bad.toml", "--out", "out"]);
    let closed = desk.path("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("it is ours");
    let told = Told::from(command.output().expect("it runs"));
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).expect("it is ours");
    assert_refused(&desk, &told, "bad.toml:5:10: data.source", &["closed", "permissions"]);
}
