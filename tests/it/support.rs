//! Short runs that the tests share: one of each family of hosts.

use esper::{
    data::Augment,
    prelude::*,
    scenario::{Adam, Cnn, Host, Network, Optimizer, Standardize, Transformer},
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

/// A run of a few hundred steps in which seeds germinate, graft and are judged, some kept and some culled: with the seed
/// that it has.
pub fn brief_of(family: Family) -> Scenario {
    let mut scenario = brief_life();
    let (host, sites, catalogue) = match family {
        Family::Mlp => (
            Host::mlp([64, 6, 10]),
            vec!["input", "hidden0", "logits"],
            vec!["residual_mlp", "squeeze_excite", "norm", "widen_100"],
        ),
        Family::Cnn => {
            (scenario[RUN].epochs, scenario[RUN].seed) = (8, 2);
            scenario[DATA].standardize = Standardize::PerChannel;
            scenario[DATA].augment = Augment { crop_padding: 1, ..Augment::default() };
            let cnn = Cnn { channels: vec![3, 4], dropout: 0.1, ..Cnn::default() };
            (
                Host::new(Network::Cnn(cnn)),
                vec!["stage1.out", "stage2.out"],
                vec!["conv3x3", "depthwise_separable", "squeeze_excite", "norm"],
            )
        }
        Family::Transformer => {
            scenario[RUN].seed = 9;
            scenario[DATA].source = "hamlet".to_owned();
            // An epoch is 34 batches, and what is left for the test is read once.
            scenario[DATA].context = 16;
            scenario[DATA].batch = 32;
            scenario[DATA].validation_share = 0.08;
            scenario[DATA].test_share = 0.82;
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
                vec!["block0.attn", "block1.out"],
                vec!["residual_mlp", "attention", "low_rank", "norm"],
            )
        }
    };
    keep_what_gains(&mut scenario);
    scenario[HOST] = host;
    scenario[HOST].sites = sites.into_iter().map(str::to_owned).collect();
    scenario[KARN].catalogue = catalogue.into_iter().map(str::to_owned).collect();
    scenario
}

/// Makes any gain enough, so that runs this short keep something.
pub fn keep_what_gains(scenario: &mut Scenario) {
    let kasmina = &mut scenario[KASMINA];
    (kasmina.error_rate, kasmina.delta) = (0.5, 0.0);
    kasmina.verdict_max_steps = kasmina.verdict_after_steps;
}

/// What the three have in common: every part of a seed's life is short.
fn brief_life() -> Scenario {
    let mut scenario = scenario::defaults();
    scenario[RUN].name = "brief".to_owned();
    scenario[RUN].epochs = 14;
    scenario[RUN].steps_per_tick = 4;
    scenario[RUN].threads = 1;
    scenario[DATA].source = "digits".to_owned();
    scenario[DATA].batch = 64;
    scenario[TRAIN].optimizer = Optimizer::AdamW(Adam { lr: 1e-2, ..Adam::default() });
    scenario[KASMINA].train_min_steps = 60;
    scenario[KASMINA].train_max_steps = 120;
    scenario[KASMINA].graft_steps = 20;
    scenario[KASMINA].stabilize_steps = 10;
    scenario[KASMINA].verdict_after_steps = 50;
    scenario[KASMINA].verdict_extend_steps = 40;
    scenario[KASMINA].verdict_max_steps = 130;
    scenario[KASMINA].fine_tune_steps = 40;
    scenario[TAMIYO].germinate_share = 0.1;
    scenario[TAMIYO].germinate_until_share = 0.6;
    scenario[TEZZERET].latency_ticks = 3;
    scenario[URABRASK].latency_ticks = 3;
    scenario[URABRASK].bench_repeats = 3;
    scenario
}

/// Runs `scenario` to its end.
pub fn run(scenario: &Scenario) -> Summary {
    Run::start(scenario.clone()).expect("it begins").finish().expect("it ends")
}

/// Weights and journal: everything two equal runs share.
pub fn bits(summary: &Summary) -> (String, String) {
    (summary.weights_digest.to_string(), format!("{:?}", summary.audit_head))
}

/// Parameters, running statistics, moments and cursor: everything that decides what a host does next. Masks of
/// dropout and varied images are drawn from the cursor.
pub fn state_digest(host: &HostRuntime) -> Digest {
    let state = &host.state;
    let [params, buffers] = host.weights();
    let [m, v] = host.moments();
    Digest::of_value(&(
        [params, buffers, m, v].map(|block| Digest::of_f32(&block)),
        state.step,
        state.epoch,
        state.position,
        state.groups.clone(),
    ))
}
