//! One table: what Esper promises to cost, and what it costs here and now.
//!
//! ```text
//! cargo bench --bench budgets              # every row
//! cargo bench --bench budgets -- step bind # the rows of those groups
//! cargo bench --bench budgets -- instructions # where the time of a step goes
//! ```
//!
//! Each figure is a median or a minimum over short rounds, and what is compared is measured in turns, so that other
//! work on the machine moves the figures little. Times of arithmetic are given as multiples of what the floating-point
//! operations would take at the peak of fused multiply-adds, measured beside them.

mod allocated;
mod audit;
mod bind;
mod bookkeeping;
mod dormant;
mod episodes;
mod hosts;
mod instructions;
mod policy;
mod row;
mod seeds;
mod snapshot;
mod step;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each bench uses a part of it")]
mod support;

use row::Row;

/// A group's name, its columns, and how its rows are measured.
type Group = (&'static str, &'static str, fn() -> Vec<Row>);

const GROUPS: &[Group] = &[
    ("step", step::HEADER, step::measure),
    ("seeds", Row::HEADER, seeds::measure),
    ("bind", Row::HEADER, bind::measure),
    ("policy", Row::HEADER, policy::measure),
    ("snapshot", Row::HEADER, snapshot::measure),
    ("dormant", Row::HEADER, dormant::measure),
    ("bookkeeping", Row::HEADER, bookkeeping::measure),
    ("audit", Row::HEADER, audit::measure),
    ("hosts", Row::HEADER, hosts::measure),
    ("episodes", Row::HEADER, episodes::measure),
    (INSTRUCTIONS, instructions::HEADER, instructions::measure),
];

/// The group that has no budgets and is measured only when it is asked for.
const INSTRUCTIONS: &str = "instructions";

fn main() {
    // Cargo adds `--bench` to whatever it is given.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|it| GROUPS.iter().all(|(name, ..)| name != it)) {
        let known: Vec<&str> = GROUPS.iter().map(|(name, ..)| *name).collect();
        eprintln!("no group `{unknown}`; the groups are {}", known.join(", "));
        std::process::exit(2);
    }
    let is_wanted = |name: &str| match wanted.is_empty() {
        true => name != INSTRUCTIONS,
        false => wanted.iter().any(|it| it == name),
    };
    let (mut n_met, mut n_judged, mut last_header) = (0, 0, "");
    for (_, header, measure) in GROUPS.iter().filter(|(name, ..)| is_wanted(name)) {
        if *header != last_header {
            println!("{header}");
            last_header = header;
        }
        for row in measure() {
            println!("{row}");
            n_met += usize::from(row.is_met() == Some(true));
            n_judged += usize::from(row.is_met().is_some());
        }
    }
    println!("{n_met} of {n_judged} budgets met");
}
