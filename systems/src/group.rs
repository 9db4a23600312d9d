//! Esper's plugins as one group.

use std::{collections::BTreeMap, sync::Arc};

use esper_engine::{
    scenario::Scenario,
    world::{
        ids::HostId,
        plugin::{Plugin, PluginGroup},
    },
};

use crate::{
    karn::{KarnConfig, KarnPlugin},
    kasmina::{KasminaConfig, KasminaPlugin},
    nissa::{NissaConfig, NissaPlugin, ProgressMode},
    oona::OonaPlugin,
    tamiyo::{TamiyoConfig, TamiyoPlugin},
    tezzeret::TezzeretPlugin,
    tolaria::{TolariaConfig, TolariaPlugin},
    urabrask::{UrabraskConfig, UrabraskPlugin},
    urza::{UrzaConfig, UrzaPlugin},
};

/// Every subsystem, in the order in which they are added. Leave out what is not wanted, add what is.
///
/// ```
/// use esper_engine::world::plugin::Engine;
/// use esper_systems::{EsperPlugins, tamiyo::TamiyoPlugin};
///
/// let mut engine = Engine::default();
/// engine.add_plugins(EsperPlugins::default().disable::<TamiyoPlugin>())?;
/// assert!(engine.has_plugin("kasmina") && !engine.has_plugin("tamiyo"));
/// # Ok::<(), esper_engine::world::plugin::BuildError>(())
/// ```
pub struct EsperPlugins(PluginGroup);

impl EsperPlugins {
    /// The subsystems as `scenario` has them, for hosts with `sites` by name in the order of their program, with the
    /// library that `urza` names and with progress shown as `progress`.
    pub fn new(
        scenario: &Scenario,
        sites: BTreeMap<HostId, Arc<[String]>>,
        urza: UrzaConfig,
        progress: ProgressMode,
    ) -> Self {
        let group = PluginGroup::default()
            .add(OonaPlugin)
            .add(UrzaPlugin { config: urza })
            .add(KarnPlugin { config: KarnConfig::new(scenario) })
            .add(TezzeretPlugin { config: scenario.tezzeret.clone() })
            .add(UrabraskPlugin { config: UrabraskConfig::new(scenario) })
            .add(KasminaPlugin { config: KasminaConfig::new(scenario) })
            .add(TamiyoPlugin { config: TamiyoConfig::new(scenario, sites) })
            .add(TolariaPlugin { config: TolariaConfig::new(scenario) })
            .add(NissaPlugin { config: NissaConfig::of(scenario, progress) });
        Self(group)
    }

    /// Puts a plugin behind those that are there.
    #[must_use]
    pub fn add(self, plugin: impl Plugin) -> Self {
        Self(self.0.add(plugin))
    }

    /// Leaves out the plugin of type `P`.
    #[must_use]
    pub fn disable<P: Plugin>(self) -> Self {
        Self(self.0.disable::<P>())
    }

    /// Puts `plugin` in the place of the one of its type.
    #[must_use]
    pub fn set(self, plugin: impl Plugin) -> Self {
        Self(self.0.set(plugin))
    }
}

impl Default for EsperPlugins {
    /// The subsystems of a scenario in which everything is left as it is, silent and with a library in memory.
    fn default() -> Self {
        let scenario = Scenario::default();
        let urza = UrzaConfig::new(&scenario, None);
        Self::new(&scenario, BTreeMap::new(), urza, ProgressMode::Quiet)
    }
}

impl From<EsperPlugins> for PluginGroup {
    fn from(EsperPlugins(group): EsperPlugins) -> Self {
        group
    }
}
