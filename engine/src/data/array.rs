//! Arrays as files hold them: a shape, an element type, and bytes not yet believed.

use super::{DataFault, LEN_MAX_BYTES, N_CLASSES_MAX, Targets, Task, input::Input};

/// The most axes an array may have; NumPy 1 allowed 32, no data set in use has more than five.
pub(super) const N_AXES_MAX: usize = 8;

/// The types an element may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

/// In which order the bytes of an element come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endian {
    Little,
    Big,
}

/// An array whose bytes are there, each of its elements still to be checked.
pub(super) struct RawArray {
    shape: Vec<usize>,
    element: Element,
    endian: Endian,
    bytes: Vec<u8>,
}

impl Element {
    fn len_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

impl RawArray {
    /// Reads the values of an array whose header has been read; nothing may follow them.
    pub(super) fn read(
        shape: &[u64],
        element: Element,
        endian: Endian,
        input: &mut Input,
    ) -> Result<Self, DataFault> {
        let too_large = || DataFault::TooLarge { what: format!("its shape is {shape:?}") };
        if shape.contains(&0) {
            return Err(DataFault::Empty);
        }
        let n_elems = shape.iter().try_fold(1_u64, |n_elems, axis| n_elems.checked_mul(*axis));
        let element_bytes = element.len_bytes() as u64;
        // Elements become f32: four bytes each, whatever they took in the file.
        let fits = |it: &u64| {
            it.checked_mul(element_bytes.max(4)).is_some_and(|bytes| bytes <= LEN_MAX_BYTES)
        };
        let n_elems = n_elems.filter(fits).ok_or_else(too_large)?;
        let axes = shape.iter().map(|axis| usize::try_from(*axis));
        let shape = axes.collect::<Result<Vec<_>, _>>().map_err(|_| too_large())?;
        let bytes = input.read_rest(n_elems * element_bytes)?;
        Ok(Self { shape, element, endian, bytes })
    }

    /// The array as features `f32[n, elems]`, and the shape of one example.
    pub(super) fn into_features(self) -> Result<(Vec<f32>, Vec<usize>), DataFault> {
        let [_, example_shape @ ..] = &self.shape[..] else { return Err(self.bad_features()) };
        if example_shape.is_empty() {
            return Err(self.bad_features());
        }
        Ok((self.to_f32s()?, example_shape.to_vec()))
    }

    /// The array as targets, one row an example.
    pub(super) fn into_targets(self, task: Task) -> Result<Targets, DataFault> {
        let width: usize = self.shape.iter().skip(1).product();
        match task {
            Task::Classification if width != 1 || self.shape.is_empty() => Err(DataFault::Shape {
                shape: self.shape,
                wanted: "class labels are one whole number an example, [n]; of one-hot rows take \
                         the argmax",
            }),
            Task::Classification => {
                let labels: Vec<u32> = (0..self.shape[0])
                    .map(|example| self.label(example))
                    .collect::<Result<_, _>>()?;
                let n_classes = labels.iter().max().map_or(0, |label| *label as usize + 1);
                Ok(Targets::Classes { labels: labels.into(), n_classes })
            }
            Task::Regression if self.shape.is_empty() => {
                Err(DataFault::Shape { shape: self.shape, wanted: "targets are [n] or [n, width]" })
            }
            Task::Regression => Ok(Targets::Values { values: self.to_f32s()?.into(), width }),
        }
    }

    fn bad_features(&self) -> DataFault {
        DataFault::Shape {
            shape: self.shape.clone(),
            wanted: "features need two axes at least, [n, elems]",
        }
    }

    fn label(&self, example: usize) -> Result<u32, DataFault> {
        let label = self.value(example);
        let is_class = 0.0 <= label && label < N_CLASSES_MAX as f64 && label.fract() == 0.0;
        is_class.then_some(label as u32).ok_or(DataFault::NotAClass { example, label })
    }

    fn to_f32s(&self) -> Result<Vec<f32>, DataFault> {
        let n_elems = self.bytes.len() / self.element.len_bytes();
        let row = n_elems / self.shape[0];
        let finite = |index| {
            let value = self.value(index);
            let rounded = value as f32;
            if rounded.is_finite() {
                return Ok(rounded);
            }
            Err(DataFault::NotFinite { example: index / row, element: index % row, value })
        };
        (0..n_elems).map(finite).collect()
    }

    /// One element. Whole numbers beyond 2^53 are rounded; none is a class, and `f32` has fewer bits.
    fn value(&self, index: usize) -> f64 {
        match self.element {
            Element::U8 => self.bytes[index].into(),
            Element::I8 => self.bytes[index].cast_signed().into(),
            Element::U16 => u16::from_le_bytes(self.le_bytes(index)).into(),
            Element::I16 => i16::from_le_bytes(self.le_bytes(index)).into(),
            Element::U32 => u32::from_le_bytes(self.le_bytes(index)).into(),
            Element::I32 => i32::from_le_bytes(self.le_bytes(index)).into(),
            Element::U64 => u64::from_le_bytes(self.le_bytes(index)) as f64,
            Element::I64 => i64::from_le_bytes(self.le_bytes(index)) as f64,
            Element::F32 => f32::from_le_bytes(self.le_bytes(index)).into(),
            Element::F64 => f64::from_le_bytes(self.le_bytes(index)),
        }
    }

    fn le_bytes<const N: usize>(&self, index: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[index * N..][..N]);
        if self.endian == Endian::Big {
            bytes.reverse();
        }
        bytes
    }
}
