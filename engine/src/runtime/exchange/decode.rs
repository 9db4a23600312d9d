//! The number formats that weights come in.

use safetensors::Dtype;

/// The values of little-endian `bytes` as `f32`, if `dtype` is a float of 16, 32 or 64 bits.
pub(super) fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => words(bytes).map(|it| f32::from_le_bytes(*it)).collect(),
        Dtype::F64 => words(bytes).map(|it| f64::from_le_bytes(*it) as f32).collect(),
        Dtype::F16 => words(bytes).map(|it| from_half(u16::from_le_bytes(*it))).collect(),
        Dtype::BF16 => words(bytes).map(|it| from_bfloat(u16::from_le_bytes(*it))).collect(),
        _ => return None,
    })
}

/// The values of little-endian `i64`s; exact up to 2^24.
pub(super) fn counts(bytes: &[u8]) -> Vec<f32> {
    words(bytes).map(|it| i64::from_le_bytes(*it) as f32).collect()
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = &[u8; N]> {
    bytes.as_chunks::<N>().0.iter()
}

/// A bfloat16 is the upper half of an `f32`.
fn from_bfloat(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// A half (IEEE 754 binary16) as the `f32` of the same value.
fn from_half(bits: u16) -> f32 {
    /// 2^112: the exponents' biases are 127 and 15.
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = u32::from(bits & 0x7fff);
    let value = match magnitude {
        0x7c00 => f32::INFINITY,
        0x7c01.. => f32::NAN,
        // Exact for subnormal halves too: as an `f32` they are subnormal, and the product is not.
        _ => f32::from_bits(magnitude << 13) * REBIAS,
    };
    if bits & 0x8000 == 0 { value } else { -value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_the_values_of_the_standard() {
        let half = |bits: u16| floats(Dtype::F16, &bits.to_le_bytes()).unwrap()[0];
        // IEEE 754-2019, section 3.4: bias 15, 10 bits of fraction.
        assert_eq!(half(0x3c00), 1.0);
        assert_eq!(half(0xc000), -2.0);
        assert_eq!(half(0x7bff), 65504.0);
        assert_eq!(half(0x0400), 2_f32.powi(-14));
        assert_eq!(half(0x0001), 2_f32.powi(-24));
        assert_eq!(half(0x83ff), -1023.0 * 2_f32.powi(-24));
        assert_eq!(half(0x8000).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(half(0x7c00), f32::INFINITY);
        assert!(half(0xfe00).is_nan());
    }

    #[test]
    fn every_width_of_float_gives_its_value() {
        let bytes = [0x40_u8, 0xc1]; // BF16: -12, whose f32 is 0xc1400000.
        assert_eq!(floats(Dtype::BF16, &bytes).unwrap(), [-12.0]);
        assert_eq!(floats(Dtype::F32, &(-12_f32).to_le_bytes()).unwrap(), [-12.0]);
        assert_eq!(floats(Dtype::F64, &0.1_f64.to_le_bytes()).unwrap(), [0.1]);
        assert_eq!(counts(&20_i64.to_le_bytes()), [20.0]);
        assert_eq!(floats(Dtype::I32, &[0; 4]), None);
    }
}
