//! Policies: what one is, which there are by name, and the one in charge.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use esper_engine::world::{
    plugin::{BuildError, Engine},
    save::{LoadFailure, SavedAs},
};
use esper_nn::suggest::{before_list, nearest};

use super::{config::TamiyoConfig, observation::Observation};
use crate::oona::SeedCommand;

/// Policies that are not in this version.
const LATER: [&str; 1] = ["graph"];

/// A strategy. [`TamiyoExt::add_policy`] makes one of your own available by name.
pub trait Policy: Send + Sync + 'static {
    /// Reads what was observed in this tick and appends the commands it wants, in the order in which they are to be
    /// carried out.
    fn decide(&mut self, observation: &Observation<'_>, commands: &mut Vec<SeedCommand>);

    /// Whether it never commands anything: it is shown nothing then, which saves the time of observing it.
    fn is_idle(&self) -> bool {
        false
    }

    /// What a checkpoint has to keep of it.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Puts back what [`Policy::save`] wrote.
    ///
    /// # Errors
    ///
    /// Says in a sentence why the bytes are not its own.
    fn load(&mut self, _saved: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

/// The policy in charge. One that is there before Tamiyo is finished stays, whatever the scenario names.
#[derive(Resource)]
pub struct ActivePolicy(pub Box<dyn Policy>);

/// Makes a policy from Tamiyo's settings.
type MakePolicy = Box<dyn Fn(&TamiyoConfig) -> Box<dyn Policy> + Send + Sync>;

/// The policies that a scenario can name.
#[derive(Resource, Default)]
pub(super) struct Policies(BTreeMap<String, MakePolicy>);

/// Why there is no such policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Two policies share a name.
    #[error("policy `{name}` is registered twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// No policy has the name that `tamiyo.policy` asks for.
    #[error(
        "no policy is called `{name}`; {}there are {}",
        before_list(nearest.as_deref()),
        known.join(", ")
    )]
    Unknown {
        /// The name.
        name: String,
        /// The registered name that is most like it.
        nearest: Option<String>,
        /// Every registered name.
        known: Vec<String>,
    },
    /// The policy that `tamiyo.policy` asks for does not exist yet.
    #[error("\"{name}\" is not in this version; there are {}", known.join(", "))]
    Later {
        /// The name.
        name: String,
        /// Every registered name.
        known: Vec<String>,
    },
}

/// Checks that `name` is one of `known`.
///
/// # Errors
///
/// Names the nearest of `known` where it is not.
pub fn check_policy_name<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Result<(), PolicyError> {
    let known: Vec<&str> = known.into_iter().collect();
    if known.contains(&name) {
        return Ok(());
    }
    let near = nearest(name, known.iter().copied()).map(str::to_owned);
    let (name, known) = (name.to_owned(), known.into_iter().map(str::to_owned).collect());
    Err(match LATER.contains(&name.as_str()) {
        true => PolicyError::Later { name, known },
        false => PolicyError::Unknown { name, nearest: near, known },
    })
}

/// What Tamiyo adds to [`Engine`].
pub trait TamiyoExt {
    /// Makes a policy available under `name`: `tamiyo.policy = "<name>"` has `make` make it from Tamiyo's settings.
    ///
    /// # Errors
    ///
    /// Fails when the name is taken.
    fn add_policy<P: Policy>(
        &mut self,
        name: impl Into<String>,
        make: impl Fn(&TamiyoConfig) -> P + Send + Sync + 'static,
    ) -> Result<&mut Self, BuildError>;
}

impl TamiyoExt for Engine {
    fn add_policy<P: Policy>(
        &mut self,
        name: impl Into<String>,
        make: impl Fn(&TamiyoConfig) -> P + Send + Sync + 'static,
    ) -> Result<&mut Self, BuildError> {
        let name = name.into();
        let mut policies = self.world_mut().get_resource_or_init::<Policies>();
        if policies.0.contains_key(&name) {
            return Err(BuildError::plugin("tamiyo", PolicyError::Duplicate { name }));
        }
        policies.0.insert(name, Box::new(move |config| Box::new(make(config))));
        Ok(self)
    }
}

impl Policies {
    /// The policy called `name`, as `config` has it.
    pub(super) fn make(
        &self,
        name: &str,
        config: &TamiyoConfig,
    ) -> Result<Box<dyn Policy>, PolicyError> {
        check_policy_name(name, self.0.keys().map(String::as_str))?;
        Ok(self.0[name](config))
    }
}

/// `off`: nobody decides, and hosts train alone.
pub(super) struct Off;

impl Policy for Off {
    fn decide(&mut self, _observation: &Observation<'_>, _commands: &mut Vec<SeedCommand>) {}

    fn is_idle(&self) -> bool {
        true
    }
}

/// What a checkpoint keeps of the policy in charge.
pub(super) struct PolicyState;

impl SavedAs for PolicyState {
    type Form = Vec<u8>;

    fn save(world: &mut World) -> Vec<u8> {
        world.resource::<ActivePolicy>().0.save()
    }

    fn load(world: &mut World, saved: Vec<u8>) -> Result<(), LoadFailure> {
        Ok(world.resource_mut::<ActivePolicy>().0.load(&saved)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{oona::OonaPlugin, tamiyo::TamiyoPlugin};

    /// Says of itself what it was made with.
    struct Named(u64);

    impl Policy for Named {
        fn decide(&mut self, _: &Observation<'_>, _: &mut Vec<SeedCommand>) {}

        fn save(&self) -> Vec<u8> {
            vec![self.0 as u8]
        }
    }

    fn config() -> TamiyoConfig {
        TamiyoConfig { run_seed: 7, ..TamiyoConfig::default() }
    }

    #[test]
    fn a_policy_is_made_by_its_name_and_an_unknown_one_is_told_the_nearest() {
        let mut engine = Engine::default();
        engine.add_plugin(OonaPlugin).unwrap();
        engine.add_plugin(TamiyoPlugin::default()).unwrap();
        engine.add_policy("first_fit", |config| Named(config.run_seed)).unwrap();
        let policies = engine.world().resource::<Policies>();
        assert_eq!(policies.make("first_fit", &config()).unwrap().save(), [7]);
        let Err(error) = policies.make("first_fits", &config()) else { panic!("there is none") };
        assert_eq!(
            error.to_string(),
            "no policy is called `first_fits`; did you mean `first_fit`? \
             there are first_fit, fixed, heuristic, off, random"
        );
        let Err(error) = policies.make("graph", &config()) else { panic!("not yet") };
        assert!(error.to_string().starts_with("\"graph\" is not in this version"), "{error}");
        let taken = engine.add_policy("random", |_| Named(0)).map(|_| ()).unwrap_err();
        assert_eq!(taken.to_string(), "tamiyo: policy `random` is registered twice");
    }

    #[test]
    fn the_scenarios_policy_is_in_charge_unless_another_is_already() {
        for is_there in [true, false] {
            let mut engine = Engine::default();
            if is_there {
                engine.world_mut().insert_resource(ActivePolicy(Box::new(Named(9))));
            }
            engine.add_plugin(OonaPlugin).unwrap();
            engine.add_plugin(TamiyoPlugin::default()).unwrap();
            engine.finish().unwrap();
            let saved = engine.world().resource::<ActivePolicy>().0.save();
            assert_eq!(saved == [9], is_there);
        }
    }
}
