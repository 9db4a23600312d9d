//! Esper trains neural networks that grow while they train.
//!
//! A host network learns as usual; seeds planted at named sites germinate small modules, train them without touching
//! the host, graft them in, judge them on held-out data against an exact twin of the host, and keep them or remove them
//! without a trace.
//!
//! This crate is the facade: [`prelude`] for embedding, [`Run`] to begin, resume, replay and watch a run, [`sweep`] for many,
//! [`compare`], [`attribution`] and [`report`] for what they come to, and the `esper` command. What it is made of lies in
//! [`kernels`], [`nn`], [`stats`], [`data`], [`engine`] and [`systems`].
//!
//! ```
//! use esper::prelude::*;
//!
//! let mut scenario = scenario::defaults();
//! scenario[RUN].epochs = 3;
//! scenario[DATA].source = "digits".into();
//! scenario[HOST] = scenario::Host::mlp([64, 8, 10]);
//! scenario[HOST].sites = vec!["hidden0".into()];
//! let summary = Run::start(scenario)?.finish()?;
//! assert!(summary.scores.test_accuracy.unwrap() > 0.5);
//! # Ok::<(), esper::RunError>(())
//! ```

#![forbid(unsafe_code)]

pub mod attribution;
pub mod compare;
mod devices;
mod error;
mod hosts;
pub mod report;
mod run;
pub mod scenario;
pub mod sweep;
pub mod tensorboard;

pub use devices::Devices;
pub use error::RunError;
pub use hosts::HostSpec;
pub use run::{
    Command, CommandReceived, Event, HostPlan, Layer, Plan, Replay, Resumed, Run, RunFolder,
    RunHandle, RunOptions, RunState, evaluate, read_scenario_text, seal_library,
};

pub use bevy_ecs;
pub use esper_data as data;
pub use esper_engine as engine;
pub use esper_kernels as kernels;
pub use esper_nn as nn;
pub use esper_stats as stats;
pub use esper_systems as systems;

/// What almost every user of the library needs.
pub mod prelude {
    pub use crate::{
        Command, Devices, Event, HostSpec, Plan, Run, RunError, RunFolder, RunHandle, RunOptions,
        RunState,
        scenario::{
            self, CHECKPOINT, DATA, GOVERNOR, HOST, KARN, KASMINA, Key, Keys, LIMITS, NISSA, RUN,
            Resolved, Scenario, ScenarioError, Section, Sections, TAMIYO, TEZZERET, TRAIN,
            URABRASK, URZA,
        },
    };
    pub use esper_data::{self as data, DataConfig, Dataset, SplitData};
    pub use esper_engine::{
        ids::{BlueprintId, HostId, Index, SeedId, SiteId},
        journal::{Recorded, RecordedMessage, TextContext},
        runtime::{HostRuntime, Runtimes},
        stage::Stage,
        world::{
            blueprint::Blueprint,
            components::{Principal, Runtime, SeedOf, Telemetry},
            gate::{Gate, GateVerdict},
            hosts::{Hosts, HostsMut},
            plugin::{BuildError, Clock, Engine, Plugin, RunStatus, Tick, TickSystems},
        },
    };
    pub use esper_kernels::cpu::Activation;
    pub use esper_nn::graph::{GraphError, Init, NetworkGraph, Op};
    pub use esper_nn::{contract::Contract, op};
    pub use esper_systems::{
        EsperPlugins,
        karn::{BlueprintFamily, KarnExt},
        nissa::{ProgressMode, Summary},
        oona::{
            EpochEnded, GateJudged, HostReport, SeedAction, SeedCommand, SeedReport, StageChanged,
        },
        tamiyo::{Candidate, DormantSeed, Observation, Policy, TamiyoConfig, TamiyoExt},
    };
}
