//! A step allocates nothing: proved by an allocator that counts.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    path::Path,
    sync::Arc,
};

use esper_data::{DataConfig, DeviceData, load};
use esper_engine::{
    ids::SeedId,
    runtime::{HostConfig, HostRuntime, NewModule, Ramp},
};
use esper_kernels::cpu::Activation;
use esper_nn::{
    device::Cpu,
    graph::{Init, Loss, MlpConfig, NetworkGraph, Op},
    module::Incubation,
    op::{Input, Linear},
    optim::{Curve, Train},
    plan::{LossMonitorConfig, Ports},
    program::{CompileOptions, Program},
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is being torn down has no counter left, and takes no steps either.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn host() -> HostRuntime {
    let data = Arc::new(
        load(
            &DataConfig {
                augment: esper_data::Augment { crop_padding: 2, flip: true, cutout: 3 },
                ..DataConfig::new("digits")
            },
            Path::new("."),
        )
        .unwrap(),
    );
    let train = Train { clip_norm: Some(1.0), ..Train::default() };
    let watch = LossMonitorConfig {
        is_enabled: true,
        window_checks: 100,
        divergence_sd: 6.0,
        divergence_ratio: 3.0,
        divergence_checks: 3,
        collapse_checks: 100,
        chance_loss: None,
    };
    let mlp = MlpConfig {
        layers: vec![64, 8, 10],
        activation: Activation::Gelu,
        dropout: 0.1,
        sites: vec!["input".into(), "hidden0".into()],
        ..MlpConfig::default()
    };
    let graph = NetworkGraph::mlp(&mlp, Loss::CrossEntropy).unwrap();
    let program = Program::compile(&graph, CompileOptions::HOST).unwrap();
    let device = Arc::new(Cpu);
    let on_device = Arc::new(DeviceData::new(&data, &*device).unwrap());
    let config = HostConfig::new(data, 64, 20, train, watch, device, on_device);
    HostRuntime::new(Arc::new(config), Arc::new(graph), Arc::new(program)).unwrap()
}

fn bind(host: &mut HostRuntime, id: u64, incubation: Incubation) {
    let mut module = NetworkGraph::new();
    let x = module.add("x", Input { shape: vec![8] }, &[]).unwrap();
    let h = module.add("up", Op::linear(16), &[x]).unwrap();
    let h = module.add("act", Activation::Gelu, &[h]).unwrap();
    module.add("down", Linear { outputs: 8, bias: true, init: Init::ZERO }, &[h]).unwrap();
    let program = Arc::new(Program::compile(&module, CompileOptions::MODULE).unwrap());
    let params = host.draw_module_params(SeedId(id), &program);
    let (seed, birth_step) = (SeedId(id), host.state.step);
    let module =
        NewModule { seed, ports: Ports::at(1), incubation, is_trainable: true, birth_step };
    host.bind(module, program, &params).unwrap();
}

#[test]
fn a_step_allocates_nothing_with_or_without_seeds() {
    let mut host = host();
    // An epoch first, so that everything that grows has grown.
    (0..60).for_each(|_| host.step().unwrap());
    assert_eq!(allocations(|| (0..120).for_each(|_| host.step().unwrap())), 0, "host alone");

    bind(&mut host, 1, Incubation::StraightThrough);
    bind(&mut host, 2, Incubation::Shadow);
    (0..60).for_each(|_| host.step().unwrap());
    assert_eq!(allocations(|| (0..120).for_each(|_| host.step().unwrap())), 0, "incubating");

    let start_step = host.state.step;
    let ramp = Ramp { start_step, n_steps: 50, from: 0.0, to: 1.0, curve: Curve::Cosine };
    assert!(host.set_blend(SeedId(1), ramp, true));
    (0..60).for_each(|_| host.step().unwrap());
    assert_eq!(allocations(|| (0..120).for_each(|_| host.step().unwrap())), 0, "grafted");
    assert!(0 < allocations(|| drop(std::hint::black_box(vec![0_u8; 16]))), "the counter counts");
}
