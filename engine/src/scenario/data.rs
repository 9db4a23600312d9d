//! `[data]`: what is learned, and what is held out.

use esper_data::{Augment, DataConfig, TEXT_SHARE};

use super::{
    keys::{Given, Keys, Section},
    run::SEED_MAX,
    value::{Interval, Text},
};

/// Names and paths of some length, without control characters.
pub(super) const PATH: Text = Text {
    form: "1 to 4096 bytes without control characters",
    example: "digits",
    is_one: |text| (1..=4096).contains(&text.len()) && !text.contains(char::is_control),
    all: &[],
};

impl Section for DataConfig {
    fn keys(&mut self, keys: &mut impl Keys) {
        let share = Interval::above(0.0).below(1.0);
        keys.required("source", &mut self.source, PATH);
        let is_text = self.is_text();
        if !is_text {
            keys.key("task", &mut self.task, ());
            keys.key("label", &mut self.label, Text { example: "class", ..PATH });
        }
        keys.key("batch", &mut self.batch, 1..=65_536);
        for (name, slot) in
            [("validation_share", &mut self.validation_share), ("test_share", &mut self.test_share)]
        {
            if keys.key(name, slot, share) == Given::No && is_text {
                *slot = TEXT_SHARE;
            }
        }
        if is_text {
            keys.key("context", &mut self.context, 1..=65_536);
            keys.key("tokens", &mut self.tokens, ());
        } else {
            keys.key("split_seed", &mut self.split_seed, 0..=SEED_MAX);
            keys.key("standardize", &mut self.standardize, ());
            keys.key("augment", &mut self.augment, ());
        }
    }

    fn kinds() -> Vec<(&'static str, Self)> {
        let text = Self { source: "hamlet".to_owned(), ..Self::default() };
        vec![
            ("texts (`hamlet` or a .txt file)", text),
            ("sources of examples, such as `digits`", Self::default()),
        ]
    }
}

impl Section for Augment {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("flip", &mut self.flip, ());
        keys.key("crop_padding", &mut self.crop_padding, 0..=64);
        keys.key("cutout", &mut self.cutout, 0..=1024);
    }
}
