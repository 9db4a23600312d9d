//! `[train]`: the optimizer and its learning rate over time.

use esper_nn::optim::{Adam, Course, CourseKind, Optimizer, OptimizerKind, Schedule, Sgd, Train};

use super::{
    keys::{Keys, Table},
    rules::Rules,
    section::{Key, Section},
    value::{Interval, List, Text},
};

/// Learning rates.
const LR: Interval = Interval::above(0.0).to(1000.0);
/// Weight decays.
const DECAY: Interval = Interval::from(0.0).to(100.0);
/// Shares that are kept from step to step.
const KEPT: Interval = Interval::from(0.0).below(1.0);

/// Patterns over the names of parameters; which there are is known when the network is.
pub const NAMES: List<Text> = List {
    len: 0..=256,
    item: Text {
        form: "a pattern of 1 to 256 characters, in which `*` stands for any and `?` for one",
        example: "blocks.*",
        is_one: |text| (1..=256).contains(&text.len()) && !text.contains(char::is_control),
        all: &[],
    },
    is_distinct: true,
};

/// The key of `[train]`.
pub const TRAIN: Key<Train> = Key::new();

impl Section for Train {
    const NAME: &'static str = "train";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("optimizer", &mut self.optimizer, ());
        keys.key("schedule", &mut self.schedule, ());
        keys.key("average_share", &mut self.average_share, Interval::from(0.0).to(1.0));
        keys.key("clip_norm", &mut self.clip_norm, Interval::above(0.0).to(1e6));
        keys.key("freeze", &mut self.freeze, NAMES);
    }

    fn check(&self, rules: &mut Rules<'_, '_>) {
        if let Optimizer::Sgd(sgd) = &self.optimizer {
            rules.hold(
                !sgd.nesterov || (0.0 < sgd.momentum && sgd.dampening == 0.0),
                &[
                    "train.optimizer.nesterov",
                    "train.optimizer.momentum",
                    "train.optimizer.dampening",
                ],
                "needs `momentum` above 0 and no `dampening`".to_owned(),
                "for example `momentum = 0.9`",
            );
        }
        if let Course::Cosine { min_lr } = self.schedule.course {
            let lr = self.optimizer.lr();
            rules.hold(
                min_lr <= lr,
                &["train.schedule.min_lr", "train.optimizer"],
                format!("must be at most the optimizer's `lr` ({lr}), is {min_lr}"),
                "for example `min_lr = 0.0`",
            );
        }
    }
}

impl Table for Optimizer {
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

impl Table for Sgd {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("lr", &mut self.lr, LR);
        keys.key("momentum", &mut self.momentum, KEPT);
        keys.key("dampening", &mut self.dampening, Interval::from(0.0).to(1.0));
        keys.key("nesterov", &mut self.nesterov, ());
        keys.key("weight_decay", &mut self.weight_decay, DECAY);
    }
}

impl Table for Adam {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("lr", &mut self.lr, LR);
        keys.key("beta1", &mut self.beta1, KEPT);
        keys.key("beta2", &mut self.beta2, KEPT);
        keys.key("eps", &mut self.eps, Interval::above(0.0).to(1.0));
        keys.key("weight_decay", &mut self.weight_decay, DECAY);
    }
}

impl Table for Schedule {
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
