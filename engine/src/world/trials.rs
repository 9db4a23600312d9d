//! What was tried where, and what came of it.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{BlueprintId, HostId, SiteId},
    stage::Stage,
};

/// How far a blueprint came at a site, and what the twin said of it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// The stage its seed is in, or ended in.
    pub stage: Stage,
    /// The last gain against the twin, if one was measured.
    pub gain: Option<f32>,
}

/// The last trial of each blueprint at each site of each host.
#[derive(Resource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct TrialHistory(BTreeMap<(HostId, SiteId, BlueprintId), Trial>);

impl TrialHistory {
    /// Keeps that the seed of `blueprint` at that site is in `stage`; a gain that is not measured now does not replace one that was.
    pub fn observe(
        &mut self,
        host: HostId,
        site: SiteId,
        blueprint: BlueprintId,
        stage: Stage,
        gain: Option<f32>,
    ) {
        let place = (host, site, blueprint);
        let before = self.0.get(&place).filter(|trial| !trial.stage.is_terminal());
        let gain = gain.or(before.and_then(|trial| trial.gain));
        self.0.insert(place, Trial { stage, gain });
    }

    /// Whether that blueprint was tried at that site and taken away again: it is not tried there twice. One that was
    /// withdrawn before it touched the host was judged by nobody, and may be.
    pub fn was_removed(&self, host: HostId, site: SiteId, blueprint: BlueprintId) -> bool {
        self.at(host, site, blueprint)
            .is_some_and(|it| matches!(it.stage, Stage::Culled | Stage::RolledBack))
    }

    /// How that blueprint fared at that site, if it was tried there in this run.
    pub fn at(&self, host: HostId, site: SiteId, blueprint: BlueprintId) -> Option<Trial> {
        self.0.get(&(host, site, blueprint)).copied()
    }

    /// How that blueprint fared at any site of any host of this run, sorted by host and site.
    pub fn of(&self, blueprint: BlueprintId) -> impl Iterator<Item = Trial> + '_ {
        self.0.iter().filter(move |((_, _, of), _)| *of == blueprint).map(|(_, trial)| *trial)
    }
}

#[cfg(test)]
mod tests {
    use esper_nn::digest::Digest;

    use super::*;

    #[test]
    fn a_trial_keeps_its_gain_to_its_end_and_a_new_one_begins_without() {
        let (host, site) = (HostId(0), SiteId(1));
        let blueprint = BlueprintId(Digest::of(b"blueprint"));
        let mut history = TrialHistory::default();
        assert_eq!(history.at(host, site, blueprint), None);
        history.observe(host, site, blueprint, Stage::Evaluating, Some(0.5));
        history.observe(host, site, blueprint, Stage::Fossilized, None);
        let kept = Trial { stage: Stage::Fossilized, gain: Some(0.5) };
        assert_eq!(history.at(host, site, blueprint), Some(kept));
        assert!(!history.was_removed(host, site, blueprint), "what was kept may be tried again");
        history.observe(host, site, blueprint, Stage::Training, None);
        history.observe(host, site, blueprint, Stage::Cancelled, None);
        assert!(!history.was_removed(host, site, blueprint), "nobody judged it");
        history.observe(host, site, blueprint, Stage::Training, None);
        let again = Trial { stage: Stage::Training, gain: None };
        assert_eq!(history.of(blueprint).collect::<Vec<_>>(), [again]);
        history.observe(host, site, blueprint, Stage::Culled, None);
        assert!(history.was_removed(host, site, blueprint));
        assert!(!history.was_removed(HostId(1), site, blueprint));
    }
}
