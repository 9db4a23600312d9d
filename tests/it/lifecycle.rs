//! What a seed leaves behind: nothing, unless it is kept.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use esper::{
    engine::world::components::TwinOf,
    prelude::*,
    scenario::{Composition, Counterfactual, Incubation},
};
use esper_nn::digest::Digest;
use proptest::prelude::*;

use crate::support::{Family, brief, brief_of, keep_what_gains, run, state_digest};

/// The digest of the host's state after each tick, by its step.
#[derive(Resource, Default)]
struct Trace(BTreeMap<u64, Digest>);

/// Every stage that a seed entered, in order.
#[derive(Resource, Default)]
struct Stages(Vec<StageChanged>);

fn trace_hosts(
    hosts: Hosts,
    mut changes: MessageReader<StageChanged>,
    mut trace: ResMut<Trace>,
    mut stages: ResMut<Stages>,
) {
    for (_, host) in hosts.principals() {
        let host = hosts.runtime(host);
        trace.0.insert(host.state.step, state_digest(host));
    }
    stages.0.extend(changes.read().cloned());
}

fn traced(options: RunOptions) -> Run {
    let options = options.extend(|engine| {
        engine.world_mut().init_resource::<Trace>();
        engine.world_mut().init_resource::<Stages>();
        engine.add_systems(Tick, trace_hosts.in_set(TickSystems::Record));
        Ok(())
    });
    Run::start(options).expect("it begins")
}

/// [`brief_of`], with time for every stage.
fn long(family: Family) -> Scenario {
    let mut scenario = brief_of(family);
    scenario[RUN].epochs = 14;
    // Its end is no other's, where a final model would be chosen.
    scenario[TRAIN].average_share = 0.0;
    scenario
}

/// What the host of [`long`] does when nothing grows in it.
fn off(family: Family) -> BTreeMap<u64, Digest> {
    let mut scenario = long(family);
    scenario[TAMIYO].policy = "off".to_owned();
    let mut run = traced(RunOptions::new(scenario));
    run.finish().unwrap();
    run.engine_mut().world_mut().resource::<Trace>().0.clone()
}

/// Grows one `blueprint` at the second site as far as `stage`, and culls it there.
struct CullIn {
    blueprint: &'static str,
    stage: Stage,
    is_done: bool,
}

impl CullIn {
    fn new(family: Family, stage: Stage) -> Self {
        Self { blueprint: family.useful_blueprint(), stage, is_done: false }
    }
}

impl Policy for CullIn {
    fn decide(&mut self, view: &Observation<'_>, commands: &mut Vec<SeedCommand>) {
        if self.is_done {
            return;
        }
        let Some(seed) = view.seeds.first() else {
            let mut wanted = view.candidates().iter();
            let at = |candidate: &Candidate| {
                let mut dormant = view.dormant().iter();
                dormant.find(|seed| seed.site != SiteId(0) && seed.contract == candidate.contract)
            };
            let found = wanted.find_map(|candidate| {
                let is_wanted = candidate.is_ready && candidate.family == self.blueprint;
                Some((at(candidate).filter(|_| is_wanted)?, candidate))
            });
            if let Some((seed, candidate)) = found {
                let action = SeedAction::Germinate { blueprint: candidate.blueprint };
                commands.push(SeedCommand { seed: seed.seed, action });
            }
            return;
        };
        let action = if seed.stage == self.stage && seed.stage_steps >= 8 {
            self.is_done = true;
            SeedAction::Cull
        } else if seed.stage == Stage::Training {
            SeedAction::Graft
        } else if seed.stage == Stage::Evaluating && seed.gate_state.has_passed(Gate::G5) {
            SeedAction::FineTune
        } else {
            return;
        };
        commands.push(SeedCommand { seed: seed.seed, action });
    }
}

#[test]
fn a_seed_in_training_leaves_the_host_as_if_it_were_not_there() {
    for family in Family::ALL {
        let alone = off(family);
        for incubation in [Incubation::StraightThrough, Incubation::Shadow] {
            for composition in Composition::ALL {
                let mut scenario = brief_of(family);
                scenario[KASMINA].incubation = incubation;
                scenario[KASMINA].composition = *composition;
                // Never grafted: the seed trains to the end of the run.
                scenario[KASMINA].train_max_steps = 10_000;
                scenario[LIMITS].grafts_max = 0;
                scenario[TRAIN].average_share = 0.0;
                let mut run = traced(RunOptions::new(scenario));
                let summary = run.finish().unwrap();
                assert!(summary.seeds.germinated > 0 && summary.flops.seeds > 0, "{family:?}");
                let trace = &run.engine().world().resource::<Trace>().0;
                assert!(!trace.is_empty());
                for (step, digest) in trace {
                    let context = format!("{family:?} {incubation} {composition} step {step}");
                    assert_eq!(*digest, alone[step], "{context}");
                }
            }
        }
    }
}

#[test]
fn a_cull_out_of_every_grafted_stage_leaves_the_host_that_never_grafted() {
    let grafted = [Stage::Grafting, Stage::Stabilization, Stage::Evaluating, Stage::FineTuning];
    for family in Family::ALL {
        let alone = off(family);
        for stage in grafted {
            cull_in(family, CullIn::new(family, stage), &alone);
        }
    }
    // What reads at one site and writes at another goes the same way.
    let alone = off(Family::Mlp);
    for stage in grafted {
        let policy = CullIn { blueprint: "widen_100", ..CullIn::new(Family::Mlp, stage) };
        cull_in(Family::Mlp, policy, &alone);
    }
}

fn cull_in(family: Family, policy: CullIn, alone: &BTreeMap<u64, Digest>) {
    let stage = policy.stage;
    let context = format!("{family:?} {} {stage}", policy.blueprint);
    let mut scenario = long(family);
    // Any gain passes, so that FINE_TUNING is reached.
    keep_what_gains(&mut scenario);
    scenario[LIMITS].evaluation_share_max = 1.0;
    let mut run = traced(RunOptions::new(scenario).policy(policy));
    let summary = run.finish().unwrap();
    let world = run.engine().world();
    let changes = &world.resource::<Stages>().0;
    let culled = changes.iter().find(|change| change.to == Stage::Culled);
    let culled = culled.unwrap_or_else(|| panic!("{context}: {changes:?}"));
    assert_eq!(culled.from, stage, "{context}");
    let grafted = changes.iter().find(|change| change.to == Stage::Grafting).unwrap();
    let trace = &world.resource::<Trace>().0;
    let between = grafted.step + 1..culled.step;
    assert!(
        between.clone().any(|step| trace.get(&step).is_some_and(|it| *it != alone[&step])),
        "{context}: the graft acted on the host while it was there"
    );
    for (step, digest) in trace.range(culled.step..) {
        assert_eq!(*digest, alone[step], "{context}: step {step}, culled at {}", culled.step);
    }
    assert_eq!(summary.seeds.culled, 1, "{context}");
}

#[test]
fn without_a_twin_a_cull_ramps_back_and_says_so() {
    for family in Family::ALL {
        let mut scenario = brief_of(family);
        scenario[KASMINA].counterfactual = Counterfactual::Gate;
        let policy = CullIn::new(family, Stage::Evaluating);
        let mut run = traced(RunOptions::new(scenario).policy(policy));
        let summary = run.finish().unwrap();
        assert_eq!(summary.counterfactual, "gate");
        let changes = &run.engine().world().resource::<Stages>().0;
        let culled = changes.iter().rfind(|it| it.to == Stage::Culled);
        let culled = culled.unwrap_or_else(|| panic!("{family:?}: {changes:?}"));
        assert_eq!(culled.reason, "alpha is back at 0", "{family:?}");
    }
}

#[test]
fn direct_insertion_trains_its_module_with_the_host() {
    for family in Family::ALL {
        let mut scenario = brief_of(family);
        scenario[KASMINA].incubation = Incubation::None;
        let mut run = traced(RunOptions::new(scenario));
        let summary = run.finish().unwrap();
        let changes = &run.engine().world().resource::<Stages>().0;
        let is_judged = changes.iter().any(|change| change.to == Stage::Evaluating);
        assert!(is_judged, "{family:?}: {changes:?}");
        assert!(summary.flops.seeds > 0, "{family:?}");
    }
}

/// Obeys a script of arbitrary commands.
struct Storm(Vec<(u8, u8, u8)>);

impl Policy for Storm {
    fn decide(&mut self, view: &Observation<'_>, commands: &mut Vec<SeedCommand>) {
        let candidates = view.candidates();
        for _ in 0..2 {
            let Some((seed, what, which)) = self.0.pop() else { return };
            let living: Vec<SeedId> = view.seeds.iter().map(|seed| seed.seed).collect();
            let dormant: Vec<SeedId> = view.dormant().iter().map(|seed| seed.seed).collect();
            let any = [living, dormant, vec![SeedId(u64::from(seed))]].concat();
            let seed = any[seed as usize % any.len()];
            let action = match what % 8 {
                0 | 1 if !candidates.is_empty() => {
                    let blueprint = candidates[which as usize % candidates.len()].blueprint;
                    SeedAction::Germinate { blueprint }
                }
                2 | 3 => SeedAction::Graft,
                4 => SeedAction::FineTune,
                5 => SeedAction::Fossilize,
                6 => SeedAction::Cull,
                _ => SeedAction::Cancel,
            };
            commands.push(SeedCommand { seed, action });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_storm_of_commands_reaches_an_illegal_state_or_leaves_a_graft_behind(
        family in prop::sample::select(Family::ALL.to_vec()),
        commands in prop::collection::vec(any::<(u8, u8, u8)>(), 200..600),
        is_twin in any::<bool>(),
        seeds_per_site in 1_usize..4,
    ) {
        let mut scenario = brief_of(family);
        scenario[RUN].epochs = 8;
        scenario[KASMINA].seeds_per_site = seeds_per_site;
        scenario[KASMINA].embargo_epochs = 0.1;
        scenario[KASMINA].train_min_steps = 8;
        scenario[KASMINA].counterfactual =
            if is_twin { Counterfactual::Twin } else { Counterfactual::Gate };
        let mut run = traced(RunOptions::new(scenario).policy(Storm(commands)));
        while run.tick().unwrap() == RunState::Running {
            check_world(run.engine_mut().world_mut());
        }
        run.finish().unwrap();
        let world = run.engine_mut().world_mut();
        let changes = &world.resource::<Stages>().0;
        for change in changes {
            prop_assert!(change.from.may_become(change.to), "{change:?}");
        }
        // Nothing is left but the host: no twin, no bound seed, no number of theirs.
        prop_assert_eq!(world.resource::<Runtimes>().len(), 1);
        let host = world.resource::<Runtimes>().iter().next().unwrap();
        prop_assert!(host.modules().is_empty());
    }
}

/// What holds after every tick: bound seeds are those that should be, and at most one is blended and unjudged.
fn check_world(world: &mut World) {
    let mut seeds = world.query::<(&SeedId, &Stage)>();
    let stages: BTreeMap<SeedId, Stage> =
        seeds.iter(world).map(|(id, stage)| (*id, *stage)).collect();
    let n_grafted = stages.values().filter(|stage| stage.is_grafted()).count();
    let mut hosts = world.query::<(Has<Principal>, Has<TwinOf>, &Runtime)>();
    let n_twins = hosts.iter(world).filter(|(_, is_twin, _)| *is_twin).count();
    assert!(n_grafted <= 1, "one graft at a time");
    assert_eq!(n_twins, n_grafted, "a twin lives exactly as long as its graft");
    for (is_principal, is_twin, Runtime(handle)) in hosts.iter(world) {
        let host = world.resource::<Runtimes>().get(*handle).expect("the handle is live");
        for module in host.modules() {
            let stage = stages[&module.seed];
            let is_alive =
                stage == Stage::Training || stage.is_grafted() || stage == Stage::Fossilized;
            assert!(is_alive, "{} is bound in {stage}", module.seed);
            if is_twin {
                assert!(!stage.is_grafted(), "a twin is without the grafted seed");
            }
        }
        let n_training = stages.values().filter(|stage| **stage == Stage::Training).count();
        let n_bound_training =
            host.modules().iter().filter(|it| stages[&it.seed] == Stage::Training).count();
        assert_ne!(is_principal, is_twin);
        if is_principal {
            assert_eq!(n_bound_training, n_training, "every training seed is bound");
        }
    }
}

/// A scenario in which a seed is kept.
fn growing() -> Scenario {
    let mut scenario = brief();
    scenario[DATA].source = "mnist1d".to_owned();
    scenario[HOST] = scenario::Host::mlp([40, 8, 10]);
    keep_what_gains(&mut scenario);
    scenario
}

#[test]
fn a_seed_that_is_kept_makes_the_host_grow() {
    let summary = run(&growing());
    assert!(summary.seeds.fossilized > 0, "{:?}", summary.seeds);
    assert!(summary.params_final > summary.params_initial);
}

#[test]
fn a_network_that_grew_once_grows_again_in_another_run() {
    let mut first = Run::start(growing()).expect("it begins");
    assert!(first.finish().expect("it goes well").seeds.fossilized > 0);
    let world = first.engine_mut().world_mut();
    let runtimes = world.resource::<Runtimes>();
    let grown = (*runtimes.iter().next().expect("it has a host").graph).clone();
    // Seeds of the second run have other names than those whose modules are in the network already.
    let mut second = Run::start(RunOptions::new(growing()).host(grown)).expect("it begins");
    let summary = second.finish().expect("it goes well");
    assert!(summary.seeds.germinated > 0, "{:?}", summary.seeds);
    let seeds = second.engine().world().resource::<Index<SeedId>>();
    let least = seeds.iter().next().expect("seeds were planted").0;
    assert!(least > SeedId(1), "{least} is planted first");
}
