//! The work: graphs become programs, on a worker thread.

use std::sync::Arc;

use esper_engine::{
    forge::Job,
    ids::{BlueprintId, KernelId},
    world::kernel::Kernel,
};
use esper_nn::{
    device::Cpu,
    digest::Digest,
    graph::{GraphError, NetworkGraph},
    program::{CompileOptions, GradMask, INPUT_GRADIENT, Program, Variant},
};
use serde::{Deserialize, Serialize};

use crate::oona::ProgramChangeRequested;

/// The device that kernels are compiled for and measured on.
pub const DEVICE: &str = Cpu::NAME;
/// The forge that compiles blueprints, as journals and checkpoints name it.
pub const COMPILE: &str = "compile";
/// The forge that compiles hosts, as journals and checkpoints name it.
pub const COMPILE_HOST: &str = "compile_host";

/// A blueprint to be compiled in every variant.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CompileJob {
    /// The blueprint.
    pub blueprint: BlueprintId,
    /// Its module.
    pub graph: Arc<NetworkGraph>,
}

/// One compiled variant.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Its lasting name.
    pub id: KernelId,
    /// How it was made, and what it costs.
    pub kernel: Kernel,
    /// What runs.
    pub program: Arc<Program>,
}

impl Job for CompileJob {
    type Output = Result<Vec<Compiled>, GraphError>;

    fn run(self) -> Self::Output {
        Variant::ALL
            .into_iter()
            .map(|variant| compile(self.blueprint, &self.graph, variant))
            .collect()
    }
}

fn compile(
    blueprint: BlueprintId,
    graph: &NetworkGraph,
    variant: Variant,
) -> Result<Compiled, GraphError> {
    let program = variant.compile(graph)?;
    let bytes = postcard::to_stdvec(&program).expect("a program is plain data");
    let kernel = Kernel {
        variant: variant.name().to_owned(),
        optimizations: program.optimizations.clone(),
        params_elems: program.params_elems(),
        workspace_bytes: (program.workspace_elems * size_of::<f32>()) as u64,
        flops_forward: program.flops_forward(),
        flops_backward: program.flops_backward(GradMask { params: true, sites: INPUT_GRADIENT }),
        program: Digest::of(&bytes),
    };
    let id = Kernel::id(blueprint, DEVICE, variant.name());
    Ok(Compiled { id, kernel, program: Arc::new(program) })
}

/// The program of another network for a host.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct HostCompileJob(pub ProgramChangeRequested);

impl Job for HostCompileJob {
    type Output = Result<Arc<Program>, GraphError>;

    fn run(self) -> Self::Output {
        let ProgramChangeRequested { graph, freeze, .. } = &self.0;
        Program::compile_frozen(graph, CompileOptions::HOST, freeze).map(Arc::new)
    }
}
