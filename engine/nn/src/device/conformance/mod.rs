//! The test body that every device passes: whole training steps of every family of hosts, with modules that incubate,
//! are tried, grafted and culled.
//!
//! What a device computes agrees with [`Cpu`] to a stated bound, for kernels may sum in another order. What is promised
//! by design is exact on the device itself: a module that incubates changes no bit of its host, not even one that has
//! come to numbers that are not finite; and a twin is the host that never had the module. Between them, the networks have
//! every instruction there is.

mod networks;
mod trained;

use std::sync::Arc;

use super::{Cpu, Device};
use crate::{
    module::{Composition, Incubation},
    optim::{Adam, Optimizer, Sgd},
    plan::{Fault, Variant},
    tensor::DType,
};
use networks::Host;
use trained::{N_STEPS, Trained};

/// Largest difference of a number from [`Cpu`]'s, as a share of how far training has moved any number of its kind: a
/// parameter, a running statistic, a moment.
///
/// One rounding is 6e-8 of a number. Sums of tens of terms in another order differ by some of those, and up to 40 steps
/// of training carry them on and make them grow: [`Oracle`](super::Oracle), which sums in plain order and takes another
/// library's exponentials, is within 1.1e-5. A gradient that is wrong by a tenth is found.
pub const TOLERANCE: f32 = 1e-3;

/// As [`TOLERANCE`], for losses and sampled root mean squares, which are smooth in all numbers: a share of their own
/// value.
pub const LOSS_TOLERANCE: f64 = 1e-4;

/// Holds `device` to the processor, and to what every device promises.
///
/// # Panics
///
/// Says what differs, in which network and at which step.
pub fn check(device: &Arc<dyn Device>) {
    moves_numbers(&**device);
    for host in Host::ALL {
        agrees_with_the_processor(device, host, Composition::Residual, &stochastic());
        agrees_with_the_processor(device, host, Composition::Blend, &adam());
        leaves_its_host_alone(device, host, Incubation::StraightThrough);
        leaves_its_host_alone(device, host, Incubation::Shadow);
        spans_agree_with_the_processor(device, host);
        has_twins(device, host);
        stops_at_a_fault(device, host);
    }
}

fn stochastic() -> Optimizer {
    Optimizer::Sgd(Sgd { lr: 0.02, momentum: 0.9, nesterov: true, ..Sgd::default() })
}

/// Where a gradient is nothing but rounding (that of attention's key biases is zero), Adam's usual `eps` would make a
/// step of the full learning rate of it, in one direction on one device and in the other on another.
fn adam() -> Optimizer {
    Optimizer::AdamW(Adam { lr: 2e-3, eps: 1e-4, weight_decay: 0.01, ..Adam::default() })
}

/// Buffers are zero at first, and uploads, downloads and copies reach the elements they name and no other.
fn moves_numbers(device: &dyn Device) {
    let name = device.name();
    let mut buffer = device.alloc(DType::F32, 7).expect("there is room");
    assert_eq!((buffer.dtype(), buffer.len_elems()), (DType::F32, 7), "{name}");
    assert_eq!(device.to_vec(&buffer), [0.0; 7], "{name}: a buffer is zero at first");
    device.upload_f32(&[1.0, -0.0, f32::MIN_POSITIVE], &mut buffer, 2);
    let expected = [0.0, 0.0, 1.0, -0.0, f32::MIN_POSITIVE, 0.0, 0.0];
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
    assert_eq!(bits(&device.to_vec(&buffer)), bits(&expected), "{name}: an upload");
    let mut values = [9.0; 2];
    device.download_f32(&buffer, 1, &mut values);
    assert_eq!(values, [0.0, 1.0], "{name}: a download");
    let copy = device.duplicate(&buffer).expect("there is room");
    device.copy(&copy, 2, &mut buffer, 4, 3);
    let expected = [0.0, 0.0, 1.0, -0.0, 1.0, -0.0, f32::MIN_POSITIVE];
    assert_eq!(bits(&device.to_vec(&buffer)), bits(&expected), "{name}: a copy");
    let shared = device.share_f32(Arc::new([3.0, 4.0])).expect("there is room");
    assert_eq!(device.to_vec(&shared), [3.0, 4.0], "{name}: shared values");
    let shared = device.share_u32(Arc::new([3, 4])).expect("there is room");
    assert_eq!((shared.dtype(), shared.len_elems()), (DType::U32, 2), "{name}: shared integers");
}

fn agrees_with_the_processor(
    device: &Arc<dyn Device>,
    host: Host,
    composition: Composition,
    optimizer: &Optimizer,
) {
    let cpu: Arc<dyn Device> = Arc::new(Cpu);
    let mut both = [device, &cpu].map(|it| Trained::new(it, host, composition, optimizer));
    let last_site = both[0].last_site();
    let at = |what: &str| format!("{}, {host:?} {composition:?}, {what}", device.name());
    compare_steps(&mut both, &at("alone"));
    for it in &mut both {
        it.bind(1, 0, Incubation::StraightThrough);
        it.bind(2, last_site, Incubation::Shadow);
    }
    compare_steps(&mut both, &at("incubating"));
    for it in &mut both {
        it.graft(2, 0.5);
    }
    compare_steps(&mut both, &at("grafted"));
    let [found, expected] = both.each_mut().map(|it| it.try_module(1, 0.3));
    assert_close(&at("tried"), found, expected);
    // Another that incubates in the shadow of one that is grafted.
    for it in &mut both {
        it.bind(3, 0, Incubation::Shadow);
    }
    compare_steps(&mut both, &at("grafted, another incubating"));
    for it in &mut both {
        it.unbind(2);
    }
    compare_steps(&mut both, &at("culled"));
}

/// Modules that read at one site and write at another: each way of incubating beside one that is grafted, whose read port
/// lies before, at and behind where the others' shadows begin.
fn spans_agree_with_the_processor(device: &Arc<dyn Device>, host: Host) {
    let cpu: Arc<dyn Device> = Arc::new(Cpu);
    let mut both = [device, &cpu].map(|it| Trained::new(it, host, Composition::Residual, &adam()));
    let at = |what: &str| format!("{}, {host:?}, spans {what}", device.name());
    for it in &mut both {
        it.bind_span(1, Incubation::StraightThrough);
        it.bind_span(2, Incubation::Shadow);
    }
    compare_steps(&mut both, &at("incubating"));
    let [found, expected] = both.each_mut().map(|it| it.try_module(1, 0.3));
    assert_close(&at("tried"), found, expected);
    let last_site = both[0].last_site();
    for it in &mut both {
        it.graft(1, 0.5);
        let ports = it.bind_span(3, Incubation::StraightThrough);
        it.bind(4, ports.read, Incubation::Shadow);
        it.bind(5, (ports.read + last_site) / 2, Incubation::Shadow);
        it.bind(6, 0, Incubation::StraightThrough);
    }
    compare_steps(&mut both, &at("grafted, others incubating"));
    for it in &mut both {
        it.graft(4, 0.2);
    }
    compare_steps(&mut both, &at("grafted, with one at the port it reads"));
    for it in &mut both {
        it.unbind(1);
    }
    compare_steps(&mut both, &at("culled"));
}

/// Takes steps on both, and compares all they leave.
fn compare_steps(both: &mut [Trained; 2], what: &str) {
    for step in 0..N_STEPS {
        let [found, expected] = both.each_mut().map(Trained::take_step);
        let what = format!("{what}, step {step}");
        assert_close(&format!("{what}: loss"), found.loss_sum, expected.loss_sum);
        // Where two outputs are all but equal, rounding says which is larger.
        let n_apart = found.n_correct.abs_diff(expected.n_correct);
        assert!(n_apart <= 1, "{what}: {} right, not {}", found.n_correct, expected.n_correct);
        let [found, expected] = both.each_ref().map(Trained::samples);
        assert_eq!(found.len(), expected.len(), "{what}: samples");
        for (found, expected) in found.into_iter().zip(expected) {
            assert_close(&format!("{what}: sampled"), f64::from(found), f64::from(expected));
        }
    }
    for unit in 0..both[0].n_units() {
        let at_birth = both[1].at_birth(unit);
        let [found, expected] = both.each_ref().map(|it| it.numbers(unit));
        for (kind, ((found, expected), at_birth)) in
            found.iter().zip(&expected).zip(at_birth).enumerate()
        {
            let moved = expected.iter().zip(at_birth).map(|(x, at_birth)| (x - at_birth).abs());
            let bound = TOLERANCE * moved.fold(0.0, f32::max);
            for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
                let name = trained::KINDS[kind];
                let is_close = (found - expected).abs() <= bound;
                assert!(
                    is_close,
                    "{what}, network {unit}, {name} {at}: {found}, not {expected} +- {bound}"
                );
            }
        }
    }
    let [found, expected] = both.each_mut().map(|it| it.evaluate(Variant::Evaluate));
    assert_close(&format!("{what}: evaluated"), found, expected);
}

fn assert_close(what: &str, found: f64, expected: f64) {
    let is_close = (found - expected).abs() <= LOSS_TOLERANCE * expected.abs();
    assert!(is_close, "{what}: {found}, the processor's is {expected}");
}

fn leaves_its_host_alone(device: &Arc<dyn Device>, host: Host, how: Incubation) {
    let at = |what: &str| format!("{}, {host:?} {how:?}: {what}", device.name());
    let new = || Trained::new(device, host, Composition::Residual, &adam());
    let (mut alone, mut watched, mut broken) = (new(), new(), new());
    watched.bind(1, 0, how);
    watched.bind_span(2, how);
    broken.bind(1, 0, how);
    broken.bind_span(2, how);
    broken.spoil(1);
    broken.spoil(2);
    for step in 0..N_STEPS {
        let outcomes = [&mut alone, &mut watched, &mut broken].map(Trained::take_step);
        assert_eq!(outcomes[0], outcomes[1], "{}", at("the outcome of a step"));
        assert_eq!(outcomes[0], outcomes[2], "{}", at("the outcome of a step"));
        let numbers = alone.bits(0);
        assert!(numbers == watched.bits(0), "{}", at(&format!("step {step} differs")));
        assert!(numbers == broken.bits(0), "{}", at(&format!("step {step} with NaN differs")));
    }
    for unit in [1, 2] {
        let moved = watched.numbers(unit)[0] != watched.at_birth(unit)[0];
        assert!(moved, "{}", at("the module learns"));
        assert!(!broken.is_finite(unit), "{}", at("NaN in a module is noticed"));
    }
}

fn has_twins(device: &Arc<dyn Device>, host: Host) {
    let at = |what: &str| format!("{}, {host:?}: {what}", device.name());
    let new = || Trained::new(device, host, Composition::Residual, &adam());
    let (mut alone, mut grown) = (new(), new());
    grown.bind(1, 0, Incubation::StraightThrough);
    grown.bind_span(2, Incubation::StraightThrough);
    for _ in 0..N_STEPS {
        alone.take_step();
        grown.take_step();
    }
    let mut twin = grown.twin();
    grown.graft(1, 0.7);
    grown.graft(2, 0.4);
    for _ in 0..N_STEPS {
        let outcomes = [&mut alone, &mut twin].map(Trained::take_step);
        grown.take_step();
        assert_eq!(outcomes[0], outcomes[1], "{}", at("the outcome of a twin's step"));
        assert!(alone.bits(0) == twin.bits(0), "{}", at("a twin is who never had the module"));
    }
    assert!(grown.bits(0) != twin.bits(0), "{}", at("a grafted module acts"));
}

fn stops_at_a_fault(device: &Arc<dyn Device>, host: Host) {
    let name = device.name();
    let mut spoilt = Trained::new(device, host, Composition::Residual, &adam());
    spoilt.spoil(0);
    let before = spoilt.bits(0);
    let outcome = spoilt.take_step();
    assert_eq!(outcome.fault, Some(Fault::NonFiniteLoss), "{name}, {host:?}");
    let after = spoilt.bits(0);
    let is_same = [0, 2, 3].iter().all(|kind| before[*kind] == after[*kind]);
    assert!(is_same, "{name}, {host:?}: a fault updates nothing");
}
