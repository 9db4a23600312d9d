//! Enums that a scenario writes as one word.

use esper_nn::suggest::{clip, did_you_mean};

use super::{
    file::{Content, Findings, Node},
    value::refuse_type,
};

/// An enum whose variants are each written as one word.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Every variant, in the order messages list them.
    const ALL: &'static [Self];
    /// Words that a later version will know.
    const LATER: &'static [&'static str];

    /// The word, as a scenario writes it.
    fn word(self) -> &'static str;
}

/// Declares an enum and the word of each variant, so that the two can not drift apart.
macro_rules! words {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? }
        $(later $($later:literal),+)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $name {
            /// Every variant, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word a scenario writes for it.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl $crate::scenario::word::Word for $name {
            const ALL: &'static [Self] = Self::ALL;
            const LATER: &'static [&'static str] = &[$($($later),+)?];

            fn word(self) -> &'static str {
                self.word()
            }
        }

        impl $crate::scenario::value::Value for $name {
            type Rule = ();

            fn read(
                &mut self,
                node: &$crate::scenario::file::Node,
                _key_origin: &$crate::scenario::file::Origin,
                (): &(),
                help: &str,
                found: &mut $crate::scenario::file::Findings<'_>,
            ) -> bool {
                let read = $crate::scenario::word::read_word(node, help, found);
                *self = read.unwrap_or(*self);
                read.is_some()
            }

            fn write(&self) -> Option<String> {
                Some(format!("\"{self}\""))
            }

            fn example((): &()) -> String {
                format!("\"{}\"", Self::ALL[0])
            }
        }
    };
}

pub(super) use words;

/// The variant whose word `node` is.
pub(super) fn read_word<W: Word>(node: &Node, help: &str, found: &mut Findings<'_>) -> Option<W> {
    let Content::Text(text) = &node.content else {
        refuse_type(node, "a string", help, found);
        return None;
    };
    let variant = W::ALL.iter().copied().find(|it| it.word() == text);
    if variant.is_none() {
        let known: Vec<&str> = W::ALL.iter().map(|it| it.word()).collect();
        let (message, help) = if W::LATER.iter().any(|it| text.starts_with(it)) {
            let message = format!("\"{}\" is not in this version", clip(text));
            (message, format!("this version has `{}`", known.join("`, `")))
        } else {
            let message = format!("there is no \"{}\"", clip(text));
            (message, did_you_mean(text, "known", &known))
        };
        found.refuse(&node.path, &node.origin, message, help);
    }
    variant
}
