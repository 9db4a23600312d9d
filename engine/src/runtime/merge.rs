//! How a host takes a seed's module in for good, and how it goes back to a snapshot.

use std::{ops::Range, sync::Arc};

use super::host::HostRuntime;
use crate::{
    data::Order,
    graph::NetworkGraph,
    program::{PlacedParam, Program},
    world::ids::SeedId,
};

/// What the names of a fossilised seed's nodes and parameters begin with.
pub fn module_prefix(seed: SeedId) -> String {
    format!("grown.{seed}.")
}

impl HostRuntime {
    /// Swaps in `program`, compiled from `graph`: this host's network with seed `id`'s module joined to it.
    ///
    /// Parameters and moments move over by name, bit for bit; the seed's become a group of their own and go on
    /// training as they did. The seed is unbound.
    ///
    /// # Panics
    ///
    /// If the seed is not bound, or the program is not this host's with that module.
    pub fn merge(&mut self, id: SeedId, graph: Arc<NetworkGraph>, program: Arc<Program>) {
        let place = self.seeds.iter().position(|seed| seed.state.id == id);
        let seed = self.seeds.remove(place.expect("the seed is bound"));
        let prefix = module_prefix(id);
        let old = self.program.clone();
        let mut state = self.state.clone();
        let has_second = !state.v.is_empty();
        let n = program.params_len_elems;
        (state.params, state.m) = (vec![0.0; n], vec![0.0; n]);
        state.v = if has_second { vec![0.0; n] } else { Vec::new() };
        for param in &program.params {
            let name = &param.spec.name;
            let (params, m, v, range) = match name.strip_prefix(&prefix) {
                Some(own) => {
                    let from = &seed.state;
                    (&from.params, &from.m, &from.v, place_of(&seed.program.params, own))
                }
                None => {
                    let from = &self.state;
                    (&from.params, &from.m, &from.v, place_of(&old.params, name))
                }
            };
            state.params[param.range()].copy_from_slice(&params[range.clone()]);
            state.m[param.range()].copy_from_slice(&m[range.clone()]);
            if has_second {
                state.v[param.range()].copy_from_slice(&v[range]);
            }
        }
        state.buffers = vec![0.0; program.buffers_len_elems];
        for buffer in &program.buffers {
            let name = &buffer.spec.name;
            let (from, range) = match name.strip_prefix(&prefix) {
                Some(own) => (&seed.state.buffers, place_of(&seed.program.buffers, own)),
                None => (&self.state.buffers, place_of(&old.buffers, name)),
            };
            state.buffers[buffer.range()].copy_from_slice(&from[range]);
        }
        let mut group = seed.state.group;
        group.prefix = prefix;
        state.groups.push(group);
        let seeds = std::mem::take(&mut self.seeds);
        let config = self.config.clone();
        let sampled_sites = self.sampled_sites;
        *self = Self::from_state(config, graph, program, state, seeds);
        self.sampled_sites = sampled_sites;
    }

    /// Copies everything a snapshot restores from `other`, reusing this host's memory.
    ///
    /// The other may be a [snapshot](Self::to_snapshot). Gradients, workspaces and faults stay: they carry nothing
    /// from one step to the next.
    pub fn copy_state_from(&mut self, other: &Self) {
        let state = &mut self.state;
        let same_program = Arc::ptr_eq(&self.program, &other.program);
        state.params.clone_from(&other.state.params);
        state.buffers.clone_from(&other.state.buffers);
        state.m.clone_from(&other.state.m);
        state.v.clone_from(&other.state.v);
        state.groups.clone_from(&other.state.groups);
        let (params, buffers, m, v) = (
            std::mem::take(&mut state.params),
            std::mem::take(&mut state.buffers),
            std::mem::take(&mut state.m),
            std::mem::take(&mut state.v),
        );
        let groups = std::mem::take(&mut state.groups);
        let rest = &other.state;
        *state = super::host::HostState {
            params,
            buffers,
            m,
            v,
            groups,
            step: rest.step,
            epoch: rest.epoch,
            position: rest.position,
            watch: rest.watch,
            lr_scale: rest.lr_scale,
            epoch_loss_sum: rest.epoch_loss_sum,
            epoch_examples: rest.epoch_examples,
            epoch_correct: rest.epoch_correct,
            flops: rest.flops,
        };
        if !same_program {
            self.graph = other.graph.clone();
            self.program = other.program.clone();
            if !self.gradients.is_empty() {
                self.make_room();
            }
            self.index_segments();
            self.index_sites();
        }
        self.seeds.clone_from(&other.seeds);
        if (self.order.epoch(), self.order.n_examples())
            == (other.order.epoch(), other.order.n_examples())
        {
            let moved = self.order.reseek(rest.epoch, rest.position);
            moved.expect("both visit the same examples");
        } else {
            self.order = Order::clone(&other.order);
        }
    }
}

impl HostRuntime {
    fn make_room(&mut self) {
        let batch = self.config.batch;
        self.gradients.resize(self.program.params_len_elems, 0.0);
        self.workspace.resize(self.program.workspace_len_elems(batch), 0.0);
        self.parts_max = self.config.parts_max(&self.program);
        self.scratch.resize(self.parts_max * self.program.scratch_len_elems(batch), 0.0);
    }
}

/// Where the parameter or buffer called `name` lies in its block.
fn place_of(params: &[PlacedParam], name: &str) -> Range<usize> {
    let found = params.iter().find(|param| param.spec.name == name);
    found.expect("a grown program has its host's parameters and its module's").range()
}
