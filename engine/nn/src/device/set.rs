//! The devices of a machine, by name.

use std::{collections::BTreeMap, sync::Arc};

use super::{Cpu, Device, DeviceError};

/// What `auto` and an empty choice stand for.
const DEFAULT: &str = "cpu";

/// Devices by name; a crate with a device of its own adds it here.
#[derive(Clone)]
pub struct DeviceSet(BTreeMap<String, Arc<dyn Device>>);

impl Default for DeviceSet {
    /// The processor, and the oracle that checks every other device.
    fn default() -> Self {
        let mut devices = Self(BTreeMap::new());
        devices.add(Arc::new(Cpu));
        devices
    }
}

impl DeviceSet {
    /// Adds a device under its own name, in place of one of that name.
    pub fn add(&mut self, device: Arc<dyn Device>) {
        self.0.insert(device.name(), device);
    }

    /// The device called `name`; `auto` is the best there is.
    ///
    /// # Errors
    ///
    /// Says which devices there are if `name` is none of them.
    pub fn get(&self, name: &str) -> Result<&Arc<dyn Device>, DeviceError> {
        let wanted = if name == "auto" { DEFAULT } else { name };
        self.0.get(wanted).ok_or_else(|| DeviceError::Absent {
            device: name.to_owned(),
            known: self.names().map(str::to_owned).collect(),
        })
    }

    /// What devices are called, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
