//! The report of a run.

mod boxes;
mod compute;
mod curves;
mod gains;
mod gates;
mod lanes;
mod layered;
mod network;
mod read;
mod stages;

use esper_systems::nissa::{RunEnd, Scores, SeedTally, Summary};
use maud::{Markup, html};

use self::read::HostData;
pub(super) use self::read::RunData;
use super::{
    number,
    page::{Block, Card, Page},
};

/// Hosts that have a section.
const HOSTS_MAX: usize = 12;
/// Hosts that have a row in the table of hosts.
const HOST_ROWS_MAX: usize = 500;

/// The page of a run.
pub(super) fn page(data: &RunData) -> Page {
    let mut missing = data.missing.clone();
    let mut blocks = Vec::new();
    let is_many = data.hosts.len() > 1;
    let shown = &data.hosts[..data.hosts.len().min(HOSTS_MAX)];
    let mut chooser = Vec::new();
    if is_many {
        chooser.push(("hosts".to_owned(), "all hosts".to_owned()));
        blocks.push(Block::Html(hosts_table(data)));
        if let Some(summary) = &data.summary {
            let figure = compute::draw("compute".to_owned(), summary.flops);
            blocks.extend(figure.map(|it| Block::Figure(Box::new(it))));
        }
    }
    for host in shown {
        if is_many {
            chooser.push((host.host.to_string(), host.host.to_string()));
            blocks.push(Block::Html(
                html! { h2 id=(host.host.to_string()) { (host.host.to_string()) } },
            ));
        }
        host_blocks(data, host, &mut blocks, &mut missing);
    }
    if data.hosts.is_empty() {
        missing.push(
            "No host has left a trace: the run was stopped before its first epoch ended."
                .to_owned(),
        );
    }
    blocks.push(Block::Html(facts(data)));
    Page {
        kicker: "Run".to_owned(),
        title: data.manifest.scenario.clone(),
        lead: lead(data),
        cards: cards(data),
        missing,
        chooser,
        blocks,
    }
}

/// What is known of one host, drawn.
fn host_blocks(
    data: &RunData,
    host: &HostData,
    blocks: &mut Vec<Block>,
    missing: &mut Vec<String>,
) {
    let counterfactual = data.summary.as_ref().map(|it| it.counterfactual.as_str());
    let mut absent = Vec::new();
    let mut put = |figure: Option<super::Figure>, otherwise: &'static str| match figure {
        Some(figure) => blocks.push(Block::Figure(Box::new(figure))),
        None => absent.push(otherwise),
    };
    put(curves::draw(host), "no epoch has ended, so there are no learning curves");
    put(lanes::draw(host), "no seed has germinated");
    put(gains::draw(host, counterfactual), "no gate has measured a gain");
    match network::draw(host) {
        Ok(figure) => blocks.push(Block::Figure(Box::new(figure))),
        Err(sentence) => missing.push(sentence),
    }
    if let Some(end) = &host.end {
        let figure = compute::draw(format!("{}-compute", host.host), end.flops);
        blocks.extend(figure.map(|it| Block::Figure(Box::new(it))));
    }
    match gates::table(host) {
        Some(table) => blocks.push(Block::Html(table)),
        None => absent.push("no gate has judged a seed"),
    }
    if !absent.is_empty() {
        missing.push(format!("{}: {}.", host.host, absent.join("; ")));
    }
}

fn lead(data: &RunData) -> Markup {
    let (class, word) = match data.summary.as_ref().map(|it| it.status) {
        Some(RunEnd::Completed) => ("status good", "completed"),
        Some(RunEnd::Failed) => ("status bad", "failed"),
        Some(RunEnd::Interrupted) => ("status", "interrupted"),
        None => ("status", "not ended"),
    };
    let manifest = &data.manifest;
    let hosts = match data.hosts.len() {
        0 | 1 => String::new(),
        n => format!(", {}", number::plural(n, "host", "hosts")),
    };
    html! {
        p.muted {
            span class=(class) { (word) }
            "seed " (manifest.seed) (hosts) ", begun " (date(&manifest.started)) ", esper " (manifest.version)
        }
    }
}

/// `20260102-030405` as `2026-01-02 03:04 UTC`; anything else as it is.
fn date(started: &str) -> String {
    let is_date = started.len() == 15
        && started
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 8 { byte == b'-' } else { byte.is_ascii_digit() });
    if !is_date {
        return started.to_owned();
    }
    let part = |from: usize, to: usize| &started[from..to];
    format!("{}-{}-{} {}:{} UTC", part(0, 4), part(4, 6), part(6, 8), part(9, 11), part(11, 13))
}

fn cards(data: &RunData) -> Vec<Card> {
    let Some(summary) = &data.summary else { return Vec::new() };
    let Summary { scores, params_initial, params_final, flops, wall_s, epochs, steps, .. } =
        summary;
    let mut cards = score_cards(scores, data.hosts.len() > 1);
    cards.push(Card {
        name: "Parameters",
        value: number::count(*params_final),
        remark: format!(
            "from {}{}",
            number::count(*params_initial),
            if data.hosts.len() > 1 { ", over all hosts" } else { "" }
        ),
    });
    cards.push(Card {
        name: "Seeds",
        value: seeds_text(&summary.seeds),
        remark: outcomes(&summary.seeds),
    });
    cards.push(Card {
        name: "Compute",
        value: number::flops(flops.total()),
        remark: format!(
            "{} of it by the host",
            number::percent(flops.host as f64 / flops.total().max(1) as f64)
        ),
    });
    cards.push(Card {
        name: "Time",
        value: number::duration(*wall_s),
        remark: format!(
            "{}, {}",
            number::plural(*epochs as usize, "epoch", "epochs"),
            number::plural(*steps as usize, "step", "steps")
        ),
    });
    cards
}

fn score_cards(scores: &Scores, is_mean: bool) -> Vec<Card> {
    let mean = if is_mean { "mean over hosts, " } else { "" };
    let card = |name, accuracy: Option<f64>, loss: Option<f64>, loss_name| match (accuracy, loss) {
        (Some(accuracy), loss) => {
            let loss = loss.map_or_else(String::new, |it| format!("loss {}", number::figures(it)));
            Some(Card { name, value: number::percent(accuracy), remark: format!("{mean}{loss}") })
        }
        (None, Some(loss)) => Some(Card {
            name: loss_name,
            value: number::figures(loss),
            remark: mean.trim_end_matches(", ").to_owned(),
        }),
        (None, None) => None,
    };
    [
        card("Test accuracy", scores.test_accuracy, scores.test_loss, "Test loss"),
        card("Validation accuracy", scores.val_accuracy, scores.val_loss, "Validation loss"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn seeds_text(seeds: &SeedTally) -> String {
    format!("{} of {} kept", number::count(seeds.fossilized), number::count(seeds.germinated))
}

fn outcomes(seeds: &SeedTally) -> String {
    let all = [
        (seeds.culled, "culled"),
        (seeds.cancelled, "cancelled"),
        (seeds.rolled_back, "rolled back"),
    ];
    let some: Vec<String> = all
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{} {word}", number::count(*n)))
        .collect();
    if some.is_empty() { "none removed".to_owned() } else { some.join(", ") }
}

fn hosts_table(data: &RunData) -> Markup {
    let accuracy = |it: Option<f64>| it.map_or("-".to_owned(), number::percent);
    let loss = |it: Option<f64>| it.map_or("-".to_owned(), number::figures);
    let n_kept = |host: &HostData| {
        let kept =
            host.seeds.iter().filter(|it| it.stage() == esper_engine::stage::Stage::Fossilized);
        kept.count()
    };
    let n_left_out = data.hosts.len().saturating_sub(HOST_ROWS_MAX);
    html! {
        h2 #hosts { "All hosts" }
        @if data.hosts.len() > HOSTS_MAX {
            p.note {
                "The first " (HOSTS_MAX) " of " (data.hosts.len()) " hosts are drawn below; this table has "
                (if n_left_out == 0 { "them all" } else { "the first of them" }) "."
            }
        }
        div.scroll tabindex="0" role="region" aria-label="All hosts" { table {
            caption { "How each host ended." }
            thead { tr {
                th scope="col" { "host" } th.number scope="col" { "test accuracy" } th.number scope="col" { "test loss" }
                th.number scope="col" { "validation accuracy" } th.number scope="col" { "validation loss" }
                th.number scope="col" { "parameters" } th.number scope="col" { "kept seeds" } th.number scope="col" { "compute" }
            } }
            tbody { @for host in data.hosts.iter().take(HOST_ROWS_MAX) { tr {
                th scope="row" { (host.host.to_string()) }
                @if let Some(end) = &host.end {
                    td.number { (accuracy(end.scores.test_accuracy)) } td.number { (loss(end.scores.test_loss)) }
                    td.number { (accuracy(end.scores.val_accuracy)) } td.number { (loss(end.scores.val_loss)) }
                    td.number { (number::count(end.params_initial)) " \u{2192} " (number::count(end.params_final)) }
                    td.number { (n_kept(host)) } td.number { (number::flops(end.flops.total())) }
                } @else {
                    td.number { "-" } td.number { "-" } td.number { "-" } td.number { "-" } td.number { "-" }
                    td.number { (n_kept(host)) } td.number { "-" }
                }
            } } }
        } }
    }
}

/// What the run was made with.
fn facts(data: &RunData) -> Markup {
    let manifest = &data.manifest;
    let mut facts: Vec<(&str, String)> = vec![
        ("esper", format!("{}, {}", manifest.version, manifest.build)),
        ("processor", manifest.cpu.clone()),
        ("begun", date(&manifest.started)),
        ("seed", manifest.seed.to_string()),
        ("scenario", manifest.scenario_digest.to_string()),
    ];
    facts.extend(
        manifest.data_digests.iter().map(|(name, digest)| ("data", format!("{name}: {digest}"))),
    );
    facts.push(("events", number::count(data.n_events)));
    if data.n_rollbacks > 0 {
        facts.push(("rollbacks", number::count(data.n_rollbacks)));
    }
    if let Some(summary) = &data.summary {
        facts.push(("gains are measured by", summary.counterfactual.clone()));
        facts.push(("weights", summary.weights_digest.to_string()));
        facts.extend(summary.audit_head.map(|it| ("audit chain ends with", it.to_string())));
    }
    html! {
        h2 #made-with { "What it was made with" }
        dl.facts { @for (name, value) in facts { dt { (name) } dd { (value) } } }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_date_is_written_for_people() {
        assert_eq!(super::date("20260102-030405"), "2026-01-02 03:04 UTC");
        assert_eq!(super::date("<b>"), "<b>");
    }
}
