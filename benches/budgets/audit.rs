//! How fast the audit chain is written and checked.

use std::path::Path;

use esper::{
    engine::journal::{self, Journal},
    prelude::*,
};
use esper_nn::digest::Digest;

use crate::{
    row::Row,
    support::timing::{median, seconds},
};

const N_ROUNDS: usize = 11;
const N_EVENTS: u64 = 50_000;

pub fn measure() -> Vec<Row> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (mut written, mut verified) = (Vec::new(), Vec::new());
    for round in 0..N_ROUNDS {
        let path = folder.path().join(format!("events{round}.jsonl"));
        written.push(seconds(|| write(&path)));
        verified.push(seconds(|| {
            let report = journal::verify(&path).expect("it was just written");
            assert_eq!(report.n_events, N_EVENTS, "the whole chain was checked");
        }));
    }
    let rates = written.iter().map(|time| N_EVENTS as f64 / time).collect();
    let ratios = written.iter().zip(&verified).map(|(write, verify)| write / verify).collect();
    vec![
        Row::at_least("audit: events written to a file", median(rates), "/s", 250_000.0),
        Row::at_least("audit: verified, against written", median(ratios), "x", 1.0),
    ]
}

/// The event a lifecycle is told by, as a run writes it.
fn write(path: &Path) {
    let mut journal = Journal::create(path, N_EVENTS).expect("a new file can be made");
    for i in 0..N_EVENTS {
        let event = StageChanged {
            seed: SeedId(i),
            host: HostId(0),
            site_id: SiteId(0),
            site: "hidden0".to_owned(),
            from: Stage::Training,
            to: Stage::Grafting,
            step: 10 * i,
            family: Some("residual_mlp".to_owned()),
            blueprint: Some(BlueprintId(Digest::of_value(&i))),
            reason: "command".to_owned(),
        };
        journal.append(i, "stage_changed", &event).expect("the disk has room");
    }
    journal.flush().expect("the disk has room");
}
