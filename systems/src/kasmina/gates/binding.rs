//! G0 and G1: may this module train at this site?

use std::fmt::Display;

use esper_engine::world::gate::{GateEvidence, GateVerdict};
use esper_nn::{
    plan::{Binding, BindingMode, Ports},
    program::Program,
};

use crate::kasmina::lifecycle::{Lifecycle, Seed};

/// Why a seed may not train.
pub(in crate::kasmina) struct GateFailure {
    /// Whether G1 failed, and not G0.
    is_g1: bool,
    /// For people.
    pub reason: String,
}

impl GateFailure {
    /// The contract is not kept, or the parameters are not finite.
    pub fn g0(reason: impl Display) -> Self {
        Self { is_g1: false, reason: reason.to_string() }
    }

    /// No kernel may be bound, or it would pass a limit.
    pub fn g1(reason: impl Display) -> Self {
        Self { is_g1: true, reason: reason.to_string() }
    }

    /// Writes the verdict.
    pub fn judge(&self, lifecycle: &mut Lifecycle, seed: &mut Seed) {
        let params_elems = None;
        let evidence = match self.is_g1 {
            true => GateEvidence::G1 { params_elems },
            false => GateEvidence::G0 { params_elems },
        };
        lifecycle.judge(seed, GateVerdict::Failed, evidence, 0);
    }
}

/// Writes that both gates were passed by a module of that size.
pub(in crate::kasmina) fn pass(lifecycle: &mut Lifecycle, seed: &mut Seed, params_elems: u64) {
    let params_elems = Some(params_elems);
    for evidence in [GateEvidence::G0 { params_elems }, GateEvidence::G1 { params_elems }] {
        lifecycle.judge(seed, GateVerdict::Passed, evidence, 0);
    }
}

/// Whether `program` keeps the site's shape and the run's limits.
pub(in crate::kasmina) fn check_module(
    lifecycle: &Lifecycle,
    seed: &Seed,
    program: &Program,
) -> Result<(), GateFailure> {
    let runtime = lifecycle.hosts.runtime(seed.host);
    let Ports { read, write } =
        lifecycle.hosts.sites(seed.host).ports(seed.site, runtime.program());
    let mode = BindingMode::Incubating(lifecycle.config.kasmina.incubation);
    let binding = Binding { read, write, mode, trains: false };
    let composition = lifecycle.config.kasmina.composition;
    binding.check(runtime.program(), program, composition).map_err(GateFailure::g0)?;
    let allowed = lifecycle.config.limits.params_max;
    // Those that incubate exclude each other: each is held to the limit as if it alone were grafted.
    let grafted = runtime.blended_params_elems();
    let found = runtime.program().params_elems() + grafted + program.params_elems();
    if found > allowed {
        let reason = format!("limits.params_max: {found} of at most {allowed} parameters");
        return Err(GateFailure::g1(reason));
    }
    Ok(())
}
