//! Third: what it takes, and what it does to gradients that pass through.

use esper_engine::world::kernel::SafetySheet;
use esper_nn::program::Program;

use super::{
    config::Rules,
    probe::{Probe, WANTED, batch_of, norm},
};

/// Blocks of parameter length a training module has: parameters, gradients, two moments.
const PARAM_BLOCKS: usize = 4;

/// What `program` would take that it may not have, read off its plan without running it.
pub(super) fn check_resources(
    program: &Program,
    rules: &Rules,
    sheet: &mut SafetySheet,
) -> Vec<String> {
    let elems = program
        .workspace_len_elems(rules.batch)
        .saturating_add(program.scratch_len_elems(rules.batch))
        .saturating_add(program.params_len_elems.saturating_mul(PARAM_BLOCKS));
    sheet.memory_bytes = (elems as u64).saturating_mul(size_of::<f32>() as u64);
    sheet.flops_per_example = program.flops_forward() + program.flops_backward(WANTED);
    let limits = [
        ("memory_max_bytes", sheet.memory_bytes, rules.memory_max_bytes),
        ("flops_max", sheet.flops_per_example, rules.flops_max),
    ];
    let passed = limits.iter().filter(|(_, found, allowed)| allowed < found);
    passed
        .map(|(limit, found, allowed)| format!("safety: `{limit}`: {found} of at most {allowed}"))
        .collect()
}

/// Whether gradients grow on their way through `program`, once its last layer has left zero.
pub(super) fn check_growth(
    program: &Program,
    rows: usize,
    rules: &Rules,
    sheet: &mut SafetySheet,
) -> Vec<String> {
    let (x, dy) = batch_of(program, rows);
    let mut probe = Probe::moved(program, rows);
    probe.forward(&x);
    let growth = norm(&probe.backward(&dy)) / norm(&dy);
    sheet.gradient_growth = Some(growth).filter(|it| it.is_finite());
    if growth <= rules.grad_growth_max {
        return Vec::new();
    }
    vec![format!(
        "safety: `grad_growth_max`: gradients grow {growth:.1}-fold, of at most {}",
        rules.grad_growth_max
    )]
}
