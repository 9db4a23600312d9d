//! What the benches share: hosts on made-up data, and how time is taken.

pub mod clocked;
pub mod data;
pub mod growth;
pub mod hosts;
pub mod modules;
pub mod setup;
pub mod timing;
