//! What a host trains by and on can be changed between two steps, by anybody's system, and survives a checkpoint.

use bevy_ecs::prelude::*;
use esper::{
    engine::runtime::{DataView, TrainPlan},
    prelude::*,
    scenario::{Adam, Optimizer, Sgd},
};
use esper_nn::digest::Digest;

use crate::support::{Family, brief_of, state_digest};

/// What the host is trained by and on from a tick on.
#[derive(Resource, Clone)]
struct Lesson {
    at_tick: u64,
    optimizer: Option<Optimizer>,
    view: DataView,
}

fn teach(
    clock: Res<Clock>,
    lesson: Res<Lesson>,
    mut hosts: Query<(&mut TrainPlan, &mut DataView)>,
) {
    if clock.0 != lesson.at_tick {
        return;
    }
    for (mut train, mut view) in &mut hosts {
        if let Some(optimizer) = &lesson.optimizer {
            train.0.optimizer = optimizer.clone();
        }
        *view = lesson.view;
    }
}

/// Steps at which a host that is no twin, and the twin of one, were seen together.
#[derive(Resource, Default)]
struct Twins(Vec<[(u64, TrainPlan, DataView); 2]>);

fn watch(hosts: Hosts, mut twins: ResMut<Twins>) {
    let facts = |entity| {
        let host = hosts.runtime(entity);
        (host.state.step, host.train_plan().clone(), host.data_view())
    };
    for (_, host) in hosts.principals() {
        twins.0.extend(hosts.twin(host).map(|twin| [facts(host), facts(twin)]));
    }
}

const AT_TICK: u64 = 30;

fn options(optimizer: Option<Optimizer>, view: DataView) -> RunOptions {
    let lesson = Lesson { at_tick: AT_TICK, optimizer, view };
    taught(RunOptions::new(brief_of(Family::Mlp)), lesson)
}

fn taught(options: RunOptions, lesson: Lesson) -> RunOptions {
    options.extend(move |engine| {
        engine.world_mut().insert_resource(lesson.clone());
        engine.world_mut().init_resource::<Twins>();
        engine.add_systems(
            Tick,
            (teach.in_set(TickSystems::Decide), watch.in_set(TickSystems::Record)),
        );
        Ok(())
    })
}

fn digest_of(run: &mut Run) -> Digest {
    let world = run.engine_mut().world_mut();
    state_digest(world.resource::<Runtimes>().iter().next().expect("it has a host"))
}

fn adam(lr: f64) -> Optimizer {
    Optimizer::AdamW(Adam { lr, ..Adam::default() })
}

fn lessons() -> [(&'static str, Option<Optimizer>, DataView); 4] {
    let few = DataView { batch: Some(24), n_examples: Some(200) };
    [
        ("another rate", Some(adam(3e-3)), DataView::default()),
        ("a rule without second moments", Some(sgd()), DataView::default()),
        ("fewer examples in smaller batches", None, few),
        ("both", Some(sgd()), few),
    ]
}

fn sgd() -> Optimizer {
    Optimizer::Sgd(Sgd { lr: 0.05, momentum: 0.9, ..Sgd::default() })
}

/// The host's numbers after so many ticks.
fn state_after(optimizer: Option<Optimizer>, view: DataView) -> Result<[Digest; 2], RunError> {
    let mut run = Run::start(options(optimizer, view))?;
    for _ in 0..AT_TICK {
        run.tick()?;
    }
    let before = digest_of(&mut run);
    run.tick()?;
    Ok([before, digest_of(&mut run)])
}

#[test]
fn what_is_changed_changes_the_course_from_the_next_step_on() -> Result<(), RunError> {
    let plain = state_after(None, DataView::default())?;
    for (name, optimizer, view) in lessons() {
        let changed = state_after(optimizer, view)?;
        assert_eq!(changed[0], plain[0], "{name}: no step has been taken since");
        assert_ne!(changed[1], plain[1], "{name}");
    }
    Ok(())
}

#[test]
fn a_run_whose_training_was_changed_is_resumed_bit_for_bit() -> Result<(), RunError> {
    for (name, optimizer, view) in lessons() {
        let base = tempfile::tempdir().expect("a folder of the test's own");
        let mut whole = Run::start(options(optimizer.clone(), view))?;
        let expected = whole.finish()?;
        // Before the change, between the change and the step that it acts on, and after it.
        for at in [AT_TICK - 1, AT_TICK, AT_TICK + 1, AT_TICK + 20] {
            let dir = base.path().join(at.to_string());
            let mut stopped = Run::start(options(optimizer.clone(), view).folder(dir.clone()))?;
            while stopped.engine().world().resource::<Clock>().0 < at {
                stopped.tick()?;
            }
            stopped.snapshot()?;
            drop(stopped);
            let folder = RunFolder::open(&dir)?;
            let lesson = Lesson { at_tick: AT_TICK, optimizer: optimizer.clone(), view };
            let mut resumed = Run::resume(&folder, taught(folder.options()?, lesson))?.run;
            let summary = resumed.finish()?;
            assert_eq!(summary.weights_digest, expected.weights_digest, "{name}, tick {at}");
            assert_eq!(digest_of(&mut resumed), digest_of(&mut whole), "{name}, tick {at}");
        }
    }
    Ok(())
}

#[test]
fn a_host_and_its_twin_are_trained_by_the_same() -> Result<(), RunError> {
    let mut probe = Run::start(options(None, DataView::default()))?;
    let mut at_tick = None;
    while at_tick.is_none() && probe.tick()? == RunState::Running {
        let world = probe.engine().world();
        let is_grafted = !world.resource::<Twins>().0.is_empty();
        at_tick = is_grafted.then(|| world.resource::<Clock>().0 + 2);
    }
    let at_tick = at_tick.expect("a seed is grafted");
    let view = DataView { batch: Some(16), n_examples: Some(128) };
    let lesson = Lesson { at_tick, optimizer: Some(sgd()), view };
    let mut run = Run::start(taught(RunOptions::new(brief_of(Family::Mlp)), lesson))?;
    let summary = run.finish()?;
    assert_eq!(summary.seeds.rolled_back, 0, "nobody is harmed");
    let seen = &run.engine().world().resource::<Twins>().0;
    assert!(seen.iter().all(|[host, twin]| host == twin));
    let is_taught =
        |(_, train, seen): &(u64, TrainPlan, DataView)| train.0.optimizer == sgd() && *seen == view;
    assert!(seen.iter().any(|[host, _]| !is_taught(host)), "it was grafted before");
    assert!(seen.iter().filter(|[host, _]| is_taught(host)).count() > 2, "and trained on after");
    Ok(())
}
