//! IDX: the format of MNIST (Y. LeCun, <http://yann.lecun.com/exdb/mnist/>, "The IDX file format").
//!
//! Two zero bytes, an element type, the number of axes, each axis as a big-endian `u32`, then the
//! values, big-endian and row-major.

use super::{
    DataFault,
    array::{Element, Endian, N_AXES_MAX, RawArray},
    input::Input,
};

/// Reads an IDX file whole.
pub(super) fn read(input: &mut Input) -> Result<RawArray<'static>, DataFault> {
    let magic = input.read_up_to(4)?;
    let (element, n_axes) = match magic[..] {
        [] => return Err(DataFault::Empty),
        [0, 0, element, n_axes] => (element_of(element)?, usize::from(n_axes)),
        _ => {
            let expected = "00 00, an element type and the number of axes";
            return Err(DataFault::BadMagic {
                format: "an IDX file begins",
                expected,
                found: magic,
            });
        }
    };
    if n_axes == 0 || N_AXES_MAX < n_axes {
        let reason = format!("it has {n_axes} axes, and 1 to {N_AXES_MAX} are possible");
        return Err(DataFault::BadHeader { reason });
    }
    let header = input.read_up_to(4 * n_axes as u64)?;
    let (axes, _) = header.as_chunks::<4>();
    if axes.len() < n_axes {
        let reason = format!("it ends after {} of {n_axes} axes", axes.len());
        return Err(DataFault::BadHeader { reason });
    }
    let shape: Vec<u64> = axes.iter().map(|axis| u32::from_be_bytes(*axis).into()).collect();
    RawArray::read(&shape, element, Endian::Big, input)
}

fn element_of(code: u8) -> Result<Element, DataFault> {
    Ok(match code {
        0x08 => Element::U8,
        0x09 => Element::I8,
        0x0b => Element::I16,
        0x0c => Element::I32,
        0x0d => Element::F32,
        0x0e => Element::F64,
        _ => {
            return Err(DataFault::UnsupportedElement {
                found: format!("{code:#04x}"),
                supported: "0x08 (u8), 0x09 (i8), 0x0b (i16), 0x0c (i32), 0x0d (f32) or 0x0e (f64)",
            });
        }
    })
}
