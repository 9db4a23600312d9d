//! Hosts and modules that the tests share.

use std::{path::Path, sync::Arc};

use esper_engine::{
    data::{DataConfig, SplitData, load},
    device::Cpu,
    graph::{Init, Loss, MlpConfig, NetworkGraph, Op},
    program::{CompileOptions, Program},
    runtime::{HostConfig, HostRuntime, SeedState},
    scenario::{Adam, Incubation, Optimizer, Scenario},
    world::{
        digest::Digest,
        ids::{KernelId, SeedId},
    },
};
use esper_kernels::cpu::Activation;

pub fn digits() -> Arc<SplitData> {
    Arc::new(load(&DataConfig::new("digits"), Path::new(".")).expect("digits ship with Esper"))
}

pub fn scenario() -> Scenario {
    let mut scenario = Scenario::default();
    scenario.run.epochs = 4;
    scenario.data.batch = 64;
    scenario.train.optimizer = Optimizer::AdamW(Adam { lr: 1e-2, ..Adam::default() });
    scenario
}

pub fn host_of(scenario: &Scenario, mlp: &MlpConfig, data: Arc<SplitData>) -> HostRuntime {
    let graph = NetworkGraph::mlp(mlp, Loss::CrossEntropy).expect("a sound host");
    let program = Program::compile(&graph, CompileOptions::HOST).expect("it compiles");
    let config = HostConfig::new(scenario, 0, data, Arc::new(Cpu));
    HostRuntime::new(Arc::new(config), Arc::new(graph), Arc::new(program))
}

pub fn small_mlp() -> MlpConfig {
    MlpConfig {
        layers: vec![64, 8, 10],
        sites: vec!["input".into(), "hidden0".into()],
        ..MlpConfig::default()
    }
}

pub fn residual_mlp(width: usize, hidden: usize) -> NetworkGraph {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Op::Input { shape: vec![width] }, &[]).unwrap();
    let h = graph.add("up", Op::linear(hidden), &[x]).unwrap();
    let h = graph.add("act", Op::Activation(Activation::Gelu), &[h]).unwrap();
    let down = Op::Linear { outputs: width, bias: true, init: Init::ZERO };
    graph.add("down", down, &[h]).unwrap();
    graph
}

pub fn bind(host: &mut HostRuntime, id: u64, site: usize, module: &NetworkGraph, how: Incubation) {
    let program = Arc::new(Program::compile(module, CompileOptions::MODULE).unwrap());
    let kernel = KernelId(Digest::of(b"test"));
    let state = SeedState::at_birth(host, SeedId(id), site, kernel, &program, how, true);
    host.bind(state, program);
}
