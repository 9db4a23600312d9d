//! `[karn]`, `[tezzeret]`, `[urabrask]`, `[urza]`: the innovation line.

use crate::forge::Mode;

use super::{
    data::PATH,
    keys::{Keys, Section},
    value::{Interval, List, Text},
};

/// What blueprints there are to choose from (DESIGN §8).
#[derive(Clone, Debug, PartialEq)]
pub struct Karn {
    /// Names of blueprints, at most 1024; `all` stands for every family but the controls.
    /// Default `["all"]`. Names are looked up when the catalogue is built.
    pub catalogue: Vec<String>,
    /// Bad blueprints added to the catalogue, none of which may pass validation: any of
    /// [`Karn::ADVERSARIAL`]. Default: none.
    pub adversarial: Vec<String>,
}

impl Karn {
    /// The bad blueprints there are; `bad_lookahead` at causal sites alone.
    pub const ADVERSARIAL: [&'static str; 7] = [
        "bad_nan",
        "bad_exploding",
        "bad_shape",
        "bad_dead",
        "bad_memory",
        "bad_slow",
        "bad_lookahead",
    ];
}

/// How blueprints are compiled off the training thread (DESIGN §7).
#[derive(Clone, Debug, PartialEq)]
pub struct Tezzeret {
    /// When finished work enters the world. Default `strict`.
    pub mode: Mode,
    /// Compiler threads, 1 to 64. Default 1.
    pub n_workers: usize,
    /// Jobs out at once, 1 to 65,536. Default 64.
    pub queue_max: usize,
    /// Ticks from sending a job to admitting it in `strict`, 1 to 1,000,000. Default 4.
    pub latency_ticks: u64,
    /// Time after which a job counts as failed, 1 to 3,600,000 ms. Default 60,000.
    pub timeout_ms: u64,
}

/// How kernels are validated, and what is refused (DESIGN §8).
#[derive(Clone, Debug, PartialEq)]
pub struct Urabrask {
    /// Validator threads, 1 to 64. Default 1.
    pub n_workers: usize,
    /// Ticks from sending a kernel to its verdict in `strict`, 1 to 1,000,000. Default 4.
    pub latency_ticks: u64,
    /// Timed repeats of each variant, interleaved, of which the median counts, 3 to 10,000.
    /// Default 15.
    pub bench_repeats: usize,
    /// Slowest forward and backward pass of a batch, 1 to 60,000,000 us. Default 1,000,000: a guard
    /// against what is far too slow; attention at a site of 128 x 128 takes 150,000 on a busy machine.
    pub latency_max_us: u64,
    /// Largest memory of a batch, 1 byte to 1 TiB. Default 64 MiB.
    pub memory_max_bytes: u64,
    /// Most floating-point operations of an example, forward and backward, 1 to 10^15.
    /// Default 10^8.
    pub flops_max: u64,
    /// Most a module may grow the norm of a gradient that passes through it, above 1 and at most
    /// 10^9. Default 100.
    pub grad_growth_max: f64,
}

/// Where blueprints and kernels are kept (DESIGN §8).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Urza {
    /// A library shared between runs; a relative path starts at the working directory. Default:
    /// `library.redb` in the run's own folder.
    pub path: Option<String>,
}

/// Names of blueprints; which there are is known when the catalogue is built.
pub(super) const BLUEPRINT: Text = Text {
    form: "1 to 64 lowercase letters, digits and `_`",
    example: "residual_mlp",
    is_one: |text| {
        let is_allowed = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_';
        (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
    },
    all: &[],
};

/// Names of bad blueprints.
const ADVERSARY: Text = Text {
    form: "the name of a bad blueprint",
    example: "bad_nan",
    is_one: |text| Karn::ADVERSARIAL.contains(&text),
    all: &Karn::ADVERSARIAL,
};

impl Section for Karn {
    fn keys(&mut self, keys: &mut impl Keys) {
        let catalogue = List { len: 0..=1024, item: BLUEPRINT, is_distinct: true };
        let adversarial =
            List { len: 0..=Self::ADVERSARIAL.len(), item: ADVERSARY, is_distinct: true };
        keys.key("catalogue", &mut self.catalogue, catalogue);
        keys.key("adversarial", &mut self.adversarial, adversarial);
    }
}

impl Section for Tezzeret {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("mode", &mut self.mode, ());
        keys.key("n_workers", &mut self.n_workers, 1..=64);
        keys.key("queue_max", &mut self.queue_max, 1..=65_536);
        keys.key("latency_ticks", &mut self.latency_ticks, 1..=1_000_000);
        keys.key("timeout_ms", &mut self.timeout_ms, 1..=3_600_000);
    }
}

impl Section for Urabrask {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("n_workers", &mut self.n_workers, 1..=64);
        keys.key("latency_ticks", &mut self.latency_ticks, 1..=1_000_000);
        keys.key("bench_repeats", &mut self.bench_repeats, 3..=10_000);
        keys.key("latency_max_us", &mut self.latency_max_us, 1..=60_000_000);
        keys.key("memory_max_bytes", &mut self.memory_max_bytes, 1..=1 << 40);
        keys.key("flops_max", &mut self.flops_max, 1..=10_u64.pow(15));
        keys.key("grad_growth_max", &mut self.grad_growth_max, Interval::above(1.0).to(1e9));
    }
}

impl Section for Urza {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("path", &mut self.path, Text { example: "library.redb", ..PATH });
    }
}

impl Default for Karn {
    fn default() -> Self {
        Self { catalogue: vec!["all".to_owned()], adversarial: Vec::new() }
    }
}

impl Default for Tezzeret {
    fn default() -> Self {
        Self {
            mode: Mode::Strict,
            n_workers: 1,
            queue_max: 64,
            latency_ticks: 4,
            timeout_ms: 60_000,
        }
    }
}

impl Default for Urabrask {
    fn default() -> Self {
        Self {
            n_workers: 1,
            latency_ticks: 4,
            bench_repeats: 15,
            latency_max_us: 1_000_000,
            memory_max_bytes: 64 << 20,
            flops_max: 100_000_000,
            grad_growth_max: 100.0,
        }
    }
}
