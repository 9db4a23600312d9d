//! How a module learns beside a network, and how its output joins it.

use serde::{Deserialize, Serialize};

use crate::words;

words! {
    /// How a module learns while the network does not use its output.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    Incubation {
        /// From the task gradient at the site, with a proximal term.
        StraightThrough = "straight_through",
        /// From a second pass of the tail with the module in it.
        Shadow = "shadow",
        /// Not at all: inserted as an identity, and trained with the network from then on.
        None = "none",
    }
}

words! {
    /// How a module's output `f(x)` joins the network at `x`.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    Composition {
        /// `y = x + a f(x)`.
        Residual = "residual",
        /// `y = (1 - a) x + a m(x)`.
        Blend = "blend",
        /// `y = x + a sigmoid(w) f(x)`, with `w` learned.
        Gate = "gate",
    }
}

impl Composition {
    /// Whether `x + f(x)` has to be kept apart before it joins the network.
    pub const fn needs_joined(self) -> bool {
        matches!(self, Self::Blend)
    }
}
