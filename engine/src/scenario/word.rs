//! Enums that a scenario writes as one word.

use esper_nn::{
    module::{Composition, Incubation},
    optim::{CourseKind, Curve, OptimizerKind},
    suggest::{clip, did_you_mean},
    word::Word,
};

use super::{
    file::{Content, Findings, Node},
    value::refuse_type,
};

/// Lets keys hold enums with words that are declared elsewhere.
#[macro_export]
macro_rules! word_values {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::scenario::Value for $name {
            type Rule = ();

            fn read(
                &mut self,
                node: &$crate::scenario::Node,
                _key_origin: &$crate::scenario::Origin,
                (): &(),
                help: &str,
                found: &mut $crate::scenario::Findings<'_>,
            ) -> bool {
                let read = $crate::scenario::read_word(node, help, found);
                *self = read.unwrap_or(*self);
                read.is_some()
            }

            fn content(&self, _path: &str) -> Option<$crate::scenario::Content> {
                let word = $crate::nn::word::Word::word(*self);
                Some($crate::scenario::Content::Text(word.to_owned()))
            }

            fn example((): &()) -> String {
                let first = <Self as $crate::nn::word::Word>::ALL[0];
                format!("\"{}\"", $crate::nn::word::Word::word(first))
            }
        }
    )+};
}

/// Declares an enum with words ([`esper_nn::words`]) that a key can hold.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $name:ident $($rest:tt)*) => {
        $crate::nn::words! { $(#[$meta])* $name $($rest)* }
        $crate::word_values!($name);
    };
}

word_values!(
    Composition,
    CourseKind,
    Curve,
    Incubation,
    OptimizerKind,
    esper_data::Standardize,
    esper_data::Task,
    esper_data::Tokens,
    esper_kernels::cpu::Activation,
    esper_nn::graph::CnnForm,
    esper_nn::graph::NormKind,
);

/// The variant whose word `node` is.
pub fn read_word<W: Word>(node: &Node, help: &str, found: &mut Findings<'_>) -> Option<W> {
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
