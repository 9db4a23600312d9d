//! Events by registration: what is written to the journal, shown to people and compared on replay.

use std::{any::Any, collections::BTreeMap, mem};

use bevy_ecs::{message::MessageCursor, prelude::*};
use serde::Serialize;

use super::{Journal, JournalError};
use crate::{
    ids::{HostId, SeedId},
    world::plugin::{Engine, RecordSystems, Tick},
};

/// The form in which events are written. To be raised whenever what an older Esper wrote would be misread.
///
/// 1 had no number; 2 says it in `run_started`.
pub const EVENTS_FORMAT: u32 = 3;

/// A fact that can be a line of the journal: it serialises to an object with named fields.
pub trait Recorded: Serialize {
    /// The event's `kind`: lowercase letters, digits and `_`.
    const KIND: &'static str;
}

/// A message that is put on record. [`Engine::add_event`] registers it, once.
pub trait RecordedMessage: Message + Recorded + Clone {
    /// What the messages of one tick are sorted by; those with the same key stay in the order in which they were sent.
    type Key: Ord;

    /// Its place among the messages of its kind and tick.
    fn key(&self) -> Self::Key;

    /// One line for people, or nothing.
    fn text(&self, _context: &mut TextContext) -> Option<String> {
        None
    }
}

/// What a line for people may refer to beside its own event.
#[derive(Clone, Debug, Default)]
pub struct TextContext {
    /// Hosts that train. One alone needs no name.
    pub n_hosts: usize,
    remarks: BTreeMap<SeedId, String>,
}

impl TextContext {
    /// `rest`, after the name of `host` where there are several.
    pub fn name(&self, host: HostId, rest: &str) -> String {
        if self.n_hosts > 1 { format!("{host} {rest}") } else { rest.to_owned() }
    }

    /// Keeps `remark` for the next line about `seed`.
    pub fn remark(&mut self, seed: SeedId, remark: String) {
        self.remarks.insert(seed, remark);
    }

    /// The last remark on `seed` that no line has taken yet.
    pub fn take_remark(&mut self, seed: SeedId) -> Option<String> {
        self.remarks.remove(&seed)
    }
}

/// The events of the present tick: kind after kind in the order of registration, each by its key.
///
/// They are here from [`RecordSystems::Collect`] on, and until the next tick's.
#[derive(Resource, Default)]
pub struct TickEvents(Vec<TickEvent>);

impl TickEvents {
    /// Every event, in the order of the journal.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &TickEvent> {
        self.0.iter()
    }

    /// The events of type `M`, in order.
    pub fn of<M: RecordedMessage>(&self) -> impl Iterator<Item = &M> {
        self.iter().filter_map(TickEvent::get)
    }
}

/// One event of a tick.
pub struct TickEvent(Box<dyn AnyEvent>);

impl TickEvent {
    /// What happened, such as `stage_changed`.
    pub fn kind(&self) -> &'static str {
        self.0.kind()
    }

    /// The message, if it is an `M`.
    pub fn get<M: RecordedMessage>(&self) -> Option<&M> {
        self.0.as_any().downcast_ref()
    }

    /// One line for people, or nothing.
    pub fn text(&self, context: &mut TextContext) -> Option<String> {
        self.0.text(context)
    }

    /// `{"tick":..,"kind":..,` and the event's fields: a line of the journal without its seal.
    pub fn to_json(&self, tick: u64) -> String {
        self.0.to_json(tick)
    }

    /// Adds it to `journal`.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`].
    pub fn append(&self, tick: u64, journal: &mut Journal) -> Result<(), JournalError> {
        self.0.append(tick, journal)
    }
}

trait AnyEvent: Send + Sync {
    fn kind(&self) -> &'static str;
    fn as_any(&self) -> &dyn Any;
    fn text(&self, context: &mut TextContext) -> Option<String>;
    fn to_json(&self, tick: u64) -> String;
    fn append(&self, tick: u64, journal: &mut Journal) -> Result<(), JournalError>;
}

impl<M: RecordedMessage> AnyEvent for M {
    fn kind(&self) -> &'static str {
        M::KIND
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn text(&self, context: &mut TextContext) -> Option<String> {
        RecordedMessage::text(self, context)
    }

    fn to_json(&self, tick: u64) -> String {
        #[derive(Serialize)]
        struct Line<'a, M> {
            tick: u64,
            kind: &'static str,
            #[serde(flatten)]
            event: &'a M,
        }

        serde_json::to_string(&Line { tick, kind: M::KIND, event: self })
            .expect("events are plain data")
    }

    fn append(&self, tick: u64, journal: &mut Journal) -> Result<(), JournalError> {
        journal.append(tick, M::KIND, self)
    }
}

/// The events by registration: what a kind is called, and what takes its messages.
#[derive(Resource, Default)]
struct EventKinds(Vec<EventKind>);

struct EventKind {
    name: &'static str,
    /// Adds what was sent since the last call.
    collect: Box<dyn FnMut(&World, &mut Vec<TickEvent>) + Send + Sync>,
}

impl Engine {
    /// Registers message `M` as an event: what is sent of it is written to the journal, shown to people, and compared
    /// when the run is resumed or replayed. A tick's events are recorded kind after kind, in the order of registration.
    ///
    /// # Panics
    ///
    /// If the kind is registered already.
    pub fn add_event<M: RecordedMessage>(&mut self) -> &mut Self {
        self.add_message::<M>();
        let world = self.world_mut();
        if !world.contains_resource::<EventKinds>() {
            world.init_resource::<EventKinds>();
            world.init_resource::<TickEvents>();
            let mut schedules = world.resource_mut::<Schedules>();
            // It has the world to itself and touches nothing but messages and the list of events: whatever else is done
            // in this phase may be done before or after it.
            let collect = collect_events.in_set(RecordSystems::Collect).ambiguous_with_all();
            schedules.add_systems(Tick, collect);
        }
        let mut kinds = world.resource_mut::<EventKinds>();
        let is_new = kinds.0.iter().all(|kind| kind.name != M::KIND);
        assert!(is_new, "event `{}` is registered twice", M::KIND);
        kinds.0.push(EventKind { name: M::KIND, collect: Box::new(collector::<M>()) });
        self
    }
}

/// Takes the events of every kind. One system for all: in most ticks there are none, and a system each would take
/// longer than to see that.
fn collect_events(world: &mut World) {
    let mut events = mem::take(&mut *world.resource_mut::<TickEvents>());
    let mut kinds = mem::take(&mut *world.resource_mut::<EventKinds>());
    events.0.clear();
    for kind in &mut kinds.0 {
        (kind.collect)(world, &mut events.0);
    }
    *world.resource_mut::<EventKinds>() = kinds;
    *world.resource_mut::<TickEvents>() = events;
}

fn collector<M: RecordedMessage>() -> impl FnMut(&World, &mut Vec<TickEvent>) {
    let mut cursor = MessageCursor::<M>::default();
    move |world, events| {
        let messages = world.resource::<Messages<M>>();
        if cursor.is_empty(messages) {
            return;
        }
        let mut found: Vec<&M> = cursor.read(messages).collect();
        found.sort_by_cached_key(|message| message.key());
        events.extend(found.into_iter().map(|message| TickEvent(Box::new(message.clone()))));
    }
}
