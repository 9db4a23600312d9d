//! Rules that tie several keys together.

use esper_nn::{
    graph::ImageNorm,
    optim::{Course, Optimizer},
    suggest::{clip, did_you_mean},
};

use super::{
    Counterfactual, Scenario,
    file::Findings,
    host::{Cnn, Network, Transformer},
    tamiyo::{Action, Policy},
};

/// Checks what no key can tell alone. A rule is left out where one of its keys is wrong already.
pub(super) fn check(scenario: &Scenario, found: &mut Findings<'_>) {
    let mut rules = Rules { found };
    check_data(scenario, &mut rules);
    check_host(scenario, &mut rules);
    check_training(scenario, &mut rules);
    check_seed_life(scenario, &mut rules);
    check_policy(scenario, &mut rules);
    check_timetable(scenario, &mut rules);
    check_limits(scenario, &mut rules);
}

/// Where broken rules go.
struct Rules<'a, 'f> {
    found: &'a mut Findings<'f>,
}

impl Rules<'_, '_> {
    /// Holds the key `paths[0]` to a rule that takes all of `paths` into account. The problem
    /// stands at the first of them that was written.
    fn hold(&mut self, is_held: bool, paths: &[&str], message: String, help: impl Into<String>) {
        if is_held || paths.iter().any(|it| self.found.touch(it)) {
            return;
        }
        let file = self.found.file();
        let written = paths.iter().map(|it| file.origin(it)).find(|&(_, is_written)| is_written);
        let (origin, _) = written.unwrap_or_else(|| file.origin(paths[0]));
        self.found.refuse(paths[0], origin, message, help);
    }

    /// Holds a key to be at least the sum of others.
    fn hold_order(&mut self, value: u64, least: u64, paths: &[&str]) {
        let sum = paths[1..].iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(" + ");
        let message = format!("must be at least {sum} ({least}), is {value}");
        let name = paths[0].rsplit('.').next().unwrap_or(paths[0]);
        self.hold(least <= value, paths, message, format!("for example `{name} = {least}`"));
    }
}

fn check_data(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let data = &scenario.data;
    rules.hold(
        data.validation_share + data.test_share < 1.0,
        &["data.validation_share", "data.test_share"],
        format!(
            "must leave something to train on: {} for validation and {} for the test",
            data.validation_share, data.test_share
        ),
        "for example `validation_share = 0.15` and `test_share = 0.15`",
    );
}

fn check_host(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    match &scenario.host.network {
        Network::Cnn(cnn) => check_cnn(cnn, rules),
        Network::Transformer(transformer) => check_transformer(transformer, rules),
        Network::Mlp(_) | Network::Graph(_) => {}
    }
    let known = scenario.host.network.known_sites();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    for (index, site) in scenario.host.sites.iter().enumerate() {
        rules.hold(
            known.contains(&site.as_str()),
            &[
                &format!("host.sites[{index}]"),
                "host.kind",
                "host.form",
                "host.layers",
                "host.channels",
                "host.blocks",
            ],
            format!("this host has no site \"{}\"", clip(site)),
            did_you_mean(site, "sites of this host", &known),
        );
    }
}

fn check_cnn(cnn: &Cnn, rules: &mut Rules<'_, '_>) {
    let n_stages = cnn.channels.len();
    rules.hold(
        cnn.blocks.len() == n_stages,
        &["host.blocks", "host.channels"],
        format!(
            "must have an entry for each of the {n_stages} `host.channels`, has {}",
            cnn.blocks.len()
        ),
        format!("for example `blocks = {:?}`", vec![1; n_stages]),
    );
    rules.hold(
        !cnn.kernel.is_multiple_of(2),
        &["host.kernel"],
        format!("must be odd, so that it has a middle, is {}", cnn.kernel),
        format!("for example `kernel = {}`", cnn.kernel.saturating_sub(1).max(1)),
    );
    if let ImageNorm::Group { groups } = cnn.norm {
        let odd = cnn.channels.iter().copied().find(|it| !it.is_multiple_of(groups));
        let common = cnn.channels.iter().copied().fold(0, gcd);
        rules.hold(
            odd.is_none(),
            &["host.groups", "host.channels"],
            format!(
                "must divide the channels of every stage, and {groups} does not divide {}",
                odd.unwrap_or_default()
            ),
            format!("for example `groups = {}`", nearest_divisor(groups, common)),
        );
    }
}

fn check_transformer(transformer: &Transformer, rules: &mut Rules<'_, '_>) {
    let Transformer { width, heads, .. } = *transformer;
    rules.hold(
        width.is_multiple_of(heads),
        &["host.heads", "host.width"],
        format!("must divide `host.width` ({width}), is {heads}"),
        format!("for example `heads = {}`", nearest_divisor(heads, width)),
    );
}

/// The divisor of `of` that lies nearest to `wanted`.
fn nearest_divisor(wanted: usize, of: usize) -> usize {
    let divisors = (1..=of).filter(|&it| of.is_multiple_of(it));
    divisors.min_by_key(|it| it.abs_diff(wanted)).unwrap_or(1)
}

/// The greatest common divisor.
fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn check_training(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let train = &scenario.train;
    if let Optimizer::Sgd(sgd) = &train.optimizer {
        rules.hold(
            !sgd.nesterov || (0.0 < sgd.momentum && sgd.dampening == 0.0),
            &["train.optimizer.nesterov", "train.optimizer.momentum", "train.optimizer.dampening"],
            "needs `momentum` above 0 and no `dampening`".to_owned(),
            "for example `momentum = 0.9`",
        );
    }
    if let Course::Cosine { min_lr } = train.schedule.course {
        let lr = train.optimizer.lr();
        rules.hold(
            min_lr <= lr,
            &["train.schedule.min_lr", "train.optimizer"],
            format!("must be at most the optimizer's `lr` ({lr}), is {min_lr}"),
            "for example `min_lr = 0.0`",
        );
    }
    let (warmup_epochs, epochs) = (train.schedule.warmup_epochs, scenario.run.epochs);
    rules.hold(
        warmup_epochs <= epochs as f64,
        &["train.schedule.warmup_epochs", "run.epochs"],
        format!("must be at most `run.epochs` ({epochs}), is {warmup_epochs}"),
        "for example `warmup_epochs = 1.0`",
    );
}

fn check_seed_life(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let kasmina = &scenario.kasmina;
    rules.hold_order(
        kasmina.train_max_steps,
        kasmina.train_min_steps,
        &["kasmina.train_max_steps", "kasmina.train_min_steps"],
    );
    rules.hold_order(
        kasmina.verdict_after_steps,
        kasmina.graft_steps + kasmina.stabilize_steps,
        &["kasmina.verdict_after_steps", "kasmina.graft_steps", "kasmina.stabilize_steps"],
    );
    rules.hold_order(
        kasmina.verdict_max_steps,
        kasmina.verdict_after_steps,
        &["kasmina.verdict_max_steps", "kasmina.verdict_after_steps"],
    );
}

fn check_policy(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let tamiyo = &scenario.tamiyo;
    // A graph's sites are in its file, and checked when that is read.
    let has_file = matches!(scenario.host.network, Network::Graph(_));
    let (from, until) = (tamiyo.germinate_share, tamiyo.germinate_until_share);
    rules.hold(
        from <= until,
        &["tamiyo.germinate_until_share", "tamiyo.germinate_share"],
        format!("must be at least `tamiyo.germinate_share` ({from}), is {until}"),
        format!("for example `germinate_until_share = {}`", (from + 1.0) / 2.0),
    );
    rules.hold(
        tamiyo.policy != Policy::Fixed || !tamiyo.timetable.is_empty(),
        &["tamiyo.timetable", "tamiyo.policy"],
        "must say what policy \"fixed\" does".to_owned(),
        "for example `timetable = [{ epoch = 3.0, action = \"germinate\", site = \"hidden0\", \
         blueprint = \"residual_mlp\" }]`",
    );
    rules.hold(
        tamiyo.policy == Policy::Off || has_file || !scenario.host.sites.is_empty(),
        &["host.sites", "host.kind", "tamiyo.policy"],
        format!("must name a site for policy \"{}\" to grow at", tamiyo.policy),
        "for example `sites = [\"hidden0\"]`, or `policy = \"off\"`",
    );
}

fn check_timetable(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let epochs = scenario.run.epochs;
    let has_file = matches!(scenario.host.network, Network::Graph(_));
    let sites: Vec<&str> = scenario.host.sites.iter().map(String::as_str).collect();
    for (index, entry) in scenario.tamiyo.timetable.iter().enumerate() {
        let path = |name: &str| format!("tamiyo.timetable[{index}].{name}");
        rules.hold(
            entry.epoch <= epochs as f64,
            &[&path("epoch"), "run.epochs"],
            format!("must be at most `run.epochs` ({epochs}), is {}", entry.epoch),
            "an appointment after the end is never kept",
        );
        rules.hold(
            has_file || sites.contains(&entry.site.as_str()),
            &[
                &path("site"),
                "host.sites",
                "host.kind",
                "host.form",
                "host.layers",
                "host.channels",
                "host.blocks",
            ],
            format!("no seed is planted at \"{}\"", clip(&entry.site)),
            did_you_mean(&entry.site, "`host.sites`", &sites),
        );
        let (needs, has) = (entry.action == Action::Germinate, entry.blueprint.is_some());
        rules.hold(
            !needs || has,
            &[&path("blueprint"), &path("action")],
            "is required for \"germinate\"".to_owned(),
            "for example `blueprint = \"residual_mlp\"`",
        );
        rules.hold(
            needs || !has,
            &[&path("blueprint"), &path("action")],
            format!("has no meaning for \"{}\"", entry.action),
            "remove it: the seed at the site has its blueprint",
        );
    }
}

fn check_limits(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let (host, limits) = (&scenario.host, &scenario.limits);
    let n_seeds = host.sites.len() * scenario.kasmina.seeds_per_site;
    rules.hold(
        n_seeds <= limits.seeds_max,
        &["limits.seeds_max", "kasmina.seeds_per_site", "host.sites"],
        format!("must be at least the {n_seeds} seeds of a new host, is {}", limits.seeds_max),
        format!("for example `seeds_max = {}`", 16 * n_seeds),
    );
    let has_twins = scenario.tamiyo.policy != Policy::Off
        && scenario.kasmina.counterfactual == Counterfactual::Twin;
    let n_twins = if has_twins { limits.grafts_max } else { 0 };
    let n_hosts = scenario.run.replicas * (1 + n_twins);
    rules.hold(
        n_hosts <= limits.hosts_max,
        &["limits.hosts_max", "run.replicas", "limits.grafts_max"],
        format!("must be at least {n_hosts}, replicas and their twins, is {}", limits.hosts_max),
        format!("for example `hosts_max = {n_hosts}`"),
    );
}
