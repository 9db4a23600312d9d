//! Why a device could not do its work.

/// Why a device could not do its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No such device, or no driver for it, on this machine.
    #[error("no device `{device}` on this machine; there are {}", known.join(", "))]
    Absent {
        /// The device asked for.
        device: String,
        /// Those that are there.
        known: Vec<String>,
    },
    /// The device has no room for a buffer.
    #[error("device `{device}` has no room for {len_elems} more values")]
    OutOfMemory {
        /// The device.
        device: String,
        /// Values asked for, 4 bytes each.
        len_elems: usize,
    },
    /// The device's driver refused, or a kernel failed.
    #[error("device `{device}`: {reason}")]
    Failed {
        /// The device.
        device: String,
        /// What it says.
        reason: String,
    },
}
