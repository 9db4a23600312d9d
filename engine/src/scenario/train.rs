//! `[train]`: the optimizer and its learning rate over time.

use super::{
    keys::{Keys, Section},
    value::Interval,
    word::words,
};

/// How a host's parameters are updated. Names and defaults are those of `torch.optim`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Train {
    /// The update rule. Default `adamw`.
    pub optimizer: Optimizer,
    /// The learning rate over time. Default `constant`.
    pub schedule: Schedule,
    /// Gradients of a larger L2 norm are scaled down to it, above 0 and at most 10^6. Default: no clipping.
    pub clip_norm: Option<f64>,
}

/// An update rule and its constants.
#[derive(Clone, Debug, PartialEq)]
pub enum Optimizer {
    /// `sgd`: stochastic gradient descent, as `torch.optim.SGD`.
    Sgd(Sgd),
    /// `adam`: weight decay is added to the gradient, as `torch.optim.Adam`.
    Adam(Adam),
    /// `adamw`: weight decay is apart from the gradient, as `torch.optim.AdamW`.
    AdamW(Adam),
}

/// The constants of stochastic gradient descent; defaults of `torch.optim.SGD`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate, above 0 and at most 1000. Default 1e-3.
    pub lr: f64,
    /// Share of the last update kept in the next, 0 to below 1. Default 0.
    pub momentum: f64,
    /// Share of the gradient kept out of the momentum, 0 to 1. Default 0.
    pub dampening: f64,
    /// Whether the gradient is taken after the momentum step. Default false; needs `momentum`
    /// above 0 and no `dampening`.
    pub nesterov: bool,
    /// L2 penalty, 0 to 100. Default 0.
    pub weight_decay: f64,
}

/// The constants of Adam and AdamW; defaults of `torch.optim.Adam` and `torch.optim.AdamW`.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate, above 0 and at most 1000. Default 1e-3.
    pub lr: f64,
    /// Decay of the first moment a step, 0 to below 1. Default 0.9.
    pub beta1: f64,
    /// Decay of the second moment a step, 0 to below 1. Default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment, above 0 and at most 1. Default 1e-8.
    pub eps: f64,
    /// L2 penalty (`adam`, default 0) or decay a step times `lr` (`adamw`, default 1e-2), 0 to 100.
    pub weight_decay: f64,
}

/// The learning rate over time, as a factor of the optimizer's `lr`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// The course after the warm-up. Default `constant`.
    pub course: Course,
    /// Epochs in which the rate rises linearly from 0, 0 to `run.epochs`. Default 0.
    pub warmup_epochs: f64,
}

/// The course of the learning rate after its warm-up.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Course {
    /// `constant`: no change.
    #[default]
    Constant,
    /// `step`: times `gamma` every `step_epochs`.
    Step {
        /// Epochs from one drop to the next, above 0 and at most 1,000,000. Required.
        step_epochs: f64,
        /// Factor of each drop, above 0 and at most 1. Default 0.1.
        gamma: f64,
    },
    /// `cosine`: down to `min_lr` at the end of the run along half a cosine (Loshchilov and
    /// Hutter 2017, SGDR, eq. 5, one cycle).
    Cosine {
        /// The rate at the end, 0 to the optimizer's `lr`. Default 0.
        min_lr: f64,
    },
}

impl Optimizer {
    /// The rule of that kind with its default constants.
    pub fn of(kind: OptimizerKind) -> Self {
        match kind {
            OptimizerKind::Sgd => Self::Sgd(Sgd::default()),
            OptimizerKind::Adam => Self::Adam(Adam::default()),
            OptimizerKind::AdamW => Self::default(),
        }
    }

    /// Which rule it is.
    pub const fn kind(&self) -> OptimizerKind {
        match self {
            Self::Sgd(_) => OptimizerKind::Sgd,
            Self::Adam(_) => OptimizerKind::Adam,
            Self::AdamW(_) => OptimizerKind::AdamW,
        }
    }

    /// The base learning rate.
    pub const fn lr(&self) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.lr,
            Self::Adam(adam) | Self::AdamW(adam) => adam.lr,
        }
    }
}

impl Course {
    /// The course of that kind with its default constants.
    pub const fn of(kind: CourseKind) -> Self {
        match kind {
            CourseKind::Constant => Self::Constant,
            CourseKind::Step => Self::Step { step_epochs: 10.0, gamma: 0.1 },
            CourseKind::Cosine => Self::Cosine { min_lr: 0.0 },
        }
    }

    /// Which course it is.
    pub const fn kind(&self) -> CourseKind {
        match self {
            Self::Constant => CourseKind::Constant,
            Self::Step { .. } => CourseKind::Step,
            Self::Cosine { .. } => CourseKind::Cosine,
        }
    }
}

words! {
    /// The word of an [`Optimizer`].
    OptimizerKind {
        /// [`Optimizer::Sgd`].
        Sgd = "sgd",
        /// [`Optimizer::Adam`].
        Adam = "adam",
        /// [`Optimizer::AdamW`].
        AdamW = "adamw",
    }
}

words! {
    /// The word of a [`Course`].
    CourseKind {
        /// [`Course::Constant`].
        Constant = "constant",
        /// [`Course::Step`].
        Step = "step",
        /// [`Course::Cosine`].
        Cosine = "cosine",
    }
}

/// Learning rates.
const LR: Interval = Interval::above(0.0).to(1000.0);
/// Weight decays.
const DECAY: Interval = Interval::from(0.0).to(100.0);
/// Shares that are kept from step to step.
const KEPT: Interval = Interval::from(0.0).below(1.0);

impl Section for Train {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("optimizer", &mut self.optimizer, ());
        keys.key("schedule", &mut self.schedule, ());
        keys.key("clip_norm", &mut self.clip_norm, Interval::above(0.0).to(1e6));
    }
}

impl Section for Optimizer {
    fn keys(&mut self, keys: &mut impl Keys) {
        let mut kind = self.kind();
        keys.kind("kind", &mut kind);
        if kind != self.kind() {
            *self = Self::of(kind);
        }
        match self {
            Self::Sgd(sgd) => sgd.keys(keys),
            Self::Adam(adam) | Self::AdamW(adam) => adam.keys(keys),
        }
    }

    fn kinds() -> Vec<(&'static str, Self)> {
        vec![
            ("`kind = \"sgd\"`", Self::of(OptimizerKind::Sgd)),
            ("`kind = \"adam\"`", Self::of(OptimizerKind::Adam)),
            ("`kind = \"adamw\"`", Self::of(OptimizerKind::AdamW)),
        ]
    }
}

impl Section for Sgd {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("lr", &mut self.lr, LR);
        keys.key("momentum", &mut self.momentum, KEPT);
        keys.key("dampening", &mut self.dampening, Interval::from(0.0).to(1.0));
        keys.key("nesterov", &mut self.nesterov, ());
        keys.key("weight_decay", &mut self.weight_decay, DECAY);
    }
}

impl Section for Adam {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("lr", &mut self.lr, LR);
        keys.key("beta1", &mut self.beta1, KEPT);
        keys.key("beta2", &mut self.beta2, KEPT);
        keys.key("eps", &mut self.eps, Interval::above(0.0).to(1.0));
        keys.key("weight_decay", &mut self.weight_decay, DECAY);
    }
}

impl Section for Schedule {
    fn keys(&mut self, keys: &mut impl Keys) {
        let mut kind = self.course.kind();
        keys.kind("kind", &mut kind);
        if kind != self.course.kind() {
            self.course = Course::of(kind);
        }
        match &mut self.course {
            Course::Constant => {}
            Course::Step { step_epochs, gamma } => {
                keys.required("step_epochs", step_epochs, Interval::above(0.0).to(1e6));
                keys.key("gamma", gamma, Interval::above(0.0).to(1.0));
            }
            Course::Cosine { min_lr } => {
                keys.key("min_lr", min_lr, Interval::from(0.0).to(1000.0));
            }
        }
        keys.key("warmup_epochs", &mut self.warmup_epochs, Interval::from(0.0).to(1e6));
    }

    fn kinds() -> Vec<(&'static str, Self)> {
        let of = |kind| Self { course: Course::of(kind), warmup_epochs: 0.0 };
        vec![
            ("`kind = \"constant\"`", of(CourseKind::Constant)),
            ("`kind = \"step\"`", of(CourseKind::Step)),
            ("`kind = \"cosine\"`", of(CourseKind::Cosine)),
        ]
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::AdamW(Adam { weight_decay: 1e-2, ..Adam::default() })
    }
}

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 1e-3, momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

impl Default for Adam {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}
