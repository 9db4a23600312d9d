//! How parameters are updated: optimizers, learning rates over time, and curves of blends.
//!
//! Names and defaults are those of `torch.optim`.

use serde::{Deserialize, Serialize};

use crate::words;

/// How a network's parameters are updated.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Train {
    /// The update rule. Default `adamw`.
    pub optimizer: Optimizer,
    /// The learning rate over time. Default `constant`.
    pub schedule: Schedule,
    /// Gradients of a larger L2 norm are scaled down to it, above 0 and at most 10^6. Default: no clipping.
    pub clip_norm: Option<f64>,
    /// Share of the run's steps, at its end, over which parameters are averaged, 0 to 1: the mean is the final model where
    /// validation finds it better than what the last step left (Izmailov et al. 2018). Default 0.1.
    pub average_share: f64,
    /// Patterns over the names of the host's parameters that never train (see [`crate::glob`]), those of fossilised
    /// modules among them. It holds from birth on: no later plan of training changes it. Default: every parameter trains.
    pub freeze: Vec<String>,
}

/// An update rule and its constants.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub enum Optimizer {
    /// `sgd`: stochastic gradient descent, as `torch.optim.SGD`.
    Sgd(Sgd),
    /// `adam`: weight decay is added to the gradient, as `torch.optim.Adam`.
    Adam(Adam),
    /// `adamw`: weight decay is apart from the gradient, as `torch.optim.AdamW`.
    AdamW(Adam),
}

/// The constants of stochastic gradient descent; defaults of `torch.optim.SGD`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
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
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
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
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// The course after the warm-up. Default `constant`.
    pub course: Course,
    /// Epochs in which the rate rises linearly from 0, 0 to `run.epochs`. Default 0.
    pub warmup_epochs: f64,
}

/// The course of the learning rate after its warm-up.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
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
    /// Whether it keeps a second moment.
    pub const fn has_second_moment(&self) -> bool {
        !matches!(self, Self::Sgd(_))
    }

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

    /// Sets the base learning rate.
    pub const fn set_lr(&mut self, lr: f64) {
        match self {
            Self::Sgd(sgd) => sgd.lr = lr,
            Self::Adam(adam) | Self::AdamW(adam) => adam.lr = lr,
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

words! {
    /// How a blend rises from 0 to its target.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    Curve {
        /// Evenly.
        Linear = "linear",
        /// `(1 - cos(pi t)) / 2`.
        Cosine = "cosine",
        /// A logistic curve, scaled to start at 0 and end at 1.
        Sigmoid = "sigmoid",
        /// Up and back to 0, `4 t (1 - t)`: a control. What it leaves behind is a disturbance, and nothing that is blended
        /// in is ever kept.
        Bump = "bump",
    }
}

impl Default for Train {
    fn default() -> Self {
        let (optimizer, schedule) = (Optimizer::default(), Schedule::default());
        Self { optimizer, schedule, clip_norm: None, average_share: 0.1, freeze: Vec::new() }
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
