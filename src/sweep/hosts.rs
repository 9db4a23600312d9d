//! Static hosts: wider, deeper and longer trained ones than the scenario's, and what they cost.

use crate::{
    HostPlan, Plan,
    scenario::{
        Cnn, HOST, Host, LIMITS, Mlp, Network, RUN, Scenario, TAMIYO, TRAIN, Transformer,
        TransformerForm,
    },
};
use esper_nn::graph::ImageNorm;

/// No limit: the greatest that a scenario takes.
const PARAMS_MAX: u64 = 10_u64.pow(10);

/// `network` with `width` times its hidden units, channels or features, and `n_more` hidden layers or blocks more; `None`
/// of a network that a file describes, and of a perceptron without hidden layers.
pub(super) fn scaled(network: &Network, width: f64, n_more: u64) -> Option<Network> {
    let n_more = n_more as usize;
    let times = |n: usize, multiple_of: usize| -> usize {
        let n_units = (n as f64 * width / multiple_of as f64).round() as usize;
        (n_units.max(1) * multiple_of).min(65_536 / multiple_of * multiple_of)
    };
    match network {
        Network::Mlp(mlp) => {
            let (first, rest) = mlp.layers.split_first()?;
            let (last, hidden) = rest.split_last()?;
            let mut hidden: Vec<usize> = hidden.iter().map(|n| times(*n, 1)).collect();
            let deepest = *hidden.last()?;
            hidden.extend(std::iter::repeat_n(deepest, n_more));
            let layers = [&[*first], hidden.as_slice(), &[*last]].concat();
            Some(Network::Mlp(Mlp { layers, ..mlp.clone() }))
        }
        Network::Cnn(cnn) => {
            let multiple_of = match cnn.norm {
                ImageNorm::Group { groups } => groups,
                ImageNorm::Batch | ImageNorm::None => 1,
            };
            let channels = cnn.channels.iter().map(|n| times(*n, multiple_of)).collect();
            let blocks = cnn.blocks.iter().map(|n| n + n_more).collect();
            Some(Network::Cnn(Cnn { channels, blocks, ..cnn.clone() }))
        }
        Network::Transformer(it) => Some(Network::Transformer(Transformer {
            width: times(it.width, it.heads),
            mlp_width: times(it.mlp_width, 1),
            layers: it.layers + n_more,
            ..it.clone()
        })),
        Network::Graph(_) => None,
    }
}

/// Makes `scenario` one of `network` that does not grow. The limit on parameters is one on growth: a static host is held to
/// what it costs.
pub(super) fn make_static(scenario: &mut Scenario, network: Network) {
    // Of another size, and so from scratch; nothing of it is frozen.
    scenario[HOST] = Host::new(network);
    scenario[TRAIN].freeze.clear();
    scenario[TAMIYO].policy = "off".to_owned();
    scenario[TAMIYO].timetable.clear();
    scenario[LIMITS].params_max = PARAMS_MAX;
}

/// The kinds of network that may fit data which a host of `network` fits: each of the size it has by default.
pub(super) fn kinds_beside(network: &Network) -> Vec<Network> {
    let (Network::Mlp(_) | Network::Cnn(_)) = network else { return vec![network.clone()] };
    let vit = Transformer { form: TransformerForm::Vit { patch: 2 }, ..Transformer::default() };
    let others = [
        Network::Mlp(match network {
            Network::Mlp(mlp) => mlp.clone(),
            _ => Mlp::default(),
        }),
        Network::Cnn(Cnn::default()),
        Network::Transformer(vit),
    ];
    let is_other = |it: &Network| it.kind() != network.kind();
    [network.clone()].into_iter().chain(others.into_iter().filter(is_other)).collect()
}

/// What a run of static hosts will cost, in FLOPs: its steps, its validation after each epoch, and the last test.
pub(super) fn predicted_flops(plan: &Plan) -> f64 {
    let of = |host: &HostPlan| {
        let epochs = plan.scenario[RUN].epochs as f64;
        let n_trained = epochs * host.data.train.len() as f64;
        let n_seen = epochs * host.data.validation.len() as f64 + host.data.test.len() as f64;
        let flops = n_trained * host.flops_per_example as f64
            + host.total_steps as f64 * host.flops_per_update as f64
            + n_seen * host.flops_forward_per_example as f64;
        flops * host.n_hosts as f64
    };
    plan.hosts.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_host_is_wider_and_deeper_and_fits_the_same_data() {
        let Network::Mlp(mlp) = Host::mlp([64, 8, 10]).network else { unreachable!() };
        let wider = scaled(&Network::Mlp(mlp.clone()), 2.5, 1).unwrap();
        let Network::Mlp(wider) = wider else { panic!("it stays a perceptron") };
        assert_eq!(wider.layers, [64, 20, 20, 10]);
        let least = scaled(&Network::Mlp(mlp), 0.01, 0).unwrap();
        let Network::Mlp(least) = least else { panic!("it stays a perceptron") };
        assert_eq!(least.layers, [64, 1, 10], "a layer keeps a unit");
        assert_eq!(scaled(&Host::mlp([64, 10]).network, 2.0, 0), None);
        let wide = scaled(&Network::Transformer(Transformer::default()), 1.3, 0).unwrap();
        let Network::Transformer(wide) = wide else { panic!("it stays a transformer") };
        assert!(wide.width.is_multiple_of(wide.heads), "heads share the width");
    }
}
