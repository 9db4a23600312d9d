//! Bad scenarios: each is refused at the right place, with the right words.

use super::{LEAST, parse};
use esper::scenario::Place;

/// What is added after [`LEAST`] (six lines), where the problem stands, and parts of the message
/// and of the help.
type Case = (&'static str, (usize, usize), &'static str, &'static str);

#[rustfmt::skip]
const ADDED: &[Case] = &[
    // Unknown keys and sections.
    ("[hots]\n", (7, 2), "hots: there is no such section", "did you mean `host`?"),
    ("[train.optimiser]\nlr = 1\n", (7, 8), "train.optimiser: there is no such key in `train`", "did you mean `optimizer`?"),
    ("[tamiyo]\npolcy = \"off\"\n", (8, 1), "tamiyo.polcy: there is no such key", "did you mean `policy`?"),
    ("[kasmina]\n  train-min-steps = 5\n", (8, 3), "kasmina.train-min-steps", "did you mean `train_min_steps`?"),
    ("[limits]\nPARAMS_MAX = 5\n", (8, 1), "limits.PARAMS_MAX", "did you mean `params_max`?"),
    ("batch = 64\n", (7, 1), "host.batch", "`batch` is a key of `[data]`"),
    ("train = 64\n", (7, 1), "host.train", "`[train]` is a section of its own"),
    ("zzzzzzzzzzz = 64\n", (7, 1), "host.zzzzzzzzzzz", "keys of `host`: `kind`, `layers`"),
    ("n_workers = 64\n", (7, 1), "host.n_workers", "`[tezzeret]`, `[urabrask]`"),
    ("[train]\noptimizer = { kind = \"sgd\", momentun = 0.9 }\n", (8, 29), "train.optimizer.momentun", "did you mean `momentum`?"),
    ("[train]\noptimizer = { beta3 = 0.9 }\n", (8, 15), "train.optimizer.beta3", "did you mean `beta1`?"),
    ("[train]\nschedule = { kind = \"constant\", min_lr = 0 }\n", (8, 33), "train.schedule.min_lr", "`min_lr` is a key of `kind = \"cosine\"`"),
    ("[train]\nschedule = { kind = \"constant\", min_lt = 0 }\n", (8, 33), "train.schedule.min_lt", "keys of `train.schedule`"),
    ("[train]\noptimizer = { kind = \"adam\", momentum = 0.9 }\n", (8, 30), "train.optimizer.momentum", "`momentum` is a key of `kind = \"sgd\"`"),
    ("channels = [16, 32]\n", (7, 1), "host.channels: there is no such key in `host`", "`channels` is a key of `kind = \"cnn\"`, and this is another"),
    ("groups = 4\n", (7, 1), "host.groups", "`kind = \"cnn\"` with `norm = \"group\"`"),
    ("width = 4\n", (7, 1), "host.width", "`kind = \"transformer\"` with `form = \"decoder\"`"),
    ("tied = true\n", (7, 1), "host.tied", "`tied` is a key of `kind = \"transformer\"` with `form = \"decoder\"`"),
    ("file = \"a.toml\"\n", (7, 1), "host.file", "`file` is a key of `kind = \"graph\"`"),
    ("context = 64\n", (7, 1), "host.context", "`context` is a key of `[data]`"),
    ("[data.augment]\nflip = true\nmixup = true\n", (9, 1), "data.augment.mixup: there is no such key", "keys of `data.augment`: `flip`, `crop_padding`, `cutout`"),
    // Wrong types.
    ("[data.x]\n", (7, 7), "data.x: there is no such key in `data`", "keys of `data`"),
    ("bias = 1\n", (7, 8), "host.bias: must be true or false, is the whole number 1", "for example `bias = true`"),
    ("dropout = \"0.1\"\n", (7, 11), "must be a number, is the string \"0.1\"", "`dropout = 0.0`"),
    ("activation = 3\n", (7, 14), "must be a string, is the whole number 3", "`activation = \"relu\"`"),
    ("sites = \"input\"\n", (7, 9), "must be an array, is the string \"input\"", "`sites = ["),
    ("sites = [\"input\", 3]\n", (7, 19), "host.sites[1]: must be a string", "`sites = ["),
    ("[tezzeret]\nn_workers = 1.5\n", (8, 13), "must be a whole number, is the number 1.5", "`n_workers = 1`"),
    ("[nissa]\nprogress = 2026-01-01\n", (8, 12), "must be true or false, is a date", "`progress = true`"),
    ("[train]\nclip_norm = [1]\n", (8, 13), "must be a number, is an array", "`clip_norm = 1.0`"),
    ("[train]\noptimizer = \"adamw\"\n", (8, 13), "must be a table, is the string \"adamw\"", "write `[train.optimizer]`"),
    ("[urza]\npath = { }\n", (8, 8), "must be a string, is a table", "`path = \"library.redb\"`"),
    // Out of range.
    ("dropout = 1\n", (7, 11), "must be at least 0 and below 1, is 1", "`dropout = 0.0`"),
    ("[run.x]\n", (7, 6), "run.x", "keys of `run`"),
    ("[train]\noptimizer.lr = -1\n", (8, 16), "train.optimizer.lr: must be above 0 and at most 1000, is -1", "`lr = 0.001`"),
    ("[train]\noptimizer.beta1 = 1.0\n", (8, 19), "must be at least 0 and below 1, is 1", "`beta1 = 0.9`"),
    ("[train]\nclip_norm = nan\n", (8, 13), "is NaN", "`clip_norm = 1.0`"),
    ("[train]\nclip_norm = -inf\n", (8, 13), "is -inf", "`clip_norm = 1.0`"),
    ("[tezzeret]\nqueue_max = -64\n", (8, 13), "must be 1 to 65536, is -64", "`queue_max = 64`"),
    ("[limits]\nparams_max = 99999999999999999999\n", (8, 14), "is 99999999999999999999", "`params_max = 100000000`"),
    ("[limits]\nevents_max = 0xffffffffffffffffffffffffffffffffffffffff\n", (8, 14), "is far above", "`events_max"),
    ("[urabrask]\nmemory_max_bytes = 18446744073709551616\n", (8, 20), "must be 1 to 1099511627776", "`memory_max_bytes = 67108864`"),
    ("[governor]\nsnapshots_max = 65\n", (8, 17), "must be 1 to 64, is 65", "`snapshots_max = 4`"),
    ("[kasmina]\nerror_rate = 2.5\n", (8, 14), "must be above 0 and at most 0.5, is 2.5", "`error_rate = 0.025`"),
    ("[karn]\ncatalogue = [\"Residual MLP\"]\n", (8, 14), "lowercase letters", "`catalogue = [\"all\"]`"),
    ("[karn]\nadversarial = [\"bad_nam\"]\n", (8, 16), "must be the name of a bad blueprint, is \"bad_nam\"", "did you mean `bad_nan`?"),
    // Words.
    ("activation = \"rellu\"\n", (7, 14), "there is no \"rellu\"", "did you mean `relu`?"),
    ("kind = \"cnnn\"\n", (7, 8), "there is no \"cnnn\"", "did you mean `cnn`? known: `mlp`"),
    ("kind = \"forest\"\n", (7, 8), "there is no \"forest\"", "known: `mlp`, `cnn`, `transformer`, `graph`"),
    ("[tamiyo]\npolicy = \"Graph\"\n", (8, 10), "lowercase letters", "policy = \"heuristic\""),
    ("[train]\noptimizer = { kind = \"sdg\", momentum = 0.9 }\n", (8, 22), "there is no \"sdg\"", "did you mean `sgd`?"),
    ("[kasmina]\nincubation = \"straight-through\"\n", (8, 14), "there is no \"straight-through\"", "did you mean `straight_through`?"),
    // Keys at odds with each other.
    ("sites = [\"hiden0\"]\n", (7, 10), "this host has no site \"hiden0\"", "did you mean `hidden0`? sites of this host: `input`, `linear0`, `hidden0`, `logits`"),
    ("sites = [\"input\", \"hidden1\"]\n", (7, 19), "host.sites[1]: this host has no site", "did you mean `hidden0`?"),
    ("sites = [\"input\", \"input\"]\n", (7, 19), "stands in the list twice", "remove one"),
    ("sites = []\n", (7, 9), "must name a site for policy \"heuristic\"", "`policy = \"off\"`"),
    ("[limits]\nseeds_max = 1\n", (8, 13), "must be at least the 3 seeds", "`seeds_max = 48`"),
    ("[limits]\nhosts_max = 1\n", (8, 13), "must be at least 2, replicas and their twins, is 1", "`hosts_max = 2`"),
    ("[kasmina]\ntrain_min_steps = 500\n", (8, 19), "kasmina.train_max_steps: must be at least `kasmina.train_min_steps` (500), is 200", "`train_max_steps = 500`"),
    ("[kasmina]\ngraft_steps = 200\n", (8, 15), "must be at least `kasmina.graft_steps` + `kasmina.stabilize_steps` (225), is 140", "`verdict_after_steps = 225`"),
    ("[kasmina]\nverdict_max_steps = 100\n", (8, 21), "must be at least `kasmina.verdict_after_steps` (140)", "`verdict_max_steps = 140`"),
    ("[tamiyo]\ngerminate_share = 0.5\n", (8, 19), "must be at least `tamiyo.germinate_share` (0.5)", "`germinate_until_share = 0.75`"),
    ("[tamiyo]\npolicy = \"fixed\"\n", (8, 10), "must say what policy \"fixed\" does", "`timetable = [{"),
    ("[train]\noptimizer = { kind = \"sgd\", nesterov = true }\n", (8, 40), "needs `momentum` above 0", "`momentum = 0.9`"),
    ("[train]\nschedule = { kind = \"cosine\", min_lr = 0.1 }\n", (8, 40), "must be at most the optimizer's `lr` (0.001), is 0.1", "`min_lr = 0.0`"),
    ("[train]\nschedule = { kind = \"step\" }\n", (8, 1), "train.schedule.step_epochs: is required", "`step_epochs = 10.0`"),
    ("[train]\nschedule.warmup_epochs = 31\n", (8, 26), "must be at most `run.epochs` (30), is 31", "`warmup_epochs = 1.0`"),
    // Timetables.
    ("[[tamiyo.timetable]]\nepoch = 3\naction = \"grow\"\nsite = \"input\"\n", (9, 10), "tamiyo.timetable[0].action: there is no \"grow\"", "known: `germinate`"),
    ("[[tamiyo.timetable]]\nepoch = 31\naction = \"cull\"\nsite = \"input\"\n", (8, 9), "must be at most `run.epochs` (30), is 31", "after the end"),
    ("[[tamiyo.timetable]]\nepoch = 3\naction = \"cull\"\nsite = \"inptu\"\n", (10, 8), "no seed is planted at \"inptu\"", "did you mean `input`?"),
    ("[[tamiyo.timetable]]\nepoch = 3\naction = \"germinate\"\nsite = \"input\"\n", (9, 10), "tamiyo.timetable[0].blueprint: is required for \"germinate\"", "`blueprint = "),
    ("[[tamiyo.timetable]]\nepoch = 3\naction = \"cull\"\nsite = \"input\"\nblueprint = \"glu\"\n", (11, 13), "has no meaning for \"cull\"", "remove it"),
    ("[[tamiyo.timetable]]\naction = \"cull\"\nsite = \"input\"\n", (7, 1), "tamiyo.timetable[0].epoch: is required", "`epoch = 0.0`"),
    // Text that is not TOML.
    ("[tamiyo\n", (7, 8), "unclosed table", "`[name]`"),
    ("[tamiyo]\npolicy = off\n", (8, 10), "string values must be quoted", "`policy = \"off\"`"),
    ("layers = [1, 1]\n", (7, 1), "duplicate key", "remove one"),
    ("[run]\n", (7, 2), "duplicate key", "remove one"),
    ("sites = [\"input\"\n", (7, 17), "unclosed array", "ends in `]`"),
    ("dropout = .5\n", (7, 11), "invalid mantissa", "`0.5`"),
    ("kind = \"mlp\n", (7, 12), "invalid basic string", "ends as it began"),
    ("my key = 1\n", (7, 4), "key with no value", "`key = value`"),
    ("clé = 1\n", (7, 3), "invalid unquoted key", "letters, digits"),
];

/// Whole texts that are refused.
#[rustfmt::skip]
const WHOLE: &[Case] = &[
    ("", (1, 1), "run.epochs: is required", "for example `epochs = 30`"),
    ("[run]\nepochs = 30\n[data]\nsource = \"digits\"\n", (1, 1), "host.layers: is required", "`layers = [64, 8, 10]`"),
    ("[run]\nname = \"x\"\n[data]\nsource = \"digits\"\n[host]\nlayers = [4, 2]\n", (1, 2), "run.epochs: is required", "`epochs = 30`"),
    ("epochs = 30\n", (1, 1), "epochs: there is no such section", "`epochs` is a key of `[run]`"),
    ("run = 3\n", (1, 7), "run: must be a table, is the whole number 3", "write `[run]`"),
    ("[[run]]\nepochs = 30\n", (1, 1), "run: must be a table, is an array", "write `[run]`"),
    ("[run]\nepochs = 30\n[data]\nsource = \"digits\"\nbatch = 0\n[host]\nlayers = [64, 8, 10]\n", (5, 9), "data.batch: must be 1 to 65536, is 0", "`batch = 64`"),
    ("[run]\nepochs = 30\n[data]\nsource = \"digits\"\nvalidation_share = 0.5\ntest_share = 0.5\n[host]\nlayers = [64, 8, 10]\n", (5, 20), "must leave something to train on: 0.5", "`validation_share = 0.15`"),
    ("[run]\nepochs = 30\ndevice = \"GPU 0\"\n[data]\nsource = \"digits\"\n[host]\nlayers = [64, 8, 10]\n", (3, 10), "run.device: must be 1 to 32 lowercase letters", "`device = \"cpu\"`"),
    ("[run]\nepochs = 30\nname = \"../up\"\n[data]\nsource = \"digits\"\n[host]\nlayers = [64, 8, 10]\n", (3, 8), "run.name: must be 1 to 64 letters", "`name = \"x\"`"),
    ("[run]\nepochs = 30\n[data]\nsource = \"digits\"\n[host]\nlayers = [64, -8, 10]\n", (6, 15), "host.layers[1]: must be 1 to 65536, is -8", "`layers = ["),
    ("[run]\r\nepochs = 30\r\n# é\r\n[data]\r\nsource = \"é\" x\r\n", (5, 14), "unexpected key or value", "TOML"),
    ("\u{0}", (1, 1), "invalid unquoted key", "letters, digits"),
    ("{\"run\": {\"epochs\": 30}}", (1, 1), "invalid key-value pair", "`key = value`"),
];

/// What follows `[run]` and its two lines, `[data]` and a source in line 4, and `[host]` in line 5.
#[rustfmt::skip]
const HOSTS: &[(&str, &[Case])] = &[
    ("digits", &[
        ("kind = \"cnn\"\n", (5, 2), "host.channels: is required", "`channels = [16, 32]`"),
        ("kind = \"cnn\"\nchannels = 16\n", (7, 12), "must be an array, is the whole number 16", "`channels = [16, 32]`"),
        ("kind = \"cnn\"\nchannels = [8]\nlayers = [64, 10]\n", (8, 1), "host.layers: there is no such key", "`layers` is a key of `kind = \"mlp\"` and"),
        ("kind = \"cnn\"\nchannels = [8]\nnorm = \"layer\"\n", (8, 8), "there is no \"layer\"", "known: `batch`, `group`, `none`"),
        ("kind = \"cnn\"\nchannels = [8]\ngroups = 4\n", (8, 1), "host.groups: there is no such key", "with `norm = \"group\"`"),
        ("kind = \"cnn\"\nchannels = [8, 12]\nnorm = \"group\"\n", (7, 12), "host.groups: must divide the channels of every stage, and 8 does not divide 12", "`groups = 4`"),
        ("kind = \"cnn\"\nchannels = [8, 16]\nblocks = [1, 1, 1]\n", (8, 10), "must have an entry for each of the 2 `host.channels`, has 3", "`blocks = [1, 1]`"),
        ("kind = \"cnn\"\nchannels = [8]\nkernel = 4\n", (8, 10), "must be odd, so that it has a middle, is 4", "`kernel = 3`"),
        ("kind = \"cnn\"\nchannels = [8]\nform = \"vgg16\"\n", (8, 8), "there is no \"vgg16\"", "did you mean `vgg`?"),
        ("kind = \"cnn\"\nchannels = [8]\nsites = [\"stage2.out\"]\n", (8, 10), "this host has no site \"stage2.out\"", "did you mean `stage1.out`?"),
        ("kind = \"transformer\"\nlayers = [2, 2]\nwidth = 16\nheads = 2\n", (7, 10), "host.layers: must be a whole number, is an array", "`layers = 4`"),
        ("kind = \"transformer\"\nform = \"vit\"\nlayers = 2\nwidth = 16\nheads = 2\n", (5, 2), "host.patch: is required", "`patch = 4`"),
        ("kind = \"transformer\"\nform = \"vit\"\nlayers = 2\nwidth = 16\nheads = 2\npatch = 2\ntied = true\n", (12, 1), "host.tied", "with `form = \"decoder\"`"),
        ("layers = 4\n", (6, 10), "host.layers: must be an array, is the whole number 4", "`layers = [64, 8, 10]`"),
        ("kind = \"graph\"\n", (5, 2), "host.file: is required", "`file = \""),
        ("kind = \"graph\"\nfile = \"a.toml\"\nsites = [\"x\"]\n", (8, 1), "host.sites: there is no such key", "nodes of its file with `op = \"site\"`"),
        ("kind = \"graph\"\nfile = \"a.toml\"\nlayers = [1, 2]\n", (8, 1), "host.layers: there is no such key", "`kind = \"mlp\"`"),
        ("layers = [64, 10]\n[data.augment]\nflip = 1\n", (8, 8), "data.augment.flip: must be true or false", "`flip = false`"),
    ]),
    ("hamlet\"\nstandardize = \"global", &[
        ("kind = \"transformer\"\nlayers = 2\nwidth = 16\nheads = 2\n", (5, 1), "data.standardize: there is no such key in `data`", "`standardize` is a key of sources of examples"),
    ]),
    ("digits\"\ncontext = 64\ntokens = \"chars", &[
        ("layers = [64, 10]\n", (5, 1), "data.context: there is no such key in `data`", "`context` is a key of texts (`hamlet` or a .txt file)"),
        ("layers = [64, 10]\n", (6, 1), "data.tokens: there is no such key in `data`", "`tokens` is a key of texts"),
    ]),
    ("my.TXT\"\naugment.flip = true # \"", &[
        ("kind = \"transformer\"\nlayers = 2\nwidth = 16\nheads = 2\n", (5, 1), "data.augment: there is no such key in `data`", "`augment` is a key of sources of examples"),
    ]),
    ("hamlet", &[
        ("kind = \"transformer\"\nlayers = 2\nwidth = 50\nheads = 4\n", (9, 9), "host.heads: must divide `host.width` (50), is 4", "`heads = 5`"),
        ("kind = \"transformer\"\nlayers = 2\nwidth = 16\nheads = 2\npatch = 4\n", (10, 1), "host.patch: there is no such key", "with `form = \"vit\"`"),
        ("kind = \"transformer\"\nlayers = 2\nwidth = 16\nheads = 2\nsites = [\"block2.attn\"]\n", (10, 10), "this host has no site \"block2.attn\"", "did you mean `block0.attn`?"),
        ("kind = \"transformer\"\nform = \"vitt\"\nlayers = 2\nwidth = 16\nheads = 2\npatch = 2\n", (7, 8), "there is no \"vitt\"", "did you mean `vit`?"),
        ("kind = \"tansformer\"\nlayers = 2\nwidth = 16\nheads = 2\n", (6, 8), "there is no \"tansformer\"", "did you mean `transformer`?"),
    ]),
];

/// The cases of [`HOSTS`] with their whole texts.
fn hosts() -> impl Iterator<Item = (String, &'static Case)> {
    HOSTS.iter().flat_map(|(source, cases)| {
        let head = format!("[run]\nepochs = 30\n[data]\nsource = \"{source}\"\n[host]\n");
        cases.iter().map(move |case| (format!("{head}{}", case.0), case))
    })
}

/// Says what is not as the case wants it.
fn fault(text: &str, &(_, place, message, help): &Case) -> Option<String> {
    let Err(error) = parse(text, "x.toml", &[]) else {
        return Some(format!("taken:\n{text}"));
    };
    let wanted =
        error.problems.iter().find(|it| format!("{}: {}", it.key, it.message).contains(message));
    let Some(problem) = wanted else {
        return Some(format!("no `{message}` in:\n{error}"));
    };
    let Place::Text { line, column, span } = &problem.place else {
        return Some(format!("not in the text: {problem}"));
    };
    let is_right = (*line, *column) == place
        && text.get(span.clone()).is_some()
        && problem.help.as_ref().is_some_and(|it| it.contains(help));
    (!is_right).then(|| format!("not {place:?} and `{help}` but {line}:{column}:\n{problem}"))
}

#[test]
fn bad_scenarios_are_refused_at_the_right_place_with_the_right_words() {
    let added = ADDED.iter().map(|case| (format!("{LEAST}{}", case.0), case));
    let whole = WHOLE.iter().map(|case| (case.0.to_owned(), case));
    let faults: Vec<String> =
        added.chain(whole).chain(hosts()).filter_map(|(text, it)| fault(&text, it)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn one_mistake_is_one_problem() {
    for &(added, _, message, _) in ADDED {
        let error = parse(&format!("{LEAST}{added}"), "x.toml", &[]).expect_err(added);
        let is_two = message == "duplicate key";
        assert!(is_two || error.problems.len() == 1, "{added}\n{error}");
    }
    for (text, (_, _, message, _)) in hosts() {
        let error = parse(&text, "x.toml", &[]).expect_err(message);
        let is_two = text.contains("context = 64");
        assert!(is_two || error.problems.len() == 1, "{text}\n{error}");
    }
}

#[test]
fn everything_that_is_wrong_is_reported_in_the_order_of_the_file() {
    let text = "\
[run]
epochs = 0
seed = \"x\"
[data]
sauce = \"digits\"
batch = -1
[host]
layers = [64, 8, 0]
sites = [\"hidden9\", \"input\"]
[train]
optimizer = { lr = -1, beta1 = 2 }
[tamiyo]
germinate_share = 0.9
";
    let error = parse(text, "x.toml", &[]).expect_err("much of it is wrong");
    let found: Vec<&str> = error.problems.iter().map(|it| it.key.as_str()).collect();
    let wanted = [
        "run.epochs",
        "run.seed",
        "data.source",
        "data.sauce",
        "data.batch",
        "host.layers[2]",
        "train.optimizer.lr",
        "train.optimizer.beta1",
        "tamiyo.germinate_until_share",
    ];
    assert_eq!(found, wanted, "{error}");
}

#[test]
fn a_problem_is_shown_on_two_lines() {
    let text = format!("{LEAST}[train]\noptimizer = {{ lr = -1 }}\n");
    let error = parse(&text, "scenarios/x.toml", &[]).expect_err("lr is negative");
    let shown = "scenarios/x.toml:8:20: train.optimizer.lr: must be above 0 and at most 1000, is -1\n  \
                 help: for example `lr = 0.001`";
    assert_eq!(error.to_string(), shown);
    let json = serde_json::to_value(&error).expect("it has only plain fields");
    assert_eq!(json["problems"][0]["place"]["text"]["line"], 8);
}

#[test]
fn long_and_crowded_files_are_cut_short() {
    let error = parse(&"#".repeat((1 << 20) + 1), "x.toml", &[]).expect_err("it is too long");
    assert!(error.to_string().contains("at most 1 MiB"), "{error}");

    let many: String = (0..5000).map(|index| format!("key{index} = 1\n")).collect();
    let error = parse(&format!("{LEAST}{many}"), "x.toml", &[]).expect_err("no such keys");
    assert_eq!(error.problems.len(), 100);

    let deep = format!("{LEAST}sites = {}", "[".repeat(100_000));
    assert!(parse(&deep, "x.toml", &[]).is_err());

    let long = format!("{LEAST}{} = 1\n", "k".repeat(100_000));
    let error = parse(&long, "x.toml", &[]).expect_err("no such key");
    assert!(error.to_string().len() < 2000, "messages stay short");
}
