//! Every device of this crate passes the test body of devices.

use std::sync::Arc;

use esper_nn::device::{Cpu, Device, Oracle, conformance};

#[test]
fn the_processor_is_what_it_promises() {
    conformance::check(&(Arc::new(Cpu) as Arc<dyn Device>));
}

#[test]
fn the_oracle_agrees_with_the_processor() {
    conformance::check(&(Arc::new(Oracle) as Arc<dyn Device>));
}

/// What reaches for another device's numbers is stopped, though both lie in the processor's memory.
#[test]
#[should_panic(expected = "is another device's")]
fn the_oracle_keeps_its_buffers_to_itself() {
    let buffer = Oracle.share_f32(Arc::new([1.0])).unwrap();
    Cpu.to_vec(&buffer);
}
