//! A crate of one's own can bring blueprints, policies, subsystems, sections, events, components and systems, with no fork.

use bevy_ecs::prelude::*;
use esper::prelude::*;
use serde::{Deserialize, Serialize};

/// The example itself: what it shows is what is tested.
#[allow(dead_code, reason = "a test needs no `main`")]
#[path = "../../examples/embedding.rs"]
mod embedding;

use embedding::{
    Age, CensusPlugin, CensusSettings, FirstFit, SCENARIO, SeedsCounted, SiluMlp, grow, sections,
    with_ours,
};

use crate::{
    command::assert_same_run,
    support::{Family, bits, brief_of},
};

/// Epochs after which a seed that germinates at once has had its last verdict, and some to spare: 400 steps of
/// incubation and 400 from graft to verdict at 51 steps an epoch.
const EPOCHS: u64 = 17;

fn scenario() -> Scenario {
    let mut scenario = scenario::defaults();
    scenario[RUN].epochs = EPOCHS;
    scenario[DATA].source = "digits".into();
    scenario[HOST] = scenario::Host::mlp([64, 8, 10]);
    scenario[HOST].sites = vec!["hidden0".into()];
    scenario[KARN].catalogue = vec!["low_rank".into()];
    scenario
}

/// What became of seeds.
#[derive(Resource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    n_germinated: u64,
    n_fossilized: u64,
    n_removed: u64,
}

/// Counts what becomes of seeds, in a resource that checkpoints keep.
struct TallyPlugin;

impl Plugin for TallyPlugin {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        engine.world_mut().init_resource::<Tally>();
        engine.add_saved::<Tally>("tally");
        engine.add_systems(Tick, count_changes.in_set(TickSystems::Record));
        Ok(())
    }
}

fn count_changes(mut changes: MessageReader<StageChanged>, mut tally: ResMut<Tally>) {
    for change in changes.read() {
        match change.to {
            Stage::Germinated => tally.n_germinated += 1,
            Stage::Fossilized => tally.n_fossilized += 1,
            end if end.is_terminal() => tally.n_removed += 1,
            _ => {}
        }
    }
}

/// What the example adds, and a tally.
fn extended(options: RunOptions) -> RunOptions {
    with_ours(options).plugin(TallyPlugin)
}

fn embedded() -> RunOptions {
    extended(RunOptions::new(sections().parse(SCENARIO, "embedding.toml", &[]).expect("sound")))
}

fn ages(run: &Run) -> Vec<(SeedId, Option<Age>)> {
    let world = run.engine().world();
    let seeds = world.resource::<Index<SeedId>>().iter();
    seeds.map(|(seed, entity)| (seed, world.get::<Age>(entity).copied())).collect()
}

#[test]
fn a_program_of_ones_own_brings_all_that_a_run_is_made_of_and_is_resumed_bit_for_bit()
-> Result<(), RunError> {
    let base = tempfile::tempdir().expect("a folder of the test's own");
    let at = |name: &str| base.path().join(name);
    let mut whole = Run::start(embedded().folder(at("whole")))?;
    let counts: &'static std::sync::Mutex<Vec<SeedsCounted>> = Box::leak(Box::default());
    whole.subscribe(|event| counts.lock().unwrap().extend(event.get::<SeedsCounted>()))?;
    let summary = whole.finish()?;
    let tally = whole.engine().world().resource::<Tally>().clone();
    assert_eq!(tally.n_germinated, 1, "one site, one blueprint that is tried once: {tally:?}");
    assert_eq!(tally.n_fossilized + tally.n_removed, 1, "every seed ends: {tally:?}");
    assert_eq!(tally.n_germinated, summary.seeds.germinated, "both kept the same count");
    assert_eq!(tally.n_fossilized, summary.seeds.fossilized, "both kept the same count");
    // `[8, 24]` and `[24, 8]` with their biases, where it was kept.
    let module = 8 * 24 + 24 + 24 * 8 + 8;
    let grown_by = summary.params_final - summary.params_initial;
    assert_eq!(grown_by, module * tally.n_fossilized, "growth is the modules kept");
    let counts = counts.lock().unwrap();
    assert_eq!(counts.len() as u64, whole.n_ticks() / 20, "every 20 ticks, as the scenario says");
    assert!(ages(&whole).iter().any(|(_, age)| age.is_some_and(|age| age.0 > 50)));

    let mut stopped = Run::start(embedded().folder(at("stopped")))?;
    for tick in 0..70 {
        if tick == 50 {
            stopped.snapshot()?;
        }
        // What is beyond the snapshot is what the resumed run has to do again.
        stopped.tick()?;
    }
    drop(stopped);
    let folder = RunFolder::open(&at("stopped"))?;
    let options = || folder.options_with(&sections());
    let bare = options()?.add_policy("first_fit", |_| FirstFit).blueprint(SiluMlp { hidden: 24 });
    let Err(error) = Run::resume(&folder, bare) else { panic!("its plugins are missing") };
    assert!(error.to_string().contains("`census.age`, `tally` was saved"), "{error}");

    let mut resumed = Run::resume(&folder, extended(options()?))?.run;
    assert!(ages(&resumed).iter().any(|(_, age)| age.is_some_and(|age| age.0 > 40)));
    assert_eq!(bits(&resumed.finish()?), bits(&summary));
    assert_eq!(ages(&resumed), ages(&whole));
    assert_eq!(*resumed.engine().world().resource::<Tally>(), tally);
    assert_same_run(&at("stopped"), &at("whole"), "resumed");

    let replay = Run::replay(&folder, extended(options()?))?;
    assert!(replay.is_same && replay.is_complete, "{replay}");
    Ok(())
}

#[test]
fn the_example_ends_with_the_same_bits_each_time() -> Result<(), RunError> {
    let base = tempfile::tempdir().expect("a folder of the test's own");
    let brief = SCENARIO.replace("epochs = 17", "epochs = 12");
    assert_ne!(brief, SCENARIO);
    let once = grow(&brief, &base.path().join("once"))?;
    let again = grow(&brief, &base.path().join("again"))?;
    assert_eq!(bits(&once), bits(&again));
    Ok(())
}

#[test]
fn a_policy_of_ones_own_is_found_by_name_or_not_at_all() {
    let parsed = sections().parse(SCENARIO, "embedding.toml", &[]).expect("sound");
    for refused in [
        Run::start(RunOptions::new(parsed.clone())).map(|_| ()),
        Plan::new(RunOptions::new(parsed.clone())).map(|_| ()),
    ] {
        let Err(error) = refused else { panic!("nothing registered it") };
        assert_eq!(error.scenario_key(), Some("tamiyo.policy"), "{error}");
        assert!(error.to_string().contains("no policy is called `first_fit`"), "{error}");
    }
    let named = RunOptions::new(parsed).add_policy("first_fit", |_| FirstFit);
    assert!(Plan::new(named).is_ok());
}

#[test]
fn a_subsystem_that_only_watches_changes_no_bit() -> Result<(), RunError> {
    let bare = || {
        let mut scenario = scenario();
        scenario[RUN].epochs = 4;
        RunOptions::new(scenario).blueprint(SiluMlp { hidden: 24 }).policy(FirstFit)
    };
    let alone = Run::start(bare())?.finish()?;
    let watched = Run::start(bare().plugin(TallyPlugin))?.finish()?;
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
        scenario[KARN].catalogue = vec!["map".to_owned()];
        let mut run = Run::start(RunOptions::new(scenario).blueprint(Map).plugin(TallyPlugin))?;
        let summary = run.finish()?;
        let tally = run.engine().world().resource::<Tally>();
        assert!(tally.n_germinated > 0, "{family:?}: {tally:?}");
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
    struct SameName;

    impl BlueprintFamily for SameName {
        fn name(&self) -> &str {
            "low_rank"
        }

        fn design(&self, _: &Contract) -> Result<Option<Blueprint>, GraphError> {
            Ok(None)
        }
    }

    let taken = Run::start(RunOptions::new(scenario()).blueprint(SameName));
    let Err(RunError::Build(error)) = taken else { panic!("the second is refused") };
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
    assert!(engine.world().get_resource::<CensusSettings>().is_none());
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
    scenario[TAMIYO].policy = "off".to_owned();
    let mut run = Run::start(RunOptions::new(scenario).extend(|engine| {
        engine.add_systems(Tick, stop_early.in_set(TickSystems::Record));
        Ok(())
    }))?;
    let summary = run.finish()?;
    assert!(summary.epochs < EPOCHS, "it stopped after epoch {}", summary.epochs);
    assert!(summary.scores.test_accuracy.is_some(), "an early end is an end");
    Ok(())
}

#[test]
fn a_section_of_ones_own_is_read_and_refused_as_espers_are() {
    let read = |line: &str| {
        let text = SCENARIO.replace("census = { every_ticks = 20 }", &format!("[census]\n{line}"));
        sections().parse(&text, "a.toml", &[])
    };
    let settings = read("every_ticks = 3").expect("it is sound").or_default::<CensusSettings>();
    assert_eq!(settings.every_ticks, 3);
    for (line, wanted) in [
        (
            "every_tick = 3",
            "a.toml:8:1: census.every_tick: there is no such key in `census`\n  help: did you mean `every_ticks`?",
        ),
        (
            "every_ticks = 0",
            "a.toml:8:15: census.every_ticks: must be 1 to 10000, is 0\n  help: for example `every_ticks = 100`",
        ),
        (
            "epochs = 3",
            "a.toml:8:1: census.epochs: there is no such key in `census`\n  help: `epochs` is a key of `[run]`",
        ),
        (
            "[cencus]",
            "a.toml:8:2: cencus: there is no such section\n  help: did you mean `census`?",
        ),
    ] {
        let error = read(line).expect_err(line).to_string();
        assert!(error.starts_with(wanted), "{line}: {error}");
    }
    let error = scenario::parse(SCENARIO, "a.toml", &[]).expect_err("nothing registered it");
    assert!(error.to_string().contains("census: there is no such section"), "{error}");
}
