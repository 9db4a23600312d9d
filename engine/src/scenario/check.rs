//! Rules that tie several keys together.

use super::{
    Counterfactual, Course, Optimizer, Scenario,
    file::Findings,
    host::Host,
    suggest::{clip, did_you_mean},
    tamiyo::{Action, Policy},
};

/// Checks what no key can tell alone. A rule is left out where one of its keys is wrong already.
pub(super) fn check(scenario: &Scenario, found: &mut Findings<'_>) {
    let mut rules = Rules { found };
    check_data_and_host(scenario, &mut rules);
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

fn check_data_and_host(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let (data, host) = (&scenario.data, &scenario.host);
    rules.hold(
        data.validation_share + data.test_share < 1.0,
        &["data.validation_share", "data.test_share"],
        format!(
            "must leave something to train on: {} for validation and {} for the test",
            data.validation_share, data.test_share
        ),
        "for example `validation_share = 0.15` and `test_share = 0.15`",
    );
    let known = Host::site_names(host.layers.len());
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    for (index, site) in host.sites.iter().enumerate() {
        rules.hold(
            known.contains(&site.as_str()),
            &[&format!("host.sites[{index}]"), "host.layers"],
            format!("this host has no site \"{}\"", clip(site)),
            did_you_mean(site, "sites of this host", &known),
        );
    }
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
        tamiyo.policy == Policy::Off || !scenario.host.sites.is_empty(),
        &["host.sites", "tamiyo.policy"],
        format!("must name a site for policy \"{}\" to grow at", tamiyo.policy),
        "for example `sites = [\"hidden0\"]`, or `policy = \"off\"`",
    );
    let karn = &scenario.karn;
    rules.hold(
        tamiyo.policy == Policy::Off || !(karn.catalogue.is_empty() && karn.adversarial.is_empty()),
        &["karn.catalogue", "karn.adversarial", "tamiyo.policy"],
        format!("must name a blueprint for policy \"{}\" to choose", tamiyo.policy),
        "for example `catalogue = [\"all\"]`",
    );
}

fn check_timetable(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let epochs = scenario.run.epochs;
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
            sites.contains(&entry.site.as_str()),
            &[&path("site"), "host.sites", "host.layers"],
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
    let n_params = host.n_params();
    rules.hold(
        n_params <= limits.params_max,
        &["limits.params_max", "host.layers", "host.bias", "host.norm"],
        format!("must be at least the {n_params} parameters of the host, is {}", limits.params_max),
        format!("for example `params_max = {}`, or narrower `host.layers`", 2 * n_params),
    );
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
