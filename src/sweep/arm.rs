//! Arms: the ways of spending compute that a sweep compares.

use esper_engine::scenario::words;

words! {
    /// What a cell does with its task. Seeds are paired across arms.
    Arm {
        /// The host alone.
        Off = "off",
        /// The host alone, for as many epochs as the growth of the pair cost.
        OffLonger = "off_longer",
        /// The network that the growth of the pair ended with, from scratch, for the task's epochs.
        StaticFinal = "static_final",
        /// As [`Arm::StaticFinal`], with the growth that found the network counted.
        Restart = "restart",
        /// A wider host for the task's epochs, at the FLOPs of the growth of the pair.
        StaticFlops = "static_flops",
        /// A deeper and, as far as the FLOPs of the growth of the pair go, wider host for the task's epochs.
        StaticFlopsDeep = "static_flops_deep",
        /// Random search over static hosts of the task's kind with the FLOPs of the growth of the pair; the best on
        /// validation data is tested.
        BestStatic = "best_static",
        /// As [`Arm::BestStatic`], over every kind of host that fits the data.
        BestStaticAny = "best_static_any",
        /// The given host with all its weights training and nothing growing, for as many epochs as the growth of the pair
        /// cost.
        Finetune = "finetune",
        /// The given host with a small module at every site from the first step on, which alone trains; nothing is judged.
        Adapters = "adapters",
        /// Modules inserted as identities, without incubation.
        Direct = "direct",
        /// The scenario's timetable.
        Fixed = "fixed",
        /// Legal actions at random, as many as the growth of the pair took.
        Random = "random",
        /// The built-in strategy.
        Heuristic = "heuristic",
        /// The actions of the growth of the pair, at each other's times.
        Permuted = "permuted",
        /// The built-in strategy with modules that compute nothing.
        Noop = "noop",
        /// The built-in strategy, judged against copies of the host on other streams, with nothing grafted: what it keeps
        /// is kept by chance.
        Aa = "aa",
        /// The built-in strategy with the blueprints that are known to be right for the task.
        Oracle = "oracle",
        /// The policy that the scenario names, whichever it is.
        Scenario = "scenario",
    }
    later "graph"
}

/// What of the growth of its pair an arm is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// Nothing: it can run at once.
    None,
    /// What it cost.
    Flops,
    /// The network that it ended with.
    Network,
    /// The actions it took.
    Actions,
}

impl Arm {
    pub(super) const fn basis(self) -> Basis {
        match self {
            Self::Off
            | Self::Adapters
            | Self::Direct
            | Self::Fixed
            | Self::Heuristic
            | Self::Noop
            | Self::Aa
            | Self::Oracle
            | Self::Scenario => Basis::None,
            Self::OffLonger
            | Self::Finetune
            | Self::StaticFlops
            | Self::StaticFlopsDeep
            | Self::BestStatic
            | Self::BestStaticAny => Basis::Flops,
            Self::StaticFinal | Self::Restart => Basis::Network,
            Self::Random | Self::Permuted => Basis::Actions,
        }
    }

    /// Whether other arms can be made from what it did.
    pub(super) const fn is_growth(self) -> bool {
        matches!(self, Self::Heuristic | Self::Direct | Self::Fixed | Self::Oracle | Self::Scenario)
    }

    /// Keys that it sets to what makes it this arm, whatever a sweep says.
    pub(super) const fn own_keys(self) -> &'static [&'static str] {
        match self {
            Self::Direct => &["kasmina.incubation"],
            Self::Noop | Self::Oracle => &["karn.catalogue"],
            Self::Aa => &["kasmina.counterfactual"],
            Self::Random => &["tamiyo.action_rate"],
            _ => &[],
        }
    }

    /// Whether it searches its settings itself, so that there is nothing to tune.
    pub(super) const fn is_search(self) -> bool {
        matches!(self, Self::BestStatic | Self::BestStaticAny)
    }
}

#[expect(
    clippy::derivable_impls,
    reason = "`words!` derives what all words have, and a default is not among it"
)]
impl Default for Arm {
    fn default() -> Self {
        Self::Scenario
    }
}
