//! The number formats that weights come in.

use safetensors::Dtype;

use esper_data::f16_to_f64;

/// The values of little-endian `bytes` as `f32`, if `dtype` is a float of 16, 32 or 64 bits.
pub(super) fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => words(bytes).map(|it| f32::from_le_bytes(*it)).collect(),
        Dtype::F64 => words(bytes).map(|it| f64::from_le_bytes(*it) as f32).collect(),
        Dtype::F16 => words(bytes).map(|it| f16_to_f64(u16::from_le_bytes(*it)) as f32).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_of_float_gives_its_value() {
        let bytes = [0x40_u8, 0xc1]; // BF16: -12, whose f32 is 0xc1400000.
        assert_eq!(floats(Dtype::BF16, &bytes).unwrap(), [-12.0]);
        assert_eq!(floats(Dtype::F16, &[0x01, 0x80]).unwrap(), [-(2_f32.powi(-24))]);
        assert_eq!(floats(Dtype::F32, &(-12_f32).to_le_bytes()).unwrap(), [-12.0]);
        assert_eq!(floats(Dtype::F64, &0.1_f64.to_le_bytes()).unwrap(), [0.1]);
        assert_eq!(counts(&20_i64.to_le_bytes()), [20.0]);
        assert_eq!(floats(Dtype::I32, &[0; 4]), None);
    }
}
