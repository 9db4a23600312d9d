//! An engine with Esper's plugins and what a program of one's own adds to them.

use std::{collections::BTreeMap, sync::Arc};

use esper_data::DeviceData;
use esper_engine::{
    forge::Scripts,
    ids::HostId,
    run_dir::RunDir,
    runtime::HostRuntime,
    world::{
        hosts::{HostSites, spawn_host},
        plugin::{Engine, RunSeed},
    },
};
use esper_nn::{device::DeviceError, suggest};
use esper_systems::{
    EsperPlugins,
    karn::{Catalogue, KarnExt},
    tamiyo::{ActivePolicy, OFF},
    tolaria::{HostConfigs, host_config},
    urza::{LibraryPlace, UrzaConfig},
};

use super::{
    Run,
    commands::CommandPlugin,
    options::{Prepared, RunOptions},
};
use crate::{
    RunError,
    hosts::HostGroup,
    scenario::{HOST, RUN, Resolved, Scenario, TAMIYO},
};

/// Where what a run learns about kernels is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LibraryChoice {
    /// The scenario's shared library, or the run's own.
    AsScenario,
    /// In memory: a replay changes no file.
    Memory,
}

/// The fixed side of every host of `resolved`.
///
/// # Errors
///
/// Fails when the device has no room for the data.
pub(super) fn host_configs(resolved: &Prepared) -> Result<HostConfigs, DeviceError> {
    let Prepared { scenario, device, groups, .. } = resolved;
    let mut configs = BTreeMap::new();
    for HostGroup { data, ids, seed, .. } in groups {
        let on_device = Arc::new(DeviceData::new(data, &**device)?);
        for id in ids.clone() {
            let streams = match seed {
                Some(seed) => (*seed, id - ids.start),
                None => (scenario[RUN].seed, id),
            };
            let (data, device) = (data.clone(), device.clone());
            let config = host_config(scenario, streams, data, device, on_device.clone());
            configs.insert(HostId(id), Arc::new(config));
        }
    }
    Ok(HostConfigs(configs))
}

/// Puts an engine together that has no hosts yet.
pub(super) fn assemble(
    options: RunOptions,
    resolved: &Prepared,
    dir: Option<RunDir>,
    (library, scripts): (LibraryChoice, Option<Scripts>),
) -> Result<Run, RunError> {
    let scenario = &resolved.scenario;
    let mut engine = Engine::default();
    let world = engine.world_mut();
    world.insert_resource(scenario.clone());
    world.insert_resource(RunSeed(scenario[RUN].seed));
    world.insert_resource(host_configs(resolved)?);
    world.insert_resource(options.devices);
    if let Some(policy) = options.policy {
        world.insert_resource(ActivePolicy(policy));
    }
    if let Some(scripts) = scripts {
        world.insert_resource(scripts);
    }
    for family in options.families {
        engine.add_blueprint(family)?;
    }
    for preparation in options.preparations {
        preparation(&mut engine)?;
    }
    let own_library = dir.as_ref().map(RunDir::library);
    let mut urza = UrzaConfig::new(scenario, own_library.as_deref());
    if library == LibraryChoice::Memory {
        urza.place = LibraryPlace::Memory;
    }
    let sites = site_names(&resolved.groups);
    check_timetable(scenario, &sites)?;
    let plugins = EsperPlugins::new(sites, urza, options.progress);
    engine.add_plugin(CommandPlugin)?.add_plugins(plugins)?;
    for extension in options.extensions {
        extension(&mut engine)?;
    }
    engine.finish()?;
    check_catalogue(scenario, engine.world().resource::<Catalogue>())?;
    let params_of = |group: &HostGroup| {
        let params_elems = group.program.params_elems();
        group.ids.clone().map(move |id| (HostId(id), params_elems))
    };
    let params_initial = resolved.groups.iter().flat_map(params_of).collect();
    Ok(Run::new(engine, scenario.clone(), dir, params_initial, options.subscribers))
}

/// The sites of every host by name, in the order of its program, and its spans behind them.
pub(super) fn site_names(groups: &[HostGroup]) -> BTreeMap<HostId, Arc<[String]>> {
    let names = |group: &HostGroup| {
        let sites = HostSites::of(&group.program, &group.graph);
        let names: Arc<[String]> = sites.iter().map(|site| sites.name(site).to_owned()).collect();
        group.ids.clone().map(move |id| (HostId(id), names.clone()))
    };
    groups.iter().flat_map(names).collect()
}

/// A timetable names sites of every host, or spans between two: which pairs are spans, the network says.
pub(super) fn check_timetable(
    scenario: &Scenario,
    sites: &BTreeMap<HostId, Arc<[String]>>,
) -> Result<(), RunError> {
    for (index, entry) in scenario[TAMIYO].timetable.iter().enumerate() {
        let Some(names) = sites.values().find(|names| !names.contains(&entry.site)) else {
            continue;
        };
        let known = names.iter().map(String::as_str);
        let nearest = suggest::before_list(suggest::nearest(&entry.site, known.clone()));
        return Err(RunError::Unfit {
            key: format!("tamiyo.timetable[{index}].site"),
            message: format!("no seed is planted at `{}`", entry.site),
            help: format!("{nearest}there are {}", known.collect::<Vec<_>>().join(", ")),
        });
    }
    Ok(())
}

/// Plugins bring families of their own: what is asked of the catalogue is checked when they are there.
pub(super) fn check_catalogue(scenario: &Scenario, catalogue: &Catalogue) -> Result<(), RunError> {
    let policy = &scenario[TAMIYO].policy;
    if policy != OFF && catalogue.iter().next().is_none() {
        return Err(RunError::Unfit {
            key: "karn.catalogue".to_owned(),
            message: format!("must name a blueprint for policy \"{policy}\" to choose"),
            help: "for example `catalogue = [\"all\"]`".to_owned(),
        });
    }
    for (index, entry) in scenario[TAMIYO].timetable.iter().enumerate() {
        let Some(name) = entry.blueprint.as_deref().filter(|it| catalogue.get(it).is_none()) else {
            continue;
        };
        let known: Vec<&str> = catalogue.iter().map(|family| family.name()).collect();
        let nearest = suggest::before_list(suggest::nearest(name, known.iter().copied()));
        return Err(RunError::Unfit {
            key: format!("tamiyo.timetable[{index}].blueprint"),
            message: format!("the catalogue has no blueprint called `{name}`"),
            help: format!("{nearest}there are {}", known.join(", ")),
        });
    }
    Ok(())
}

/// Brings the hosts of `groups` into the world.
///
/// # Errors
///
/// Fails when the device has no room for them.
pub(super) fn spawn_hosts(engine: &mut Engine, groups: &[HostGroup]) -> Result<(), DeviceError> {
    let world = engine.world_mut();
    let skip = world.resource::<Resolved>()[HOST].init_skip.clone();
    let configs = world.resource::<HostConfigs>().0.clone();
    for group in groups {
        for id in group.ids.clone() {
            let config = configs[&HostId(id)].clone();
            let mut runtime = HostRuntime::new(config, group.graph.clone(), group.program.clone())?;
            if let Some(weights) = &group.init {
                runtime.load_state_dict_but(weights, &skip).expect("they were checked");
            }
            spawn_host(world, HostId(id), runtime);
        }
    }
    Ok(())
}
