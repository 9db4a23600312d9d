//! `[karn]`: what blueprints there are to choose from.

use esper_engine::scenario::{Key, Keys, LOWERCASE, List, Section, Text};

/// The key of `[karn]`.
pub const KARN: Key<Karn> = Key::new();

/// What blueprints there are to choose from.
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

/// Names of bad blueprints.
const ADVERSARY: Text = Text {
    form: "the name of a bad blueprint",
    example: "bad_nan",
    is_one: |text| Karn::ADVERSARIAL.contains(&text),
    all: &Karn::ADVERSARIAL,
};

impl Section for Karn {
    const NAME: &'static str = "karn";

    fn keys(&mut self, keys: &mut impl Keys) {
        let catalogue = List {
            len: 0..=1024,
            item: Text { example: "residual_mlp", ..LOWERCASE },
            is_distinct: true,
        };
        let adversarial =
            List { len: 0..=Self::ADVERSARIAL.len(), item: ADVERSARY, is_distinct: true };
        keys.key("catalogue", &mut self.catalogue, catalogue);
        keys.key("adversarial", &mut self.adversarial, adversarial);
    }
}

impl Default for Karn {
    fn default() -> Self {
        Self { catalogue: vec!["all".to_owned()], adversarial: Vec::new() }
    }
}
