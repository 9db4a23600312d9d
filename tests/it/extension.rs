//! A stranger's crate can bring its own blueprints, policy, subsystem and systems, with no fork.

use bevy_ecs::prelude::*;
use esper::{
    engine::journal::{Recorded, RecordedMessage},
    prelude::*,
};
use serde::{Deserialize, Serialize};

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
    let mut scenario = scenario::defaults();
    scenario[RUN].epochs = EPOCHS;
    scenario[DATA].source = "digits".into();
    scenario[HOST] = scenario::Host::mlp([64, 8, 10]);
    scenario[HOST].sites = vec!["hidden0".into()];
    scenario[KARN].catalogue = vec!["low_rank".into()];
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
        scenario[RUN].epochs = 4;
        RunOptions::new(scenario).blueprint(SiluMlp { hidden: 24 }).policy(FirstFit)
    };
    let alone = Run::start(bare())?.finish()?;
    let watched = Run::start(bare().plugin(CensusPlugin))?.finish()?;
    assert_eq!(alone.weights_digest, watched.weights_digest);
    assert_eq!(alone.audit_head, watched.audit_head);
    Ok(())
}

#[test]
fn a_policy_of_ones_own_is_named_by_the_scenario() -> Result<(), RunError> {
    let mut scenario = scenario();
    scenario[RUN].epochs = 4;
    let put_in_place = RunOptions::new(scenario.clone()).policy(FirstFit);
    let expected = Run::start(put_in_place.blueprint(SiluMlp { hidden: 24 }))?.finish()?;

    scenario[TAMIYO].policy = "first_fit".to_owned();
    let named = || RunOptions::new(scenario.clone()).blueprint(SiluMlp { hidden: 24 });
    let registered =
        named().extend(|engine| engine.add_policy("first_fit", |_| FirstFit).map(drop));
    let summary = Run::start(registered)?.finish()?;
    assert!(summary.seeds.germinated > 0, "it decided something");
    assert_eq!(summary.weights_digest, expected.weights_digest);

    let Err(error) = Run::start(named()) else { panic!("nobody has registered it") };
    assert!(error.to_string().contains("no policy is called `first_fit`"), "{error}");
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
        let mut run = Run::start(RunOptions::new(scenario).blueprint(Map).plugin(CensusPlugin))?;
        let summary = run.finish()?;
        let census = run.engine().world().resource::<Census>();
        assert!(census.n_germinated > 0, "{family:?}: {census:?}");
        assert!(summary.flops.seeds > 0, "{family:?}: its module was trained");
    }
    Ok(())
}

/// How many ticks a seed has lived: a component of ours on an entity of Esper's.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
struct Age(u64);

/// A seed is a multiple of 50 ticks old.
#[derive(Message, Serialize, Clone, Debug)]
struct Birthday {
    seed: SeedId,
    age: u64,
}

impl Recorded for Birthday {
    const KIND: &'static str = "birthday";
}

impl RecordedMessage for Birthday {
    type Key = SeedId;

    fn key(&self) -> SeedId {
        self.seed
    }
}

struct AgePlugin;

impl Plugin for AgePlugin {
    fn name(&self) -> &'static str {
        "age"
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        engine.add_saved_component::<SeedId, Age>("age.of_seed").add_event::<Birthday>();
        engine.add_systems(Tick, grow_older.in_set(TickSystems::Decide));
        Ok(())
    }
}

fn grow_older(
    mut seeds: Query<(Entity, &SeedId, Option<&mut Age>)>,
    mut birthdays: MessageWriter<Birthday>,
    mut commands: Commands,
) {
    for (entity, seed, age) in &mut seeds {
        let Some(mut age) = age else {
            commands.entity(entity).insert(Age(1));
            continue;
        };
        age.0 += 1;
        if age.0.is_multiple_of(50) {
            birthdays.write(Birthday { seed: *seed, age: age.0 });
        }
    }
}

fn ages(run: &Run) -> Vec<(SeedId, Option<Age>)> {
    let world = run.engine().world();
    let seeds = world.resource::<Index<SeedId>>().iter();
    seeds.map(|(seed, entity)| (seed, world.get::<Age>(entity).copied())).collect()
}

#[test]
fn a_component_and_an_event_of_ones_own_survive_a_checkpoint_once_they_are_registered()
-> Result<(), RunError> {
    let base = tempfile::tempdir().expect("a folder of the test's own");
    let at = |name: &str| base.path().join(name);
    let options =
        |name: &str| RunOptions::new(brief_of(Family::Mlp)).plugin(AgePlugin).folder(at(name));
    let mut whole = Run::start(options("whole"))?;
    let expected = whole.finish()?;
    assert!(ages(&whole).iter().any(|(_, age)| age.is_some_and(|age| age.0 > 50)));
    let text = std::fs::read_to_string(at("whole/events.jsonl")).expect("it was written");
    assert!(text.contains(r#""kind":"birthday""#), "it is on record");

    let mut stopped = Run::start(options("stopped"))?;
    for tick in 0..80 {
        if tick == 60 {
            stopped.snapshot()?;
        }
        // What is beyond the snapshot is what the resumed run has to do again.
        stopped.tick()?;
    }
    drop(stopped);
    let folder = RunFolder::open(&at("stopped"))?;
    let without = Run::resume(&folder, folder.options()?);
    let Err(error) = without else { panic!("its plugin is missing") };
    assert!(error.to_string().contains("`age.of_seed` was saved"), "{error}");

    let mut resumed = Run::resume(&folder, folder.options()?.plugin(AgePlugin))?.run;
    assert!(ages(&resumed).iter().any(|(_, age)| age.is_some_and(|age| age.0 > 40)));
    let summary = resumed.finish()?;
    assert_eq!(summary.weights_digest, expected.weights_digest);
    assert_eq!(ages(&resumed), ages(&whole));
    let again = std::fs::read_to_string(at("stopped/events.jsonl")).expect("it was written");
    assert_eq!(again, text);
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

/// `[pulse]`: how often a heart beats.
#[derive(Clone, Debug, PartialEq, Resource)]
struct Pulse {
    /// Ticks from one beat to the next, 1 to 1000.
    every_ticks: u64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { every_ticks: 10 }
    }
}

impl scenario::Section for Pulse {
    const NAME: &'static str = "pulse";

    fn keys(&mut self, keys: &mut impl scenario::Keys) {
        keys.key("every_ticks", &mut self.every_ticks, 1..=1000);
    }
}

#[derive(Resource, Default)]
struct Beats(u64);

struct PulsePlugin;

impl Plugin for PulsePlugin {
    fn name(&self) -> &'static str {
        "pulse"
    }

    fn sections(&self, sections: &mut scenario::Sections) {
        sections.add::<Pulse>();
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        let pulse: Pulse = engine.scenario().or_default();
        engine.world_mut().insert_resource(pulse);
        engine.world_mut().init_resource::<Beats>();
        let beat = |clock: Res<Clock>, pulse: Res<Pulse>, mut beats: ResMut<Beats>| {
            beats.0 += u64::from(clock.0.is_multiple_of(pulse.every_ticks));
        };
        engine.add_systems(Tick, beat.in_set(TickSystems::Record));
        Ok(())
    }
}

const PULSE: &str = "\
[run]
epochs = 1
[data]
source = \"digits\"
[host]
layers = [64, 8, 10]
[tamiyo]
policy = \"off\"
[pulse]
";

#[test]
fn a_section_of_ones_own_reads_and_complains_as_espers_do() -> Result<(), RunError> {
    let mut sections = scenario::sections();
    PulsePlugin.sections(&mut sections);
    let set = scenario::Override::parse("pulse.every_ticks=3").expect("it is one");
    let scenario = sections.parse(PULSE, "a.toml", &[set.clone()])?;
    let mut run = Run::start(RunOptions::new(scenario).plugin(PulsePlugin))?;
    run.finish()?;
    let world = run.engine().world();
    assert_eq!(world.resource::<Beats>().0, world.resource::<Clock>().0 / 3);

    for (line, wanted) in [
        (
            "every_tick = 3",
            "a.toml:10:1: pulse.every_tick: there is no such key in `pulse`\n  help: did you mean `every_ticks`?",
        ),
        (
            "every_ticks = 0",
            "a.toml:10:15: pulse.every_ticks: must be 1 to 1000, is 0\n  help: for example `every_ticks = 10`",
        ),
        (
            "epochs = 3",
            "a.toml:10:1: pulse.epochs: there is no such key in `pulse`\n  help: `epochs` is a key of `[run]`",
        ),
        ("[pulze]", "a.toml:10:2: pulze: there is no such section\n  help: did you mean `pulse`?"),
    ] {
        let error = sections.parse(&format!("{PULSE}{line}\n"), "a.toml", &[]);
        let told = error.expect_err(line).to_string();
        assert!(told.starts_with(wanted), "{line}: {told}");
    }
    let error = scenario::parse(PULSE, "a.toml", &[set]).expect_err("nobody registered it");
    assert!(error.to_string().contains("pulse: there is no such section"), "{error}");
    Ok(())
}
