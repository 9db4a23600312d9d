//! One table: what Esper promises to cost, and what it costs here and now.
//!
//! ```text
//! cargo bench --bench budgets              # every row
//! cargo bench --bench budgets -- step bind # the rows of those groups
//! ```
//!
//! Each figure is a median over short rounds, and what is compared is measured in turns, so that other work on the
//! machine moves the figures little. Times of arithmetic are given as multiples of what the floating-point operations
//! would take at the peak of fused multiply-adds, measured beside them.

mod allocated;
mod audit;
mod bind;
mod bookkeeping;
mod dormant;
mod hosts;
mod policy;
mod row;
mod seeds;
mod snapshot;
mod step;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each bench uses a part of it")]
mod support;

use row::Row;

/// A group's name and how its rows are measured.
type Group = (&'static str, fn() -> Vec<Row>);

const GROUPS: &[Group] = &[
    ("step", step::measure),
    ("seeds", seeds::measure),
    ("bind", bind::measure),
    ("policy", policy::measure),
    ("snapshot", snapshot::measure),
    ("dormant", dormant::measure),
    ("bookkeeping", bookkeeping::measure),
    ("audit", audit::measure),
    ("hosts", hosts::measure),
];

fn main() {
    // Cargo adds `--bench` to whatever it is given.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|it| GROUPS.iter().all(|(name, _)| name != it)) {
        let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
        eprintln!("no group `{unknown}`; the groups are {}", known.join(", "));
        std::process::exit(2);
    }
    println!("{}", Row::HEADER);
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|it| it == name);
    let groups = GROUPS.iter().filter(|(name, _)| is_wanted(name));
    let rows: Vec<Row> =
        groups.flat_map(|(_, measure)| measure()).inspect(|row| println!("{row}")).collect();
    let n_missed = rows.iter().filter(|row| row.is_met() == Some(false)).count();
    let n_judged = rows.iter().filter(|row| row.is_met().is_some()).count();
    println!("{} of {n_judged} budgets met", n_judged - n_missed);
}
