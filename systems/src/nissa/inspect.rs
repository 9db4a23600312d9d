//! What grew where, when and why: the lives of a run's seeds, read from its audit chain.

use std::{collections::BTreeMap, io::BufRead, path::Path};

use esper_engine::{
    ids::{BlueprintId, HostId, SeedId},
    journal::{self, Event, Events, Recorded},
    stage::Stage,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{KernelAdopted, NissaError, RunEnded, RunStarted, table::table};
use crate::oona::{
    BlueprintDesigned, Gate, GateJudged, GateVerdict, HostRolledBack, SeedPlanted, StageChanged,
};

/// What an audit chain says of a run's seeds.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
pub struct Inspection {
    /// Whether the chain is complete: the run took all its steps.
    pub is_complete: bool,
    /// Whether the last line is torn: the run was killed, or still writes.
    pub is_torn: bool,
    /// Events read.
    pub n_events: u64,
    /// How often hosts went back to a twin or a snapshot.
    pub n_rollbacks: u64,
    /// Verdicts (G5) that were given.
    pub n_verdicts: u64,
    /// How many modules that add nothing these keep in the mean, at most: the sum of their error rates.
    pub false_keeps_max: f64,
    /// Every seed's life, in the order of their ids.
    pub seeds: Vec<SeedHistory>,
}

/// One seed's life.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct SeedHistory {
    /// The seed.
    pub seed: SeedId,
    /// Its host.
    pub host: HostId,
    /// Its site's name.
    pub site: String,
    /// The family of its blueprint, once chosen.
    pub family: Option<String>,
    /// Its blueprint, once chosen.
    pub blueprint: Option<BlueprintId>,
    /// Its module's parameters, in elements, if the chain says.
    pub params_elems: Option<u64>,
    /// The stages it went through, DORMANT first.
    pub stages: Vec<StageEntered>,
    /// What the gates decided, in order.
    pub verdicts: Vec<JudgedGate>,
}

/// A seed entered a stage.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct StageEntered {
    /// The stage.
    pub stage: Stage,
    /// The tick.
    pub tick: u64,
    /// The host's step count; `None` when the seed was planted, which the chain tells by tick only.
    pub step: Option<u64>,
    /// Why.
    pub reason: String,
}

/// A gate judged a seed.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct JudgedGate {
    /// The gate.
    pub gate: Gate,
    /// What it decided.
    pub verdict: GateVerdict,
    /// The tick.
    pub tick: u64,
    /// The host's step count.
    pub step: u64,
    /// What it saw, by name; `None` for what was not finite.
    pub numbers: BTreeMap<String, Option<f64>>,
}

impl Inspection {
    /// Reads a run's `events.jsonl`, finished or not.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be read, its chain is broken before its end, or an event is not what its kind says.
    pub fn read(events: &Path) -> Result<Self, NissaError> {
        Self::of(journal::read(events)?)
    }

    /// Reads the events of a journal, in a file or in memory.
    ///
    /// # Errors
    ///
    /// As [`Inspection::read`].
    pub fn of<R: BufRead>(mut events: Events<R>) -> Result<Self, NissaError> {
        let mut reader = Reader::default();
        while let Some(event) = events.next() {
            match event {
                Ok(event) => {
                    RunStarted::check_format(&event, events.path())?;
                    reader.take(&event).map_err(|source| NissaError::Damaged {
                        path: events.path().to_owned(),
                        source,
                    })?;
                }
                Err(error) if error.is_torn_end() => reader.found.is_torn = true,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(reader.finish())
    }

    /// One line a seed, in columns: where, what, how far, and what was measured.
    pub fn to_table(&self) -> String {
        let header = [
            "seed",
            "host",
            "site",
            "family",
            "params",
            "stage",
            "germinated",
            "grafted",
            "ended",
            "G2 gain",
            "G5 gain",
            "G5 interval",
            "G5 t (needed; df)",
            "reason",
        ];
        let rows: Vec<Vec<String>> = self.seeds.iter().map(SeedHistory::row).collect();
        table(&header, &rows)
    }
}

impl SeedHistory {
    /// The stage it is in.
    pub fn stage(&self) -> Stage {
        self.stages.last().map_or(Stage::Dormant, |entered| entered.stage)
    }

    /// How and why it ended, if it has.
    pub fn end(&self) -> Option<&StageEntered> {
        self.stages.last().filter(|entered| entered.stage.is_terminal())
    }

    /// The last number of that name that `gate` saw.
    pub fn number(&self, gate: Gate, name: &str) -> Option<f64> {
        let judged = self.verdicts.iter().rev().filter(|judged| judged.gate == gate);
        judged.filter_map(|judged| *judged.numbers.get(name)?).next()
    }

    /// The last look of G5: its t, what t had to be above, and its degrees of freedom.
    fn t(&self) -> Option<String> {
        let number = |name| self.number(Gate::G5, name);
        let (t, needed, df) = (number("t")?, number("t_needed")?, number("df")?);
        Some(format!("{t:.2} ({needed:.2}; {df:.0})"))
    }

    fn row(&self) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let step = |stage| {
            let entered = self.stages.iter().find(|entered| entered.stage == stage);
            or_dash(entered.and_then(|it| it.step).map(|step| step.to_string()))
        };
        let gain = |gate, name| self.number(gate, name).map(|gain| format!("{gain:+.4}"));
        let interval = gain(Gate::G5, "gain_low").zip(gain(Gate::G5, "gain_high"));
        vec![
            self.seed.to_string(),
            self.host.to_string(),
            self.site.clone(),
            or_dash(self.family.clone()),
            or_dash(self.params_elems.map(|n| n.to_string())),
            self.stage().to_string(),
            step(Stage::Germinated),
            step(Stage::Grafting),
            or_dash(self.end().and_then(|end| end.step).map(|step| step.to_string())),
            or_dash(gain(Gate::G2, "gain")),
            or_dash(gain(Gate::G5, "gain")),
            or_dash(interval.map(|(low, high)| format!("[{low}, {high}]"))),
            or_dash(self.t()),
            or_dash(self.stages.last().map(|entered| entered.reason.clone())),
        ]
    }
}

#[derive(Default)]
struct Reader {
    found: Inspection,
    seeds: BTreeMap<SeedId, SeedHistory>,
    params: BTreeMap<BlueprintId, u64>,
}

impl Reader {
    fn take(&mut self, event: &Event) -> Result<(), serde_json::Error> {
        fn typed<T: Recorded + DeserializeOwned>(event: &Event) -> Result<T, serde_json::Error> {
            event.to()
        }

        self.found.n_events += 1;
        match event.kind.as_str() {
            SeedPlanted::KIND => self.plant(event.tick, typed(event)?),
            StageChanged::KIND => self.change(event.tick, typed(event)?),
            GateJudged::KIND => self.judge(event.tick, event.to()?),
            BlueprintDesigned::KIND => {
                let design: BlueprintDesigned = typed(event)?;
                self.params.insert(design.blueprint, design.params_elems);
            }
            KernelAdopted::KIND => {
                let adopted: KernelAdopted = typed(event)?;
                self.params.insert(adopted.blueprint, adopted.params_elems);
            }
            HostRolledBack::KIND => self.found.n_rollbacks += 1,
            RunEnded::KIND => self.found.is_complete = true,
            _ => (),
        }
        Ok(())
    }

    fn plant(&mut self, tick: u64, SeedPlanted { seed, host, site, .. }: SeedPlanted) {
        let history = self.seeds.entry(seed).or_insert_with(|| SeedHistory::new(seed, host, site));
        let (stage, reason) = (Stage::Dormant, "planted".to_owned());
        history.stages.insert(0, StageEntered { stage, tick, step: None, reason });
    }

    fn change(&mut self, tick: u64, change: StageChanged) {
        let StageChanged { seed, host, site, to, step, family, blueprint, reason, .. } = change;
        let history = self.seeds.entry(seed).or_insert_with(|| SeedHistory::new(seed, host, site));
        history.family = family.or(history.family.take());
        history.blueprint = blueprint.or(history.blueprint);
        history.stages.push(StageEntered { stage: to, tick, step: Some(step), reason });
    }

    fn judge(&mut self, tick: u64, judged: Judged) {
        let Judged { seed, gate, verdict, step, numbers } = judged;
        // A seed is planted before it is judged; a chain that says otherwise has nothing to add to.
        if let Some(history) = self.seeds.get_mut(&seed) {
            history.verdicts.push(JudgedGate { gate, verdict, tick, step, numbers });
        }
    }

    fn finish(mut self) -> Inspection {
        for history in self.seeds.values_mut() {
            history.params_elems = history.blueprint.and_then(|it| self.params.get(&it).copied());
        }
        let seeds: Vec<SeedHistory> = self.seeds.into_values().collect();
        let rates = seeds.iter().filter_map(|seed| seed.number(Gate::G5, "error_rate"));
        let (n_verdicts, false_keeps_max) =
            rates.fold((0, 0.0), |(n, sum), rate| (n + 1, sum + rate));
        Inspection { n_verdicts, false_keeps_max, seeds, ..self.found }
    }
}

impl SeedHistory {
    fn new(seed: SeedId, host: HostId, site: String) -> Self {
        Self {
            seed,
            host,
            site,
            family: None,
            blueprint: None,
            params_elems: None,
            stages: Vec::new(),
            verdicts: Vec::new(),
        }
    }
}

/// A `gate_judged` event as JSON has it: numbers that are not finite are `null`.
#[derive(Deserialize)]
struct Judged {
    seed: SeedId,
    gate: Gate,
    verdict: GateVerdict,
    step: u64,
    numbers: BTreeMap<String, Option<f64>>,
}
