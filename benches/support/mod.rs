//! What the benches share: hosts on made-up data, and how time is taken.

pub mod growth;
pub mod hosts;
pub mod timing;
