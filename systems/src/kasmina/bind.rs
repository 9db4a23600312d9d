//! Binding: a validated kernel meets the seed that waits for it.

use std::sync::Arc;

use bevy_ecs::{prelude::*, system::SystemParam};
use esper_engine::{
    ids::{Index, KernelId},
    runtime::NewModule,
    stage::Stage,
    world::{
        blueprint::{Blueprint, BlueprintStatus},
        components::{Active, SeedModule},
        kernel::{DeploymentCount, Kernel, KernelStatus, Kernels, Library, Penalties},
        kernel_cache::KernelCache,
    },
};
use esper_nn::program::{Program, Variant};

use super::{
    gates::binding::{GateFailure, check_module, pass},
    lifecycle::{Lifecycle, Seed, SeedData},
};

/// Kernels by blueprint, and where their programs are.
#[derive(SystemParam)]
pub(super) struct KernelShelf<'w, 's> {
    kernels_of: Query<'w, 's, (&'static BlueprintStatus, Option<&'static Kernels>)>,
    kernels: Query<
        'w,
        's,
        (&'static KernelId, &'static Kernel, &'static KernelStatus, Option<&'static Penalties>),
    >,
    deployments: Query<'w, 's, &'static mut DeploymentCount>,
    index: Res<'w, Index<KernelId>>,
    cache: ResMut<'w, KernelCache>,
    library: Option<Res<'w, Library>>,
}

/// Starts the training of every germinated seed whose kernel is there, and cancels those whose blueprint is invalid.
pub(super) fn bind_kernels(
    waiting: Query<SeedData, With<Active>>,
    mut shelf: KernelShelf,
    mut lifecycle: Lifecycle,
) {
    let germinated = waiting.iter().filter(|seed| *seed.stage == Stage::Germinated);
    let mut germinated: Vec<Seed> = germinated.map(Seed::from).collect();
    germinated.sort_unstable_by_key(|seed| seed.id);
    for mut seed in germinated {
        match bind(&mut seed, &mut shelf, &mut lifecycle) {
            Ok(None) => {}
            Ok(Some(params_elems)) => {
                pass(&mut lifecycle, &mut seed, params_elems);
                lifecycle.enter(&mut seed, Stage::Training, "kernel bound");
            }
            Err(failure) => {
                failure.judge(&mut lifecycle, &mut seed);
                lifecycle.enter(&mut seed, Stage::Cancelled, failure.reason);
            }
        }
    }
}

/// Binds the seed's kernel and counts its parameters; `None` while there is no kernel yet.
fn bind(
    seed: &mut Seed,
    shelf: &mut KernelShelf,
    lifecycle: &mut Lifecycle,
) -> Result<Option<u64>, GateFailure> {
    let id = seed.module().blueprint;
    let (entity, blueprint) =
        lifecycle.blueprint(id).ok_or_else(|| GateFailure::g0("the blueprint is gone"))?;
    let is_trainable = blueprint.is_trainable;
    let Some((kernel, program)) = shelf.choose(entity, blueprint)? else { return Ok(None) };
    check_module(lifecycle, seed, &program)?;
    let runtime = lifecycle.hosts.runtime(seed.host);
    let ports = lifecycle.hosts.sites(seed.host).ports(seed.site, runtime.program());
    let params = runtime.draw_module_params(seed.id, &program);
    if !params.iter().all(|param| param.is_finite()) {
        return Err(GateFailure::g0("the drawn parameters are not finite"));
    }
    let module = NewModule {
        seed: seed.id,
        ports,
        incubation: lifecycle.config.kasmina.incubation,
        is_trainable,
        birth_step: runtime.state.step,
    };
    // In the host's twin as well: the two differ by the grafted seed alone.
    for entity in lifecycle.hosts.with_twin(seed.host) {
        let runtime = lifecycle.hosts.runtime_mut(entity);
        if let Err(error) = runtime.bind(module, program.clone(), &params) {
            lifecycle.fail_run(&error);
            return Err(GateFailure::g1(error.to_string()));
        }
    }
    shelf.count_deployment(kernel);
    let module = SeedModule { blueprint: id, kernel: Some(kernel.0) };
    seed.module = Some(module);
    lifecycle.commands.entity(seed.entity).insert(module);
    Ok(Some(program.params_elems()))
}

impl KernelShelf<'_, '_> {
    /// The kernel that would be bound for a blueprint, with its program.
    fn choose(
        &mut self,
        entity: Entity,
        blueprint: &Blueprint,
    ) -> Result<Option<(KernelId, Arc<Program>)>, GateFailure> {
        let (status, kernels) = self.kernels_of.get(entity).expect("it is a blueprint");
        if *status == BlueprintStatus::Invalid {
            return Err(GateFailure::g1("no kernel of the blueprint was validated"));
        }
        // `fused` before any other, then by name. Both give the same bits.
        let validated = kernels
            .into_iter()
            .flat_map(|kernels| kernels.iter())
            .map(|kernel| self.kernels.get(kernel).expect("it is a kernel"))
            .filter(|(_, _, status, _)| **status == KernelStatus::Validated)
            .map(|(id, kernel, _, penalties)| {
                (kernel.variant != Variant::Fused.name(), *id, penalties.map_or(0, |it| it.0))
            });
        let Some((_, id, n_penalties)) = validated.min() else { return Ok(None) };
        if n_penalties > 0 {
            return Err(GateFailure::g1("the kernel was penalised after a rollback"));
        }
        Ok(Some((id, self.load(id, blueprint)?)))
    }

    /// The kernel's program: a pointer from the cache; else one read, one check, one decode. Where there is no library
    /// it is compiled again.
    fn load(&mut self, id: KernelId, blueprint: &Blueprint) -> Result<Arc<Program>, GateFailure> {
        if let Some(program) = self.cache.get(id) {
            return Ok(program.clone());
        }
        let program = match &self.library {
            Some(library) => {
                let bytes = library.0.kernel_bytes(id).map_err(GateFailure::g1)?;
                let bytes =
                    bytes.ok_or_else(|| GateFailure::g1("the library does not hold the kernel"))?;
                postcard::from_bytes(&bytes).map_err(GateFailure::g1)?
            }
            None => self.compile(id, blueprint)?,
        };
        let program = Arc::new(program);
        self.cache.insert(id, program.clone());
        Ok(program)
    }

    fn compile(&self, id: KernelId, blueprint: &Blueprint) -> Result<Program, GateFailure> {
        let entity = self.index.entity(id).expect("it was chosen");
        let (_, kernel, ..) = self.kernels.get(entity).expect("it is a kernel");
        let variant = Variant::from_name(&kernel.variant)
            .ok_or_else(|| GateFailure::g1("its variant is not one of this build"))?;
        variant.compile(&blueprint.graph).map_err(GateFailure::g1)
    }

    fn count_deployment(&mut self, id: KernelId) {
        let entity = self.index.entity(id).expect("it was chosen");
        if let Ok(mut count) = self.deployments.get_mut(entity) {
            count.0 += 1;
        }
    }
}
