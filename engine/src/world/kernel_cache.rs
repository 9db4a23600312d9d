//! Decoded kernels in memory: what makes binding a pointer swap.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bevy_ecs::prelude::*;
use esper_nn::program::Program;

use super::ids::KernelId;

/// Kernels kept in memory. A decoded program takes up to some 64 KiB, so the cache takes up to 256 MiB.
pub const CACHED_KERNELS_MAX: usize = 4096;

/// Decoded kernels by name, at most [`CACHED_KERNELS_MAX`]: the one that was not used for longest makes room.
///
/// A kernel that is no longer here is read from the [`Library`](super::kernel::Library), or compiled again.
#[derive(Resource, Debug)]
pub struct KernelCache {
    kernels: BTreeMap<KernelId, Cached>,
    n_max: usize,
    n_uses: AtomicU64,
}

#[derive(Debug)]
struct Cached {
    program: Arc<Program>,
    /// How many uses of any kernel there had been at its last use.
    last_use: AtomicU64,
}

impl Default for KernelCache {
    fn default() -> Self {
        Self::with_capacity(CACHED_KERNELS_MAX)
    }
}

impl KernelCache {
    /// A cache of at most `n_max` kernels.
    pub const fn with_capacity(n_max: usize) -> Self {
        Self { kernels: BTreeMap::new(), n_max, n_uses: AtomicU64::new(0) }
    }

    /// The program of kernel `id`, if it is in memory.
    pub fn get(&self, id: KernelId) -> Option<&Arc<Program>> {
        let cached = self.kernels.get(&id)?;
        // Systems share the cache for reading, hence the atomics; they run one after another, so the order is stated.
        cached.last_use.store(self.n_uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(&cached.program)
    }

    /// Keeps `program` in memory under `id`.
    pub fn insert(&mut self, id: KernelId, program: Arc<Program>) {
        if self.n_max <= self.kernels.len() && !self.kernels.contains_key(&id) {
            self.make_room();
        }
        let now = self.n_uses.get_mut();
        let last_use = AtomicU64::new(*now);
        *now += 1;
        self.kernels.insert(id, Cached { program, last_use });
    }

    fn make_room(&mut self) {
        let uses = self.kernels.iter().map(|(id, it)| (it.last_use.load(Ordering::Relaxed), *id));
        if let Some((_, id)) = uses.min() {
            self.kernels.remove(&id);
        }
    }

    /// How many kernels are in memory.
    pub fn len(&self) -> usize {
        self.kernels.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.kernels.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use esper_nn::{
        digest::Digest,
        graph::{NetworkGraph, Op},
        op::Input,
        program::CompileOptions,
    };

    use super::*;

    #[test]
    fn the_kernel_that_was_not_used_for_longest_makes_room() {
        let mut graph = NetworkGraph::new();
        let x = graph.add("x", Input { shape: vec![3] }, &[]).unwrap();
        graph.add("out", Op::linear(3), &[x]).unwrap();
        let program = Arc::new(Program::compile(&graph, CompileOptions::MODULE).unwrap());
        let [a, b, c] = [b"a", b"b", b"c"].map(|name| KernelId(Digest::of(name)));
        let mut cache = KernelCache::with_capacity(2);
        cache.insert(a, program.clone());
        cache.insert(b, program.clone());
        assert!(cache.get(a).is_some());
        cache.insert(b, program.clone());
        cache.insert(c, program);
        let is_here = [a, b, c].map(|id| cache.get(id).is_some());
        assert_eq!(is_here, [false, true, true], "`b` came in again after `a` was used");
        assert_eq!(cache.len(), 2);
    }
}
