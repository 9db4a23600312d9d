//! `[limits]`: what may not grow beyond.

use super::keys::{Keys, Section};

/// What may not grow beyond (DESIGN §5, §13).
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Parameters of one host, grafts included, 1 to 10^10. Default 10^8.
    pub params_max: u64,
    /// Grafts of one host at a time, 0 or 1. Default 1: a twin then differs by one seed only.
    pub grafts_max: usize,
    /// Seeds planted in one host over the whole run, 1 to 1,000,000. Default 1024.
    pub seeds_max: usize,
    /// Hosts and twins in the world at once, 1 to 65,536. Default 8192.
    pub hosts_max: usize,
    /// Lines of `events.jsonl`, 1000 to 10^12. Default 10^8.
    pub events_max: u64,
}

impl Section for Limits {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("params_max", &mut self.params_max, 1..=10_u64.pow(10));
        keys.key("grafts_max", &mut self.grafts_max, 0..=1);
        keys.key("seeds_max", &mut self.seeds_max, 1..=1_000_000);
        keys.key("hosts_max", &mut self.hosts_max, 1..=65_536);
        keys.key("events_max", &mut self.events_max, 1000..=10_u64.pow(12));
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            params_max: 100_000_000,
            grafts_max: 1,
            seeds_max: 1024,
            hosts_max: 8192,
            events_max: 100_000_000,
        }
    }
}
