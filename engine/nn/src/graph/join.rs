//! Surgery: a module becomes part of its host.

use super::{NetworkGraph, Node, NodeIndex};
use crate::{
    error::GraphError,
    op::{Add, Branch, Op, Site},
};

/// The name of a module's join, after the module's prefix.
pub(super) const JOIN: &str = "join";

/// The host with `module` joined to it before the site `site`, its nodes' names begun with `prefix`.
///
/// `join` is [`Op::Residual`] (`y = fma(alpha, f(x), x)`) or [`Op::Blend`] (`y = (1 - alpha) x + alpha (x + f(x))`).
/// The new nodes compute exactly what the bound seed computed, in the same order, so the host's outputs and
/// gradients keep their bits: the module reads its input through a [`Op::Branch`], whose gradient is summed apart and
/// added once, as a bound seed's is.
///
/// # Errors
///
/// Fails when there is no such site, or the module does not keep its shape.
pub fn fossilize(
    host: &NetworkGraph,
    site: &str,
    module: &NetworkGraph,
    join: Op,
    prefix: &str,
) -> Result<NetworkGraph, GraphError> {
    let known = || {
        let sites = host.nodes().filter(|(_, node)| node.op == Op::Site(Site));
        sites.map(|(_, node)| node.name.clone()).collect::<Vec<_>>().join(", ")
    };
    let target = host.find(site).filter(|index| host.node(*index).op == Op::Site(Site));
    let target =
        target.ok_or_else(|| GraphError::UnknownSite { site: site.to_owned(), known: known() })?;
    check_contract(module, &host.node(target).shape, host.is_causal())?;

    let mut grown = NetworkGraph::new();
    let mut mapped: Vec<(NodeIndex, NodeIndex)> = Vec::with_capacity(host.len());
    for (index, node) in host.nodes() {
        let mut inputs = lookup(&mapped, &host.inputs(index));
        if index == target {
            inputs[0] = append_module(&mut grown, inputs[0], module, join.clone(), prefix)?;
        }
        mapped.push((index, grown.add(node.name.clone(), node.op.clone(), &inputs)?));
    }
    let output = lookup(&mapped, &[host.output()?])[0];
    grown.set_output(output);
    Ok(grown)
}

/// Whether `module` has one input, keeps the shape `site`, and where `is_causal` lets no position see a later one.
///
/// # Errors
///
/// Says which shape it takes and which it gives, or which node looks ahead.
pub fn check_contract(
    module: &NetworkGraph,
    site: &[usize],
    is_causal: bool,
) -> Result<(), GraphError> {
    let inputs: Vec<_> =
        module.nodes().filter(|(_, node)| matches!(node.op, Op::Input(_))).collect();
    let [(_, input)] = inputs.as_slice() else {
        return Err(GraphError::Inputs { found: inputs.len() });
    };
    let output = module.node(module.output()?);
    if input.shape != site || output.shape != site {
        return Err(GraphError::Contract {
            input: input.shape.clone(),
            output: output.shape.clone(),
            site: site.to_vec(),
        });
    }
    if is_causal && let [len, _] = *site {
        let looks_ahead = |node: &Node| !node.op.is_causal() || node.shape[0] != len;
        if let Some((_, node)) = module.nodes().find(|(_, node)| looks_ahead(node)) {
            return Err(GraphError::NotCausal { node: node.name.clone() });
        }
    }
    Ok(())
}

fn append_module(
    grown: &mut NetworkGraph,
    x: NodeIndex,
    module: &NetworkGraph,
    join: Op,
    prefix: &str,
) -> Result<NodeIndex, GraphError> {
    let mut mapped: Vec<(NodeIndex, NodeIndex)> = Vec::with_capacity(module.len());
    for (index, node) in module.nodes() {
        let name = format!("{prefix}{}", node.name);
        let added = match &node.op {
            Op::Input(_) => grown.add(name, Branch, &[x])?,
            op => grown.add(name, op.clone(), &lookup(&mapped, &module.inputs(index)))?,
        };
        mapped.push((index, added));
    }
    let mut f = lookup(&mapped, &[module.output()?])[0];
    if matches!(join, Op::Blend(_)) {
        f = grown.add(format!("{prefix}identity"), Add, &[x, f])?;
    }
    grown.add(format!("{prefix}{JOIN}"), join, &[x, f])
}

pub(super) fn lookup(mapped: &[(NodeIndex, NodeIndex)], wanted: &[NodeIndex]) -> Vec<NodeIndex> {
    wanted
        .iter()
        .map(|index| {
            let place = mapped.binary_search_by_key(index, |(from, _)| *from);
            mapped[place.expect("inputs come before what they feed")].1
        })
        .collect()
}
