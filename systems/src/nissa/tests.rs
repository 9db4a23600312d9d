use std::{
    fs,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
};

use bevy_ecs::{prelude::*, schedule::ScheduleBuildSettings};
use esper_engine::{
    forge::JobOutcome,
    ids::{BlueprintId, HostId, KernelId, SeedId, SiteId},
    journal::{self, EVENTS_FORMAT, Event, Journal},
    run_dir::{Manifest, RunDir},
    stage::Stage,
    world::{
        kernel::KernelStatus,
        plugin::{Clock, Engine, RunStatus, Tick, TickSystems},
        save::SavedWorld,
    },
};
use esper_nn::{contract::Contract, digest::Digest, plan::Fault};
use serde_json::Value;

use super::*;
use crate::oona::{
    BlueprintDesigned, CommandRefused, EpochEnded, FaultReported, Gate, GateEvidence, GateJudged,
    GateVerdict, HostReport, HostRolledBack, HostSwapped, JobAdmitted, KernelJudged, OonaPlugin,
    Refusal, RollbackTo, SeedAction, SeedPlanted, StageChanged, TwinEvidence,
};

mod registered;

const N_HOSTS: u64 = 2;
const N_TICKS: u64 = 12;

/// The life of one seed a host: tick, stage left, stage entered.
const LIFE: [(u64, Stage, Stage); 7] = [
    (2, Stage::Dormant, Stage::Germinated),
    (3, Stage::Germinated, Stage::Training),
    (5, Stage::Training, Stage::Grafting),
    (6, Stage::Grafting, Stage::Stabilization),
    (7, Stage::Stabilization, Stage::Evaluating),
    (9, Stage::Evaluating, Stage::FineTuning),
    (10, Stage::FineTuning, Stage::Fossilized),
];

fn blueprint() -> BlueprintId {
    BlueprintId(Digest::of(b"blueprint"))
}

/// Everything a run may put on record, hosts from the last to the first: order is Nissa's to make.
fn act(world: &mut World) {
    let tick = world.resource::<Clock>().0;
    for id in (0..N_HOSTS).rev() {
        let (host, seed) = (HostId(id), SeedId(id));
        report(world, tick, host);
        if tick == 1 {
            world.write_message(SeedPlanted {
                seed,
                host,
                site_id: SiteId(0),
                site: "hidden0".into(),
            });
        }
        if let Some((_, from, to)) = LIFE.iter().find(|(at, ..)| *at == tick) {
            world.write_message(StageChanged {
                seed,
                host,
                site_id: SiteId(0),
                site: "hidden0".into(),
                from: *from,
                to: *to,
                step: tick * 10,
                family: Some("residual_mlp".into()),
                blueprint: Some(blueprint()),
                reason: "command".into(),
            });
        }
        judge(world, tick, host, seed);
        disturb(world, tick, host, seed);
    }
    if tick == 1 {
        design(world);
    }
    if tick == N_TICKS {
        *world.resource_mut::<RunStatus>() = RunStatus::Completed;
    }
}

fn report(world: &mut World, tick: u64, host: HostId) {
    world.write_message(HostReport {
        host,
        step: tick * 10,
        total_steps: N_TICKS * 10,
        steps_per_epoch: 20,
        loss: Some(0.5),
        loss_mean: Some(0.5),
        params_elems: 100,
        seed_params_elems: 0,
        can_judge: true,
    });
    if tick.is_multiple_of(2) {
        world.write_message(EpochEnded {
            host,
            epoch: tick / 2,
            step: tick * 10,
            train_loss: 1.0 / tick as f64,
            train_accuracy: Some(0.25),
            val_loss: if tick == 4 { f64::NAN } else { 0.5 },
            val_accuracy: None,
            lr: 1e-3,
            params_elems: 100,
            n_active_seeds: 1,
        });
    }
}

fn judge(world: &mut World, tick: u64, host: HostId, seed: SeedId) {
    let evidence = match tick {
        4 => GateEvidence::G2 { gain: Some(0.042), scale: Some(0.1), age_steps: 20 },
        8 => GateEvidence::G5(TwinEvidence {
            gain: 0.042,
            gain_low: 0.01,
            gain_high: 0.07,
            delta: 0.005,
            t: Some(4.0),
            t_needed: 2.5,
            df: 12.0,
            drift_sd: 0.003,
            sample_error: 0.002,
            n_pairs: 1,
            n_examples: 90,
            gate_gain: f64::INFINITY,
            twin_loss: 0.4,
            steps_since_graft: 30,
            error_rate: 0.025,
            look: 1,
            verdict: 1,
        }),
        _ => return,
    };
    let (verdict, step) = (GateVerdict::Passed, tick * 10);
    world.write_message(GateJudged { seed, host, verdict, step, evidence });
}

fn disturb(world: &mut World, tick: u64, host: HostId, seed: SeedId) {
    if tick == 11 {
        let fault = Fault::Divergence { loss: f32::INFINITY, mean: 1.0, sd: 0.1 };
        world.write_message(FaultReported { host, is_twin: false, step: 110, fault });
        let to = RollbackTo::Snapshot;
        world.write_message(HostRolledBack {
            host,
            from_step: 110,
            to_step: 100,
            to,
            n_rollbacks: 1,
        });
        let action = SeedAction::Germinate { blueprint: blueprint() };
        let refusal = Refusal::Limit { limit: "params_max".into(), found: 9, allowed: 8 };
        world.write_message(CommandRefused { seed, action, refusal });
        world.write_message(HostSwapped { host, seed, step: 110, params_elems: 140 });
    }
}

fn design(world: &mut World) {
    for forge in ["compile", "bench"] {
        let outcome = JobOutcome::Done;
        world.write_message(JobAdmitted { forge: forge.into(), ticket: 0, outcome });
    }
    let contract = Contract::Vector { width: 8 };
    let (blueprint, family) = (blueprint(), "residual_mlp".to_owned());
    world.write_message(KernelJudged {
        kernel: KernelId(Digest::of(b"kernel")),
        blueprint,
        family: family.clone(),
        variant: "fused".into(),
        status: KernelStatus::Rejected,
        reasons: vec!["a dead branch".into()],
    });
    let (params_elems, flops_per_example) = (40, 80);
    world.write_message(BlueprintDesigned {
        blueprint,
        family,
        contract,
        params_elems,
        flops_per_example,
    });
}

fn quiet() -> NissaConfig {
    NissaConfig::new(&crate::testing::scenario(|_| {}), ProgressMode::Quiet)
}

fn engine_with(config: NissaConfig) -> Engine {
    let mut engine = Engine::default();
    engine.world_mut().insert_resource(config);
    engine.add_plugin(OonaPlugin).unwrap().add_plugin(NissaPlugin::default()).unwrap();
    engine.add_systems(Tick, act.in_set(TickSystems::Transform));
    engine
}

fn engine() -> Engine {
    engine_with(quiet())
}

fn started() -> RunStarted {
    let scenario_digest = Digest::of(b"scenario");
    RunStarted {
        format: EVENTS_FORMAT,
        scenario: "sample".into(),
        scenario_digest,
        seed: 3,
        n_hosts: N_HOSTS,
        init: None,
    }
}

fn ended() -> RunEnded {
    RunEnded { steps: N_HOSTS * N_TICKS * 10, weights_digest: Digest::of(b"weights") }
}

fn run_dir(base: &Path) -> RunDir {
    let manifest = Manifest {
        version: String::new(),
        build: String::new(),
        cpu: String::new(),
        started: "now".into(),
        scenario: "sample".into(),
        scenario_digest: Digest::default(),
        seed: 3,
        data_digests: Default::default(),
        library: None,
    };
    RunDir::create(base, &manifest, "").unwrap()
}

/// A whole run in files of its own.
fn whole_run(base: &Path) -> RunDir {
    let dir = run_dir(base);
    let mut engine = engine();
    start(engine.world_mut(), Some(&dir), &started()).unwrap();
    assert_eq!(engine.run(), RunStatus::Completed);
    finish(engine.world_mut(), &ended()).unwrap();
    dir
}

fn files(dir: &RunDir) -> (Vec<u8>, String) {
    (fs::read(dir.events()).unwrap(), fs::read_to_string(dir.metrics()).unwrap())
}

fn events(dir: &RunDir) -> Vec<Event> {
    journal::read(&dir.events()).unwrap().map(Result::unwrap).collect()
}

#[test]
fn events_are_in_one_order_whatever_order_they_were_sent_in() {
    let base = tempfile::tempdir().unwrap();
    let events = events(&whole_run(base.path()));
    let of_tick = |tick: u64| -> Vec<(&str, Option<u64>)> {
        let id = |it: &Event| it.fields.get("seed").or(it.fields.get("host"))?.as_u64();
        events.iter().filter(|it| it.tick == tick).map(|it| (it.kind.as_str(), id(it))).collect()
    };
    assert_eq!(of_tick(0), [("run_started", Some(3))]);
    assert_eq!(
        of_tick(1),
        [
            ("job_admitted", None),
            ("job_admitted", None),
            ("kernel_judged", None),
            ("seed_planted", Some(0)),
            ("seed_planted", Some(1)),
            ("blueprint_designed", None),
        ]
    );
    assert_eq!(events[1].fields["forge"], "bench", "forges are in the order of their names");
    let kinds = ["fault_reported", "command_refused", "host_rolled_back", "host_swapped"];
    let expected: Vec<_> =
        kinds.iter().flat_map(|kind| [(*kind, Some(0)), (*kind, Some(1))]).collect();
    assert_eq!(of_tick(11), expected);
    assert_eq!(events.last().unwrap().kind, "run_ended");
}

#[test]
fn messages_are_read_back_from_the_chain_as_they_were_sent() {
    let base = tempfile::tempdir().unwrap();
    let events = events(&whole_run(base.path()));
    let first = |kind: &str| events.iter().find(|it| it.kind == kind).unwrap();
    let change: StageChanged = first("stage_changed").to().unwrap();
    assert_eq!((change.to, change.blueprint), (Stage::Germinated, Some(blueprint())));
    let refused: CommandRefused = first("command_refused").to().unwrap();
    assert!(matches!(refused.refusal, Refusal::Limit { found: 9, allowed: 8, .. }));
    assert_eq!(first("run_started").to::<RunStarted>().unwrap(), started());
    assert_eq!(first("run_ended").to::<RunEnded>().unwrap(), ended());
    assert_eq!(first("fault_reported").fields["loss"], Value::Null, "infinity is not JSON");
}

#[test]
fn a_shuffled_schedule_gives_the_same_files() {
    let base = tempfile::tempdir().unwrap();
    let expected = files(&whole_run(base.path()));
    for shuffle_seed in 0..8 {
        let dir = run_dir(base.path());
        let mut engine = engine();
        engine.world_mut().schedule_scope(Tick, |_, tick| {
            let settings = tick.get_build_settings();
            tick.set_build_settings(ScheduleBuildSettings {
                shuffle_seed: Some(shuffle_seed),
                ..settings
            });
        });
        start(engine.world_mut(), Some(&dir), &started()).unwrap();
        engine.run();
        finish(engine.world_mut(), &ended()).unwrap();
        assert_eq!(files(&dir), expected, "shuffle {shuffle_seed}");
    }
}

#[test]
fn a_row_of_metrics_is_an_epoch_of_a_host() {
    let base = tempfile::tempdir().unwrap();
    let (_, metrics) = files(&whole_run(base.path()));
    let lines: Vec<&str> = metrics.lines().collect();
    assert_eq!(lines.len() as u64, 1 + N_HOSTS * N_TICKS / 2);
    assert_eq!(
        lines[0],
        "tick,epoch,host,step,train_loss,train_accuracy,val_loss,val_accuracy,lr,params,active_seeds"
    );
    assert_eq!(lines[1], "2,1,0,20,0.5,0.25,0.5,,0.001,100,1");
    assert_eq!(lines[4], "4,2,1,40,0.25,0.25,nan,,0.001,100,1");

    let dir = run_dir(base.path());
    let mut engine = engine_with(NissaConfig { metrics_every_epochs: 3, ..quiet() });
    start(engine.world_mut(), Some(&dir), &started()).unwrap();
    engine.run();
    assert_eq!(files(&dir).1.lines().count() as u64, 1 + N_HOSTS * 2, "epochs 3 and 6");
}

/// Runs to tick `checkpoint`, saves, goes on to tick `stop`, and resumes from what was saved; `damage` is what
/// happens to the files in between.
fn interrupted_run(
    base: &Path,
    checkpoint: u64,
    stop: u64,
    damage: impl FnOnce(&RunDir),
) -> (RunDir, Engine) {
    let dir = run_dir(base);
    let mut first = engine();
    start(first.world_mut(), Some(&dir), &started()).unwrap();
    (0..checkpoint).for_each(|_| first.tick());
    first.world_mut().resource_mut::<Journal>().sync().unwrap();
    let saved = SavedWorld::save(first.world_mut());
    (checkpoint..stop).for_each(|_| first.tick());
    drop(first);
    damage(&dir);

    let mut second = engine();
    saved.load(second.world_mut()).unwrap();
    second.world_mut().resource_mut::<Clock>().0 = checkpoint;
    resume(second.world_mut(), Some(&dir)).unwrap();
    assert_eq!(second.run(), RunStatus::Completed);
    finish(second.world_mut(), &ended()).unwrap();
    (dir, second)
}

#[test]
fn a_resumed_run_has_the_files_of_one_that_was_never_stopped() {
    let base = tempfile::tempdir().unwrap();
    let expected = files(&whole_run(base.path()));
    for checkpoint in 0..N_TICKS {
        for stop in [checkpoint, checkpoint + 1, N_TICKS] {
            let (dir, engine) = interrupted_run(base.path(), checkpoint, stop, |_| ());
            assert_eq!(files(&dir), expected, "checkpoint {checkpoint}, stop {stop}");
            let tally = engine.world().resource::<NissaState>().tally(HostId(1));
            assert_eq!(tally, SeedTally { germinated: 1, fossilized: 1, ..SeedTally::default() });
        }
    }
}

#[test]
fn lost_metrics_are_taken_from_the_chain() {
    let base = tempfile::tempdir().unwrap();
    let expected = files(&whole_run(base.path()));
    let short = |dir: &RunDir| fs::write(dir.metrics(), "tick").unwrap();
    assert_eq!(files(&interrupted_run(base.path(), 7, 9, short).0), expected);
    let missing = |dir: &RunDir| fs::remove_file(dir.metrics()).unwrap();
    assert_eq!(files(&interrupted_run(base.path(), 7, 9, missing).0), expected);
}

#[test]
fn a_torn_line_is_repaired_and_said() {
    let base = tempfile::tempdir().unwrap();
    let expected = files(&whole_run(base.path()));
    let tear = |dir: &RunDir| {
        let bytes = fs::read(dir.events()).unwrap();
        fs::write(dir.events(), &bytes[..bytes.len() - 30]).unwrap();
        assert!(Inspection::read(&dir.events()).unwrap().is_torn);
    };
    assert_eq!(files(&interrupted_run(base.path(), 7, 9, tear).0), expected);
}

#[test]
fn a_resumed_run_that_differs_from_its_past_fails_and_says_where() {
    let base = tempfile::tempdir().unwrap();
    let dir = run_dir(base.path());
    let mut first = engine();
    start(first.world_mut(), Some(&dir), &started()).unwrap();
    (0..5).for_each(|_| first.tick());
    let saved = SavedWorld::save(first.world_mut());
    (5..9).for_each(|_| first.tick());
    drop(first);

    let mut second = engine();
    saved.load(second.world_mut()).unwrap();
    second.world_mut().resource_mut::<Clock>().0 = 6; // One tick is left out.
    resume(second.world_mut(), Some(&dir)).unwrap();
    let RunStatus::Failed(reason) = second.run() else { panic!("it differs") };
    assert!(reason.contains("differs from its past at event"), "{reason}");
}

#[test]
fn a_full_disk_fails_the_run_and_names_the_file() {
    if !Path::new("/dev/full").exists() {
        return; // Only Linux has a disk that is always full.
    }
    let mut engine = engine();
    start(engine.world_mut(), None, &started()).unwrap();
    (0..3).for_each(|_| engine.tick());
    let before = engine.world().resource::<NissaState>().clone();
    engine.world_mut().insert_resource(metrics::Metrics::open(Path::new("/dev/full")).unwrap());
    let RunStatus::Failed(reason) = engine.run() else { panic!("the disk is full") };
    assert!(reason.contains("/dev/full") && reason.contains("free some space"), "{reason}");
    let after = engine.world().resource::<NissaState>();
    assert_eq!(after.metrics_bytes, before.metrics_bytes);
}

#[test]
fn too_many_events_fail_the_run_and_its_record_ends_with_what_was_written() {
    let base = tempfile::tempdir().unwrap();
    let dir = run_dir(base.path());
    let mut engine = engine_with(NissaConfig { events_max: 9, ..quiet() });
    start(engine.world_mut(), Some(&dir), &started()).unwrap();
    let RunStatus::Failed(reason) = engine.run() else { panic!("the limit holds") };
    assert!(reason.contains("limits.events_max"), "{reason}");
    assert_eq!(engine.world().resource::<Journal>().n_events(), 9);
    let head = finish(engine.world_mut(), &ended()).unwrap();
    drop(engine);
    assert!(journal::read(&dir.events()).unwrap().any(|event| event.unwrap().hash == head));
}

#[test]
fn seeds_lives_are_read_from_the_chain() {
    let base = tempfile::tempdir().unwrap();
    let dir = whole_run(base.path());
    let inspection = Inspection::read(&dir.events()).unwrap();
    assert!(inspection.is_complete && !inspection.is_torn);
    assert_eq!((inspection.seeds.len(), inspection.n_rollbacks), (2, 2));
    let seed = &inspection.seeds[1];
    assert_eq!((seed.seed, seed.params_elems), (SeedId(1), Some(40)));
    let stages: Vec<Stage> = seed.stages.iter().map(|entered| entered.stage).collect();
    assert_eq!(stages[0], Stage::Dormant);
    assert_eq!(stages[1..], LIFE.map(|(_, _, to)| to));
    assert_eq!(seed.end().unwrap().step, Some(100));
    assert_eq!(seed.number(Gate::G5, "gain_low"), Some(0.01));
    assert_eq!(seed.number(Gate::G5, "gate_gain"), None, "it is not finite");
    assert_eq!(seed.number(Gate::G5, "n_examples"), Some(90.0));
    let bytes = fs::read(dir.events()).unwrap();
    assert_eq!(Inspection::of(journal::read_bytes(&bytes)).unwrap(), inspection);
    let table = inspection.to_table();
    let row = table.lines().nth(2).unwrap();
    for cell in ["seed1", "hidden0", "FOSSILIZED", "40", "20", "50", "100", "[+0.0100, +0.0700]"] {
        assert!(row.contains(cell), "{cell} in {row}");
    }
}

/// What was written, to be read by the test.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn shown(progress: impl FnOnce(Shared) -> Progress) -> String {
    let out = Shared::default();
    let mut engine = engine();
    engine.world_mut().insert_resource(progress(out.clone()));
    engine.run();
    engine.world_mut().resource_mut::<Progress>().note("all is well");
    out.text()
}

#[test]
fn people_read_a_line_for_each_event_and_epoch() {
    let text = shown(Progress::plain_to);
    for line in [
        "kernel residual_mlp/fused rejected: a dead branch",
        "step 20  host0 seed0 @hidden0 residual_mlp  DORMANT -> GERMINATED  (command)",
        "step 50  host1 seed1 @hidden0 residual_mlp  TRAINING -> GRAFTING  (G2 +0.042)",
        "step 60  host1 seed1 @hidden0 residual_mlp  GRAFTING -> STABILIZATION  (command)",
        "step 110  host0 fault: divergence",
        "step 110  host0 rolled back to its snapshot, step 100",
        "all is well",
    ] {
        assert!(text.lines().any(|it| it == line), "`{line}` in\n{text}");
    }
    let epochs: Vec<&str> = text.lines().filter(|it| it.starts_with("epoch ")).collect();
    assert_eq!(epochs.len(), 6);
    assert!(epochs[0].starts_with(
        "epoch 1/6  2 hosts  step 20  train loss 0.5000  val loss 0.5000  params 100"
    ));
}

#[test]
fn json_is_one_object_a_line_and_nothing_else() {
    let text = shown(Progress::json_to);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!(count("epoch_ended"), 12);
    assert_eq!(count("stage_changed"), 14);
    assert_eq!(count("gate_judged"), 4);
    assert_eq!(count("note"), 1);
    assert!(lines.iter().all(Value::is_object));
}

fn summary(status: RunEnd, audit_head: Digest) -> Summary {
    let facts = RunFacts {
        status,
        reason: None,
        seed: 3,
        epochs: 6,
        wall_s: 0.0,
        n_late: 0,
        audit_head,
        counterfactual: "twin".into(),
        innovation_flops: 0,
    };
    Summary::new(facts, Vec::new())
}

#[test]
fn lines_missing_at_the_end_are_found_by_the_summary() {
    let base = tempfile::tempdir().unwrap();
    let dir = whole_run(base.path());
    let report = Summary::verify_chain(&dir).unwrap();
    let whole = summary(RunEnd::Completed, report.head);
    whole.write(&dir).unwrap();
    assert_eq!(Summary::read(&dir).unwrap(), Some(whole));
    assert_eq!(Summary::verify_chain(&dir).unwrap(), report);

    let bytes = fs::read(dir.events()).unwrap();
    let last_line = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    fs::write(dir.events(), &bytes[..=last_line]).unwrap();
    let error = Summary::verify_chain(&dir).unwrap_err();
    assert!(matches!(error, NissaError::Head { .. }), "{error}");

    let headless = Summary { audit_head: None, ..summary(RunEnd::Completed, report.head) };
    headless.write(&dir).unwrap();
    let error = Summary::verify_chain(&dir).unwrap_err();
    assert!(matches!(error, NissaError::NoHead { .. }), "{error}");
}

#[test]
fn a_run_may_have_gone_on_since_it_was_interrupted_and_not_since_it_was_complete() {
    let base = tempfile::tempdir().unwrap();
    let dir = whole_run(base.path());
    let earlier = events(&dir)[5].hash;
    let verify = |status, head| {
        summary(status, head).write(&dir).unwrap();
        Summary::verify_chain(&dir).is_ok()
    };
    assert!(verify(RunEnd::Interrupted, earlier));
    assert!(!verify(RunEnd::Completed, earlier));
    assert!(!verify(RunEnd::Interrupted, Digest::of(b"no line")));
}

#[test]
fn a_chain_of_another_format_is_refused_by_name() {
    let base = tempfile::tempdir().unwrap();
    let dir = run_dir(base.path());
    let old = RunStarted { format: EVENTS_FORMAT + 1, ..started() };
    start(engine().world_mut(), Some(&dir), &old).unwrap();
    let error = Inspection::read(&dir.events()).unwrap_err();
    assert!(matches!(error, NissaError::Format { found: 4, .. }), "{error}");
    assert!(error.to_string().contains("have format 4 and this Esper reads format 3"), "{error}");
}
