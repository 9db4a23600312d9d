//! The ops of a graph file and their settings, named once for reading and for writing.

use esper_kernels::cpu::Activation;

use super::{
    super::{BATCH_NORM_MOMENTUM, ELEMS_MAX, Init, Loss, NORM_EPS, Op, Pool, Shape},
    written::{Content, Table, Value},
};
use crate::word::Word;

/// Kernels, strides and paddings are at most this: far above any real one, and products stay far from overflow.
const EXTENT_MAX: usize = 4_096;

/// Extents a shape has at most.
const RANK_MAX: usize = 3;

/// Visits the settings of an op, to read or to write them.
pub(super) trait Keys {
    /// A setting without a default.
    fn required<S: Setting>(&mut self, key: &'static str, setting: &mut S);

    /// A setting that is `default` where it is left out.
    fn optional<S: Setting>(&mut self, key: &'static str, setting: &mut S, default: S);
}

/// What a key can hold.
pub(super) trait Setting: Clone + PartialEq {
    /// What is right, in words.
    const EXPECTED: &'static str;

    /// The value, if it is one.
    fn read(value: &Value) -> Option<Self>;

    /// The value as TOML on the right of `=`.
    fn write(&self) -> String;
}

/// Every op: what a file calls it, and one of it to put settings into.
macro_rules! ops {
    ($($word:literal: $op:ident = $blank:expr,)+) => {
        /// What a file calls `op`.
        pub(super) fn word(op: &Op) -> &'static str {
            match op { $(Op::$op { .. } => $word),+ }
        }

        /// What a file may call an op.
        pub(super) const WORDS: &[&str] = &[$($word),+];

        /// The op that a file calls `word`, its settings still to be read.
        pub(super) fn blank(word: &str) -> Option<Op> {
            match word { $($word => Some($blank),)+ _ => None }
        }
    };
}

ops! {
    "input": Input = Op::Input { shape: Shape::new() },
    "linear": Linear = Op::linear(0),
    "tied_linear": TiedLinear = Op::TiedLinear { embedding: String::new() },
    "embedding": Embedding = Op::Embedding { vocabulary: 0, width: 0, init: Init::FanIn },
    "positions": Positions = Op::Positions { init: Init::FanIn },
    "patch_embed": PatchEmbed = Op::PatchEmbed { outputs: 0, patch: 0 },
    "attention": Attention = Op::Attention { heads: 0, is_causal: false },
    "bias": Bias = Op::Bias,
    "activation": Activation = Op::Activation(Activation::Relu),
    "layer_norm": LayerNorm = Op::LayerNorm { eps: 0.0, weight: 0.0 },
    "rms_norm": RmsNorm = Op::RmsNorm { eps: 0.0, weight: 0.0 },
    "add": Add = Op::Add,
    "multiply": Multiply = Op::Multiply,
    "residual": Residual = Op::Residual { alpha: 0.0 },
    "blend": Blend = Op::Blend { alpha: 0.0 },
    "scale": Scale = Op::Scale { factor: 0.0 },
    "layer_scale": LayerScale = Op::LayerScale { weight: 0.0 },
    "gate": Gate = Op::Gate,
    "dropout": Dropout = Op::Dropout { p: 0.0 },
    "batch_norm": BatchNorm = Op::BatchNorm { eps: 0.0, momentum: 0.0, weight: 0.0 },
    "group_norm": GroupNorm = Op::GroupNorm { groups: 0, eps: 0.0, weight: 0.0 },
    "conv2d": Conv2d = Op::same_conv2d(0, [0, 0], Init::FanIn),
    "max_pool2d": MaxPool2d = Op::MaxPool2d(Pool::square(0, 0)),
    "avg_pool2d": AvgPool2d = Op::AvgPool2d(Pool::square(0, 0)),
    "global_avg_pool": GlobalAvgPool = Op::GlobalAvgPool,
    "mean_positions": MeanPositions = Op::MeanPositions,
    "channel_multiply": ChannelMultiply = Op::ChannelMultiply,
    "concat": Concat = Op::Concat,
    "flatten": Flatten = Op::Flatten,
    "reshape": Reshape = Op::Reshape { shape: Shape::new() },
    "fork": Branch = Op::Branch,
    "site": Site = Op::Site,
    "loss": Loss = Op::Loss(Loss::CrossEntropy),
}

/// Visits every setting of `op`.
pub(super) fn visit(op: &mut Op, keys: &mut impl Keys) {
    match op {
        Op::Input { shape } | Op::Reshape { shape } => keys.required("shape", shape),
        Op::Linear { outputs, bias, init } => {
            keys.required("outputs", outputs);
            keys.optional("bias", bias, true);
            keys.optional("init", init, Init::FanIn);
        }
        Op::TiedLinear { embedding } => keys.required("embedding", embedding),
        Op::Embedding { vocabulary, width, init } => {
            keys.required("vocabulary", vocabulary);
            keys.required("width", width);
            keys.optional("init", init, Init::Normal(1.0));
        }
        Op::Positions { init } => keys.optional("init", init, Init::Normal(0.02)),
        Op::PatchEmbed { outputs, patch } => {
            keys.required("outputs", outputs);
            keys.required("patch", patch);
        }
        Op::Attention { heads, is_causal } => {
            keys.required("heads", heads);
            keys.optional("causal", is_causal, false);
        }
        Op::Activation(kind) => keys.required("kind", kind),
        Op::Residual { alpha } | Op::Blend { alpha } => keys.required("alpha", alpha),
        Op::Scale { factor } => keys.required("factor", factor),
        Op::LayerScale { weight } => keys.required("weight", weight),
        Op::Dropout { p } => keys.optional("p", p, 0.5),
        Op::LayerNorm { eps, weight } | Op::RmsNorm { eps, weight } => {
            visit_norm(eps, weight, keys)
        }
        Op::BatchNorm { eps, momentum, weight } => {
            visit_norm(eps, weight, keys);
            keys.optional("momentum", momentum, BATCH_NORM_MOMENTUM);
        }
        Op::GroupNorm { groups, eps, weight } => {
            keys.required("groups", groups);
            visit_norm(eps, weight, keys);
        }
        Op::Conv2d { outputs, kernel, stride, padding, groups, bias, init } => {
            keys.required("outputs", outputs);
            keys.required("kernel", kernel);
            keys.optional("stride", stride, [1, 1]);
            keys.optional("padding", padding, [0, 0]);
            keys.optional("groups", groups, 1);
            keys.optional("bias", bias, true);
            keys.optional("init", init, Init::FanIn);
        }
        Op::MaxPool2d(pool) | Op::AvgPool2d(pool) => {
            keys.required("kernel", &mut pool.kernel);
            keys.optional("stride", &mut pool.stride, pool.kernel);
            keys.optional("padding", &mut pool.padding, [0, 0]);
        }
        Op::Loss(kind) => keys.required("kind", kind),
        Op::Bias
        | Op::Gate
        | Op::Add
        | Op::Multiply
        | Op::GlobalAvgPool
        | Op::MeanPositions
        | Op::ChannelMultiply
        | Op::Concat
        | Op::Flatten
        | Op::Branch
        | Op::Site => {}
    }
}

fn visit_norm(eps: &mut f32, weight: &mut f32, keys: &mut impl Keys) {
    keys.optional("eps", eps, NORM_EPS);
    keys.optional("weight", weight, 1.0);
}

impl Setting for usize {
    const EXPECTED: &'static str = "a whole number, at most 16,777,216";

    fn read(value: &Value) -> Option<Self> {
        let Content::Integer(number) = value.content else { return None };
        Self::try_from(number).ok().filter(|number| *number <= ELEMS_MAX)
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Setting for [usize; 2] {
    const EXPECTED: &'static str = "a whole number or a pair [vertical, horizontal], at most 4,096";

    fn read(value: &Value) -> Option<Self> {
        let pair = match &value.content {
            Content::List(items) => match items.as_slice() {
                [vertical, horizontal] => [usize::read(vertical)?, usize::read(horizontal)?],
                _ => return None,
            },
            _ => [usize::read(value)?; 2],
        };
        pair.iter().all(|extent| *extent <= EXTENT_MAX).then_some(pair)
    }

    fn write(&self) -> String {
        let [vertical, horizontal] = self;
        if vertical == horizontal { vertical.to_string() } else { format!("{self:?}") }
    }
}

impl Setting for Shape {
    const EXPECTED: &'static str = "a list of one to three whole numbers, at most 16,777,216";

    fn read(value: &Value) -> Option<Self> {
        let Content::List(items) = &value.content else { return None };
        let is_shape = (1..=RANK_MAX).contains(&items.len());
        is_shape.then(|| items.iter().map(usize::read).collect())?
    }

    fn write(&self) -> String {
        format!("{self:?}")
    }
}

impl Setting for f32 {
    const EXPECTED: &'static str = "a number";

    fn read(value: &Value) -> Option<Self> {
        let number = match value.content {
            Content::Integer(number) => number as Self,
            Content::Real(number) => number as Self,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    /// The fewest digits that give the same bits back.
    fn write(&self) -> String {
        let short = format!("{self:?}");
        let back = short.parse::<f64>().map(|number| number as Self);
        if back == Ok(*self) { short } else { format!("{:?}", f64::from(*self)) }
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(value: &Value) -> Option<Self> {
        if let Content::Flag(flag) = value.content { Some(flag) } else { None }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a string";

    fn read(value: &Value) -> Option<Self> {
        if let Content::Text(text) = &value.content { Some(text.clone()) } else { None }
    }

    fn write(&self) -> String {
        toml::Value::from(self.as_str()).to_string()
    }
}

impl Setting for Init {
    const EXPECTED: &'static str =
        "\"fan_in\", { normal = 0.02 }, { uniform = 0.1 } or { constant = 0 }";

    fn read(value: &Value) -> Option<Self> {
        match &value.content {
            Content::Text(text) => (text == "fan_in").then_some(Self::FanIn),
            Content::Table(table) => read_init(table),
            _ => None,
        }
    }

    fn write(&self) -> String {
        match self {
            Self::FanIn => "\"fan_in\"".to_owned(),
            Self::Normal(deviation) => format!("{{ normal = {} }}", deviation.write()),
            Self::Uniform(bound) => format!("{{ uniform = {} }}", bound.write()),
            Self::Constant(value) => format!("{{ constant = {} }}", value.write()),
        }
    }
}

fn read_init(table: &Table) -> Option<Init> {
    let mut entries = table.iter();
    let ((key, value), None) = (entries.next()?, entries.next()) else { return None };
    let number = f32::read(value)?;
    match key.as_str() {
        "normal" if 0.0 <= number => Some(Init::Normal(number)),
        "uniform" if 0.0 <= number => Some(Init::Uniform(number)),
        "constant" => Some(Init::Constant(number)),
        _ => None,
    }
}

impl Setting for Activation {
    const EXPECTED: &'static str =
        "\"relu\", \"gelu\", \"gelu_tanh\", \"silu\", \"tanh\" or \"sigmoid\"";

    fn read(value: &Value) -> Option<Self> {
        read_word(value, <Self as Word>::ALL, Word::word)
    }

    fn write(&self) -> String {
        self.word().to_owned().write()
    }
}

impl Setting for Loss {
    const EXPECTED: &'static str = "\"cross_entropy\" or \"mean_squared_error\"";

    fn read(value: &Value) -> Option<Self> {
        read_word(value, &[Self::CrossEntropy, Self::MeanSquaredError], loss_word)
    }

    fn write(&self) -> String {
        loss_word(*self).to_owned().write()
    }
}

const fn loss_word(loss: Loss) -> &'static str {
    match loss {
        Loss::CrossEntropy => "cross_entropy",
        Loss::MeanSquaredError => "mean_squared_error",
    }
}

fn read_word<T: Copy>(value: &Value, all: &[T], word: fn(T) -> &'static str) -> Option<T> {
    let Content::Text(text) = &value.content else { return None };
    all.iter().copied().find(|it| word(*it) == text)
}
