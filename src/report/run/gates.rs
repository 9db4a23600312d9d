//! What gates decided, and by which numbers.

use std::collections::BTreeMap;

use esper_engine::world::gate::{Gate, GateVerdict};
use esper_systems::nissa::{JudgedGate, SeedHistory};
use maud::{Markup, html};

use super::{read::HostData, stages};
use crate::report::number;

/// Rows of a table.
const ROWS_MAX: usize = 150;

/// A table of the last verdict of each gate on each seed; `None` where no gate has judged.
pub(super) fn table(data: &HostData) -> Option<Markup> {
    let judged = |seed: &'_ SeedHistory| -> Vec<(Gate, usize, JudgedGate)> {
        let mut last: BTreeMap<Gate, (usize, &JudgedGate)> = BTreeMap::new();
        for verdict in &seed.verdicts {
            let (n, newest) = last.entry(verdict.gate).or_insert((0, verdict));
            (*n, *newest) = (*n + 1, verdict);
        }
        last.into_iter().map(|(gate, (n, verdict))| (gate, n, verdict.clone())).collect()
    };
    let all = data.seeds.iter().map(|seed| (seed, judged(seed))).filter(|it| !it.1.is_empty());
    let mut rows: Vec<_> =
        all.flat_map(|(seed, gates)| gates.into_iter().map(move |it| (seed, it))).collect();
    if ROWS_MAX < rows.len() {
        rows.sort_by_key(|(seed, _)| !stages::was_grafted(seed));
    }
    if rows.is_empty() {
        return None;
    }
    let n_left_out = rows.len().saturating_sub(ROWS_MAX);
    let label = format!("Gates of {}", data.host);
    Some(html! {
        h3 id=(format!("{}-gates", data.host)) { "Gates" }
        div.scroll.roomy tabindex="0" role="region" aria-label=(label) {
            table {
                caption { "The last verdict of each gate on each seed, and what it saw." }
                thead { tr {
                    th scope="col" { "seed" } th scope="col" { "gate" } th scope="col" { "verdict" }
                    th.number scope="col" { "step" } th.number scope="col" { "looks" }
                    th scope="col" { "numbers" }
                } }
                tbody { @for (seed, (gate, n_looks, it)) in rows.iter().take(ROWS_MAX) { tr {
                    th scope="row" { (stages::name(seed)) }
                    td.whole { (format!("{gate:?}")) " " span.muted { (asks(*gate)) } }
                    td.whole { (verdict(it.verdict)) }
                    td.number { (number::count(it.step)) }
                    td.number { (n_looks) }
                    td { (numbers(it)) }
                } } }
            }
        }
        @if n_left_out > 0 {
            p.note { (number::plural(n_left_out, "more row is", "more rows are")) " in events.jsonl." }
        }
    })
}

const fn asks(gate: Gate) -> &'static str {
    match gate {
        Gate::G0 => "contract",
        Gate::G1 => "kernel",
        Gate::G2 => "incubation",
        Gate::G3 => "blended",
        Gate::G4 => "stable",
        Gate::G5 => "gain",
    }
}

const fn verdict(verdict: GateVerdict) -> &'static str {
    match verdict {
        GateVerdict::Passed => "\u{2713} passed",
        GateVerdict::Failed => "\u{2717} failed",
        GateVerdict::Extended => "\u{2026} undecided",
        GateVerdict::Waived => "\u{2013} waived",
    }
}

/// `gain 0.05820, age steps 204`.
fn numbers(judged: &JudgedGate) -> String {
    let text = |(name, value): (&String, &Option<f64>)| {
        let is_count = name.starts_with("n_")
            || ["_steps", "_elems", "_graft", "_passes"].iter().any(|it| name.ends_with(it));
        let value = match value {
            Some(value) if is_count => number::count(*value as u64),
            Some(value) => number::figures(*value),
            None => "not finite".to_owned(),
        };
        let name = name.trim_start_matches("n_").trim_end_matches("_elems").replace('_', " ");
        format!("{name}\u{a0}{value}")
    };
    judged.numbers.iter().map(text).collect::<Vec<_>>().join(", ")
}
