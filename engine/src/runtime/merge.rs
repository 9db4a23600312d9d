//! How a host takes a seed's module in for good.

use std::{ops::Range, sync::Arc};

use esper_nn::{
    device::{DeviceError, UnitState},
    graph::NetworkGraph,
    program::{PlacedParam, Program},
};

use super::{host::HostRuntime, module::module_prefix};
use crate::ids::SeedId;

impl HostRuntime {
    /// Swaps in `program`, compiled from `graph`: this host's network with the module of `seed` joined to it.
    ///
    /// Parameters and moments move over by name, bit for bit; the seed's become a group of their own and go on
    /// training as they did. The module is unbound.
    ///
    /// # Errors
    ///
    /// Fails when the device has no room.
    ///
    /// # Panics
    ///
    /// If the seed is not bound, or the program is not this host's with that module.
    pub fn merge(
        &mut self,
        seed: SeedId,
        graph: Arc<NetworkGraph>,
        program: Arc<Program>,
    ) -> Result<(), DeviceError> {
        // Of a network that is no more; in the last window the next step begins anew.
        self.end_averages();
        let device = self.config.device.clone();
        let (module, module_program, module_state) =
            self.take_module(seed).expect("the seed is bound");
        let read = |state: &UnitState| state.all().map(|buffer| device.to_vec(buffer));
        let host = Numbers { program: self.program().clone(), blocks: read(self.numbers()) };
        let grown = Numbers { program: module_program, blocks: read(&module_state) };
        let prefix = module_prefix(seed);
        let [params, buffers, m, v] = join(&program, &prefix, &host, &grown);
        *self.numbers_mut() = UnitState::of_values(&*device, &params, &buffers, &m, &v)?;
        let mut group = module.group;
        group.prefix = prefix;
        self.state.groups.push(group);
        let sites = self.plan.sampled_sites();
        self.memory.site_samples.clear();
        self.set_network(graph, program)?;
        self.plan.set_sampled_sites(sites);
        Ok(())
    }
}

/// A network's parameters, running statistics, first and second moments.
struct Numbers {
    program: Arc<Program>,
    blocks: [Vec<f32>; 4],
}

const PARAMS: usize = 0;
const BUFFERS: usize = 1;
const FIRST: usize = 2;
const SECOND: usize = 3;

/// The blocks of `program`, of which the names that begin with `prefix` come from `grown` and the others from `host`.
fn join(program: &Program, prefix: &str, host: &Numbers, grown: &Numbers) -> [Vec<f32>; 4] {
    let n_params = program.params_len_elems;
    let n_second = if host.blocks[SECOND].is_empty() { 0 } else { n_params };
    let lens = [n_params, program.buffers_len_elems, n_params, n_second];
    let mut blocks = lens.map(|len| vec![0.0; len]);
    let source = |name: &str| match name.strip_prefix(prefix) {
        Some(own) => (grown, own.to_owned()),
        None => (host, name.to_owned()),
    };
    for param in &program.params {
        let (from, name) = source(&param.spec.name);
        let range = place_of(&from.program.params, &name);
        for block in [PARAMS, FIRST, SECOND] {
            if !blocks[block].is_empty() {
                let values = &from.blocks[block][range.clone()];
                blocks[block][param.range()].copy_from_slice(values);
            }
        }
    }
    for buffer in &program.buffers {
        let (from, name) = source(&buffer.spec.name);
        let range = place_of(&from.program.buffers, &name);
        blocks[BUFFERS][buffer.range()].copy_from_slice(&from.blocks[BUFFERS][range]);
    }
    blocks
}

/// Where the parameter or buffer called `name` lies in its block.
fn place_of(params: &[PlacedParam], name: &str) -> Range<usize> {
    let found = params.iter().find(|param| param.spec.name == name);
    found.expect("a grown program has its host's parameters and its module's").range()
}
