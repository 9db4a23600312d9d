//! The `esper` command.

fn main() {}
