//! A device of another crate, by what is public alone.
//!
//! Its memory is bytes in an order that no slice of numbers can be taken of, as memory on another chip would be. It
//! computes by bringing a plan's buffers to the processor and taking them back: that it passes the test body says that
//! whoever uses a device reaches numbers by its methods, and that a device can reach every buffer of a plan.

use std::{any::Any, sync::Arc};

use esper_nn::{
    device::{
        Buffer, Cpu, Device, DeviceError, ExampleFeatures, ExampleTargets, Examples, ForeignMemory,
        StepMemory, UnitAverage, UnitMemory, UnitState, UnitWork, conformance,
    },
    plan::{StepArgs, StepOutcome, StepPlan, Variant},
    tensor::DType,
};

/// Words of 4 bytes, the most significant first.
struct BigEndian {
    dtype: DType,
    bytes: Vec<u8>,
}

impl ForeignMemory for BigEndian {
    fn len_elems(&self) -> usize {
        self.bytes.len() / 4
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// The words that lie in a buffer from element `at` on.
fn load(buffer: &Buffer, at: usize) -> impl Iterator<Item = u32> {
    let memory = buffer.as_foreign::<BigEndian>().expect("a buffer of this device");
    let words = memory.bytes[4 * at..].chunks_exact(4);
    words.map(|word| u32::from_be_bytes(word.try_into().expect("4 bytes")))
}

fn store(buffer: &mut Buffer, at: usize, words: impl Iterator<Item = u32>) {
    let memory = buffer.as_foreign_mut::<BigEndian>().expect("a buffer of this device");
    for (to, word) in memory.bytes[4 * at..].chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_be_bytes());
    }
}

struct Distant;

impl Device for Distant {
    fn name(&self) -> String {
        "distant".to_owned()
    }

    fn run(
        &self,
        plan: &StepPlan,
        variant: Variant,
        memory: &mut StepMemory,
        examples: Option<&Examples>,
        args: &StepArgs<'_>,
    ) -> Result<StepOutcome, DeviceError> {
        let mut near = StepMemory {
            units: memory.units.iter().map(near_unit).collect(),
            monitor: memory.monitor,
            site_samples: memory.site_samples.clone(),
            labels: near(&memory.labels),
            values: near(&memory.values),
            kept: near(&memory.kept),
            kept_losses: memory.kept_losses.clone(),
        };
        let examples = examples.map(near_examples);
        let outcome = Cpu.run(plan, variant, &mut near, examples.as_ref(), args)?;
        (memory.monitor, memory.site_samples) = (near.monitor, near.site_samples);
        memory.kept_losses = near.kept_losses;
        for (unit, near) in memory.units.iter_mut().zip(near.units) {
            (unit.is_finite, unit.sample, unit.sampling) =
                (near.is_finite, near.sample, near.sampling);
            let pairs = buffers(&mut unit.state, &mut unit.work).into_iter();
            let (mut state, mut work) = (near.state, near.work);
            let near_buffers = buffers(&mut state, &mut work);
            let averages = unit.average.iter_mut().zip(&near.average);
            let averages = averages.flat_map(|(far, near)| {
                [(&mut far.params, &near.params), (&mut far.buffers, &near.buffers)]
            });
            let pairs = pairs.zip(near_buffers).map(|(far, near)| (far, &*near)).chain(averages);
            for (far, near) in pairs {
                store(far, 0, Cpu.to_vec(near).into_iter().map(f32::to_bits));
            }
        }
        Ok(outcome)
    }

    fn alloc(&self, dtype: DType, len_elems: usize) -> Result<Buffer, DeviceError> {
        Ok(Buffer::foreign(BigEndian { dtype, bytes: vec![0; 4 * len_elems] }))
    }

    fn share_f32(&self, values: Arc<[f32]>) -> Result<Buffer, DeviceError> {
        let mut buffer = self.alloc(DType::F32, values.len())?;
        self.upload_f32(&values, &mut buffer, 0);
        Ok(buffer)
    }

    fn share_u32(&self, values: Arc<[u32]>) -> Result<Buffer, DeviceError> {
        let mut buffer = self.alloc(DType::U32, values.len())?;
        self.upload_u32(&values, &mut buffer, 0);
        Ok(buffer)
    }

    fn upload_f32(&self, values: &[f32], buffer: &mut Buffer, at: usize) {
        store(buffer, at, values.iter().map(|value| value.to_bits()));
    }

    fn upload_u32(&self, values: &[u32], buffer: &mut Buffer, at: usize) {
        store(buffer, at, values.iter().copied());
    }

    fn download_f32(&self, buffer: &Buffer, at: usize, values: &mut [f32]) {
        for (value, word) in values.iter_mut().zip(load(buffer, at)) {
            *value = f32::from_bits(word);
        }
    }

    fn copy(&self, from: &Buffer, from_at: usize, to: &mut Buffer, to_at: usize, len_elems: usize) {
        let words: Vec<u32> = load(from, from_at).take(len_elems).collect();
        store(to, to_at, words.into_iter());
    }
}

/// Every buffer that a run may write.
fn buffers<'a>(state: &'a mut UnitState, work: &'a mut UnitWork) -> [&'a mut Buffer; 10] {
    let UnitState { params, buffers, m, v } = state;
    let UnitWork { gradients, workspace, scratch, losses, joined, shadow } = work;
    [params, buffers, m, v, gradients, workspace, scratch, losses, joined, shadow]
}

/// A copy in the processor's memory.
fn near(buffer: &Buffer) -> Buffer {
    let mut near = Cpu.alloc(buffer.dtype(), buffer.len_elems()).expect("there is room");
    let words: Vec<u32> = load(buffer, 0).collect();
    match buffer.dtype() {
        DType::U32 => Cpu.upload_u32(&words, &mut near, 0),
        DType::F32 => {
            let values: Vec<f32> = words.into_iter().map(f32::from_bits).collect();
            Cpu.upload_f32(&values, &mut near, 0);
        }
    }
    near
}

fn near_unit(unit: &UnitMemory) -> UnitMemory {
    let UnitState { params, buffers, m, v } = &unit.state;
    let UnitWork { gradients, workspace, scratch, losses, joined, shadow } = &unit.work;
    UnitMemory {
        state: UnitState { params: near(params), buffers: near(buffers), m: near(m), v: near(v) },
        work: UnitWork {
            gradients: near(gradients),
            workspace: near(workspace),
            scratch: near(scratch),
            losses: near(losses),
            joined: near(joined),
            shadow: near(shadow),
        },
        average: unit.average.as_ref().map(|UnitAverage { params, buffers }| UnitAverage {
            params: near(params),
            buffers: near(buffers),
        }),
        is_finite: unit.is_finite,
        sample: unit.sample,
        sampling: unit.sampling,
    }
}

fn near_examples(examples: &Examples) -> Examples {
    let features = match &examples.features {
        ExampleFeatures::Dense { values, width, augment } => {
            ExampleFeatures::Dense { values: near(values), width: *width, augment: *augment }
        }
        ExampleFeatures::Windows { tokens, part, context } => {
            ExampleFeatures::Windows { tokens: near(tokens), part: part.clone(), context: *context }
        }
    };
    let targets = match &examples.targets {
        ExampleTargets::Classes(labels) => ExampleTargets::Classes(near(labels)),
        ExampleTargets::Values { values, width } => {
            ExampleTargets::Values { values: near(values), width: *width }
        }
        ExampleTargets::NextTokens => ExampleTargets::NextTokens,
    };
    Examples { features, targets }
}

#[test]
fn a_device_with_memory_elsewhere_passes_the_test_body() {
    conformance::check(&(Arc::new(Distant) as Arc<dyn Device>));
}
