//! Every key with its default and the bounds its documentation gives.

use super::{LEAST, parse};
use esper::scenario::{Override, Resolved, ScenarioError};

/// A key, its default as it is written out, values it takes, and values it does not.
pub(super) type Row =
    (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// Every key but those of kinds that are not the default. A value is taken or refused in a scenario
/// that says nothing else.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    ("run.name", "\"scenario\"", &["\"a\"", "\"A-b_c.9\""], &["\"\"", "\"a/b\"", "\".a\"", "3"]),
    ("run.epochs", "30", &["1", "1000000"], &["0", "-1", "1000001", "1.5", "true"]),
    ("run.seed", "0", &["1", "9223372036854775807"], &["-1", "1.0"]),
    ("run.replicas", "1", &["2", "4096"], &["0", "4097"]),
    ("run.steps_per_tick", "10", &["1", "10000"], &["0", "10001"]),
    ("run.threads", "0", &["1", "1024"], &["1025", "-1"]),
    ("run.device", "\"cpu\"", &["cpu", "oracle", "auto", "cuda:0"], &["", "a device", "GPU"]),
    ("data.source", "\"digits\"", &["mnist1d", "\"a folder/x.csv\""], &["\"\"", "\"\\u0000\"", "[]"]),
    ("data.task", "\"classification\"", &["regression"], &["ranking", "1"]),
    ("data.label", "", &["class", "\"a,b\""], &["\"\"", "4"]),
    ("data.batch", "64", &["1", "65536"], &["0", "65537", "-64", "64.0"]),
    ("data.validation_share", "0.15", &["0.001", "0.8"], &["0", "1", "-0.1", "nan"]),
    ("data.test_share", "0.15", &["0.001", "0.8"], &["0.0", "1.0", "inf"]),
    ("data.split_seed", "0", &["9223372036854775807"], &["-1"]),
    ("data.standardize", "\"per_feature\"", &["global", "per_channel", "off"], &["zscore", "false"]),
    ("data.shuffle_positions", "", &["0", "9223372036854775807"], &["-1", "true"]),
    ("data.classes", "[]", &["[3]", "[0,9]"], &["3", "[-1]", "[3,3]"]),
    ("data.shift", "0", &["1", "1000000"], &["1.5", "-1", "true"]),
    ("data.noise", "0.0", &["0.5"], &["-0.1", "nan"]),
    ("data.augment", "{ flip = false, crop_padding = 0, cutout = 0 }", &["{flip=true}", "{crop_padding=64,cutout=1024}"], &["{flip=1}", "{crop_padding=65}", "{cutout=-1}", "{mixup=1}", "true"]),
    ("host.kind", "\"mlp\"", &["mlp"], &["cnn", "transformer", "graph", "rnn", "1"]),
    ("host.layers", "[64, 8, 10]", &["[1,1]", "[4,3,2,2]"], &["[]", "[64]", "[64,0]", "[64,65537]", "64", "[64,\"8\"]", "[64,8.0]"]),
    ("host.activation", "\"relu\"", &["gelu", "gelu_tanh", "silu", "tanh", "sigmoid"], &["swish", "1"]),
    ("host.norm", "\"none\"", &["layer", "rms"], &["batch", "group", "0"]),
    ("host.dropout", "0.0", &["0", "0.999"], &["1", "-0.1"]),
    ("host.bias", "true", &["false"], &["1", "\"yes\""]),
    ("host.sites", "[\"input\", \"hidden0\", \"logits\"]", &["[\"hidden0\"]"], &["[\"hidden1\"]", "[\"input\",\"input\"]", "[]", "input", "[1]"]),
    ("host.init", "", &["\"host.safetensors\""], &["\"\"", "1"]),
    ("host.init_skip", "[]", &["[\"layers.1.*\"]"], &["[\"\"]", "layers.1"]),
    ("train.optimizer", "{ kind = \"adamw\", lr = 0.001, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.01 }", &["{kind=\"adam\"}", "{kind=\"sgd\",lr=0.1}"], &["{kind=\"lion\"}", "adamw", "3"]),
    ("train.schedule", "{ kind = \"constant\", warmup_epochs = 0.0 }", &["{kind=\"cosine\"}", "{kind=\"step\",step_epochs=3}"], &["{kind=\"step\"}", "{kind=\"linear\"}", "cosine"]),
    ("train.average_share", "0.1", &["0", "1"], &["-0.1", "1.1"]),
    ("train.clip_norm", "", &["1e-9", "1000000"], &["0", "-1", "1000001"]),
    ("train.freeze", "[]", &["[\"layers.0.*\"]"], &["[\"\"]", "layers.0", "[1]"]),
    ("governor.enabled", "true", &["false"], &["0"]),
    ("governor.window_checks", "100", &["8", "100000"], &["7", "100001"]),
    ("governor.divergence_sd", "6.0", &["0.1", "1e6"], &["0", "1.1e6"]),
    ("governor.divergence_ratio", "3.0", &["1.1", "1e6"], &["1", "1.1e6"]),
    ("governor.divergence_checks", "3", &["1", "10000"], &["0", "10001"]),
    ("governor.collapse_checks", "100", &["1", "1000000"], &["0", "1000001"]),
    ("governor.rollbacks_max", "3", &["0", "1000"], &["-1", "1001"]),
    ("governor.lr_backoff", "0.5", &["0.01", "1"], &["0", "1.1"]),
    ("governor.snapshot_every_steps", "100", &["1", "1000000"], &["0", "1000001"]),
    ("governor.snapshots_max", "4", &["1", "64"], &["0", "65"]),
    ("checkpoint.every_epochs", "5", &["0", "1000000"], &["-1", "1000001"]),
    ("checkpoint.keep", "2", &["1", "1000"], &["0", "1001"]),
    ("kasmina.seeds_per_site", "1", &["16"], &["0", "17"]),
    ("kasmina.incubation", "\"straight_through\"", &["shadow", "none"], &["direct"]),
    ("kasmina.rho", "0.2", &["0.001", "10"], &["0", "10.1"]),
    ("kasmina.composition", "\"residual\"", &["blend", "gate"], &["sum"]),
    ("kasmina.curve", "\"linear\"", &["cosine", "sigmoid", "bump"], &["step"]),
    ("kasmina.alpha_target", "1.0", &["0.01", "1"], &["0", "1.01"]),
    ("kasmina.seed_lr_scale", "1.0", &["0.01", "100"], &["0", "101"]),
    ("kasmina.train_min_steps", "100", &["1", "200"], &["0", "201", "10000001"]),
    ("kasmina.train_max_steps", "200", &["100", "10000000"], &["0", "99", "10000001"]),
    ("kasmina.graft_steps", "50", &["1", "115"], &["0", "116", "10000001"]),
    ("kasmina.stabilize_steps", "25", &["0", "90"], &["-1", "91", "10000001"]),
    ("kasmina.verdict_after_steps", "140", &["75", "340"], &["0", "74", "341", "10000001"]),
    ("kasmina.verdict_extend_steps", "100", &["1", "10000000"], &["0", "10000001"]),
    ("kasmina.verdict_max_steps", "340", &["140", "10000000"], &["139", "10000001"]),
    ("kasmina.fine_tune_steps", "0", &["100", "10000000"], &["-1", "10000001"]),
    ("kasmina.embargo_epochs", "1.0", &["0", "1e6"], &["-0.5", "1.1e6"]),
    ("kasmina.counterfactual", "\"twin\"", &["gate", "aa"], &["none"]),
    ("kasmina.pairs", "0", &["1", "16"], &["-1", "17"]),
    ("kasmina.prior", "\"shipped\"", &["none"], &["ledger"]),
    ("kasmina.delta", "0.003", &["0", "0.999"], &["-0.1", "1"]),
    ("kasmina.price_per_param", "0.0", &["1e-6", "1"], &["-1e-9", "1.1"]),
    ("kasmina.price_per_flop", "0.0", &["1e-9", "1"], &["-1e-9", "1.1"]),
    ("kasmina.error_rate", "0.025", &["0.001", "0.5"], &["0", "0.51"]),
    ("kasmina.level", "\"verdict\"", &["run"], &["look"]),
    ("kasmina.harm_ratio", "1.5", &["1.01", "1000"], &["1", "1001"]),
    ("kasmina.telemetry_every_steps", "20", &["1", "1000000"], &["0", "1000001"]),
    ("limits.params_max", "100000000", &["1", "10000000000"], &["0", "10000000001"]),
    ("limits.grafts_max", "1", &["0"], &["2", "-1"]),
    ("limits.seeds_max", "1024", &["3", "1000000"], &["0", "2", "1000001"]),
    ("limits.hosts_max", "8192", &["2", "65536"], &["0", "1", "65537"]),
    ("limits.evaluation_share_max", "0.5", &["0", "1"], &["-0.1", "1.1"]),
    ("limits.events_max", "100000000", &["1000", "1000000000000"], &["999", "1000000000001"]),
    ("tamiyo.policy", "\"heuristic\"", &["off", "random", "ones_own"], &["Greedy", "fixed", "\"\"", "false"]),
    ("tamiyo.germinate_share", "0.1", &["0", "0.3"], &["-0.1", "0.5", "1.1"]),
    ("tamiyo.germinate_until_share", "0.3333333333333333", &["0.1", "1"], &["0.05", "1.1"]),
    ("tamiyo.plateau_epochs", "2.0", &["0.1", "1e6"], &["0", "1.1e6"]),
    ("tamiyo.plateau_relative", "0.05", &["0.001", "0.999"], &["0", "1"]),
    ("tamiyo.incubate_max", "64", &["1", "1024"], &["0", "1025"]),
    ("tamiyo.action_rate", "0.05", &["0.001", "1"], &["0", "1.1"]),
    ("tamiyo.timetable", "[]", &["[{epoch=0,action=\"cull\",site=\"input\"}]"], &["{}", "[1]", "[{}]", "[{epoch=31,action=\"cull\",site=\"input\"}]"]),
    ("karn.catalogue", "[\"all\"]", &["[\"noop\",\"glu\"]", "[]"], &["[\"Glu\"]", "[\"a\",\"a\"]", "all", "[1]"]),
    ("karn.adversarial", "[]", &["[\"bad_nan\",\"bad_slow\"]"], &["[\"bad\"]", "[\"bad_nan\",\"bad_nan\"]"]),
    ("tezzeret.mode", "\"strict\"", &["free"], &["async"]),
    ("tezzeret.n_workers", "1", &["64"], &["0", "65"]),
    ("tezzeret.queue_max", "64", &["1", "65536"], &["0", "65537"]),
    ("tezzeret.latency_ticks", "4", &["1", "1000000"], &["0", "1000001"]),
    ("tezzeret.timeout_ms", "60000", &["1", "3600000"], &["0", "3600001"]),
    ("urabrask.n_workers", "1", &["64"], &["0", "65"]),
    ("urabrask.latency_ticks", "4", &["1", "1000000"], &["0", "1000001"]),
    ("urabrask.bench_repeats", "15", &["3", "10000"], &["2", "10001"]),
    ("urabrask.latency_max_us", "1000000", &["1", "60000000"], &["0", "60000001"]),
    ("urabrask.memory_max_bytes", "67108864", &["1", "1099511627776"], &["0", "1099511627777"]),
    ("urabrask.flops_max", "100000000", &["1", "1000000000000000"], &["0", "1000000000000001"]),
    ("urabrask.grad_growth_max", "100.0", &["1.01", "1e9"], &["1", "1.1e9"]),
    ("urza.path", "", &["\"shared/library.redb\""], &["\"\"", "1"]),
    ("nissa.progress", "true", &["false"], &["\"no\""]),
    ("nissa.metrics_every_epochs", "1", &["1000000"], &["0", "1000001"]),
];

/// The least that a scenario of each other kind says, and the keys that only such scenarios have.
#[rustfmt::skip]
pub(super) const KINDS: &[(&str, &[Row])] = &[
    ("[run]\nepochs=30\n[data]\nsource=\"digits\"\n[host]\nkind=\"cnn\"\nchannels=[8,16,24]\n", &[
        ("host.form", "\"resnet\"", &["vgg"], &["decoder", "vgg16", "1"]),
        ("host.channels", "[8, 16, 24]", &["[1]", "[65536,1]"], &["[]", "[0,8,8]", "[65537,8,8]", "8", "[8,\"8\",8]"]),
        ("host.blocks", "[1, 1, 1]", &["[2,1,64]"], &["[1,1]", "[1,1,0]", "[1,1,65]", "2"]),
        ("host.kernel", "3", &["1", "31"], &["0", "4", "32", "[3,3]"]),
        ("host.norm", "\"batch\"", &["group", "none"], &["layer", "1"]),
        ("host.activation", "\"relu\"", &["gelu"], &["swish"]),
        ("host.dropout", "0.0", &["0.5"], &["1"]),
        ("host.sites", "[\"input\", \"stage1.out\", \"stage2.out\", \"stage3.out\"]", &["[\"stage2.out\"]"], &["[\"stage4.out\"]", "[\"hidden0\"]", "[]"]),
    ]),
    ("[run]\nepochs=30\n[data]\nsource=\"digits\"\n[host]\nkind=\"cnn\"\nchannels=[8,16]\nnorm=\"group\"\n", &[
        ("host.groups", "8", &["1", "4"], &["0", "3", "16", "65537"]),
    ]),
    ("[run]\nepochs=30\n[data]\nsource=\"hamlet\"\n[host]\nkind=\"transformer\"\nlayers=2\nwidth=48\nheads=4\n", &[
        ("data.validation_share", "0.05", &["0.15", "0.9"], &["0", "1"]),
        ("data.test_share", "0.05", &["0.15", "0.9"], &["0", "1"]),
        ("data.context", "128", &["1", "65536"], &["0", "65537"]),
        ("data.tokens", "\"chars\"", &["bytes"], &["words", "1"]),
        ("host.form", "\"decoder\"", &["decoder"], &["encoder", "vit", "1"]),
        ("host.layers", "2", &["1", "128"], &["0", "129", "[48,48]"]),
        ("host.width", "48", &["4", "65536"], &["0", "46", "65537"]),
        ("host.heads", "4", &["1", "48"], &["0", "5", "1025"]),
        ("host.mlp_width", "192", &["1", "262144"], &["0", "262145"]),
        ("host.tied", "true", &["false"], &["1"]),
        ("host.activation", "\"gelu\"", &["gelu_tanh"], &["swish"]),
        ("host.dropout", "0.0", &["0.1"], &["1"]),
        ("host.sites", "[\"embed\", \"block0.out\", \"block1.out\"]", &["[\"block1.attn\"]"], &["[\"block2.out\"]", "[\"input\"]"]),
    ]),
    ("[run]\nepochs=30\n[data]\nsource=\"digits\"\n[host]\nkind=\"transformer\"\nform=\"vit\"\nlayers=2\nwidth=48\nheads=4\npatch=2\n", &[
        ("host.patch", "2", &["1", "1024"], &["0", "1025", "[2,2]"]),
    ]),
    ("[run]\nepochs=30\n[data]\nsource=\"digits\"\n[host]\nkind=\"graph\"\nfile=\"net.toml\"\n", &[
        ("host.file", "\"net.toml\"", &["\"graphs/a b.json\""], &["\"\"", "1"]),
    ]),
];

/// Resolves `base` with `key` set to the TOML `value`.
pub(super) fn set(base: &str, key: &str, value: &str) -> Result<Resolved, ScenarioError> {
    parse(base, "scenario.toml", &[Override::parse(&format!("{key}={value}"))?])
}

#[test]
fn every_key_has_the_default_its_documentation_gives() {
    let listed = parse(LEAST, "scenario.toml", &[]).expect("it is good").keys();
    let defaults: Vec<(&str, &str)> =
        listed.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let documented: Vec<(&str, &str)> = ROWS.iter().map(|row| (row.0, row.1)).collect();
    assert_eq!(defaults, documented);
}

#[test]
fn every_key_of_a_kind_has_the_default_its_documentation_gives() {
    let shared = |key: &str| ROWS.iter().any(|row| row.0 == key);
    for (base, rows) in KINDS {
        let scenario = parse(base, "scenario.toml", &[]);
        let listed = scenario.unwrap_or_else(|error| panic!("{base}{error}")).keys();
        for (key, default, ..) in *rows {
            let found = listed.iter().find(|it| it.0 == *key);
            assert_eq!(found.map(|it| it.1.as_str()), Some(*default), "{key} of {base}");
        }
        for (key, _) in &listed {
            let is_known = KINDS.iter().flat_map(|kind| kind.1).any(|row| row.0 == key);
            assert!(is_known || shared(key), "{key} of {base} is not in the table");
        }
    }
}

#[test]
fn every_key_takes_its_bounds_and_nothing_beyond() {
    let least = [(LEAST, ROWS)];
    for (base, rows) in least.iter().chain(KINDS) {
        let before = parse(base, "scenario.toml", &[]).expect("it is good").keys();
        for (key, default, taken, refused) in *rows {
            for value in *taken {
                let scenario = set(base, key, value);
                let scenario = scenario.unwrap_or_else(|error| panic!("{key} = {value}: {error}"));
                let after = scenario.keys();
                assert_only_changes(key, value, &before, &after);
                let written = &after.iter().find(|it| it.0 == *key).expect("it is listed").1;
                let number = value.parse::<f64>().ok();
                let is_kept = written.trim_matches('"') == value.trim_matches('"')
                    || number.is_some_and(|it| written.parse() == Ok(it))
                    || value.starts_with(['[', '{']) && written != default;
                assert!(is_kept, "{key} = {value} became {written}");
            }
            for value in *refused {
                let error =
                    set(base, key, value).expect_err(&format!("{key} = {value} is refused"));
                let problem = &error.problems[0];
                assert!(problem.help.is_some(), "{key} = {value}: {problem}");
                assert!(!problem.message.is_empty(), "{key} = {value}");
            }
        }
    }
}

/// Asserts that no key but `key`, and those whose defaults follow it, differs.
fn assert_only_changes(
    key: &str,
    value: &str,
    before: &[(String, String)],
    after: &[(String, String)],
) {
    // What a key decides: sites follow layers and channels, widths follow widths.
    let follow: &[&str] = match key {
        "host.layers" => &["host.sites"],
        "host.channels" => &["host.blocks", "host.sites"],
        "host.norm" => &["host.groups"],
        "host.width" => &["host.mlp_width"],
        _ => &[],
    };
    for (path, written) in after {
        let is_same = before.iter().any(|it| (&it.0, &it.1) == (path, written));
        let may_differ = path == key || follow.contains(&path.as_str());
        assert!(is_same || may_differ, "{key} = {value} changed {path} to {written}");
    }
}

#[test]
fn optimizers_take_their_constants_and_no_others() {
    let kinds = [
        ("sgd", ["lr=10", "momentum=0.9", "dampening=1", "weight_decay=0"], "beta1=0.9"),
        ("adam", ["lr=1e-9", "beta1=0", "beta2=0.5", "eps=1"], "momentum=0.9"),
        ("adamw", ["lr=1000", "beta1=0.5", "weight_decay=100", "eps=1e-30"], "nesterov=true"),
    ];
    for (kind, taken, refused) in kinds {
        for constant in taken {
            let value = format!("{{kind=\"{kind}\",{constant}}}");
            set(LEAST, "train.optimizer", &value).unwrap_or_else(|error| panic!("{error}"));
        }
        let value = format!("{{kind=\"{kind}\",{refused}}}");
        let error = set(LEAST, "train.optimizer", &value).expect_err("not a constant of it");
        assert!(error.to_string().contains("no such key"), "{error}");
        assert!(error.to_string().contains("` is a key of `kind = \""), "{error}");
    }
}
