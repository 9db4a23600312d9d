//! `[data]`: what is learned, and what is held out.

use esper_data::{Augment, DataConfig, TEXT_SHARE};

use super::{
    keys::{Given, Keys, Table},
    rules::Rules,
    section::{Key, Section},
    value::{Interval, List, PATH, SEED_MAX, Text},
};

/// The key of `[data]`.
pub const DATA: Key<DataConfig> = Key::new();

impl Section for DataConfig {
    const NAME: &'static str = "data";

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
            keys.key("shuffle_positions", &mut self.shuffle_positions, 0..=SEED_MAX);
            let classes = List { len: 0..=65_536, item: 0..=65_535, is_distinct: true };
            keys.key("classes", &mut self.classes, classes);
            keys.key("shift", &mut self.shift, 0..=1_000_000);
            keys.key("noise", &mut self.noise, Interval::from(0.0).to(1000.0));
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

    fn check(&self, rules: &mut Rules<'_, '_>) {
        rules.hold(
            self.validation_share + self.test_share < 1.0,
            &["data.validation_share", "data.test_share"],
            format!(
                "must leave something to train on: {} for validation and {} for the test",
                self.validation_share, self.test_share
            ),
            "for example `validation_share = 0.15` and `test_share = 0.15`",
        );
    }
}

impl Table for Augment {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("flip", &mut self.flip, ());
        keys.key("crop_padding", &mut self.crop_padding, 0..=64);
        keys.key("cutout", &mut self.cutout, 0..=1024);
    }
}
