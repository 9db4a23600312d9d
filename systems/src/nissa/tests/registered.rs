//! Events that strangers register.

use esper_engine::journal::{Recorded, RecordedMessage, TextContext, TickEvents};
use serde::Serialize;

use super::*;

/// An event that Esper has never heard of.
#[derive(Message, Serialize, Clone, Debug)]
struct Stretched {
    host: HostId,
    by: u64,
}

impl Recorded for Stretched {
    const KIND: &'static str = "stretched";
}

impl RecordedMessage for Stretched {
    type Key = HostId;

    fn key(&self) -> HostId {
        self.host
    }

    fn text(&self, context: &mut TextContext) -> Option<String> {
        Some(context.name(self.host, &format!("stretched by {}", self.by)))
    }
}

/// How far hosts are stretched in tick 8.
#[derive(Resource)]
struct Stretch(u64);

fn stretching_engine(by: u64) -> Engine {
    let mut engine = engine();
    engine.world_mut().insert_resource(Stretch(by));
    let stretch = |clock: Res<Clock>, by: Res<Stretch>, mut out: MessageWriter<Stretched>| {
        let hosts = [1, 0].into_iter().filter(|_| clock.0 == 8);
        out.write_batch(hosts.map(|host| Stretched { host: HostId(host), by: by.0 }));
    };
    engine.add_event::<Stretched>().add_systems(Tick, stretch.in_set(TickSystems::Decide));
    engine
}

#[test]
fn a_strangers_event_is_written_shown_and_compared_once_it_is_registered() {
    let base = tempfile::tempdir().unwrap();
    let dir = run_dir(base.path());
    let mut first = stretching_engine(3);
    let (out, json) = (Shared::default(), Shared::default());
    first.world_mut().insert_resource(Progress::plain_to(out.clone()));
    start(first.world_mut(), Some(&dir), &started()).unwrap();
    (0..5).for_each(|_| first.tick());
    let saved = SavedWorld::save(first.world_mut());
    (5..8).for_each(|_| first.tick());
    let stretched: Vec<&Stretched> = first.world().resource::<TickEvents>().of().collect();
    assert_eq!(stretched.iter().map(|it| it.host.0).collect::<Vec<_>>(), [0, 1]);
    drop(first);

    let written = events(&dir);
    let of_tick: Vec<&Event> = written.iter().filter(|it| it.tick == 8).collect();
    let kinds: Vec<&str> = of_tick.iter().map(|it| it.kind.as_str()).collect();
    assert_eq!(
        kinds[kinds.len() - 2..],
        ["stretched", "stretched"],
        "after Esper's own: {kinds:?}"
    );
    let fields: Vec<Value> = of_tick.iter().rev().map(|it| it.fields["host"].clone()).collect();
    assert_eq!(fields[..2], [1, 0], "sorted by key");
    assert!(out.text().lines().any(|line| line == "host1 stretched by 3"), "{}", out.text());

    // The same again goes on; another stretch is another run.
    for (by, is_same) in [(3, true), (4, false)] {
        let mut second = stretching_engine(by);
        second.world_mut().insert_resource(Progress::json_to(json.clone()));
        saved.load(second.world_mut()).unwrap();
        second.world_mut().resource_mut::<Clock>().0 = 5;
        resume(second.world_mut(), Some(&dir)).unwrap();
        (5..8).for_each(|_| second.tick());
        let status = second.world().resource::<RunStatus>();
        assert_eq!(*status == RunStatus::Running, is_same, "{status:?}");
    }
    let line = r#"{"tick":8,"kind":"stretched","host":0,"by":3}"#;
    assert!(json.text().lines().any(|it| it == line), "{}", json.text());
}
