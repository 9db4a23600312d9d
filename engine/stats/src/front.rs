//! The static front: what networks that do not grow reach for what they cost.

use serde::{Deserialize, Serialize};

use crate::error::{StatsError, check_finite};

/// A static host, measured: means over its runs.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct StaticHost {
    /// What it is.
    pub name: String,
    /// What a run of it costs, in FLOPs.
    pub flops: f64,
    /// Score on validation data: by it hosts are chosen.
    pub val_score: f64,
    /// Score on test data: what is reported of a host that was chosen.
    pub test_score: f64,
}

/// Static hosts, by what they cost.
///
/// The best of many test scores is higher than what the best host is worth: the maximum of noisy numbers. So a host is
/// chosen by its validation score, and its test score, which had no part in the choice, is what it counts for.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticFront {
    hosts: Vec<StaticHost>,
}

impl StaticFront {
    /// The front of `hosts`.
    ///
    /// # Errors
    ///
    /// Fails if a number of one is not finite.
    pub fn new(mut hosts: Vec<StaticHost>) -> Result<Self, StatsError> {
        for host in &hosts {
            check_finite("a static host's", &[host.flops, host.val_score, host.test_score])?;
        }
        hosts.sort_by(|a, b| a.flops.total_cmp(&b.flops).then_with(|| a.name.cmp(&b.name)));
        Ok(Self { hosts })
    }

    /// The hosts, the cheapest first.
    pub fn hosts(&self) -> &[StaticHost] {
        &self.hosts
    }

    /// The host with the best validation score of those that cost at most `flops`, the cheapest of equals; `None` below
    /// the cheapest.
    pub fn best_within(&self, flops: f64) -> Option<&StaticHost> {
        let affordable = self.hosts.iter().take_while(|it| it.flops <= flops);
        affordable.reduce(|best, it| if it.val_score > best.val_score { it } else { best })
    }

    /// `test_score` less that of [`StaticFront::best_within`]: above zero what grew is better than what did not.
    pub fn gap(&self, flops: f64, test_score: f64) -> Option<f64> {
        self.best_within(flops).map(|host| test_score - host.test_score)
    }

    /// The hosts that are chosen at some budget, the cheapest first: each has a better validation score than all that
    /// cost less.
    pub fn steps(&self) -> Vec<&StaticHost> {
        let mut steps: Vec<&StaticHost> = Vec::new();
        for host in &self.hosts {
            let is_chosen =
                self.best_within(host.flops).is_some_and(|best| std::ptr::eq(best, host));
            if is_chosen {
                steps.push(host);
            }
        }
        steps
    }
}
