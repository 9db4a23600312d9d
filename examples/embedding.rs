//! Esper inside a program of one's own: a blueprint family, a policy by name, and a subsystem with a section of the
//! scenario, an event and a saved component that Esper has never heard of, in a run that is stopped and resumed.
//!
//! ```text
//! cargo run --release --example embedding
//! ```

use std::path::Path;

use bevy_ecs::prelude::*;
use esper::prelude::*;
use serde::{Deserialize, Serialize};

/// A run of ours: `first_fit` and `[census]` are what this program adds.
pub const SCENARIO: &str = r#"
run = { name = "embedding", epochs = 17 }
data = { source = "digits" }
host = { layers = [64, 8, 10], sites = ["hidden0"] }
karn = { catalogue = ["low_rank"] }
tamiyo = { policy = "first_fit" }
census = { every_ticks = 20 }
"#;

/// Esper's sections and ours.
pub fn sections() -> Sections {
    let mut sections = scenario::sections();
    CensusPlugin.sections(&mut sections);
    sections
}

/// Adds what is ours to a run, whether it begins, goes on or is repeated.
pub fn with_ours(options: RunOptions) -> RunOptions {
    options
        .blueprint(SiluMlp { hidden: 24 }) // what a seed can become
        .add_policy("first_fit", |_| FirstFit) // who decides, where a scenario says so
        .plugin(CensusPlugin) // a subsystem, with its section, component and event
}

/// Trains what `text` says in `folder`, stopped after some ticks and resumed.
///
/// # Errors
///
/// Fails when the scenario is not sound, the parts do not fit together, or the run fails.
pub fn grow(text: &str, folder: &Path) -> Result<Summary, RunError> {
    let scenario = sections().parse(text, "embedding.toml", &[])?;
    let mut run = Run::start(with_ours(RunOptions::new(scenario)).folder(folder))?;
    run.subscribe(|event| {
        if let Some(counted) = event.get::<SeedsCounted>() {
            println!("tick {:>3}  {counted:?}", event.tick);
        }
    })?;
    run.stop_at_tick(50);
    run.finish()?; // as Ctrl-C would: with a checkpoint
    drop(run);

    let folder = RunFolder::open(folder)?;
    let options = with_ours(folder.options_with(&sections())?);
    Run::resume(&folder, options)?.run.finish()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("esper-embedding-{}", std::process::id()));
    let summary = grow(SCENARIO, &folder)?;
    println!(
        "{} -> {} parameters, test accuracy {:.2} %, weights {}",
        summary.params_initial,
        summary.params_final,
        100.0 * summary.scores.test_accuracy.unwrap_or(f64::NAN),
        summary.weights_digest,
    );
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// `f = W2 silu(W1 x + b1) + b2`, `W2 = 0`: an identity at birth, and its gradient is not zero.
pub struct SiluMlp {
    /// Hidden features.
    pub hidden: usize,
}

impl BlueprintFamily for SiluMlp {
    fn name(&self) -> &str {
        "silu_mlp"
    }

    fn design(&self, contract: &Contract) -> Result<Option<Blueprint>, GraphError> {
        let Contract::Vector { width } = contract else { return Ok(None) };
        let width = *width as usize;
        let mut graph = NetworkGraph::new();
        let x = graph.add("x", op::Input { shape: vec![width] }, &[])?;
        let hidden = graph.add("hidden", Op::linear(self.hidden), &[x])?;
        let act = graph.add("act", Activation::Silu, &[hidden])?;
        let out = graph.add("out", Op::zero_linear(width), &[act])?;
        graph.set_output(out);
        let intent = "one hidden layer, smooth";
        Blueprint::new(self.name(), graph, intent, "Elfwing et al. 2018").map(Some)
    }
}

/// Germinates a [`SiluMlp`] wherever one is ready and was not tried yet, and follows the gates.
pub struct FirstFit;

impl Policy for FirstFit {
    fn decide(&mut self, seen: &Observation<'_>, commands: &mut Vec<SeedCommand>) {
        let mut ask = |seed, action| commands.push(SeedCommand { seed, action });
        for dormant in seen.dormant() {
            let chosen = seen.candidates().iter().find(|candidate| {
                candidate.is_ready
                    && candidate.family == "silu_mlp"
                    && candidate.contract == dormant.contract
                    && seen.past(dormant.host, dormant.site, candidate.blueprint).is_none()
            });
            if let Some(candidate) = chosen {
                ask(dormant.seed, SeedAction::Germinate { blueprint: candidate.blueprint });
            }
        }
        for seed in seen.seeds {
            match seed.stage {
                Stage::Training if seed.gate_state.has_passed(Gate::G2) => {
                    ask(seed.seed, SeedAction::Graft);
                }
                Stage::Evaluating if seed.gate_state.has_passed(Gate::G5) => {
                    ask(seed.seed, SeedAction::Fossilize);
                }
                _ => {}
            }
        }
    }
}

/// `[census]`: how often seeds are counted.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct CensusSettings {
    /// Ticks from one count to the next, 1 to 10,000. Default 100.
    pub every_ticks: u64,
}

impl Default for CensusSettings {
    fn default() -> Self {
        Self { every_ticks: 100 }
    }
}

impl Section for CensusSettings {
    const NAME: &'static str = "census";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("every_ticks", &mut self.every_ticks, 1..=10_000);
    }
}

/// How many ticks a seed has been in the world: a component of ours on an entity of Esper's.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Age(pub u64);

/// Seeds were counted: an event in the journal, beside Esper's.
#[derive(Message, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct SeedsCounted {
    /// In the world, of every stage.
    pub n_seeds: u64,
    /// Became part of their host.
    pub n_fossilized: u64,
    /// Age of the oldest.
    pub oldest_ticks: u64,
}

impl Recorded for SeedsCounted {
    const KIND: &'static str = "seeds_counted";
}

impl RecordedMessage for SeedsCounted {
    type Key = ();

    fn key(&self) {}
}

/// Counts seeds now and then.
pub struct CensusPlugin;

impl Plugin for CensusPlugin {
    fn name(&self) -> &'static str {
        "census"
    }

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn sections(&self, sections: &mut Sections) {
        sections.add::<CensusSettings>();
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        let settings: CensusSettings = engine.scenario().or_default();
        engine.world_mut().insert_resource(settings);
        engine.add_saved_component::<SeedId, Age>("census.age").add_event::<SeedsCounted>();
        engine.add_systems(Tick, count_seeds.in_set(TickSystems::Decide));
        Ok(())
    }
}

fn count_seeds(
    clock: Res<Clock>,
    settings: Res<CensusSettings>,
    mut seeds: Query<(Entity, &Stage, Option<&mut Age>), With<SeedId>>,
    mut counts: MessageWriter<SeedsCounted>,
    mut commands: Commands,
) {
    let mut count = SeedsCounted { n_seeds: 0, n_fossilized: 0, oldest_ticks: 0 };
    for (seed, stage, age) in &mut seeds {
        count.n_seeds += 1;
        count.n_fossilized += u64::from(*stage == Stage::Fossilized);
        match age {
            Some(mut age) => {
                age.0 += 1;
                count.oldest_ticks = count.oldest_ticks.max(age.0);
            }
            None => _ = commands.entity(seed).insert(Age::default()),
        }
    }
    if clock.0.is_multiple_of(settings.every_ticks) {
        counts.write(count);
    }
}
