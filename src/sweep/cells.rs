//! Which cells a sweep has, in the order in which they can be run.

use std::collections::BTreeMap;

use super::{
    arm::{Arm, Basis},
    axis::Settings,
    cell::{Cell, CellKind},
    record::{CellId, CellRecord, Phase},
    spec::SweepSpec,
    store::Shard,
};

/// Records by cell.
pub(super) type Records = BTreeMap<CellId, CellRecord>;

/// The waves of a sweep: a cell needs only cells of waves before its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wave {
    /// Choices for arms that stand alone, and static hosts.
    Tune,
    /// Choices for arms that are made from a growth.
    TuneDerived,
    /// Arms that stand alone.
    Test,
    /// Arms that are made from a growth.
    TestDerived,
}

impl Wave {
    pub const ALL: [Self; 4] = [Self::Tune, Self::TuneDerived, Self::Test, Self::TestDerived];
}

/// The name of the arm of a front's cells.
const FRONT_ARM: &str = "front";

impl SweepSpec {
    /// The cells of `wave`; what was chosen is found in `records`, which must have those of the waves before.
    ///
    /// Cells of an arm for which no choice could be completed have the scenario's own settings.
    pub(super) fn cells(&self, wave: Wave, records: &Records, shard: Option<Shard>) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (task, name) in self.tasks.iter().map(|it| &it.name).enumerate() {
            if wave == Wave::Tune {
                cells.extend(self.front_cells(task, name));
            }
            for arm in self.sweep.arms.iter().copied().filter(|arm| wave.has(*arm)) {
                for settings in self.settings() {
                    let at = At { task, name, arm, settings: &settings };
                    if wave.is_choosing() {
                        cells.extend(self.tune_cells(at));
                    } else {
                        cells.extend(self.test_cells(at, records));
                    }
                }
            }
        }
        cells.retain(|cell| shard.is_none_or(|shard| shard.has(&cell.id)));
        cells
    }

    fn tune_cells(&self, at: At<'_>) -> Vec<Cell> {
        let choices = self.choices();
        if choices.len() < 2 || at.arm.is_search() {
            return Vec::new();
        }
        let cell = |choice: &Settings, seed| {
            let settings = joined(at.settings, choice);
            let id = at.id(Phase::Tune, settings.clone(), seed);
            let kind = CellKind::Arm(at.arm);
            Cell { id, task: at.task, kind, settings, tuned: choice.clone() }
        };
        let seeds = self.tune_seeds();
        choices
            .iter()
            .flat_map(|choice| seeds.iter().map(move |seed| cell(choice, *seed)))
            .collect()
    }

    fn test_cells(&self, at: At<'_>, records: &Records) -> Vec<Cell> {
        let tuned = self.chosen(at, records);
        let settings = joined(at.settings, &tuned);
        let cell = |seed| Cell {
            id: at.id(Phase::Test, at.settings.clone(), seed),
            task: at.task,
            kind: CellKind::Arm(at.arm),
            settings: settings.clone(),
            tuned: tuned.clone(),
        };
        self.seeds().into_iter().map(cell).collect()
    }

    /// Static hosts: every width, depth and length, each with every choice of what is tuned, and with what all cells have.
    fn front_cells(&self, task: usize, name: &str) -> Vec<Cell> {
        let (front, fixed) = (&self.front, self.fixed_settings());
        let mut cells = Vec::new();
        for &width in &front.widths {
            for &n_more in &front.depths {
                for &epochs in &front.epochs {
                    for choice in self.choices() {
                        for seed in self.front_seeds() {
                            let shape = [
                                ("front.width", format!("{width:?}")),
                                ("front.depth", n_more.to_string()),
                                ("front.epochs", format!("{epochs:?}")),
                            ];
                            let shape = shape.map(|(key, value)| (key.to_owned(), value));
                            let id = CellId {
                                task: name.to_owned(),
                                phase: Phase::Front,
                                arm: FRONT_ARM.to_owned(),
                                settings: joined(&joined(&fixed, &shape.into()), &choice),
                                seed,
                            };
                            let kind = CellKind::Front { width, n_more, epochs };
                            let (settings, tuned) = (joined(&fixed, &choice), choice.clone());
                            cells.push(Cell { id, task, kind, settings, tuned });
                        }
                    }
                }
            }
        }
        cells
    }

    /// The choice with the best mean score on validation data, of those whose every seed was completed; of equal ones the
    /// first. Nothing where there is none.
    fn chosen(&self, at: At<'_>, records: &Records) -> Settings {
        let choices = self.choices();
        if at.arm.is_search() {
            return Settings::new();
        }
        if choices.len() < 2 {
            return choices.into_iter().next().unwrap_or_default();
        }
        let seeds = self.tune_seeds();
        let mean = |choice: &Settings| -> Option<f64> {
            let score = |seed: &u64| {
                let id = at.id(Phase::Tune, joined(at.settings, choice), *seed);
                records.get(&id)?.val_score()
            };
            let scores: Option<Vec<f64>> = seeds.iter().map(score).collect();
            Some(scores?.iter().sum::<f64>() / seeds.len() as f64)
        };
        let mut best: Option<(f64, Settings)> = None;
        for choice in choices {
            if let Some(score) = mean(&choice)
                && best.as_ref().is_none_or(|(found, _)| *found < score)
            {
                best = Some((score, choice));
            }
        }
        best.map(|(_, choice)| choice).unwrap_or_default()
    }

    /// The growth that a cell's arm is made from: of the same phase, seed and settings, as the growth was tuned.
    pub(super) fn growth_of(&self, cell: &Cell, records: &Records) -> Option<CellId> {
        let CellKind::Arm(arm) = cell.kind else { return None };
        if arm.basis() == Basis::None {
            return None;
        }
        let growth = self.sweep.growth_arm()?;
        let settings: Settings = cell
            .settings
            .iter()
            .filter(|(key, _)| !cell.tuned.contains_key(*key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let at = At { task: cell.task, name: &cell.id.task, arm: growth, settings: &settings };
        let settings = match cell.id.phase {
            Phase::Tune => joined(&settings, &self.chosen(at, records)),
            Phase::Test | Phase::Front => settings.clone(),
        };
        Some(at.id(cell.id.phase, settings, cell.id.seed))
    }
}

/// An arm of a task under settings.
#[derive(Clone, Copy)]
struct At<'a> {
    task: usize,
    name: &'a str,
    arm: Arm,
    settings: &'a Settings,
}

impl At<'_> {
    fn id(&self, phase: Phase, settings: Settings, seed: u64) -> CellId {
        let (task, arm) = (self.name.to_owned(), self.arm.word().to_owned());
        CellId { task, phase, arm, settings, seed }
    }
}

fn joined(settings: &Settings, more: &Settings) -> Settings {
    settings.iter().chain(more).map(|(key, value)| (key.clone(), value.clone())).collect()
}

impl Wave {
    const fn is_choosing(self) -> bool {
        matches!(self, Self::Tune | Self::TuneDerived)
    }

    fn has(self, arm: Arm) -> bool {
        let is_derived = arm.basis() != Basis::None;
        is_derived == matches!(self, Self::TuneDerived | Self::TestDerived)
    }
}

impl Shard {
    /// Whether the cell is of this part. Choices are made once for all parts: whoever compares has them all.
    fn has(self, id: &CellId) -> bool {
        id.phase != Phase::Test || id.seed % self.of == self.index - 1
    }
}
