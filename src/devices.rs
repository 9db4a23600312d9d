//! Where programs can run, by name.

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::prelude::*;
use esper_engine::device::{Cpu, Device};
use esper_nn::suggest;

use crate::RunError;

/// The devices of this process, by the name that `run.device` and `--device` take.
#[derive(Resource, Clone)]
pub struct Devices(BTreeMap<String, Arc<dyn Device>>);

impl Default for Devices {
    /// The devices that are always present: `cpu`.
    fn default() -> Self {
        let mut devices = Self(BTreeMap::new());
        devices.add(Arc::new(Cpu));
        devices
    }
}

impl Devices {
    /// Stands for the fastest device that is present.
    pub const AUTO: &'static str = "auto";

    /// What `auto` chooses from, the first that is present.
    const FASTEST_FIRST: [&'static str; 1] = ["cpu"];

    /// Adds a device under its own name; a device that had it is replaced.
    pub fn add(&mut self, device: Arc<dyn Device>) {
        self.0.insert(device.name(), device);
    }

    /// The names that can be asked for, `auto` first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(Self::AUTO).chain(self.0.keys().map(String::as_str))
    }

    /// The device called `name`, or the fastest for `auto`.
    ///
    /// # Errors
    ///
    /// Names the devices there are, and the nearest, where there is none of that name.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Device>, RunError> {
        let mut fastest = Self::FASTEST_FIRST.iter().filter_map(|name| self.0.get(*name));
        let found = if name == Self::AUTO { fastest.next() } else { self.0.get(name) };
        found.cloned().ok_or_else(|| {
            let nearest = suggest::before_list(suggest::nearest(name, self.names()));
            let known: Vec<String> = self.names().map(|name| format!("\"{name}\"")).collect();
            RunError::Unfit {
                key: "run.device".to_owned(),
                message: format!("no device is called \"{name}\" here"),
                help: format!("{nearest}there are {}", known.join(", ")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_found_by_name_and_auto_by_what_is_present() {
        let devices = Devices::default();
        for name in ["cpu", "auto"] {
            assert_eq!(devices.get(name).unwrap().name(), "cpu");
        }
    }

    #[test]
    fn an_absent_device_is_refused_with_the_names_there_are() {
        let Err(error) = Devices::default().get("cpi") else { panic!("there is none") };
        assert_eq!(error.scenario_key(), Some("run.device"));
        let text = error.to_string();
        for part in ["\"cpi\"", "did you mean `cpu`?", "\"auto\", \"cpu\""] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
