//! What many seeds of a host do at once, in one line.

use std::collections::{BTreeMap, BTreeSet};

use esper_engine::{
    ids::HostId,
    journal::{TextContext, TickEvents},
    stage::Stage,
};

use crate::oona::StageChanged;

/// Seeds that are told one by one; of more that take the same step in a tick, their number is.
const TOLD_MAX: usize = 4;

/// Counts of seeds that took the same step in a tick, by host.
pub(super) struct Together(BTreeMap<(HostId, Stage, Stage), usize>);

impl Together {
    pub fn of(events: &TickEvents) -> Self {
        let mut counts = BTreeMap::new();
        for change in events.of() {
            *counts.entry(key(change)).or_default() += 1;
        }
        counts.retain(|_, n| TOLD_MAX < *n);
        Self(counts)
    }

    /// The lines that `events` are told in.
    pub fn lines(mut self, events: &TickEvents, context: &mut TextContext) -> Vec<String> {
        let mut lines = Vec::new();
        let mut told = BTreeSet::new();
        for event in events.iter() {
            // Each is asked, since that takes what is remarked of it.
            let text = event.text(context);
            let Some(change) = event.get::<StageChanged>() else {
                lines.extend(text);
                continue;
            };
            match self.0.remove(&key(change)) {
                Some(n) => {
                    let StageChanged { step, host, from, to, .. } = change;
                    let who = context.name(*host, &format!("{n} seeds"));
                    lines.push(format!("step {step}  {who}  {from} -> {to}"));
                    told.insert(key(change));
                }
                None if told.contains(&key(change)) => {}
                None => lines.extend(text),
            }
        }
        lines
    }
}

fn key(change: &StageChanged) -> (HostId, Stage, Stage) {
    (change.host, change.from, change.to)
}
