//! Digests of trained weights, kept in `tests/data/golden.txt`: a change of bits is always a decision.
//!
//! A commit that changes bits on purpose renews the table, which the failed test prints, and says why.

use std::{fs, path::Path};

use esper::prelude::*;

use crate::support::{Family, brief_of, run};

/// The table: a scenario, a seed and a digest a line.
const TABLE: &str = "tests/data/golden.txt";

#[test]
fn every_run_of_the_table_ends_with_the_weights_it_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join(TABLE)).expect("the table is there");
    let rows: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(rows.len() >= 4, "a table without rows checks nothing");
    let found: Vec<String> = rows
        .iter()
        .map(|row| {
            let [name, seed, _] = row.split(' ').collect::<Vec<_>>()[..] else {
                panic!("`{row}` is not `SCENARIO SEED DIGEST`")
            };
            let mut scenario = scenario_of(root, name);
            scenario[RUN].seed = seed.parse().expect("a seed is a number");
            format!("{name} {seed} {}", run(&scenario).weights_digest)
        })
        .collect();
    assert!(
        rows == found,
        "{TABLE} should say, if the bits changed on purpose:\n{}",
        found.join("\n")
    );
}

/// A scenario that ships with Esper, or one of those that the tests share.
fn scenario_of(root: &Path, name: &str) -> Scenario {
    match name {
        "brief_mlp" => brief_of(Family::Mlp),
        "brief_cnn" => brief_of(Family::Cnn),
        "brief_transformer" => brief_of(Family::Transformer),
        name => {
            let path = root.join("scenarios").join(format!("{name}.toml"));
            let text = fs::read_to_string(&path).expect("it ships with Esper");
            let read = scenario::parse(&text, name, &[]).expect("it is sound");
            let mut scenario = Scenario::clone(&read);
            scenario[RUN].threads = 1;
            scenario
        }
    }
}
