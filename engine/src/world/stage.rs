//! The eleven stages of a seed's life, and which may follow which.

use std::fmt;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

/// Where a seed is in its life. Changed by Kasmina, in one function, and by nothing else.
#[derive(
    Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[component(immutable)]
pub enum Stage {
    /// Watches; owns no parameters.
    Dormant,
    /// Holds a blueprint; waits for its kernel.
    Germinated,
    /// Learns beside the host. The host does not see it.
    Training,
    /// Blends into the host: `alpha` rises from 0 to its target.
    Grafting,
    /// Fully blended, parameters frozen, while the host settles.
    Stabilization,
    /// Measured against the host's twin, which never grafted.
    Evaluating,
    /// Accepted; learns together with the host.
    FineTuning,
    /// Part of the host for good. Terminal.
    Fossilized,
    /// Judged not worth keeping. Terminal.
    Culled,
    /// Withdrawn before it touched the host. Terminal.
    Cancelled,
    /// Removed after harm, with the host restored. Terminal.
    RolledBack,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 11] = [
        Self::Dormant,
        Self::Germinated,
        Self::Training,
        Self::Grafting,
        Self::Stabilization,
        Self::Evaluating,
        Self::FineTuning,
        Self::Fossilized,
        Self::Culled,
        Self::Cancelled,
        Self::RolledBack,
    ];

    /// Whether a seed in this stage may enter `next`.
    pub const fn may_become(self, next: Self) -> bool {
        use Stage::*;
        match self {
            Dormant => matches!(next, Germinated),
            Germinated => matches!(next, Training | Cancelled),
            Training => matches!(next, Grafting | Culled | Cancelled),
            Grafting => matches!(next, Stabilization | Culled | RolledBack),
            Stabilization => matches!(next, Evaluating | Culled | RolledBack),
            Evaluating => matches!(next, FineTuning | Fossilized | Culled | RolledBack),
            FineTuning => matches!(next, Fossilized | Culled | RolledBack),
            Fossilized | Culled | Cancelled | RolledBack => false,
        }
    }

    /// Whether a seed ends here.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Fossilized | Self::Culled | Self::Cancelled | Self::RolledBack)
    }

    /// Whether a seed in this stage is blended into its host.
    pub const fn is_grafted(self) -> bool {
        matches!(self, Self::Grafting | Self::Stabilization | Self::Evaluating | Self::FineTuning)
    }

    /// The stage's name as journals and tables spell it, such as `FINE_TUNING`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dormant => "DORMANT",
            Self::Germinated => "GERMINATED",
            Self::Training => "TRAINING",
            Self::Grafting => "GRAFTING",
            Self::Stabilization => "STABILIZATION",
            Self::Evaluating => "EVALUATING",
            Self::FineTuning => "FINE_TUNING",
            Self::Fossilized => "FOSSILIZED",
            Self::Culled => "CULLED",
            Self::Cancelled => "CANCELLED",
            Self::RolledBack => "ROLLED_BACK",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every legal step, by number, and so every illegal one.
    const TABLE: &[(u8, &[u8])] = &[
        (1, &[2]),
        (2, &[3, 10]),
        (3, &[4, 9, 10]),
        (4, &[5, 9, 11]),
        (5, &[6, 9, 11]),
        (6, &[7, 8, 9, 11]),
        (7, &[8, 9, 11]),
        (8, &[]),
        (9, &[]),
        (10, &[]),
        (11, &[]),
    ];

    #[test]
    fn the_121_steps_are_those_of_the_table() {
        for (from, (number, exits)) in Stage::ALL.into_iter().zip(TABLE) {
            assert_eq!(from as u8 + 1, *number);
            for to in Stage::ALL {
                let is_listed = exits.contains(&(to as u8 + 1));
                assert_eq!(from.may_become(to), is_listed, "{from} -> {to}");
            }
        }
    }

    #[test]
    fn a_stage_is_terminal_exactly_when_nothing_follows_it() {
        for from in Stage::ALL {
            let n_exits = Stage::ALL.iter().filter(|to| from.may_become(**to)).count();
            assert_eq!(n_exits == 0, from.is_terminal(), "{from}");
        }
    }

    #[test]
    fn a_stage_is_spelled_alike_everywhere() {
        for stage in Stage::ALL {
            assert_eq!(serde_json::to_string(&stage).unwrap(), format!("\"{}\"", stage.name()));
        }
    }
}
