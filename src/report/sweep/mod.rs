//! The report of a sweep.

mod arms;
mod forest;
mod pareto;
mod read;

use std::path::{Component, Path};

use maud::{Markup, html};

pub use self::arms::{ArmFigures, FrontPoint, TaskFigures};
pub(super) use self::read::SweepData;
use self::{forest::score_text, pareto::Price};
use super::{
    number,
    page::{Block, Card, Page},
};
use crate::{
    compare::{CompareOptions, Comparison, Results},
    sweep::{CellRecord, CellStatus, Phase, RESULTS},
};

/// Rows of the table of cells.
const CELLS_MAX: usize = 1000;

/// The page of a sweep; `links` leads from the page's folder to the sweep's, `./` where they are one.
pub(super) fn page(data: &SweepData, links: &str) -> Page {
    let mut blocks = Vec::new();
    let mut chooser = Vec::new();
    let mut missing = data.missing.clone();
    let comparison = compare(data, &mut missing);
    let tasks = arms::of_records(&data.records, comparison.as_ref());
    for (index, task) in tasks.iter().enumerate() {
        let id = format!("task{index}");
        chooser.push((id.clone(), task.task.clone()));
        blocks.push(Block::Html(html! { h2 id=(id) { (task.task) } }));
        task_blocks(task, &id, &mut blocks);
        if task.arms.is_empty() {
            missing.push(format!("{}: no cell that is tested has completed.", task.task));
        }
    }
    if let Some(comparison) = &comparison {
        chooser.push(("rules".to_owned(), "how arms are compared".to_owned()));
        blocks.push(Block::Html(rules(comparison)));
    }
    let failed: Vec<&CellRecord> =
        data.records.iter().filter(|it| it.status == CellStatus::Failed).collect();
    if !failed.is_empty() {
        chooser.push(("failed".to_owned(), "failed cells".to_owned()));
        blocks.push(Block::Html(failed_table(&failed, data, links)));
    }
    if !data.records.is_empty() {
        chooser.push(("cells".to_owned(), "all cells".to_owned()));
        blocks.push(Block::Html(cells_table(data, links)));
    }
    let name = data
        .root
        .file_name()
        .map_or_else(|| "sweep".to_owned(), |it| it.to_string_lossy().into_owned());
    Page {
        kicker: "Sweep".to_owned(),
        title: name,
        lead: lead(data, &tasks),
        cards: cards(data, failed.len()),
        missing,
        chooser,
        blocks,
    }
}

/// What the cells come to, where they can be compared.
fn compare(data: &SweepData, missing: &mut Vec<String>) -> Option<Comparison> {
    if !data.records.iter().any(|it| it.id.phase == Phase::Test) {
        return None;
    }
    let results = Results { cells: data.records.clone(), notes: Vec::new() };
    let compared =
        Comparison::new(std::slice::from_ref(&data.root), &results, &CompareOptions::default());
    compared.map_err(|error| missing.push(format!("Arms can not be compared: {error}."))).ok()
}

/// A sentence in which what stands between backticks is code.
fn with_code(text: &str) -> Markup {
    html! { @for (index, part) in text.split('`').enumerate() {
        @if index % 2 == 1 { code { (part) } } @else { (part) }
    } }
}

fn rules(comparison: &Comparison) -> Markup {
    html! {
        h2 #rules { "How arms are compared" }
        p { "Each arm against " code { (comparison.baseline) } "." }
        ul { @for rule in &comparison.rules { li { (with_code(rule)) } } }
        @if !comparison.notes.is_empty() {
            ul { @for note in &comparison.notes { li { (with_code(note)) } } }
        }
    }
}

fn task_blocks(task: &TaskFigures, id: &str, blocks: &mut Vec<Block>) {
    let figures = [
        forest::differences(task, id),
        forest::scores(task, id),
        pareto::draw(task, id, Price::Params),
        pareto::draw(task, id, Price::Flops),
    ];
    blocks.extend(figures.into_iter().flatten().map(|it| Block::Figure(Box::new(it))));
    if !task.arms.is_empty() {
        blocks.push(Block::Html(arms_table(task)));
    }
}

fn lead(data: &SweepData, tasks: &[TaskFigures]) -> Markup {
    html! { p.muted {
        (number::plural(data.records.len(), "cell", "cells")) " of "
        (number::plural(tasks.len(), "task", "tasks")) "."
    } }
}

fn cards(data: &SweepData, n_failed: usize) -> Vec<Card> {
    let n_of = |phase| data.records.iter().filter(|it| it.id.phase == phase).count();
    let flops = data.records.iter().map(CellRecord::flops_total).fold(0, u64::saturating_add);
    let wall_s: f64 = data.records.iter().map(|it| it.wall_s).sum();
    vec![
        Card {
            name: "Cells",
            value: number::count(data.records.len() as u64),
            remark: format!(
                "{} tested, {} tuned, {} of the front",
                n_of(Phase::Test),
                n_of(Phase::Tune),
                n_of(Phase::Front)
            ),
        },
        Card { name: "Failed", value: number::count(n_failed as u64), remark: String::new() },
        Card { name: "Compute", value: number::flops(flops), remark: "over all cells".to_owned() },
        Card {
            name: "Time",
            value: number::duration(wall_s),
            remark: "summed over cells".to_owned(),
        },
    ]
}

fn arms_table(task: &TaskFigures) -> Markup {
    let has_verdicts = task.arms.iter().any(|it| it.difference.is_some() || it.verdict.is_some());
    let score = |it: f64| score_text(task, it);
    html! {
        h3 { "Arms" }
        div.scroll tabindex="0" role="region" aria-label=(format!("Arms of {}", task.task)) { table {
            caption { "Means over the cells that completed; the best arm first." }
            thead { tr {
                th scope="col" { "arm" } th.number scope="col" { (forest::score_name(task)) }
                th.number scope="col" { "worst" } th.number scope="col" { "best" }
                @if has_verdicts { th.number scope="col" { "difference" } th scope="col" { "verdict" } }
                th.number scope="col" { "parameters" } th.number scope="col" { "compute" }
                th.number scope="col" { "cells" } th.number scope="col" { "failed" }
            } }
            tbody { @for it in &task.arms { tr {
                th scope="row" { (it.arm) }
                td.number { (score(it.mean)) } td.number { (score(it.min)) } td.number { (score(it.max)) }
                @if has_verdicts {
                    td.number { @if let Some((low, middle, high)) = it.difference {
                        (number::interval(low, middle, high))
                    } }
                    td { (it.verdict.as_deref().unwrap_or("")) }
                }
                td.number { (number::count(it.params.round() as u64)) }
                td.number { (number::flops(it.flops.round() as u64)) }
                td.number { (it.n) } td.number { (it.n_failed) }
            } } }
        } }
    }
}

fn failed_table(failed: &[&CellRecord], data: &SweepData, links: &str) -> Markup {
    html! {
        h2 #failed { "Failed cells" }
        div.scroll tabindex="0" role="region" aria-label="Failed cells" { table {
            caption { "Cells that have no result, and why." }
            thead { tr { th scope="col" { "cell" } th scope="col" { "reason" } } }
            tbody { @for it in failed { tr {
                th scope="row" { (cell_link(it, data, links)) }
                td { (it.reason.as_deref().unwrap_or("no reason is given")) }
            } } }
        } }
    }
}

fn cells_table(data: &SweepData, links: &str) -> Markup {
    let n_left_out = data.records.len().saturating_sub(CELLS_MAX);
    let number_or_dash =
        |it: Option<f64>| it.map_or("-".to_owned(), |it| number::figures(it.abs()));
    html! {
        h2 #cells { "All cells" }
        div.scroll tabindex="0" role="region" aria-label="All cells" { table {
            caption { "Each run, with its folder where that was kept." }
            thead { tr {
                th scope="col" { "cell" } th scope="col" { "status" } th.number scope="col" { "test score" }
                th.number scope="col" { "validation score" } th.number scope="col" { "parameters" }
                th.number scope="col" { "compute" } th.number scope="col" { "time" }
            } }
            tbody { @for it in data.records.iter().take(CELLS_MAX) { tr {
                th scope="row" { (cell_link(it, data, links)) }
                td { (if it.status == CellStatus::Completed { "completed" } else { "failed" }) }
                td.number { (number_or_dash(it.test_score())) }
                td.number { (number_or_dash(it.val_score())) }
                td.number { (it.summary.as_ref().map_or("-".to_owned(), |it| number::count(it.params_final))) }
                td.number { (number::flops(it.flops_total())) }
                td.number { (number::duration(it.wall_s)) }
            } } }
        } }
        @if n_left_out > 0 {
            p.note { (number::plural(n_left_out, "more cell is", "more cells are")) " in " (RESULTS) "." }
        }
    }
}

/// A cell's name, as a link to its report or folder where that is there.
fn cell_link(record: &CellRecord, data: &SweepData, links: &str) -> Markup {
    let name = record.id.to_string();
    let dir = record.dir.as_deref().filter(|it| is_below(it) && data.root.join(it).is_dir());
    let Some(dir) = dir else { return html! { (name) } };
    let parts = dir.components().map(|it| encoded(&it.as_os_str().to_string_lossy()));
    let mut href = format!("{links}{}/", parts.collect::<Vec<_>>().join("/"));
    if data.root.join(dir).join("report.html").is_file() {
        href.push_str("report.html");
    }
    html! { a href=(href) { (name) } }
}

/// Whether a path leads from a folder into it and nowhere else.
fn is_below(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|it| matches!(it, Component::Normal(_)))
}

/// A part of a path as a link has it.
pub(super) fn encoded(part: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    part.bytes()
        .map(|it| if is_plain(it) { char::from(it).to_string() } else { format!("%{it:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_in_the_sweep() {
        for (path, is_fine) in [("cells/a", true), ("../a", false), ("/a", false), ("", false)] {
            assert_eq!(is_below(Path::new(path)), is_fine, "{path}");
        }
        assert_eq!(encoded("javascript:alert(1)"), "javascript%3Aalert%281%29");
    }

    #[test]
    fn differences_are_drawn_where_a_comparison_gives_them() {
        let arm = |arm: &str, difference| ArmFigures {
            arm: arm.to_owned(),
            n: 3,
            n_failed: 0,
            mean: 0.5,
            min: 0.4,
            max: 0.6,
            difference,
            params: 10.0,
            flops: 100.0,
            verdict: Some("beats the baseline".to_owned()),
        };
        let arms = vec![arm("off", None), arm("heuristic", Some((0.01, 0.02, 0.03)))];
        let mut task =
            TaskFigures { task: "t".to_owned(), is_accuracy: true, arms, front: Vec::new() };
        let drawn =
            forest::differences(&task, "t").expect("a comparison gave one").html().into_string();
        assert!(
            drawn.contains("+0.0200  beats the baseline") && !drawn.contains(">off<"),
            "{drawn}"
        );
        assert!(arms_table(&task).into_string().contains("[+0.0100, +0.0300]"));
        task.arms.truncate(1);
        assert!(forest::differences(&task, "t").is_none());
    }
}
