//! Enums that people write as one word.

/// An enum whose variants are each written as one word.
pub trait Word: Copy + PartialEq + 'static {
    /// Every variant, in the order messages list them.
    const ALL: &'static [Self];
    /// Words that a later version will know.
    const LATER: &'static [&'static str] = &[];

    /// The word.
    fn word(self) -> &'static str;
}

/// Declares an enum and the word of each variant, so that the two can not drift apart.
///
/// ```
/// esper_nn::words! {
///     /// How loud.
///     Volume {
///         /// Hardly.
///         Low = "low",
///         /// Very.
///         High = "high",
///     }
/// }
/// assert_eq!(Volume::High.to_string(), "high");
/// ```
#[macro_export]
macro_rules! words {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? }
        $(later $($later:literal),+)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $name {
            /// Every variant, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that is written for it.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl $crate::word::Word for $name {
            const ALL: &'static [Self] = Self::ALL;
            const LATER: &'static [&'static str] = &[$($($later),+)?];

            fn word(self) -> &'static str {
                self.word()
            }
        }
    };
}

impl Word for esper_kernels::cpu::Activation {
    const ALL: &'static [Self] =
        &[Self::Relu, Self::Gelu, Self::GeluTanh, Self::Silu, Self::Tanh, Self::Sigmoid];

    fn word(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
        }
    }
}
