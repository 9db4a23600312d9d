//! Short runs that the tests share: one of each family of hosts.

use esper::{
    engine::{
        data::Augment,
        scenario::{Adam, Cnn, Host, Network, Optimizer, Standardize, Transformer},
    },
    prelude::*,
};
use esper_nn::digest::Digest;

/// What people train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Linear layers over 8x8 digits.
    Mlp,
    /// Convolutions with batch norm, dropout and augmentation over the same digits.
    Cnn,
    /// Causal self-attention with dropout over the letters of Hamlet.
    Transformer,
}

impl Family {
    pub const ALL: [Self; 3] = [Self::Mlp, Self::Cnn, Self::Transformer];

    /// A blueprint that learns something at the second site of [`brief_of`].
    pub const fn useful_blueprint(self) -> &'static str {
        match self {
            Self::Cnn => "conv3x3",
            Self::Mlp | Self::Transformer => "residual_mlp",
        }
    }
}

/// [`brief_of`] a perceptron.
pub fn brief() -> Scenario {
    brief_of(Family::Mlp)
}

/// A run of a few hundred steps in which seeds germinate, graft and are judged, some kept and some culled.
pub fn brief_of(family: Family) -> Scenario {
    let mut scenario = brief_life();
    let (host, sites, catalogue) = match family {
        Family::Mlp => (
            Host::mlp([64, 6, 10]),
            ["input", "hidden0"],
            ["residual_mlp", "low_rank", "squeeze_excite", "norm"],
        ),
        Family::Cnn => {
            scenario.run.epochs = 8;
            scenario.kasmina.confidence = KEEPING;
            scenario.data.standardize = Standardize::PerChannel;
            scenario.data.augment = Augment { crop_padding: 1, ..Augment::default() };
            let cnn = Cnn { channels: vec![3, 4], dropout: 0.1, ..Cnn::default() };
            (
                Host::new(Network::Cnn(cnn)),
                ["stage1.out", "stage2.out"],
                ["conv3x3", "depthwise_separable", "squeeze_excite", "norm"],
            )
        }
        Family::Transformer => {
            scenario.kasmina.confidence = KEEPING;
            scenario.data.source = "hamlet".to_owned();
            // An epoch is 34 batches, and what is left for the test is read once.
            scenario.data.context = 16;
            scenario.data.batch = 32;
            scenario.data.validation_share = 0.04;
            scenario.data.test_share = 0.86;
            let transformer = Transformer {
                layers: 2,
                width: 12,
                heads: 2,
                mlp_width: 16,
                dropout: 0.1,
                ..Transformer::default()
            };
            (
                Host::new(Network::Transformer(transformer)),
                ["block0.attn", "block1.out"],
                ["residual_mlp", "attention", "low_rank", "norm"],
            )
        }
    };
    scenario.host = host;
    scenario.host.sites = sites.map(str::to_owned).to_vec();
    scenario.karn.catalogue = catalogue.map(str::to_owned).to_vec();
    scenario
}

/// Confidence at which a run this short keeps a seed of its convolutions or its attention.
const KEEPING: f64 = 0.8;

/// What the three have in common: every part of a seed's life is short.
fn brief_life() -> Scenario {
    let mut scenario = Scenario::default();
    scenario.run.name = "brief".to_owned();
    scenario.run.epochs = 14;
    scenario.run.steps_per_tick = 4;
    scenario.run.threads = 1;
    scenario.data.source = "digits".to_owned();
    scenario.data.batch = 64;
    scenario.train.optimizer = Optimizer::AdamW(Adam { lr: 1e-2, ..Adam::default() });
    scenario.kasmina.train_min_steps = 60;
    scenario.kasmina.train_max_steps = 120;
    scenario.kasmina.graft_steps = 20;
    scenario.kasmina.stabilize_steps = 10;
    scenario.kasmina.verdict_after_steps = 50;
    scenario.kasmina.verdict_extend_steps = 40;
    scenario.kasmina.verdict_max_steps = 130;
    scenario.kasmina.fine_tune_steps = 40;
    scenario.tamiyo.germinate_share = 0.1;
    scenario.tamiyo.germinate_until_share = 0.6;
    scenario.tezzeret.latency_ticks = 3;
    scenario.urabrask.latency_ticks = 3;
    scenario.urabrask.bench_repeats = 3;
    scenario
}

/// Runs `scenario` to its end.
pub fn run(scenario: &Scenario) -> Summary {
    Run::start(scenario.clone()).expect("it begins").finish().expect("it ends")
}

/// Weights and journal: everything two equal runs share.
pub fn bits(summary: &Summary) -> (String, String) {
    (summary.weights_digest.to_string(), summary.audit_head.to_string())
}

/// Parameters, running statistics, moments and cursor: everything that decides what a host does next. Masks of
/// dropout and varied images are drawn from the cursor.
pub fn state_digest(host: &HostRuntime) -> Digest {
    let state = &host.state;
    let numbers = [&state.params, &state.buffers, &state.m, &state.v];
    Digest::of_value(&(
        numbers.map(|block| Digest::of_f32(block)),
        state.step,
        state.epoch,
        state.position,
        state.groups.clone(),
    ))
}
