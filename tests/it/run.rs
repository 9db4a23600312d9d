//! What a program may rely on that drives a run itself: events, commands, snapshots, hosts of several kinds.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use esper::{
    data::{self, DataConfig, SplitData},
    nn::graph::Loss,
    prelude::*,
    systems::oona::{SeedAction, SeedCommand, StageChanged},
};

use crate::{
    command::{Desk, assert_same_run},
    support::{Family, bits, brief, brief_of},
};

/// Events, as subscribers collect them.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<Event>>>);

impl Collected {
    fn subscriber(&self) -> impl FnMut(&Event) + Send + Sync + 'static {
        let events = self.0.clone();
        move |event| events.lock().unwrap().push(event.clone())
    }

    fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    /// The first seed that entered `stage`.
    fn first_in(&self, stage: Stage) -> Option<SeedId> {
        let events = self.events();
        let mut changes = events.iter().filter_map(Event::get::<StageChanged>);
        changes.find(|change| change.to == stage).map(|change| change.seed)
    }

    fn count(&self, kind: &str) -> usize {
        self.events().iter().filter(|event| event.kind == kind).count()
    }
}

/// Ticks until a seed is in `stage`.
fn tick_until(run: &mut Run, collected: &Collected, stage: Stage) -> SeedId {
    loop {
        if let Some(seed) = collected.first_in(stage) {
            return seed;
        }
        assert_eq!(run.tick().unwrap(), RunState::Running, "no seed was ever in {stage}");
    }
}

#[test]
fn a_subscriber_gets_every_event_once_and_in_order_whenever_it_came() {
    let desk = Desk::new();
    for is_kept in [false, true] {
        let [first, late] = [Collected::default(), Collected::default()];
        let mut options = RunOptions::new(brief()).subscribe(first.subscriber());
        if is_kept {
            options = options.folder(desk.path("r"));
        }
        let mut run = Run::start(options).unwrap();
        assert_eq!(first.count("run_started"), 1, "the first event is there before the first tick");
        for _ in 0..40 {
            run.tick().unwrap();
        }
        assert!(first.events().len() > 1, "events come while the run goes");
        run.subscribe(late.subscriber()).unwrap();
        let summary = run.finish().unwrap();
        let events = first.events();
        assert!(events.iter().map(|event| event.seq).eq(0..events.len() as u64));
        assert!(events.is_sorted_by_key(|event| event.tick));
        let last = events.last().expect("a run has events");
        assert_eq!((last.kind.as_str(), last.hash), ("run_ended", summary.audit_head.unwrap()));
        assert_eq!(late.events(), events);
    }
}

#[test]
fn a_subscriber_of_a_resumed_run_gets_its_past_too() {
    let desk = Desk::new();
    let whole = Collected::default();
    Run::start(RunOptions::new(brief()).subscribe(whole.subscriber())).unwrap().finish().unwrap();

    let mut run = Run::start(RunOptions::new(brief()).folder(desk.path("r"))).unwrap();
    run.stop_at_tick(40);
    run.finish().unwrap();
    drop(run);
    let folder = RunFolder::open(&desk.path("r")).unwrap();
    let resumed = Collected::default();
    let options = folder.options().unwrap().subscribe(resumed.subscriber());
    Run::resume(&folder, options).unwrap().run.finish().unwrap();
    assert_eq!(resumed.events(), whole.events());
}

/// A run that was told to cull a seed in TRAINING, and asked for what is not allowed; given how it goes on from there.
fn commanded(options: RunOptions, go_on: impl FnOnce(Run) -> Summary) -> (Summary, Collected) {
    let collected = Collected::default();
    let mut run = Run::start(options.subscribe(collected.subscriber())).unwrap();
    let seed = tick_until(&mut run, &collected, Stage::Training);
    let ask = |action| Command::Seed(SeedCommand { seed, action });
    run.command(ask(SeedAction::Fossilize));
    run.handle().send(ask(SeedAction::Cull));
    for _ in 0..3 {
        run.tick().unwrap();
    }
    (go_on(run), collected)
}

#[test]
fn commands_from_outside_are_checked_journalled_and_repeated() {
    let desk = Desk::new();
    let to_end = |mut run: Run| run.finish().unwrap();
    let kept = || RunOptions::new(brief()).folder(desk.path("whole"));
    let (expected, collected) = commanded(kept(), to_end);
    assert_eq!(collected.count("command_received"), 2);
    let events = collected.events();
    let refused = events.iter().find(|event| event.kind == "command_refused");
    let refused = refused.expect("a seed in TRAINING can not fossilize");
    assert_eq!(refused.fields["action"], "fossilize");
    let culled = collected.first_in(Stage::Culled).expect("the other command was obeyed");
    assert_eq!(Some(culled), collected.first_in(Stage::Training));
    let unasked = Run::start(brief()).unwrap().finish().unwrap();
    assert_ne!(bits(&unasked), bits(&expected), "otherwise nothing was asked");

    let folder = RunFolder::open(&desk.path("whole")).unwrap();
    let replay = Run::replay(&folder, folder.options().unwrap()).unwrap();
    assert!(replay.is_same && replay.is_complete, "{replay}");

    // Killed after the commands; what it goes on from was saved before, between or after them.
    for (name, n_more) in [("killed", None), ("killed-later", Some(1)), ("stopped", Some(0))] {
        let place = desk.path(name);
        let (found, _) = commanded(RunOptions::new(brief()).folder(&place), |mut run| {
            for _ in 0..n_more.unwrap_or_default() {
                run.tick().unwrap();
            }
            if n_more == Some(0) {
                run.command(Command::Stop);
                run.finish().unwrap();
            }
            drop(run);
            let folder = RunFolder::open(&place).unwrap();
            let options = folder.options().unwrap();
            Run::resume(&folder, options).unwrap().run.finish().unwrap()
        });
        assert_eq!(bits(&found), bits(&expected), "{name}");
        assert_same_run(&place, &desk.path("whole"), name);
    }
}

#[test]
fn a_command_that_a_checkpoint_holds_is_received_once() {
    let desk = Desk::new();
    let run_with = |name: &str, is_interrupted: bool| {
        let collected = Collected::default();
        let options = RunOptions::new(brief()).folder(desk.path(name));
        let mut run = Run::start(options.subscribe(collected.subscriber())).unwrap();
        let seed = tick_until(&mut run, &collected, Stage::Training);
        run.command(Command::Seed(SeedCommand { seed, action: SeedAction::Cull }));
        run.command(Command::Snapshot);
        if is_interrupted {
            // The checkpoint is written before the tick that receives the command.
            run.tick().unwrap();
            drop(run);
            let folder = RunFolder::open(&desk.path(name)).unwrap();
            run = Run::resume(&folder, folder.options().unwrap()).unwrap().run;
        }
        run.finish().unwrap()
    };
    assert_eq!(bits(&run_with("whole", false)), bits(&run_with("killed", true)));
    assert_same_run(&desk.path("killed"), &desk.path("whole"), "killed");
}

#[test]
fn a_run_can_be_stopped_from_another_thread() {
    let mut scenario = brief();
    scenario[RUN].epochs = 1_000_000;
    let mut run = Run::start(scenario).unwrap();
    let handle = run.handle();
    let stopper = std::thread::spawn(move || handle.send(Command::Stop));
    let summary = run.finish().unwrap();
    stopper.join().unwrap();
    assert_eq!(serde_json::to_value(summary.status).unwrap(), "interrupted");
}

#[test]
fn a_snapshot_is_a_checkpoint_to_resume_from() {
    let desk = Desk::new();
    let mut in_memory = Run::start(brief()).unwrap();
    assert_eq!(in_memory.snapshot().unwrap(), None);
    let expected = in_memory.finish().unwrap();

    let mut run = Run::start(RunOptions::new(brief()).folder(desk.path("r"))).unwrap();
    for _ in 0..30 {
        run.tick().unwrap();
    }
    let checkpoint = run.snapshot().unwrap().expect("it has a folder");
    assert!(checkpoint.ends_with("checkpoints/tick-0000000030"), "{}", checkpoint.display());
    drop(run);
    let folder = RunFolder::open(&desk.path("r")).unwrap();
    let resumed = Run::resume(&folder, folder.options().unwrap()).unwrap();
    assert_eq!(resumed.run.n_ticks(), 30, "{:?}", resumed.notes);
    let mut run = resumed.run;
    assert_eq!(bits(&run.finish().unwrap()), bits(&expected));
}

#[test]
fn a_run_that_can_not_begin_leaves_no_folder() {
    let desk = Desk::new();
    let mut scenario = brief();
    scenario[KARN].catalogue = vec!["nonsense".to_owned()];
    let refused = Run::start(RunOptions::new(scenario).folder(desk.path("r")));
    assert!(refused.is_err());
    assert!(!desk.path("r").exists());
}

fn bundled(name: &str) -> Arc<SplitData> {
    Arc::new(data::load(&DataConfig::new(name), Path::new(".")).expect("it ships with Esper"))
}

fn mixed_scenario() -> Scenario {
    let mut scenario = brief_of(Family::Mlp);
    scenario[RUN].epochs = 8;
    scenario
}

/// A perceptron as the scenario describes it, and two with these layers on `data`.
fn mixed_of(scenario: Scenario, layers: &[usize], data: Arc<SplitData>) -> RunOptions {
    let host = scenario::Host::mlp(layers.to_vec());
    let scenario::Network::Mlp(mlp) = &host.network else { unreachable!("it is one") };
    let sites = ["hidden0".to_owned(), "hidden1".to_owned()];
    let graph = NetworkGraph::mlp(&mlp.config(&sites), Loss::CrossEntropy).unwrap();
    RunOptions::new(scenario)
        .host(HostSpec::new())
        .host(HostSpec::new().graph(graph).data(data).replicas(2))
}

/// Hosts of two kinds: a perceptron over digits, and two deeper ones over signals.
fn mixed() -> RunOptions {
    mixed_of(mixed_scenario(), &[40, 12, 9, 10], bundled("mnist1d"))
}

#[test]
fn hosts_of_one_run_differ_in_graph_and_data() {
    let plan = Plan::new(mixed()).unwrap();
    let planned: Vec<_> = plan.hosts.iter().map(|it| (it.n_hosts, it.data.train.elems())).collect();
    assert_eq!(planned, [(1, 64), (2, 40)]);

    let mut run = Run::start(mixed()).unwrap();
    let summary = run.finish().unwrap();
    let steps: Vec<u64> = summary.hosts.iter().map(|host| host.steps).collect();
    let expected: Vec<u64> =
        plan.hosts.iter().flat_map(|it| vec![it.total_steps; it.n_hosts as usize]).collect();
    assert_eq!(steps, expected);
    for (host, planned) in summary.hosts.iter().zip([0, 1, 1]) {
        assert_eq!(host.params_initial, plan.hosts[planned].params_elems, "{}", host.host);
        assert!(host.seeds.germinated > 0, "{}: something grew in it", host.host);
    }

    let desk = Desk::new();
    let mut begun = Run::start(mixed().folder(desk.path("r"))).unwrap();
    let whole = {
        let mut whole = Run::start(mixed().folder(desk.path("whole"))).unwrap();
        let kept = whole.finish().unwrap();
        assert_eq!(bits(&kept), bits(&summary), "a folder changes no bit");
        kept
    };
    begun.stop_at_tick(60);
    begun.finish().unwrap();
    drop(begun);
    let folder = RunFolder::open(&desk.path("r")).unwrap();
    let again = || mixed().base_dir(folder.dir.root());
    let resumed = Run::resume(&folder, again()).unwrap().run.finish().unwrap();
    assert_eq!(bits(&resumed), bits(&whole));
    assert_same_run(&desk.path("r"), &desk.path("whole"), "two kinds of hosts");
    assert!(Run::replay(&folder, again()).unwrap().is_same);

    let other = mixed_of(mixed_scenario(), &[64, 12, 9, 10], bundled("digits"));
    let Err(error) = Run::resume(&folder, other) else { panic!("those are other data") };
    assert!(error.to_string().contains("host1"), "{error}");
}

#[test]
fn hosts_of_several_kinds_train_as_each_would_alone() {
    let mut scenario = mixed_scenario();
    scenario[TAMIYO].policy = "off".to_owned();
    let alone = Run::start(scenario.clone()).unwrap().finish().unwrap();
    let together = mixed_of(scenario, &[40, 12, 9, 10], bundled("mnist1d"));
    let together = Run::start(together).unwrap().finish().unwrap();
    assert_eq!(together.hosts[0].weights_digest, alone.weights_digest);
    assert_ne!(together.hosts[1].weights_digest, together.hosts[2].weights_digest);
}

#[test]
fn a_device_is_chosen_by_name() {
    let desk = Desk::new();
    desk.write("brief.toml", brief().to_toml());
    let told = desk.done(["check", "brief.toml", "--device", "auto", "--json"]);
    assert_eq!(told.objects()[0]["device"], "cpu");
    for (device, words) in
        [("cpi", "did you mean `cpu`?"), ("cuda:0", "\"auto\", \"cpu\", \"oracle\"")]
    {
        let told = desk.esper(["run", "brief.toml", "--device", device, "--out", "r"]);
        assert_eq!(told.status, Some(2), "{told:?}");
        assert!(told.err.contains("--set run.device") && told.err.contains(words), "{told:?}");
    }
    assert!(!desk.path("r").exists());
}
