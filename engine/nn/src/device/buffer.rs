//! Buffers: memory of a device, named by whoever owns it and seen by the device alone.

use std::{any::Any, fmt, sync::Arc};

use crate::tensor::DType;

/// A block of words in a device's memory.
///
/// Only the device that gave it can read or write it; everybody else uses [`upload`](super::Device::upload_f32) and
/// [`download`](super::Device::download_f32).
pub struct Buffer {
    owner: Owner,
    memory: Memory,
}

/// Which device a buffer is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Processor,
    Oracle,
    Foreign,
}

/// Where the words lie.
pub(super) enum Memory {
    F32(Vec<f32>),
    U32(Vec<u32>),
    SharedF32(Arc<[f32]>),
    SharedU32(Arc<[u32]>),
    Foreign(Box<dyn ForeignMemory>),
}

/// Memory that is not the processor's: what a device of another crate keeps behind a [`Buffer`].
pub trait ForeignMemory: Any + Send + Sync {
    /// Words in it.
    fn len_elems(&self) -> usize;

    /// What they are.
    fn dtype(&self) -> DType;

    /// For `downcast_ref`.
    fn as_any(&self) -> &dyn Any;

    /// For `downcast_mut`.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl Buffer {
    /// Wraps memory of a device that keeps its numbers elsewhere.
    pub fn foreign(memory: impl ForeignMemory) -> Self {
        Self::new(Owner::Foreign, Memory::Foreign(Box::new(memory)))
    }

    pub(super) fn new(owner: Owner, memory: Memory) -> Self {
        Self { owner, memory }
    }

    /// A buffer of `len_elems` zeros in the processor's memory.
    pub(super) fn zeros(owner: Owner, dtype: DType, len_elems: usize) -> Self {
        let memory = match dtype {
            DType::F32 => Memory::F32(vec![0.0; len_elems]),
            DType::U32 => Memory::U32(vec![0; len_elems]),
        };
        Self::new(owner, memory)
    }

    /// This buffer, if it is `owner`'s.
    ///
    /// # Panics
    ///
    /// If it is another device's.
    pub(super) fn of(&self, owner: Owner) -> &Self {
        assert_eq!(self.owner, owner, "{self:?} is another device's");
        self
    }

    /// As [`of`](Self::of), for writing.
    pub(super) fn of_mut(&mut self, owner: Owner) -> &mut Self {
        self.of(owner);
        self
    }

    /// The memory given to [`Buffer::foreign`], if it is an `M`.
    pub fn as_foreign<M: ForeignMemory>(&self) -> Option<&M> {
        match &self.memory {
            Memory::Foreign(memory) => memory.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// The memory given to [`Buffer::foreign`], for writing, if it is an `M`.
    pub fn as_foreign_mut<M: ForeignMemory>(&mut self) -> Option<&mut M> {
        match &mut self.memory {
            Memory::Foreign(memory) => memory.as_any_mut().downcast_mut(),
            _ => None,
        }
    }

    /// Words in it.
    pub fn len_elems(&self) -> usize {
        match &self.memory {
            Memory::F32(values) => values.len(),
            Memory::U32(values) => values.len(),
            Memory::SharedF32(values) => values.len(),
            Memory::SharedU32(values) => values.len(),
            Memory::Foreign(memory) => memory.len_elems(),
        }
    }

    /// What they are.
    pub fn dtype(&self) -> DType {
        match &self.memory {
            Memory::F32(_) | Memory::SharedF32(_) => DType::F32,
            Memory::U32(_) | Memory::SharedU32(_) => DType::U32,
            Memory::Foreign(memory) => memory.dtype(),
        }
    }

    /// The words of a buffer in the processor's memory.
    pub(super) fn f32(&self) -> &[f32] {
        match &self.memory {
            Memory::F32(values) => values,
            Memory::SharedF32(values) => values,
            _ => panic!("{self:?} is not f32 in the processor's memory"),
        }
    }

    /// The words of a buffer in the processor's memory, for writing.
    pub(super) fn f32_mut(&mut self) -> &mut [f32] {
        match &mut self.memory {
            Memory::F32(values) => values,
            _ => panic!("the buffer is not writable f32 in the processor's memory"),
        }
    }

    /// The integers of a buffer in the processor's memory.
    pub(super) fn u32(&self) -> &[u32] {
        match &self.memory {
            Memory::U32(values) => values,
            Memory::SharedU32(values) => values,
            _ => panic!("{self:?} is not u32 in the processor's memory"),
        }
    }

    /// The integers of a buffer in the processor's memory, for writing.
    pub(super) fn u32_mut(&mut self) -> &mut [u32] {
        match &mut self.memory {
            Memory::U32(values) => values,
            _ => panic!("the buffer is not writable u32 in the processor's memory"),
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({:?}[{}] of {:?})", self.dtype(), self.len_elems(), self.owner)
    }
}
