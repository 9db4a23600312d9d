//! Where numbers live: hosts, the modules bound to them, and their plans.

mod ablation;
mod average;
mod binding;
mod config;
mod evaluate;
mod exchange;
mod flops;
mod fork;
mod host;
mod merge;
mod module;
mod progress;
mod retrain;
mod saved;
mod schedule;
mod training;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

pub use ablation::{Ablated, AblationError, JoinedHost, MODULES_MAX, TOGETHER_MAX, Variation};
pub use config::HostConfig;
pub use evaluate::{Examples, FlopsAccount, Ranking, Split, Subset};
pub use exchange::{ExchangeError, Mismatch, StateDict, StateTensor, Unfit, WEIGHTS_LEN_MAX_BYTES};
pub use flops::Flops;
pub use fork::{HostSnapshot, ModuleSnapshot};
pub use host::{Advanced, HostRuntime, StepError};
pub use module::{BoundModule, NewModule, last_fossil, module_prefix};
pub use progress::{Averaging, Evaluation, GroupSchedule, ParamGroup, Progress};
pub use saved::{LoadHostError, SavedHost, TensorMap};
pub use schedule::{Ramp, learning_rate, seed_learning_rate};
pub use training::{DataView, TrainPlan};

/// Names a host's numbers; stale once they are dropped.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuntimeHandle {
    slot: u32,
    generation: u32,
}

/// Owns the numbers of every host.
///
/// # Invariants
///
/// - A slot's generation grows by one each time it is emptied, so a stale handle reads `None`.
/// - Slots are reused last-emptied-first, so two runs of one scenario hand out the same handles.
#[derive(Resource, Default)]
pub struct Runtimes {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    runtime: Option<Box<HostRuntime>>,
}

impl Runtimes {
    /// Takes ownership of a host's numbers.
    pub fn insert(&mut self, runtime: HostRuntime) -> RuntimeHandle {
        let runtime = Some(Box::new(runtime));
        match self.free.pop() {
            Some(slot) => {
                let entry = &mut self.slots[slot as usize];
                assert!(entry.runtime.is_none(), "a free slot is empty");
                entry.runtime = runtime;
                RuntimeHandle { slot, generation: entry.generation }
            }
            None => {
                let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 hosts");
                self.slots.push(Slot { generation: 0, runtime });
                RuntimeHandle { slot, generation: 0 }
            }
        }
    }

    /// Gives a host's numbers up, if the handle is live.
    pub fn remove(&mut self, handle: RuntimeHandle) -> Option<Box<HostRuntime>> {
        let entry = self.slots.get_mut(handle.slot as usize)?;
        if entry.generation != handle.generation {
            return None;
        }
        let runtime = entry.runtime.take()?;
        entry.generation += 1;
        self.free.push(handle.slot);
        Some(runtime)
    }

    /// A host's numbers, if the handle is live.
    pub fn get(&self, handle: RuntimeHandle) -> Option<&HostRuntime> {
        let entry = self.slots.get(handle.slot as usize)?;
        entry.runtime.as_deref().filter(|_| entry.generation == handle.generation)
    }

    /// A host's numbers, for writing, if the handle is live.
    pub fn get_mut(&mut self, handle: RuntimeHandle) -> Option<&mut HostRuntime> {
        let entry = self.slots.get_mut(handle.slot as usize)?;
        entry.runtime.as_deref_mut().filter(|_| entry.generation == handle.generation)
    }

    /// Two hosts' numbers at once, for writing.
    ///
    /// # Panics
    ///
    /// If the handles are the same.
    pub fn get_pair_mut(
        &mut self,
        a: RuntimeHandle,
        b: RuntimeHandle,
    ) -> Option<(&mut HostRuntime, &mut HostRuntime)> {
        assert_ne!(a.slot, b.slot, "two hosts have two handles");
        let slots = self.slots.get_disjoint_mut([a.slot as usize, b.slot as usize]).ok()?;
        let [first, second] = slots;
        let first = first.runtime.as_deref_mut().filter(|_| first.generation == a.generation)?;
        let second = second.runtime.as_deref_mut().filter(|_| second.generation == b.generation)?;
        Some((first, second))
    }

    /// Every host's numbers, in the order of slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut HostRuntime> {
        self.slots.iter_mut().filter_map(|slot| slot.runtime.as_deref_mut())
    }

    /// Every host's numbers, in the order of slots.
    pub fn iter(&self) -> impl Iterator<Item = &HostRuntime> {
        self.slots.iter().filter_map(|slot| slot.runtime.as_deref())
    }

    /// The numbers of the hosts that handles name, each with what stands beside its handle, in the order of slots.
    pub fn select_mut<K: Copy>(
        &mut self,
        handles: impl IntoIterator<Item = (RuntimeHandle, K)>,
    ) -> Vec<(K, &mut HostRuntime)> {
        let mut wanted: Vec<(RuntimeHandle, K)> = handles.into_iter().collect();
        wanted.sort_unstable_by_key(|(handle, _)| *handle);
        let slots = self.slots.iter_mut().enumerate();
        slots
            .filter_map(|(slot, entry)| {
                let handle = RuntimeHandle { slot: slot as u32, generation: entry.generation };
                let place = wanted.binary_search_by_key(&handle, |(handle, _)| *handle).ok()?;
                Some((wanted[place].1, entry.runtime.as_deref_mut()?))
            })
            .collect()
    }

    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
