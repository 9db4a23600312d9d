//! Esper inside a program of one's own: a run in about twenty lines, with a blueprint family, a policy, a subsystem and
//! a system that Esper has never heard of.
//!
//! ```text
//! cargo run --release --example embedding
//! ```

use bevy_ecs::prelude::*;
use esper::prelude::*;
use serde::{Deserialize, Serialize};

fn main() -> Result<(), RunError> {
    let Grown { summary, losses, census } = grow(20)?;
    for (epoch, loss) in losses.iter().enumerate() {
        println!("epoch {:>2}  validation loss {loss:.4}", epoch + 1);
    }
    println!("{census:?}");
    println!(
        "{} -> {} parameters, test accuracy {:.2} %, weights {}",
        summary.params_initial,
        summary.params_final,
        100.0 * summary.scores.test_accuracy.unwrap_or(f64::NAN),
        summary.weights_digest,
    );
    Ok(())
}

/// What a run leaves behind.
pub struct Grown {
    /// The figures of `summary.json`.
    pub summary: Summary,
    /// The validation loss of every epoch, as our system noted it.
    pub losses: Vec<f64>,
    /// What became of seeds, as our subsystem counted it.
    pub census: Census,
}

/// Trains a host on 8x8 digits for `epochs` epochs, everything that can be replaced replaced.
///
/// # Errors
///
/// Fails when the parts do not fit together or the run fails.
pub fn grow(epochs: u64) -> Result<Grown, RunError> {
    let mut scenario = scenario::defaults();
    scenario[RUN].epochs = epochs;
    scenario[DATA].source = "digits".into();
    scenario[HOST] = scenario::Host::mlp([64, 8, 10]);
    scenario[HOST].sites = vec!["hidden0".into()];
    scenario[KARN].catalogue = vec!["low_rank".into()];

    let options = RunOptions::new(scenario)
        .blueprint(SiluMlp { hidden: 24 }) // what a seed can become
        .policy(FirstFit) // who decides
        .plugin(CensusPlugin) // a subsystem
        .extend(|engine| {
            engine.world_mut().init_resource::<Losses>();
            engine.add_systems(Tick, note_losses.in_set(TickSystems::Record)); // a system
            Ok(())
        });
    let mut run = Run::start(options)?;
    let summary = run.finish()?;

    let world = run.engine().world();
    let losses = world.resource::<Losses>().0.clone();
    let census = world.resource::<Census>().clone();
    Ok(Grown { summary, losses, census })
}

/// `f = W2 silu(W1 x + b1) + b2`, `W2 = 0`: an identity at birth, and its gradient is alive.
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
    fn decide(&mut self, view: &Observation<'_>, commands: &mut Vec<SeedCommand>) {
        let mut ask = |seed, action| commands.push(SeedCommand { seed, action });
        for dormant in view.dormant() {
            let chosen = view.candidates().iter().find(|candidate| {
                candidate.is_ready
                    && candidate.family == "silu_mlp"
                    && candidate.contract == dormant.contract
                    && view.past(dormant.host, dormant.site, candidate.blueprint).is_none()
            });
            if let Some(candidate) = chosen {
                ask(dormant.seed, SeedAction::Germinate { blueprint: candidate.blueprint });
            }
        }
        for seed in view.seeds {
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

/// How many seeds entered, and how many ended for better or worse.
#[derive(Resource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Left DORMANT.
    pub n_germinated: u64,
    /// Became part of their host.
    pub n_fossilized: u64,
    /// Ended in any other way.
    pub n_removed: u64,
}

/// Counts what becomes of seeds. Its count is saved with a run's checkpoints.
pub struct CensusPlugin;

impl Plugin for CensusPlugin {
    fn name(&self) -> &'static str {
        "census"
    }

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        engine.world_mut().init_resource::<Census>();
        engine.add_saved::<Census>("census");
        engine.add_systems(Tick, count_seeds.in_set(TickSystems::Record));
        Ok(())
    }
}

fn count_seeds(mut changes: MessageReader<StageChanged>, mut census: ResMut<Census>) {
    for change in changes.read() {
        match change.to {
            Stage::Germinated => census.n_germinated += 1,
            Stage::Fossilized => census.n_fossilized += 1,
            end if end.is_terminal() => census.n_removed += 1,
            _ => {}
        }
    }
}

/// Validation losses, an epoch each.
#[derive(Resource, Default)]
struct Losses(Vec<f64>);

fn note_losses(mut epochs: MessageReader<EpochEnded>, mut losses: ResMut<Losses>) {
    losses.0.extend(epochs.read().map(|epoch| epoch.val_loss));
}
