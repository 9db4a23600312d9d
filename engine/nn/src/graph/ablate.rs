//! The opposite of surgery: a network without a module that was joined to it.

use serde::{Deserialize, Serialize};

use super::{
    NetworkGraph,
    join::{JOIN, lookup},
};
use crate::{
    error::GraphError,
    op::{Op, Scale},
};

/// What stands at a module's join once the module is ablated.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Ablation {
    /// What the module says is multiplied by zero: `y = (1 - alpha) x` after [`Op::Blend`], `y = x` after [`Op::Residual`].
    GateZero,
    /// The join passes its input on: `y = x`.
    Bypass,
}

/// The host without the module whose nodes' names begin with `prefix`: every other node as it was, in the same order.
///
/// After a bypass, what [`fossilize`](super::fossilize) made of a host is that host again, node for node.
///
/// # Errors
///
/// Fails when no module of that prefix was joined to the host.
pub fn ablate(
    host: &NetworkGraph,
    prefix: &str,
    ablation: Ablation,
) -> Result<NetworkGraph, GraphError> {
    let name = format!("{prefix}{JOIN}");
    let join = host.find(&name).ok_or_else(|| GraphError::NoModule { node: name.clone() })?;
    let mut left = NetworkGraph::new();
    let mut mapped = Vec::with_capacity(host.len());
    for (index, node) in host.nodes() {
        if index != join && node.name.starts_with(prefix) {
            continue;
        }
        let to = match &node.op {
            op if index != join => {
                let inputs = lookup(&mapped, &host.inputs(index));
                left.add(node.name.clone(), op.clone(), &inputs)?
            }
            op => {
                let x = lookup(&mapped, &host.inputs(join)[..1])[0];
                match (op, ablation) {
                    (Op::Blend(blend), Ablation::GateZero) => {
                        let factor = 1.0 - blend.alpha;
                        left.add(name.clone(), Scale { factor }, &[x])?
                    }
                    _ => x,
                }
            }
        };
        mapped.push((index, to));
    }
    left.set_output(lookup(&mapped, &[host.output()?])[0]);
    Ok(left)
}

/// The network whose batch norms keep, as running statistics, those of the last batch alone: to measure batches one by one.
pub fn with_statistics_of_last_batch(network: &NetworkGraph) -> NetworkGraph {
    let mut copy = network.clone();
    for node in copy.nodes.node_weights_mut() {
        if let Op::BatchNorm(norm) = &mut node.op {
            norm.momentum = 1.0;
        }
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::{MlpConfig, fossilize},
        op::{self, Input, Loss},
    };

    fn host() -> NetworkGraph {
        let config = MlpConfig {
            layers: vec![4, 3, 2],
            sites: vec!["input".into(), "hidden0".into()],
            ..MlpConfig::default()
        };
        NetworkGraph::mlp(&config, Loss::CrossEntropy).unwrap()
    }

    fn module(width: usize) -> NetworkGraph {
        let mut module = NetworkGraph::new();
        let x = module.add("x", Input { shape: vec![width] }, &[]).unwrap();
        module.add("map", Op::linear(width), &[x]).unwrap();
        module
    }

    #[test]
    fn a_bypass_takes_out_what_surgery_put_in_in_any_order() {
        let host = host();
        let residual = || Op::Residual(op::Residual { alpha: 0.5 });
        let one = fossilize(&host, "input", &module(4), residual(), "grown.seed1.").unwrap();
        let other = fossilize(&host, "hidden0", &module(3), residual(), "grown.seed10.").unwrap();
        let both = fossilize(&one, "hidden0", &module(3), residual(), "grown.seed10.").unwrap();
        for ablation in [Ablation::Bypass, Ablation::GateZero] {
            assert_eq!(ablate(&one, "grown.seed1.", ablation).unwrap(), host);
            assert_eq!(ablate(&both, "grown.seed10.", ablation).unwrap(), one);
            assert_eq!(ablate(&both, "grown.seed1.", ablation).unwrap(), other);
        }
    }

    #[test]
    fn a_blend_whose_module_says_nothing_scales_its_input() {
        let (host, blend) = (host(), Op::Blend(op::Blend { alpha: 0.25 }));
        let grown = fossilize(&host, "hidden0", &module(3), blend, "grown.seed1.").unwrap();
        let left = ablate(&grown, "grown.seed1.", Ablation::GateZero).unwrap();
        let join = left.find("grown.seed1.join").unwrap();
        assert_eq!(left.node(join).op, Op::Scale(Scale { factor: 0.75 }));
        assert_eq!(left.len(), host.len() + 1);
        assert_eq!(ablate(&grown, "grown.seed1.", Ablation::Bypass).unwrap(), host);
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        let error = ablate(&host(), "grown.seed7.", Ablation::Bypass).unwrap_err().to_string();
        assert!(error.contains("grown.seed7.join"), "{error}");
    }
}
