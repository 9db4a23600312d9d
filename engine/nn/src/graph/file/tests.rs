use std::collections::BTreeSet;

use esper_kernels::cpu::Activation;
use proptest::{prelude::*, sample::subsequence};

use super::{
    super::{
        CnnConfig, CnnForm, ImageNorm, Init, Loss, MlpConfig, NormKind, TransformerConfig,
        VitConfig,
    },
    *,
};
use crate::{
    op::{
        Add, Attention, AvgPool2d, BatchNorm, Bias, Blend, Branch, ChannelMultiply, Concat, Conv2d,
        Dropout, Embedding, Flatten, Gate, GlobalAvgPool, GroupNorm, Input, LayerNorm, LayerScale,
        Linear, MaxPool2d, MeanPositions, Multiply, Op, PatchEmbed, Positions, Reshape, Residual,
        RmsNorm, Scale, Site, Softplus, TiedLinear, Windows,
    },
    settings::{Content, Setting, Value},
};

const HOST: &str = r#"# A small host.
[[nodes]]
name = "x"
op = "input"
shape = [1, 8, 8]

[[nodes]]
name = "conv1"
op = "conv2d"
inputs = ["x"]
outputs = 16
kernel = 3
padding = [1, 0]

[[nodes]]
name = "stage1.out"
op = "site"
inputs = ["conv1"]

[[nodes]]
name = "flat"
op = "flatten"
inputs = ["stage1.out"]

[[nodes]]
name = "fc"
op = "linear"
inputs = ["flat"]
outputs = 10
init = { normal = 0.5 }

[[nodes]]
name = "loss"
op = "loss"
inputs = ["fc"]
kind = "cross_entropy"
"#;

fn read(text: &str) -> Result<NetworkGraph, GraphFileError> {
    NetworkGraph::from_file_text(text, GraphFormat::Toml)
}

#[test]
fn a_file_is_the_host_it_describes() {
    let mut built = NetworkGraph::new();
    let x = built.add("x", Input { shape: vec![1, 8, 8] }, &[]).unwrap();
    let conv = Op::Conv2d(Conv2d {
        outputs: 16,
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 0],
        groups: 1,
        bias: true,
        init: Init::FanIn,
    });
    let mut y = built.add("conv1", conv, &[x]).unwrap();
    y = built.add("stage1.out", Site, &[y]).unwrap();
    y = built.add("flat", Flatten, &[y]).unwrap();
    let fc = Op::Linear(Linear { outputs: 10, bias: true, init: Init::Normal(0.5) });
    y = built.add("fc", fc, &[y]).unwrap();
    built.add("loss", Loss::CrossEntropy, &[y]).unwrap();
    assert_eq!(read(HOST).unwrap(), built);

    let root: toml::Table = HOST.parse().unwrap();
    let json = serde_json::to_string(&root).unwrap();
    assert_eq!(NetworkGraph::from_file_text(&json, GraphFormat::Json).unwrap(), built);
}

#[test]
fn the_documented_example_is_a_host_and_every_op_is_documented() {
    let docs: String = include_str!("mod.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.trim_start()))
        .collect();
    let example = docs.split("```").nth(1).unwrap().strip_prefix("toml").unwrap();
    assert_eq!(read(example).unwrap().params_elems(), 16 * 9 + 16 + 16 * 6 * 6 * 10 + 10);
    for word in Op::WORDS {
        let in_table =
            docs.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{word}`")));
        assert!(in_table, "{word}");
    }
}

#[test]
fn the_loss_is_the_output_wherever_it_stands() {
    let late = "[[nodes]]\nname = \"late\"\nop = \"branch\"\ninputs = [\"fc\"]\n";
    let graph = read(&format!("{HOST}{late}")).unwrap();
    assert_eq!(graph.node(graph.output().unwrap()).name, "loss");
}

/// Adds a node behind those called `inputs`.
fn then(graph: &mut NetworkGraph, name: &str, op: impl Into<Op>, inputs: &[&str]) {
    let inputs: Vec<_> = inputs.iter().map(|input| graph.find(input).unwrap()).collect();
    graph.add(name, op, &inputs).unwrap();
}

/// A host in which every op occurs, none with the settings that may be left out.
fn host_of_every_op() -> NetworkGraph {
    host_of_ops(true)
}

/// The same with or without the ops that were added after a graph's written form was settled.
fn host_of_ops(with_later: bool) -> NetworkGraph {
    let mut graph = NetworkGraph::new();
    let pool = |padding| Windows { kernel: [2, 3], stride: [1, 1], padding: [padding, 1] };
    let conv = Op::Conv2d(Conv2d {
        outputs: 4,
        kernel: [3, 1],
        stride: [1, 2],
        padding: [1, 0],
        groups: 2,
        bias: false,
        init: Init::Uniform(0.1),
    });
    then(&mut graph, "tokens", Input { shape: vec![8] }, &[]);
    let init = Init::Normal(0.3);
    then(&mut graph, "embed", Embedding { vocabulary: 5, width: 6, init }, &["tokens"]);
    then(&mut graph, "pos", Positions { init: Init::Constant(-1e-7) }, &["embed"]);
    then(&mut graph, "qkv", Linear { outputs: 18, bias: false, init }, &["pos"]);
    then(&mut graph, "attn", Attention { heads: 3, is_causal: true }, &["qkv"]);
    then(&mut graph, "bias", Bias, &["attn"]);
    then(&mut graph, "ln", LayerNorm { eps: 1e-6, weight: 0.1 }, &["bias"]);
    then(&mut graph, "rms", RmsNorm { eps: 3e-8, weight: 0.7 }, &["ln"]);
    then(&mut graph, "add", Add, &["rms", "pos"]);
    then(&mut graph, "multiply", Multiply, &["add", "pos"]);
    then(&mut graph, "residual", Residual { alpha: 0.1 }, &["multiply", "add"]);
    then(&mut graph, "blend", Blend { alpha: 0.9 }, &["residual", "add"]);
    then(&mut graph, "scale", Scale { factor: -2.5 }, &["blend"]);
    then(&mut graph, "layer_scale", LayerScale { weight: 1e-4 }, &["scale"]);
    then(&mut graph, "gate", Gate, &["layer_scale"]);
    then(&mut graph, "fork", Branch, &["gate"]);
    then(&mut graph, "site", Site, &["fork"]);
    then(&mut graph, "cat", Concat, &["site", "pos"]);
    then(&mut graph, "image", Reshape { shape: vec![2, 6, 8] }, &["cat"]);
    then(&mut graph, "conv", conv, &["image"]);
    then(&mut graph, "bn", BatchNorm { eps: 1e-3, momentum: 0.01, weight: 0.5 }, &["conv"]);
    then(&mut graph, "gn", GroupNorm { groups: 2, eps: 1e-4, weight: 0.2 }, &["bn"]);
    then(&mut graph, "act", Activation::GeluTanh, &["gn"]);
    then(&mut graph, "max", MaxPool2d(pool(1)), &["act"]);
    then(&mut graph, "avg", AvgPool2d(pool(0)), &["max"]);
    then(&mut graph, "mean", GlobalAvgPool, &["avg"]);
    then(&mut graph, "scaled", ChannelMultiply, &["avg", "mean"]);
    then(&mut graph, "patches", PatchEmbed { outputs: 6, patch: 2 }, &["scaled"]);
    then(&mut graph, "tied", TiedLinear { embedding: "embed".into() }, &["patches"]);
    then(&mut graph, "pooled", MeanPositions, &["tied"]);
    then(&mut graph, "drop", Dropout { p: 0.25 }, &["pooled"]);
    let mut last = "drop";
    if with_later {
        then(&mut graph, "softplus", Softplus { beta: 2.5 }, &[last]);
        last = "softplus";
    }
    then(&mut graph, "flat", Flatten, &[last]);
    then(&mut graph, "loss", Loss::MeanSquaredError, &["flat"]);
    graph
}

#[test]
fn every_op_is_in_the_table_of_the_documentation() {
    let table = include_str!("mod.rs");
    for word in Op::WORDS {
        assert!(table.contains(&format!("`{word}`")), "{word}");
    }
}

/// Blueprints and hosts are named by these bytes: an op keeps its place in the table, and its settings their order.
#[test]
fn the_written_form_of_every_op_is_pinned() {
    let digests = [false, true].map(|with_later| host_of_ops(with_later).digest().to_string());
    assert_eq!(
        digests,
        [
            "247acefba6fbad1db901a66d0ac5d640e5444ba379c18a165ce7919ac16a6279",
            "0f4c79f2cc94a60e54e459156d61c2570d3deb00d7ca7fdccb19c217bc7f0031"
        ]
    );
}

#[test]
fn a_file_of_old_may_call_a_branch_a_fork() {
    let late = "[[nodes]]\nname = \"late\"\nop = \"fork\"\ninputs = [\"fc\"]\n";
    let graph = read(&format!("{HOST}{late}")).unwrap();
    assert_eq!(graph.node(graph.find("late").unwrap()).op, Op::Branch(Branch));
    assert!(graph.to_file_text().contains("op = \"branch\""));
}

#[test]
fn every_op_is_written_and_read_back() {
    let graph = host_of_every_op();
    let words: BTreeSet<&str> = graph.nodes().map(|(_, node)| node.op.word()).collect();
    assert_eq!(words, Op::WORDS.iter().copied().collect(), "the host has every op");
    let back = read(&graph.to_file_text()).unwrap();
    assert_eq!(back.digest(), graph.digest());
}

#[test]
fn settings_left_out_are_pytorchs() {
    let text = r#"nodes = [
        { name = "x", op = "input", shape = [4, 8, 8] },
        { name = "conv", op = "conv2d", inputs = ["x"], outputs = 4, kernel = 3 },
        { name = "bn", op = "batch_norm", inputs = ["conv"] },
        { name = "pool", op = "max_pool2d", inputs = ["bn"], kernel = 2 },
        { name = "drop", op = "dropout", inputs = ["pool"] },
        { name = "flat", op = "flatten", inputs = ["drop"] },
        { name = "loss", op = "loss", inputs = ["flat"], kind = "cross_entropy" },
    ]"#;
    let graph = read(text).unwrap();
    let op = |name: &str| graph.node(graph.find(name).unwrap()).op.clone();
    let (init, kernel) = (Init::FanIn, [3, 3]);
    let (stride, padding) = ([1, 1], [0, 0]);
    let conv =
        Op::Conv2d(Conv2d { outputs: 4, kernel, stride, padding, groups: 1, bias: true, init });
    assert_eq!(op("conv"), conv);
    assert_eq!(op("bn"), Op::BatchNorm(BatchNorm { eps: 1e-5, momentum: 0.1, weight: 1.0 }));
    let pool = Windows { kernel: [2, 2], stride: [2, 2], padding: [0, 0] };
    assert_eq!(op("pool"), Op::MaxPool2d(MaxPool2d(pool)));
    assert_eq!(op("drop"), Op::Dropout(Dropout { p: 0.5 }));
}

/// What is replaced in [`HOST`], by what, and what the error then says.
const BAD: &[(&str, &str, &[&str])] = &[
    ("kernel = 3", "kernal = 3", &["line 12: ", "`conv1`", "`kernal`", "did you mean `kernel`"]),
    ("kernel = 3\n", "", &["line 8: ", "`conv1`", "`kernel` is missing"]),
    ("kernel = 3", "kernel = 3.5", &["line 12: ", "`kernel` is a whole number", "3.5"]),
    ("kernel = 3", "kernel = [3]", &["`kernel`", "a list of 1"]),
    ("kernel = 3", "kernel = 4_097", &["`kernel`", "at most 4,096"]),
    ("kernel = 3", "kernel = -3", &["`kernel`", "-3"]),
    ("kernel = 3", "kernel = 99999999999999999999999999999999999999999", &["`kernel`"]),
    ("kernel = 3", "kernel = 11", &["`conv1`", "as large as the kernel"]),
    ("kernel = 3", "kernel = 0", &["`conv1`", "at least 1"]),
    ("outputs = 16", "outputs = 0", &["`conv1`", "no elements"]),
    ("outputs = 16", "outputs = true", &["line 11: ", "`outputs`", "true"]),
    ("conv2d", "conv2", &["`conv1`", "no op `conv2`", "did you mean `conv2d`"]),
    ("op = \"site\"", "op = 7", &["`stage1.out`", "`op` is a string"]),
    ("op = \"site\"", "", &["`stage1.out`", "`op` is missing"]),
    ("name = \"x\"", "", &["node `1`", "`name` is missing"]),
    ("name = \"fc\"", "name = \"\"", &["line 26: ", "node `5`", "`name` is 1 to 128 bytes"]),
    ("name = \"fc\"", "name = \"f\\nc\"", &["one line"]),
    ("name = \"fc\"", "name = \"flat\"", &["line 26: node `flat`", "taken"]),
    ("[\"fc\"]", "[\"fd\"]", &["`loss`", "`fd` is no node", "did you mean `fc`"]),
    ("[\"x\"]", "[\"flat\"]", &["`conv1`", "`flat` is defined below it"]),
    ("[\"x\"]", "[\"conv1\"]", &["`conv1`", "the node itself"]),
    ("[\"x\"]", "[]", &["`conv1`", "takes 1 input(s), was given 0"]),
    ("[\"x\"]", "\"x\"", &["`inputs` is a list", "the string \"x\""]),
    ("inputs = [\"x\"]\n", "", &["`conv1`", "`inputs` is missing"]),
    ("shape = [1, 8, 8]", "shape = []", &["`x`", "`shape`", "a list of 0"]),
    ("shape = [1, 8, 8]", "shape = [1, 1, 8, 8]", &["`x`", "`shape`", "a list of 4"]),
    ("shape = [1, 8, 8]", "shape = [1, 0, 8]", &["`x`", "no elements"]),
    ("shape = [1, 8, 8]", "shape = [1, 8, 8]\ninputs = []", &["`x`", "`inputs`"]),
    ("shape = [1, 8, 8]", "shape = [64]", &["`conv1`", "image", "[64]"]),
    ("\"cross_entropy\"", "\"crossentropy\"", &["`kind` is \"cross_entropy\" or", "crossentropy"]),
    ("[\"fc\"]", "[\"conv1\"]", &["`loss`", "predictions"]),
    ("{ normal = 0.5 }", "{ normal = -0.5 }", &["`fc`", "`init`"]),
    ("{ normal = 0.5 }", "{ normal = nan }", &["`fc`", "`init`"]),
    ("{ normal = 0.5 }", "{ normal = 0.5, uniform = 1 }", &["`fc`", "`init`"]),
    ("{ normal = 0.5 }", "\"fanin\"", &["`fc`", "`init`", "fan_in"]),
    ("{ normal = 0.5 }", "{ constant = 1e39 }", &["`fc`", "`init`"]),
    ("# A small host.", "node = 1", &["line 1: ", "`node`", "did you mean `nodes`"]),
    ("padding = [1, 0]", "padding = [1, 0", &["line "]),
    ("op = \"input\"", "op = \"input\"\nop = \"input\"", &["line 5: ", "duplicate"]),
    (
        "op = \"loss\"\ninputs = [\"fc\"]\nkind = \"cross_entropy\"",
        "op = \"branch\"\ninputs = [\"fc\"]",
        &["op `loss`", "has 0"],
    ),
];

#[test]
fn what_is_wrong_is_said_with_line_node_key_and_remedy() {
    for (from, to, said) in BAD {
        assert!(HOST.contains(from), "{from}");
        let text = HOST.replacen(from, to, 1);
        let error = read(&text).expect_err(to).to_string();
        for part in *said {
            assert!(error.contains(part), "{to}\n  gives: {error}\n  not: {part}");
        }
    }
    for text in ["", "nodes = 1", "nodes = [1]", "nodes = []"] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains("nodes") || error.contains("op `input`"), "{text}: {error}");
    }
}

#[test]
fn a_second_input_or_loss_is_refused() {
    let input = "[[nodes]]\nname = \"x2\"\nop = \"input\"\nshape = [3]\n";
    let error = read(&format!("{HOST}{input}")).unwrap_err();
    assert_eq!(error, GraphFileError::Count { op: "input", found: 2 });
    let loss =
        "[[nodes]]\nname = \"l2\"\nop = \"loss\"\ninputs = [\"fc\"]\nkind = \"cross_entropy\"\n";
    let error = read(&format!("{HOST}{loss}")).unwrap_err();
    assert_eq!(error, GraphFileError::Count { op: "loss", found: 2 });
}

#[test]
fn json_is_refused_by_node_and_key_and_where_it_is_no_json_by_line() {
    let read = |text: &str| NetworkGraph::from_file_text(text, GraphFormat::Json).unwrap_err();
    let said = [
        (
            r#"{"nodes": [{"name": "x", "op": "input", "shap": [4]}]}"#,
            "node `x`: there is no key `shap`",
        ),
        (r#"{"nodes": [{"name": "x", "op": "input", "shape": null}]}"#, "node `x`: `shape`"),
        ("{\"nodes\": [\n{\"name\": \"x\", \"name\": \"y\"}]}", "line 2: duplicate key `name`"),
        ("{\"nodes\":\n\n[", "line 3: "),
        ("[]", "the file"),
        ("", "line 1: "),
    ];
    for (text, part) in said {
        let error = read(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(read(&deep), GraphFileError::Syntax { .. }));
}

#[test]
fn sizes_are_bounded() {
    let long = " ".repeat(FILE_LEN_MAX_BYTES + 1);
    assert!(matches!(read(&long), Err(GraphFileError::TooLong { .. })));
    assert!(matches!(read(&"[".repeat(100_000)), Err(GraphFileError::Syntax { .. })));
    let wide = HOST
        .replace("outputs = 16", "outputs = 131_072")
        .replace("outputs = 10", "outputs = 16_777_216");
    let error = read(&wide).unwrap_err().to_string();
    assert!(error.contains("parameters"), "{error}");
    let many = "[[nodes]]\n".repeat(10_001);
    assert!(read(&many).unwrap_err().to_string().contains("at most 10000 nodes"));
}

fn sites(known: Vec<String>) -> impl Strategy<Value = Vec<String>> {
    let n_known = known.len();
    subsequence(known, 0..=n_known)
}

fn mlp() -> impl Strategy<Value = NetworkGraph> {
    let norm = prop_oneof![Just(NormKind::None), Just(NormKind::Layer), Just(NormKind::Rms)];
    let parts = (prop::collection::vec(1_usize..40, 2..6), norm, 0_f32..0.9, any::<bool>());
    let config = parts.prop_map(|(layers, norm, dropout, bias)| MlpConfig {
        layers,
        norm,
        dropout,
        bias,
        ..MlpConfig::default()
    });
    let with_sites = config.prop_flat_map(|config| {
        sites(config.known_sites()).prop_map(move |sites| MlpConfig { sites, ..config.clone() })
    });
    with_sites.prop_map(|config| NetworkGraph::mlp(&config, Loss::MeanSquaredError).unwrap())
}

fn cnn() -> impl Strategy<Value = NetworkGraph> {
    let form = prop_oneof![Just(CnnForm::ResNet), Just(CnnForm::Vgg)];
    let norm = prop_oneof![
        Just(ImageNorm::None),
        Just(ImageNorm::Batch),
        Just(ImageNorm::Group { groups: 2 })
    ];
    let stages = prop::collection::vec((1_usize..9, 1_usize..4), 1..4);
    let parts = (form, norm, stages, 0_f32..0.9, any::<bool>());
    let config = parts.prop_map(|(form, norm, stages, dropout, is_signal)| {
        let channels = stages.iter().map(|(half, _)| 2 * half).collect();
        let blocks = stages.iter().map(|(_, n_blocks)| *n_blocks).collect();
        let input = if is_signal { [1, 1, 40] } else { [3, 16, 24] };
        CnnConfig { input, form, norm, channels, blocks, dropout, ..CnnConfig::default() }
    });
    let with_sites = config.prop_flat_map(|config| {
        sites(config.known_sites()).prop_map(move |sites| CnnConfig { sites, ..config.clone() })
    });
    with_sites.prop_map(|config| NetworkGraph::cnn(&config, Loss::CrossEntropy).unwrap())
}

fn transformer() -> impl Strategy<Value = NetworkGraph> {
    let parts = (1_usize..4, 1_usize..5, 1_usize..9, 0_f32..0.9, any::<bool>());
    let config = parts.prop_map(|(layers, heads, head_width, dropout, tied)| {
        let (width, mlp_width) = (heads * head_width, 3 * head_width);
        let sizes =
            TransformerConfig { vocabulary: 11, context: 12, ..TransformerConfig::default() };
        TransformerConfig { layers, width, heads, mlp_width, dropout, tied, ..sizes }
    });
    let with_sites = config.prop_flat_map(|config| {
        let known = sites(config.known_sites());
        known.prop_map(move |sites| TransformerConfig { sites, ..config.clone() })
    });
    with_sites.prop_map(|config| NetworkGraph::transformer(&config).unwrap())
}

fn vit() -> impl Strategy<Value = NetworkGraph> {
    let parts = (1_usize..4, prop::sample::select(vec![1_usize, 2, 4]), 0_f32..0.9);
    let config = parts.prop_map(|(layers, patch, dropout)| {
        let input = [2, 8, 12];
        VitConfig { input, layers, patch, dropout, ..VitConfig::default() }
    });
    let with_sites = config.prop_flat_map(|config| {
        sites(config.known_sites()).prop_map(move |sites| VitConfig { sites, ..config.clone() })
    });
    with_sites.prop_map(|config| NetworkGraph::vit(&config, Loss::CrossEntropy).unwrap())
}

proptest! {
    #[test]
    fn every_host_that_is_built_can_be_written_and_read_back(
        graph in prop_oneof![mlp(), cnn(), transformer(), vit()],
    ) {
        let back = read(&graph.to_file_text()).unwrap();
        prop_assert_eq!(back.digest(), graph.digest());
    }

    #[test]
    fn a_number_keeps_its_bits(bits in any::<u32>()) {
        let number = f32::from_bits(bits);
        prop_assume!(number.is_finite());
        let content = Content::Real(number.write().parse().unwrap());
        let back = f32::read(&Value { line: None, content }).unwrap();
        prop_assert_eq!(back.to_bits(), bits);
    }

    #[test]
    fn a_damaged_file_is_refused_or_still_a_host(
        at in 0..HOST.len(), n_cut in 0_usize..12, put in "[-a-z0-9\"=\\[\\]{}., \n]{0,6}",
    ) {
        let end = (at + n_cut).min(HOST.len());
        let text = format!("{}{put}{}", &HOST[..at], &HOST[end..]);
        if let Ok(graph) = read(&text) {
            prop_assert_eq!(read(&graph.to_file_text()).unwrap(), graph);
        }
    }
}
