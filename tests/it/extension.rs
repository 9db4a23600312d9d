//! A stranger's crate can bring its own blueprints, policy, subsystem and systems, with no fork.

use bevy_ecs::prelude::*;
use esper::prelude::*;

/// The example itself: what it shows is what is tested.
#[allow(dead_code, reason = "a test needs no `main`")]
#[path = "../../examples/embedding.rs"]
mod embedding;

use embedding::{Census, CensusPlugin, FirstFit, SiluMlp, grow};

use crate::support::{Family, brief_of};

/// Epochs after which a seed that germinates at once has had its last verdict, and some to spare: 400 steps of
/// incubation and 400 from graft to verdict at 51 steps an epoch.
const EPOCHS: u64 = 17;

fn scenario() -> Scenario {
    let mut scenario = Scenario::default();
    scenario.run.epochs = EPOCHS;
    scenario.data.source = "digits".into();
    scenario.host = scenario::Host::mlp([64, 8, 10]);
    scenario.host.sites = vec!["hidden0".into()];
    scenario.karn.catalogue = vec!["low_rank".into()];
    scenario
}

#[test]
fn a_program_of_ones_own_brings_blueprint_policy_system_and_subsystem() -> Result<(), RunError> {
    let grown = grow(EPOCHS)?;
    let (summary, census) = (&grown.summary, &grown.census);

    assert_eq!(grown.losses.len() as u64, EPOCHS, "the system saw every epoch");
    assert!(grown.losses[grown.losses.len() - 1] < grown.losses[0], "the host learns");
    assert_eq!(census.n_germinated, 1, "one site, one blueprint that is tried once: {census:?}");
    assert_eq!(census.n_fossilized + census.n_removed, 1, "every seed ends: {census:?}");
    assert_eq!(census.n_germinated, summary.seeds.germinated, "both kept the same count");
    assert_eq!(census.n_fossilized, summary.seeds.fossilized, "both kept the same count");

    // `[8, 24]` and `[24, 8]` with their biases, where it was kept.
    let module = 8 * 24 + 24 + 24 * 8 + 8;
    let grown_by = summary.params_final - summary.params_initial;
    assert_eq!(grown_by, module * census.n_fossilized, "growth is the modules kept");
    Ok(())
}

#[test]
fn the_same_program_ends_with_the_same_bits() -> Result<(), RunError> {
    let (once, again) = (grow(4)?, grow(4)?);
    assert_eq!(once.summary.weights_digest, again.summary.weights_digest);
    assert_eq!(once.summary.audit_head, again.summary.audit_head);
    assert_eq!(once.losses, again.losses);
    Ok(())
}

#[test]
fn a_subsystem_that_only_watches_changes_no_bit() -> Result<(), RunError> {
    let bare = || {
        let mut scenario = scenario();
        scenario.run.epochs = 4;
        RunOptions::new(scenario).blueprint(SiluMlp { hidden: 24 }).policy(FirstFit)
    };
    let alone = Run::start(bare())?.finish()?;
    let watched = Run::start(bare().plugin(CensusPlugin))?.finish()?;
    assert_eq!(alone.weights_digest, watched.weights_digest);
    assert_eq!(alone.audit_head, watched.audit_head);
    Ok(())
}

/// `f = W x + b`, `W = 0`, `b = 0`, of an example, a position or a pixel.
struct Map;

impl BlueprintFamily for Map {
    fn name(&self) -> &str {
        "map"
    }

    fn design(&self, contract: &Contract) -> Result<Option<Blueprint>, GraphError> {
        let map = match contract {
            Contract::Vector { width } | Contract::Sequence { width, .. } => {
                Op::zero_linear(*width as usize)
            }
            Contract::Image { channels, .. } => {
                Op::same_conv2d(*channels as usize, [1, 1], Init::ZERO)
            }
            _ => return Ok(None),
        };
        let mut graph = NetworkGraph::new();
        let x = graph.add("x", op::Input { shape: contract.shape() }, &[])?;
        let out = graph.add("out", map, &[x])?;
        graph.set_output(out);
        Blueprint::new(self.name(), graph, "a linear map", "Gauss").map(Some)
    }
}

#[test]
fn a_blueprint_of_ones_own_grows_in_every_family_of_hosts() -> Result<(), RunError> {
    for family in Family::ALL {
        let mut scenario = brief_of(family);
        scenario.karn.catalogue = vec!["map".to_owned()];
        let mut run = Run::start(RunOptions::new(scenario).blueprint(Map).plugin(CensusPlugin))?;
        let summary = run.finish()?;
        let census = run.engine().world().resource::<Census>();
        assert!(census.n_germinated > 0, "{family:?}: {census:?}");
        assert!(summary.flops.seeds > 0, "{family:?}: its module was trained");
    }
    Ok(())
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let twice = Run::start(RunOptions::new(scenario()).plugin(CensusPlugin).plugin(CensusPlugin));
    let Err(RunError::Build(BuildError::Duplicate { plugin })) = twice else {
        panic!("the second census is refused");
    };
    assert_eq!(plugin, "census");

    /// Calls itself what one of Esper's families is called.
    struct Impostor;

    impl BlueprintFamily for Impostor {
        fn name(&self) -> &str {
            "low_rank"
        }

        fn design(&self, _: &Contract) -> Result<Option<Blueprint>, GraphError> {
            Ok(None)
        }
    }

    let taken = Run::start(RunOptions::new(scenario()).blueprint(Impostor));
    let Err(RunError::Build(error)) = taken else { panic!("the impostor is refused") };
    assert!(error.to_string().contains("low_rank"), "{error}");
}

#[test]
fn a_subsystem_without_what_it_needs_is_refused() {
    let mut engine = Engine::default();
    let refused = engine.add_plugin(CensusPlugin).map(|_| ());
    let Err(BuildError::Missing { plugin, needs }) = refused else {
        panic!("there is no bus to read from");
    };
    assert_eq!((plugin, needs), ("census", "oona"));
    assert!(engine.plugins().is_empty(), "what could not be built is not there");
    assert!(engine.world().get_resource::<Census>().is_none());
}

/// Ends the run as soon as a host's validation loss is low enough.
fn stop_early(mut epochs: MessageReader<EpochEnded>, mut status: ResMut<RunStatus>) {
    if epochs.read().any(|epoch| epoch.val_loss < 1.5) {
        *status = RunStatus::Completed;
    }
}

#[test]
fn a_system_of_ones_own_can_end_the_run() -> Result<(), RunError> {
    let mut scenario = scenario();
    scenario.tamiyo.policy = scenario::Policy::Off;
    let mut run = Run::start(RunOptions::new(scenario).extend(|engine| {
        engine.add_systems(Tick, stop_early.in_set(TickSystems::Record));
        Ok(())
    }))?;
    let summary = run.finish()?;
    assert!(summary.epochs < EPOCHS, "it stopped after epoch {}", summary.epochs);
    assert!(summary.scores.test_accuracy.is_some(), "an early end is an end");
    Ok(())
}
