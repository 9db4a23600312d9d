//! Esper's plugins as one group.

use std::{collections::BTreeMap, sync::Arc};

use esper_engine::{
    scenario::Sections,
    world::{
        ids::HostId,
        plugin::{Plugin, PluginGroup},
    },
};

use crate::{
    karn::KarnPlugin,
    kasmina::KasminaPlugin,
    nissa::{NissaPlugin, ProgressMode},
    oona::OonaPlugin,
    tamiyo::TamiyoPlugin,
    tezzeret::TezzeretPlugin,
    tolaria::TolariaPlugin,
    urabrask::UrabraskPlugin,
    urza::{UrzaConfig, UrzaPlugin},
};

/// Whose sections a written scenario begins with: how hosts are trained comes before what grows in them.
const SECTIONS_FIRST: [&str; 8] =
    ["tolaria", "kasmina", "tamiyo", "karn", "tezzeret", "urabrask", "urza", "nissa"];

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
    /// The subsystems, each as its sections of the engine's scenario have it, for hosts with `sites` by name in the order
    /// of their program, with the library that `urza` names and with progress shown as `progress`.
    pub fn new(
        sites: BTreeMap<HostId, Arc<[String]>>,
        urza: UrzaConfig,
        progress: ProgressMode,
    ) -> Self {
        let group = PluginGroup::default()
            .add(OonaPlugin)
            .add(UrzaPlugin { config: urza })
            .add(KarnPlugin)
            .add(TezzeretPlugin)
            .add(UrabraskPlugin)
            .add(KasminaPlugin)
            .add(TamiyoPlugin { sites })
            .add(TolariaPlugin)
            .add(NissaPlugin { progress });
        Self(group)
    }

    /// The sections of a scenario that the subsystems read.
    pub fn sections(&self) -> Sections {
        let mut plugins: Vec<&dyn Plugin> = self.0.iter().collect();
        plugins.sort_by_key(|plugin| {
            let place = SECTIONS_FIRST.iter().position(|name| *name == plugin.name());
            place.unwrap_or(SECTIONS_FIRST.len())
        });
        let mut sections = Sections::default();
        plugins.into_iter().for_each(|plugin| plugin.sections(&mut sections));
        sections
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
    /// The subsystems, silent and with a library in memory.
    fn default() -> Self {
        Self::new(BTreeMap::new(), UrzaConfig::default(), ProgressMode::Quiet)
    }
}

impl From<EsperPlugins> for PluginGroup {
    fn from(EsperPlugins(group): EsperPlugins) -> Self {
        group
    }
}
