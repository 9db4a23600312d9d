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
macro_rules! word_values {
    ($($name:ty),+ $(,)?) => {$(
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
                Some(format!("\"{}\"", esper_nn::word::Word::word(*self)))
            }

            fn example((): &()) -> String {
                let first = <Self as esper_nn::word::Word>::ALL[0];
                format!("\"{}\"", esper_nn::word::Word::word(first))
            }
        }
    )+};
}

/// Declares an enum with words that a key can hold.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident $($rest:tt)*) => {
        esper_nn::words! {
            $(#[$meta])*
            #[derive(serde::Serialize, serde::Deserialize)]
            #[serde(rename_all = "snake_case")]
            $name $($rest)*
        }
        $crate::scenario::word::word_values!($name);
    };
}

pub(crate) use word_values;
pub(crate) use words;

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
pub(crate) fn read_word<W: Word>(node: &Node, help: &str, found: &mut Findings<'_>) -> Option<W> {
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
