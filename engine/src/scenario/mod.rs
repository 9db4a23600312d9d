//! Scenarios: the file as written, and the run it resolves to.

mod data;
mod host;
mod innovation;
mod kasmina;
mod limits;
mod nissa;
mod run;
mod tamiyo;
mod tolaria;
mod train;
mod word;

pub use self::{
    data::{Data, Standardize, Task},
    host::{Activation, Host, HostKind, Norm},
    innovation::{Karn, Mode, Tezzeret, Urabrask, Urza},
    kasmina::{Composition, Counterfactual, Curve, Incubation, Kasmina},
    limits::Limits,
    nissa::Nissa,
    run::{DeviceKind, Run},
    tamiyo::{Action, Appointment, Policy, Tamiyo},
    tolaria::{Checkpoint, Governor},
    train::{Adam, Course, Optimizer, Schedule, Sgd, Train},
};

/// A run, resolved: every key has a value, and every value is in range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// `[run]`: how long, how often, and on what.
    pub run: Run,
    /// `[data]`: what is learned, and what is held out.
    pub data: Data,
    /// `[host]`: the network as it is before anything grows.
    pub host: Host,
    /// `[train]`: the optimizer and its learning rate over time.
    pub train: Train,
    /// `[governor]`: when training is taken back.
    pub governor: Governor,
    /// `[checkpoint]`: when the run is saved.
    pub checkpoint: Checkpoint,
    /// `[kasmina]`: a seed's life, stage by stage.
    pub kasmina: Kasmina,
    /// `[tamiyo]`: who decides, and within what bounds.
    pub tamiyo: Tamiyo,
    /// `[karn]`: what blueprints there are.
    pub karn: Karn,
    /// `[tezzeret]`: how they are compiled.
    pub tezzeret: Tezzeret,
    /// `[urabrask]`: how kernels are validated.
    pub urabrask: Urabrask,
    /// `[urza]`: where both are kept.
    pub urza: Urza,
    /// `[nissa]`: what is shown and written.
    pub nissa: Nissa,
    /// `[limits]`: what may not grow beyond.
    pub limits: Limits,
}
