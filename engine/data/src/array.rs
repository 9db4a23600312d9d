//! Arrays as files hold them: a shape, an element type, and bytes not yet believed.

use std::borrow::Cow;

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
    F16,
    Bf16,
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
pub(super) struct RawArray<'a> {
    shape: Vec<usize>,
    element: Element,
    endian: Endian,
    bytes: Cow<'a, [u8]>,
}

impl Element {
    fn len_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

impl<'a> RawArray<'a> {
    /// An array whose values are in memory.
    ///
    /// # Panics
    ///
    /// If `bytes` are not as many as the shape asks for: the file's own check comes first.
    pub(super) fn of_bytes(
        shape: &[usize],
        element: Element,
        bytes: &'a [u8],
    ) -> Result<Self, DataFault> {
        if shape.contains(&0) {
            return Err(DataFault::Empty);
        }
        if N_AXES_MAX < shape.len() {
            let reason = format!("its shape has more than {N_AXES_MAX} axes");
            return Err(DataFault::BadHeader { reason });
        }
        let n_elems: usize = shape.iter().product();
        assert_eq!(bytes.len(), n_elems * element.len_bytes(), "values as the shape asks for");
        if LEN_MAX_BYTES < 4 * n_elems as u64 {
            return Err(DataFault::TooLarge { what: format!("its shape is {shape:?}") });
        }
        let bytes = Cow::Borrowed(bytes);
        Ok(Self { shape: shape.to_vec(), element, endian: Endian::Little, bytes })
    }

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
        Ok(Self { shape, element, endian, bytes: bytes.into() })
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
            Element::F16 => f16_to_f64(u16::from_le_bytes(self.le_bytes(index))),
            Element::Bf16 => {
                let high = u16::from_le_bytes(self.le_bytes(index));
                f32::from_bits(u32::from(high) << 16).into()
            }
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

/// The number that the bits of an IEEE 754 binary16 mean (IEEE 754-2019, section 3.4).
pub fn f16_to_f64(bits: u16) -> f64 {
    let (exponent, fraction) = (bits >> 10 & 0x1f, f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(i32::from(exponent) - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_read_as_the_standard_says() {
        for (bits, number) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x03ff, 6.097_555_160_522_461e-5),
            (0x0400, 6.103_515_625e-5),
            (0x3555, 0.333_251_953_125),
            (0x3c00, 1.0),
            (0x3c01, 1.000_976_562_5),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x7c00, f64::INFINITY),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(f16_to_f64(bits), number, "{bits:#06x}");
        }
        assert_eq!(f16_to_f64(0x8000).to_bits(), (-0.0_f64).to_bits());
        assert!(f16_to_f64(0x7c01).is_nan() && f16_to_f64(0xffff).is_nan());
    }
}
