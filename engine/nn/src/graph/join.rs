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
    fossilize_span(host, [site, site], module, join, prefix)
}

/// As [`fossilize`], where the module reads what the first site hands on and is joined before the second.
///
/// Its branch begins at the site it reads, so that its gradient is added there after all of the host's between the two.
///
/// # Errors
///
/// Fails when a site does not exist, the module does not fit their shapes, the second lies before the first, or the
/// module would let positions see later ones.
pub fn fossilize_span(
    host: &NetworkGraph,
    [read, write]: [&str; 2],
    module: &NetworkGraph,
    join: Op,
    prefix: &str,
) -> Result<NetworkGraph, GraphError> {
    let [read, write] = [find_site(host, read)?, find_site(host, write)?];
    if write < read {
        let [read, write] = [read, write].map(|site| host.node(site).name.clone());
        return Err(GraphError::ReadsLater { read, write });
    }
    let ends = [read, write].map(|site| host.node(site).shape.as_slice());
    check_contract(module, ends, host.is_causal())?;

    let mut grown = NetworkGraph::new();
    let mut mapped: Vec<(NodeIndex, NodeIndex)> = Vec::with_capacity(host.len());
    let mut branch = None;
    for (index, node) in host.nodes() {
        let mut inputs = lookup(&mapped, &host.inputs(index));
        if index == write {
            let x = inputs[0];
            let read = match branch {
                Some(branch) => branch,
                None => add_branch(&mut grown, x, module, prefix)?,
            };
            inputs[0] = append_module(&mut grown, [read, x], module, join.clone(), prefix)?;
        }
        let added = grown.add(node.name.clone(), node.op.clone(), &inputs)?;
        mapped.push((index, added));
        if index == read && read != write {
            branch = Some(add_branch(&mut grown, added, module, prefix)?);
        }
    }
    let output = lookup(&mapped, &[host.output()?])[0];
    grown.set_output(output);
    Ok(grown)
}

fn find_site(host: &NetworkGraph, site: &str) -> Result<NodeIndex, GraphError> {
    let known = || {
        let sites = host.nodes().filter(|(_, node)| node.op == Op::Site(Site));
        sites.map(|(_, node)| node.name.clone()).collect::<Vec<_>>().join(", ")
    };
    let target = host.find(site).filter(|index| host.node(*index).op == Op::Site(Site));
    target.ok_or_else(|| GraphError::UnknownSite { site: site.to_owned(), known: known() })
}

/// Whether `module` has one input, maps the shape `input` to `output`, and where `is_causal` lets no position see a later
/// one.
///
/// # Errors
///
/// Says which shape it takes and which it gives, or which node looks ahead.
pub fn check_contract(
    module: &NetworkGraph,
    [input, output]: [&[usize]; 2],
    is_causal: bool,
) -> Result<(), GraphError> {
    let inputs: Vec<_> =
        module.nodes().filter(|(_, node)| matches!(node.op, Op::Input(_))).collect();
    let [(_, x)] = inputs.as_slice() else {
        return Err(GraphError::Inputs { found: inputs.len() });
    };
    let y = module.node(module.output()?);
    if x.shape != input || y.shape != output {
        let [found_input, found_output] = [x.shape.clone(), y.shape.clone()];
        return Err(if input == output {
            GraphError::Contract { input: found_input, output: found_output, site: input.to_vec() }
        } else {
            let (read, write) = (input.to_vec(), output.to_vec());
            GraphError::SpanContract { input: found_input, output: found_output, read, write }
        });
    }
    if !is_causal {
        return Ok(());
    }
    let len = match (input, output) {
        ([before, _], [after, _]) if before == after => *before,
        (read, write) if read != write => {
            let (read, write) = (read.to_vec(), write.to_vec());
            return Err(GraphError::CrossesCausality { read, write });
        }
        _ => return Ok(()),
    };
    let looks_ahead = |node: &Node| !node.op.is_causal() || node.shape[0] != len;
    match module.nodes().find(|(_, node)| looks_ahead(node)) {
        Some((_, node)) => Err(GraphError::NotCausal { node: node.name.clone() }),
        None => Ok(()),
    }
}

/// The module's input: a branch from `x`.
fn add_branch(
    grown: &mut NetworkGraph,
    x: NodeIndex,
    module: &NetworkGraph,
    prefix: &str,
) -> Result<NodeIndex, GraphError> {
    let input = module.nodes().find(|(_, node)| matches!(node.op, Op::Input(_)));
    let (_, input) = input.expect("the contract was checked");
    grown.add(format!("{prefix}{}", input.name), Branch, &[x])
}

/// Adds what the module computes of `read`, and its join with `x`.
fn append_module(
    grown: &mut NetworkGraph,
    [read, x]: [NodeIndex; 2],
    module: &NetworkGraph,
    join: Op,
    prefix: &str,
) -> Result<NodeIndex, GraphError> {
    let mut mapped: Vec<(NodeIndex, NodeIndex)> = Vec::with_capacity(module.len());
    for (index, node) in module.nodes() {
        let name = format!("{prefix}{}", node.name);
        let added = match &node.op {
            Op::Input(_) => read,
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
