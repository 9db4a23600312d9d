//! `esper attribute`: what modules are worth, by evaluating the host without some of them.

use std::{collections::BTreeMap, fs, sync::Arc};

use esper::{
    attribution::{
        Around, Attribution, AttributionSettings, HostAttribution, Meaning, Method, attribute,
    },
    engine::{
        runtime::{Ablated, FlopsAccount, JoinedHost, Split, StateDict, Variation},
        world::components::SeedModule,
    },
    nn::{
        graph::Ablation,
        module::Composition,
        program::{CompileOptions, Program},
    },
    prelude::*,
    scenario::Counterfactual,
};
use safetensors::{SafeTensors, tensor::TensorView};

use super::{
    command::Desk,
    support::{Family, brief, brief_of},
};

/// Makes every part of a seed's life shorter still, and any gain enough.
fn hasten(scenario: &mut Scenario) {
    scenario[CHECKPOINT].every_epochs = 1;
    scenario[CHECKPOINT].keep = 20;
    scenario[LIMITS].evaluation_share_max = 1.0;
    let kasmina = &mut scenario[KASMINA];
    // What a host leans on passes, and hosts lean on what they trained with.
    kasmina.counterfactual = Counterfactual::Gate;
    (kasmina.error_rate, kasmina.delta) = (0.5, 0.0);
    (kasmina.train_min_steps, kasmina.train_max_steps) = (30, 60);
    (kasmina.graft_steps, kasmina.stabilize_steps, kasmina.fine_tune_steps) = (10, 5, 20);
    kasmina.verdict_after_steps = 20;
    (kasmina.verdict_extend_steps, kasmina.verdict_max_steps) = (10, 60);
}

/// A run of which `seed` says how many modules it keeps.
fn growing(seed: u64, composition: Composition) -> Scenario {
    let mut scenario = brief();
    hasten(&mut scenario);
    scenario[RUN].seed = seed;
    scenario[KASMINA].composition = composition;
    scenario
}

/// A seed with which [`growing`] keeps three modules.
const THREE: u64 = 15;
/// One with which it keeps one.
const ONE: u64 = 11;

/// A convolutional network with batch norms that keeps a module.
fn growing_cnn() -> Scenario {
    let mut scenario = brief_of(Family::Cnn);
    hasten(&mut scenario);
    scenario[RUN].seed = 6;
    scenario
}

/// Runs `scenario` in a folder and attributes it.
fn attributed(scenario: &Scenario, settings: &AttributionSettings) -> (Desk, Summary, Attribution) {
    let desk = Desk::new();
    let root = desk.path("r");
    let options = RunOptions::new(scenario.clone()).folder(&root);
    let summary = Run::start(options).expect("it begins").finish().expect("it ends");
    let folder = RunFolder::open(&root).expect("a run's folder");
    let options = folder.options().expect("its data is there");
    let found = attribute(&folder, options, settings).expect("its checkpoints are sound");
    (desk, summary, found)
}

fn newest(found: &Attribution) -> &HostAttribution {
    found.newest().next().expect("a run has a host")
}

/// The host of a run that is kept in memory, its modules joined.
fn joined(run: &mut Run) -> JoinedHost {
    let world = run.engine_mut().world_mut();
    let mut seeds = world.query::<(&SeedId, &SeedModule)>();
    let blueprint = |(seed, module): (&SeedId, &SeedModule)| {
        let blueprint = world.resource::<Index<BlueprintId>>().entity(module.blueprint)?;
        Some((*seed, world.get::<Blueprint>(blueprint)?.graph.clone()))
    };
    let networks: BTreeMap<SeedId, Arc<NetworkGraph>> =
        seeds.iter(world).filter_map(blueprint).collect();
    host(run).to_joined(&networks).expect("every module is known")
}

fn host(run: &Run) -> &HostRuntime {
    run.engine().world().resource::<Runtimes>().iter().next().expect("a run has a host")
}

fn without(without: u64, ablation: Ablation) -> Variation {
    Variation { without, ablation, n_batches: None }
}

/// `weights` with each tensor as `edit` leaves it, or without it.
fn edited(weights: &StateDict, edit: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> StateDict {
    let bytes = weights.to_bytes();
    let file = SafeTensors::deserialize(&bytes).expect("our own");
    let tensors = file.tensors().into_iter().filter_map(|(name, view)| {
        let data = edit(&name, view.data().to_vec())?;
        Some((name, view.dtype(), view.shape().to_vec(), data))
    });
    let tensors: Vec<_> = tensors.collect();
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name, TensorView::new(*dtype, shape.clone(), data).expect("as long as before"))
    });
    let bytes = safetensors::serialize(views, None).expect("names are distinct");
    StateDict::from_bytes(&bytes).expect("a state dict")
}

#[test]
fn what_modules_are_worth_adds_up_to_what_the_host_loses_without_them() {
    for scenario in [growing(THREE, Composition::Blend), growing_cnn()] {
        let (_desk, _, found) = attributed(&scenario, &AttributionSettings::default());
        assert!(!newest(&found).modules.is_empty());
        for host in &found.hosts {
            for it in &host.meanings {
                assert_eq!(it.method, Method::Exact);
                let sum: f64 = it.modules.iter().map(|of| of.shapley.estimate).sum();
                let lost = it.none.loss - it.all.loss;
                assert!((sum - lost).abs() < 1e-12 * (1.0 + lost.abs()), "{it:?}");
            }
        }
    }
}

/// A number as whoever reads the journal has it: its last bit may be lost on the way.
fn read_back(value: f64) -> f64 {
    serde_json::from_str(&serde_json::to_string(&value).unwrap()).unwrap()
}

#[test]
fn a_host_with_all_its_modules_has_the_loss_that_the_run_reported() {
    for scenario in [growing(THREE, Composition::Residual), growing(THREE, Composition::Blend)] {
        let (desk, summary, found) = attributed(&scenario, &AttributionSettings::default());
        let last = newest(&found);
        assert!(last.modules.len() > 1);
        let bits = |loss: f64, accuracy: Option<f64>| (loss.to_bits(), accuracy.map(f64::to_bits));
        let scores = &summary.scores;
        let reported = bits(scores.val_loss.expect("it is over"), scores.val_accuracy);
        assert_eq!(bits(last.full.loss, last.full.accuracy), reported);

        let events = fs::read_to_string(desk.path("r/events.jsonl")).expect("a journal");
        let events: Vec<Event> =
            events.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
        let mut n_grafted = 0;
        for host in &found.hosts {
            let of_tick = || events.iter().filter(|event| event.tick == host.tick);
            let epoch = of_tick().find_map(|event| event.get::<EpochEnded>());
            // What changed after the host was validated changed what the checkpoint keeps.
            let has_changed = of_tick()
                .any(|event| matches!(event.kind.as_str(), "stage_changed" | "final_model_chosen"));
            if let Some(epoch) = epoch.filter(|_| !has_changed) {
                let reported = bits(epoch.val_loss, epoch.val_accuracy);
                let (loss, accuracy) = (read_back(host.full.loss), host.full.accuracy);
                let is_grafted = |stage: Option<Stage>| stage.is_some_and(Stage::is_grafted);
                n_grafted += host.modules.iter().filter(|it| is_grafted(it.stage)).count();
                let found = bits(loss, accuracy.map(read_back));
                assert_eq!(found, reported, "{}", host.tick);
            }
        }
        assert!(n_grafted > 0, "some modules were bound, and not fossils yet");
    }
}

#[test]
fn a_host_without_its_fossils_is_the_host_that_it_began_as_with_the_weights_it_has() {
    let mut run = Run::start(growing(THREE, Composition::Blend)).unwrap();
    let (graph, config) = (host(&run).graph.clone(), host(&run).config.clone());
    run.finish().unwrap();
    let joined = joined(&mut run);
    let all = without((1 << joined.seeds().len()) - 1, Ablation::Bypass);
    assert!(joined.seeds().len() > 1);
    assert_eq!(joined.ablated(all.without, all.ablation).unwrap(), *graph);

    let program = Arc::new(Program::compile(&graph, CompileOptions::HOST).unwrap());
    let own = edited(&host(&run).state_dict(), |name, data| {
        (!name.starts_with("grown.")).then_some(data)
    });
    let mut alone = HostRuntime::new(config, graph, program).unwrap();
    alone.load_state_dict(&own).unwrap();
    let mut losses = Vec::new();
    let (split, account) = (Split::Validation, FlopsAccount::Validation);
    let evaluation = alone.evaluate(split, account, None, Some(&mut losses)).unwrap();
    assert_eq!(joined.evaluate(split, &[all]).unwrap(), [Ablated { evaluation, losses }]);
}

#[test]
fn a_grafted_module_is_left_out_as_the_gate_figure_leaves_it_out() {
    let mut run = Run::start(growing(ONE, Composition::Residual)).unwrap();
    let seed = loop {
        run.tick().unwrap();
        let world = run.engine_mut().world_mut();
        let mut seeds = world.query::<(&SeedId, &Stage)>();
        let found = seeds.iter(world).find(|(_, stage)| **stage == Stage::Evaluating);
        if let Some((seed, _)) = found {
            break *seed;
        }
    };
    let joined = joined(&mut run);
    assert_eq!(joined.seeds(), [seed]);
    let mut copy = host(&run).duplicate().unwrap();
    let split = Split::Validation;
    let mut of_host = |tried| {
        let mut losses = Vec::new();
        let account = FlopsAccount::Evaluation;
        let evaluation = copy.evaluate(split, account, tried, Some(&mut losses)).unwrap();
        Ablated { evaluation, losses }
    };
    let expected = [of_host(None), of_host(Some((seed, 0.0))), of_host(Some((seed, 0.0)))];
    let variations =
        [(0, Ablation::Bypass), (1, Ablation::Bypass), (1, Ablation::GateZero)].map(|it| {
            let (seeds, ablation) = it;
            without(seeds, ablation)
        });
    assert_eq!(joined.evaluate(split, &variations).unwrap(), expected);
    assert_ne!(expected[0], expected[1]);
}

#[test]
fn a_gate_at_zero_is_a_bypass_of_a_residual_and_not_of_a_blend() {
    let of = |composition| {
        let scenario = growing(ONE, composition);
        let (_desk, _, found) = attributed(&scenario, &AttributionSettings::default());
        let [gate, bypass, recalibrated] = newest(&found).meanings.clone().try_into().unwrap();
        assert_eq!(recalibrated.same_as, Some(Meaning::Bypass), "there is no batch norm");
        (gate, bypass)
    };
    let (gate, bypass) = of(Composition::Residual);
    assert_eq!((gate.same_as, bypass.same_as), (Some(Meaning::Bypass), None));
    assert_eq!((gate.none, &gate.subsets), (bypass.none, &bypass.subsets));
    let (gate, bypass) = of(Composition::Blend);
    assert_eq!((gate.same_as, bypass.same_as), (None, None));
    assert_ne!(gate.none.loss, bypass.none.loss);
    assert_eq!(gate.all, bypass.all, "nothing is ablated in either");
}

#[test]
fn eight_at_once_are_each_one_alone_bit_for_bit() {
    let mut run = Run::start(growing(THREE, Composition::Blend)).unwrap();
    run.finish().unwrap();
    let joined = joined(&mut run);
    let ablations = [Ablation::GateZero, Ablation::Bypass];
    let n_sets = 1 << joined.seeds().len();
    let sets = ablations.into_iter().flat_map(|how| (0..n_sets).map(move |set| without(set, how)));
    let variations: Vec<Variation> = sets.collect();
    assert!(variations.len() >= 8);
    let together = joined.evaluate(Split::Test, &variations).unwrap();
    let mut distinct = BTreeMap::new();
    for (variation, found) in variations.iter().zip(together) {
        let alone = joined.evaluate(Split::Test, &[*variation]).unwrap();
        assert_eq!(alone, std::slice::from_ref(&found), "{variation:?}");
        distinct.insert(found.evaluation.loss.to_bits(), variation);
    }
    assert!(distinct.len() as u64 > n_sets, "sets and ablations are told apart");
}

#[test]
fn figures_are_the_same_on_any_number_of_threads() {
    let mut scenario = growing(ONE, Composition::Residual);
    scenario[RUN].epochs = 5;
    // Wide enough to be worth several.
    scenario[HOST] = scenario::Host::mlp([64, 1024, 10]);
    scenario[HOST].sites = vec!["input".to_owned()];
    scenario[LIMITS].params_max = 1_000_000;
    let (desk, _, expected) = attributed(&scenario, &AttributionSettings::default());
    assert!(expected.hosts.iter().any(|host| !host.modules.is_empty()));
    let folder = RunFolder::open(&desk.path("r")).unwrap();
    for threads in [2, 3] {
        scenario[RUN].threads = threads;
        let options = RunOptions::new(scenario.clone()).base_dir(desk.path("r"));
        let found = attribute(&folder, options, &AttributionSettings::default()).unwrap();
        assert_eq!(found, expected, "{threads} threads");
    }
}

#[test]
fn recalibration_forgets_the_statistics_that_a_host_had() {
    let mut run = Run::start(growing_cnn()).unwrap();
    run.finish().unwrap();
    let whole = joined(&mut run);
    assert!(whole.has_running_statistics() && !whole.seeds().is_empty());
    let weights = edited(&host(&run).state_dict(), |name, mut data| {
        if name.ends_with(".running_var") || name.ends_with(".running_mean") {
            let values = data.as_chunks_mut::<4>().0;
            values.iter_mut().for_each(|it| *it = (4.0 * f32::from_le_bytes(*it)).to_le_bytes());
        }
        Some(data)
    });
    let runtimes = run.engine_mut().world_mut().resource_mut::<Runtimes>().into_inner();
    runtimes.iter_mut().next().unwrap().load_state_dict(&weights).unwrap();
    let spoilt = joined(&mut run);
    for set in [0, 1] {
        let plain = without(set, Ablation::Bypass);
        let scores = |host: &JoinedHost, n_batches| {
            let of = host.evaluate(Split::Validation, &[Variation { n_batches, ..plain }]);
            of.unwrap().remove(0)
        };
        assert_ne!(scores(&whole, None), scores(&spoilt, None));
        assert_eq!(scores(&whole, Some(5)), scores(&spoilt, Some(5)));
        assert_ne!(scores(&whole, Some(5)), scores(&whole, Some(6)), "each batch counts");
        let all = whole.n_train_batches();
        assert_eq!(scores(&whole, Some(all)), scores(&whole, Some(all + 1)), "a pass is enough");
    }
}

#[test]
fn recalibration_says_of_how_many_batches_it_is_and_spares_the_whole_host_no_other_treatment() {
    let settings = AttributionSettings { n_batches_max: 7, ..AttributionSettings::default() };
    let (_desk, _, found) = attributed(&growing_cnn(), &settings);
    let host = newest(&found);
    let recalibrated = host.meanings.iter().find(|it| it.meaning == Meaning::Recalibrated);
    let recalibrated = recalibrated.unwrap();
    assert_eq!((recalibrated.n_batches, recalibrated.same_as), (Some(7), None));
    assert_ne!(recalibrated.all, host.full);
    let others = host.meanings.iter().filter(|it| it.meaning != Meaning::Recalibrated);
    assert!(others.clone().count() == 2 && others.clone().all(|it| it.all == host.full));
    assert!(host.to_text().contains("statistics are of 7 training batches"));
}

#[test]
fn sampled_values_lie_near_the_exact_ones_and_add_up_as_they_do() {
    let scenario = growing(THREE, Composition::Residual);
    let (desk, _, exact) = attributed(&scenario, &AttributionSettings::default());
    let settings =
        AttributionSettings { exact_modules_max: 2, n_subsets_max: 42, ..Default::default() };
    let folder = RunFolder::open(&desk.path("r")).unwrap();
    let sampled = attribute(&folder, folder.options().unwrap(), &settings).unwrap();
    let bypass = |found: &Attribution| newest(found).meanings[1].clone();
    let (exact, sampled) = (bypass(&exact), bypass(&sampled));
    assert_eq!(sampled.method, Method::Sampled { n_orders: 10 });
    let sum: f64 = sampled.modules.iter().map(|of| of.shapley.estimate).sum();
    assert!((sum - (sampled.none.loss - sampled.all.loss)).abs() < 1e-12);
    for (exact, sampled) in exact.modules.iter().zip(&sampled.modules) {
        let (low, high) = (sampled.shapley.low, sampled.shapley.high);
        let slack = high - low;
        let is_near =
            low - slack <= exact.shapley.estimate && exact.shapley.estimate <= high + slack;
        assert!(is_near, "{exact:?} {sampled:?}");
        assert_eq!(exact.loss_increase, sampled.loss_increase);
    }
    assert_eq!(exact.interactions.len(), 3);
    assert!(exact.interactions.iter().all(|it| it.around == Around::AnySet));
    assert!(sampled.interactions.iter().all(|it| it.around == Around::AllOthers));
}

#[test]
fn the_course_of_a_pair_has_every_checkpoint_at_which_both_acted() {
    let (_desk, _, found) =
        attributed(&growing(THREE, Composition::Residual), &AttributionSettings::default());
    let last: Vec<SeedId> = newest(&found).modules.iter().map(|it| it.seed).collect();
    let (first, second) = (last[0], last[1]);
    let courses = found.courses();
    let course = courses.iter().find(|it| (it.first, it.second) == (first, second)).unwrap();
    let has_both = |host: &&HostAttribution| {
        let acts = |seed| host.modules.iter().any(|it| it.seed == seed);
        acts(first) && acts(second)
    };
    let expected: Vec<u64> = found.hosts.iter().filter(has_both).map(|it| it.step).collect();
    assert!(expected.len() > 1);
    assert_eq!(course.points.iter().map(|it| it.step).collect::<Vec<_>>(), expected);
}

#[test]
fn the_command_tells_people_in_tables_and_programs_in_objects() {
    let desk = Desk::new();
    let run = desk.run(&growing(THREE, Composition::Residual), "r");
    let told = desk.done(["attribute", "r"]);
    for words in
        ["host0 after step", "as bypass", "Shapley", "widen_100", "FOSSILIZED", "over time"]
    {
        assert!(told.out.contains(words), "{words}: {told:?}");
    }
    assert_eq!(told.err, "");
    let told = desk.done(["attribute", "r", "--json", "--split", "test"]);
    let objects = told.objects();
    let of_kind = |kind: &str| objects.iter().filter(|it| it["kind"] == kind).count();
    let n_checkpoints = fs::read_dir(run.join("checkpoints")).unwrap().count();
    assert_eq!(of_kind("attribution"), n_checkpoints);
    assert_eq!(of_kind("attribution") + of_kind("attribution_course"), objects.len());
    let last = objects.iter().rfind(|it| it["kind"] == "attribution").unwrap();
    assert_eq!(
        (&last["split"], &last["meanings"][1]["meaning"]),
        (&"test".into(), &"bypass".into())
    );
    assert_eq!(told.err, "");
}

#[test]
fn a_run_that_kept_nothing_is_told_so() {
    let desk = Desk::new();
    let mut scenario = brief();
    scenario[RUN].epochs = 1;
    scenario[TAMIYO].policy = "off".to_owned();
    desk.run(&scenario, "r");
    let told = desk.done(["attribute", "r"]);
    assert!(told.out.contains("it has no modules"), "{told:?}");
    let objects = desk.done(["attribute", "r", "--json"]).objects();
    let last = objects.last().unwrap();
    assert_eq!(
        (&last["modules"], &last["meanings"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
}

#[test]
fn what_can_not_be_attributed_is_refused_with_what_is_missing() {
    let desk = Desk::new();
    let told = desk.esper(["attribute", "nowhere"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.err.contains("is it the folder of a run?"), "{told:?}");

    let rows: Vec<String> = (0..60).map(|at| format!("{at},{},{}", at % 7, at % 2)).collect();
    let data = desk.write("d.csv", format!("a,b,label\n{}\n", rows.join("\n")));
    let mut scenario = brief();
    scenario[RUN].epochs = 2;
    scenario[DATA].source = data.display().to_string();
    scenario[DATA].label = Some("label".to_owned());
    scenario[DATA].batch = 8;
    scenario[HOST] = scenario::Host::mlp([2, 4, 2]);
    scenario[TAMIYO].policy = "off".to_owned();
    scenario[CHECKPOINT].every_epochs = 1;
    let run = desk.run(&scenario, "r");

    let checkpoints = run.join("checkpoints");
    let mut paths: Vec<_> =
        fs::read_dir(&checkpoints).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 1);
    let spoil = |at: usize| {
        let file = paths[at].join("state.bin");
        let mut bytes = fs::read(&file).unwrap();
        bytes[9] ^= 1;
        fs::write(&file, bytes).unwrap();
    };
    spoil(paths.len() - 1);
    let told = desk.done(["attribute", "r"]);
    assert!(told.err.contains("a damaged checkpoint is left out"), "{told:?}");
    (0..paths.len() - 1).for_each(spoil);
    let told = desk.esper(["attribute", "r"]);
    assert_eq!(told.status, Some(1), "{told:?}");
    assert!(told.err.contains("state.bin"), "{told:?}");

    for path in &paths {
        fs::remove_dir_all(path).unwrap();
    }
    let told = desk.esper(["attribute", "r"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.err.contains("no sound checkpoint"), "{told:?}");

    desk.run(&scenario, "other");
    fs::remove_file(&data).unwrap();
    let told = desk.esper(["attribute", "other"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.err.contains("d.csv"), "{told:?}");
}
