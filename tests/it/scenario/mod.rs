//! What a reader of the scenario's documentation may rely on.

mod bad;
mod keys;
mod overrides;
mod round_trip;

use esper::scenario::{
    DATA, HOST, Host, HostKind, KARN, Karn, LIMITS, Network, Override, RUN, Resolved,
    ScenarioError, defaults, parse,
};

/// The least that a scenario says; lines 1 to 6.
const LEAST: &str = "\
[run]
epochs = 30
[data]
source = \"digits\"
[host]
layers = [64, 8, 10]
";

/// The scenarios that ship.
const SHIPPED: [(&str, &str); 10] = [
    ("scenarios/digits_mlp.toml", include_str!("../../../scenarios/digits_mlp.toml")),
    ("scenarios/mnist1d_mlp.toml", include_str!("../../../scenarios/mnist1d_mlp.toml")),
    ("scenarios/digits_cnn.toml", include_str!("../../../scenarios/digits_cnn.toml")),
    ("scenarios/mnist1d_cnn.toml", include_str!("../../../scenarios/mnist1d_cnn.toml")),
    ("scenarios/hamlet_gpt.toml", include_str!("../../../scenarios/hamlet_gpt.toml")),
    ("scenarios/digits_graph.toml", include_str!("../../../scenarios/digits_graph.toml")),
    ("scenarios/digits_many.toml", include_str!("../../../scenarios/digits_many.toml")),
    ("scenarios/adversarial.toml", include_str!("../../../scenarios/adversarial.toml")),
    ("scenarios/fashion_cnn.toml", include_str!("../../../scenarios/fashion_cnn.toml")),
    ("scenarios/mnist1d_shuffled.toml", include_str!("../../../scenarios/mnist1d_shuffled.toml")),
];

/// Resolves [`LEAST`] with `key` set to the TOML `value`.
fn with(key: &str, value: &str) -> Result<Resolved, ScenarioError> {
    let set = Override::parse(&format!("{key}={value}"))?;
    parse(LEAST, "least.toml", &[set])
}

#[test]
fn the_least_scenario_is_the_default_one() {
    let scenario = parse(LEAST, "scenario.toml", &[]).expect("it is good");
    assert_eq!(*scenario, defaults());
}

#[test]
fn shipped_scenarios_are_good_and_mean_what_they_say() {
    let read = |index: usize| {
        let (name, text) = SHIPPED[index];
        parse(text, name, &[]).unwrap_or_else(|error| panic!("{error}"))
    };
    let [digits, mnist1d, cnn, signals, gpt, graph, many, adversarial] =
        [0, 1, 2, 3, 4, 5, 6, 7].map(read);

    assert_eq!((digits[RUN].name.as_str(), digits[RUN].epochs), ("digits_mlp", 30));
    assert_eq!(digits[HOST], Host::mlp([64, 8, 10]));
    assert_eq!(digits[LIMITS].params_max, 20_000);
    assert_eq!(mnist1d[DATA].source, "mnist1d");
    assert_eq!(many[RUN].replicas, 64);
    let kinds = [&cnn, &signals, &gpt, &graph].map(|it| it[HOST].kind());
    assert_eq!(kinds, [HostKind::Cnn, HostKind::Cnn, HostKind::Transformer, HostKind::Graph]);
    assert_eq!(signals[DATA].augment.crop_padding, 2);
    assert_eq!((gpt[DATA].is_text(), gpt[DATA].context), (true, 64));
    // One of them is drawn where no position may see a later one, and this host reads vectors.
    assert_eq!(adversarial[KARN].adversarial.len(), Karn::ADVERSARIAL.len() - 1);
    assert!(adversarial[KARN].catalogue.is_empty());
}

#[test]
fn a_run_is_called_after_its_file() {
    let name = |file: &str| parse(LEAST, file, &[]).expect("it is good")[RUN].name.clone();
    assert_eq!(name("scenarios/digits_mlp.toml"), "digits_mlp");
    assert_eq!(name("C:\\runs\\my first run.toml"), "my_first_run");
    assert_eq!(name(".toml"), "scenario");
    assert_eq!(name("a/.b.toml"), "b");
    assert_eq!(name("-"), "-");
    assert_eq!(name(""), "scenario");
    assert_eq!(name(&"n".repeat(300)).len(), 64);
}

#[test]
fn sites_follow_the_layers() {
    let sites = |layers| with("host.layers", layers).expect("it is good")[HOST].sites.clone();
    assert_eq!(sites("[4, 2]"), ["input"]);
    assert_eq!(sites("[4, 3, 3, 2]"), ["input", "hidden0", "hidden1", "logits"]);
    let deepest = format!("[{}]", ["1"; 64].join(", "));
    assert_eq!(sites(&deepest).len(), 63);
}

#[test]
fn default_sites_are_sites_there_are() {
    for (base, _) in keys::KINDS {
        let host = parse(base, "x.toml", &[]).expect("it is good")[HOST].clone();
        let known = host.network.known_sites();
        assert!(
            host.sites.iter().all(|site| known.contains(site)),
            "{:?} of {known:?}",
            host.sites
        );
        assert_eq!(host.sites.is_empty(), matches!(host.network, Network::Graph(_)));
    }
    let deep = keys::set(keys::KINDS[2].0, "host.layers", "128").expect("it is good");
    assert_eq!(deep[HOST].sites.len(), 63, "a program carries no more");
}
