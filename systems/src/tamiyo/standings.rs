//! How families fared in races, at each kind of site: who keeps losing is raced later and cheaper.

use std::collections::{BTreeMap, BTreeSet};

use esper_nn::contract::Contract;
use serde::{Deserialize, Serialize};

/// Races lost in a row by which the pause between two races doubles.
const LOSSES_A_DOUBLING: u32 = 2;
/// Doublings at most: a family enters every eighth race at least.
const DOUBLINGS_MAX: u32 = 3;

/// A kind of site: what modules keep there, sizes left out.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    n_axes: u8,
    is_causal: bool,
    is_span: bool,
}

impl Kind {
    /// The kind of a site of `contract`.
    pub fn of(contract: Contract) -> Self {
        Self {
            n_axes: contract.shape().len() as u8,
            is_causal: contract.is_causal(),
            is_span: contract.layer().is_some(),
        }
    }
}

/// Races at each kind of site, and who lost them, over all hosts of a run.
///
/// A race is lost by all that entered but the one that was kept. A family that lost `l` in a row at that kind of site
/// enters only those of its races whose number is divisible by `2^min(l / 2, 3)`: it is raced later, and costs less.
/// Nobody is left out for good, since what a host is short of changes as it grows.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub(super) struct Standings {
    n_races: BTreeMap<Kind, u32>,
    lost_in_row: BTreeMap<(Kind, String), u32>,
}

impl Standings {
    /// Races that `family` has lost in a row.
    pub fn lost_in_row(&self, kind: Kind, family: &str) -> u32 {
        self.lost_in_row.get(&(kind, family.to_owned())).copied().unwrap_or_default()
    }

    /// Whether `family` enters the next race at that kind of site.
    pub fn enters(&self, kind: Kind, family: &str) -> bool {
        let n_doublings = self.lost_in_row(kind, family) / LOSSES_A_DOUBLING;
        let every = 1 << n_doublings.min(DOUBLINGS_MAX);
        self.n_races.get(&kind).copied().unwrap_or_default() % every == 0
    }

    /// Takes in a race that has ended, in which `entrants` were, each with whether it saved anything before the race was
    /// first halved, and one was `kept` or none. A family that entered at several sites of a kind counts once; one that
    /// saved nothing at any of them has lost twice.
    pub fn observe(&mut self, entrants: &BTreeMap<(Kind, &str), bool>, kept: Option<(Kind, &str)>) {
        for kind in entrants.keys().map(|(kind, _)| *kind).collect::<BTreeSet<_>>() {
            *self.n_races.entry(kind).or_default() += 1;
        }
        for ((kind, family), is_of_use) in entrants {
            let lost = self.lost_in_row.entry((*kind, (*family).to_owned())).or_default();
            *lost = match kept == Some((*kind, *family)) {
                true => 0,
                false if *is_of_use => *lost + 1,
                false => *lost + LOSSES_A_DOUBLING,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_losing_enters_fewer_races_and_one_that_is_kept_all() {
        let kind = Kind { n_axes: 1, is_causal: false, is_span: false };
        let mut standings = Standings::default();
        let families = ["loser".to_owned(), "winner".to_owned()];
        let mut entered = Vec::new();
        for race in 0..16 {
            let here: Vec<String> =
                families.iter().filter(|it| standings.enters(kind, it)).cloned().collect();
            assert!(here.contains(&families[1]));
            if here.contains(&families[0]) {
                entered.push(race);
            }
            let here = here.iter().map(|it| ((kind, it.as_str()), true)).collect();
            standings.observe(&here, Some((kind, "winner")));
        }
        assert_eq!(entered, [0, 1, 2, 4, 8, 12]);
        let image = Kind { n_axes: 3, is_causal: false, is_span: false };
        assert_eq!(standings.lost_in_row(image, "loser"), 0, "another kind of site");
        let both: BTreeMap<_, _> = families.iter().map(|it| ((kind, it.as_str()), true)).collect();
        standings.observe(&both, Some((kind, "loser")));
        assert!(standings.enters(kind, "loser"));
        let useless = both.keys().map(|it| (*it, false)).collect();
        standings.observe(&useless, Some((kind, "winner")));
        assert_eq!(standings.lost_in_row(kind, "loser"), LOSSES_A_DOUBLING);
    }
}
