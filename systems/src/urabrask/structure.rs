//! First: is it a module for that site, and are its instructions sound?

use esper_nn::{
    contract::Contract,
    graph::{NetworkGraph, check_contract},
    program::{PlacedParam, Program},
};

/// What is wrong with `program`, compiled from `graph`, as a module of `contract`; nothing, if it may be run.
pub(super) fn check(
    program: &Program,
    reference: &Program,
    graph: &NetworkGraph,
    contract: Contract,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut refuse = |reason: String| reasons.push(format!("structure: {reason}"));
    if let Err(error) =
        check_contract(graph, [&contract.shape(), &contract.output_shape()], contract.is_causal())
    {
        refuse(error.to_string());
    }
    if [&program.input_shape, &program.output_shape]
        != [&reference.input_shape, &reference.output_shape]
    {
        refuse("its shapes are not those of `reference`".to_owned());
    }
    if program.loss.is_some() || !program.sites.is_empty() {
        refuse("a module has neither a loss nor sites".to_owned());
    }
    if program.input_gradient.is_none() || program.output_gradient.is_none() {
        refuse("no gradient passes through it".to_owned());
    }
    // By place and shape: how they are drawn may be NaN, which equals nothing.
    let layout = |program: &Program| -> Vec<(String, Vec<usize>, usize)> {
        let params = program.params.iter().chain(&program.buffers);
        params.map(|it| (it.spec.name.clone(), it.spec.shape.clone(), it.offset)).collect()
    };
    if layout(program) != layout(reference) {
        refuse("its parameters or buffers are not those of `reference`".to_owned());
    }
    if !is_sound(program) {
        refuse("an instruction, a parameter or a buffer lies outside its memory".to_owned());
    }
    reasons
}

/// Whether everything the program touches is inside its blocks.
fn is_sound(program: &Program) -> bool {
    let fits = |offset: usize, len: usize, whole: usize| {
        offset.checked_add(len).is_some_and(|end| end <= whole)
    };
    let are_placed = |placed: &[PlacedParam], whole: usize| {
        placed.iter().all(|it| fits(it.offset, it.spec.len_elems(), whole))
    };
    let ends = [
        Some(program.input),
        Some(program.output),
        program.input_gradient,
        program.output_gradient,
    ];
    program.regions.iter().all(|it| fits(it.offset, it.elems, program.workspace_elems))
        && are_placed(&program.params, program.params_len_elems)
        && are_placed(&program.buffers, program.buffers_len_elems)
        && program
            .operands()
            .chain(ends.into_iter().flatten())
            .all(|id| (id.0 as usize) < program.regions.len())
}
