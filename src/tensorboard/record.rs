//! Records of an event file: their frame, and the scalars in them.
//!
//! A record is framed as TensorFlow's `RecordWriter` does (`tensorflow/core/lib/io/record_writer.h`): its length, the masked
//! CRC-32C of that, its bytes, and the masked CRC-32C of those. The bytes are an `Event` of
//! `tensorflow/core/util/event.proto`, in the wire format of Protocol Buffers, of which a handful of fields is enough.

/// What the first event of a file says that the others are.
const FILE_VERSION: &str = "brain.Event:2";

/// A number at a step, under a tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// What it is: TensorBoard groups by what comes before the first `/`.
    pub tag: String,
    /// Where it stands on the horizontal axis.
    pub step: u64,
    /// The number; files hold no more digits.
    pub value: f32,
}

/// The frame of a record of these bytes.
pub(super) fn frame(bytes: &[u8]) -> Vec<u8> {
    let len = (bytes.len() as u64).to_le_bytes();
    let parts = [&len, &masked_crc(&len)[..], bytes, &masked_crc(bytes)];
    parts.concat()
}

/// `((crc >> 15) | (crc << 17)) + 0xa282ead8`, as `tensorflow/core/lib/hash/crc32c.h` masks a checksum.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The bytes of each whole record of a file, in order; what follows the last one was torn, or was never a record.
pub(super) fn frames(mut file: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = file.split_first_chunk::<8>()?;
        let (crc_of_len, rest) = rest.split_first_chunk::<4>()?;
        let len_bytes = usize::try_from(u64::from_le_bytes(*len)).ok()?;
        let (bytes, rest) = rest.split_at_checked(len_bytes)?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let is_sound = *crc_of_len == masked_crc(len) && *crc == masked_crc(bytes);
        file = rest;
        is_sound.then_some(bytes)
    })
}

/// The event that a file begins with.
pub(super) fn version_event(wall_time_s: f64) -> Vec<u8> {
    let mut event = Message::default();
    event.fixed64(1, wall_time_s.to_bits()).bytes(3, FILE_VERSION.as_bytes());
    event.0
}

/// The event of some scalars at one step.
pub(super) fn scalar_event(wall_time_s: f64, step: u64, scalars: &[Scalar]) -> Vec<u8> {
    let mut summary = Message::default();
    for Scalar { tag, value, .. } in scalars {
        let mut of_tag = Message::default();
        of_tag.bytes(1, tag.as_bytes()).fixed32(2, value.to_bits());
        summary.bytes(1, &of_tag.0);
    }
    let mut event = Message::default();
    event.fixed64(1, wall_time_s.to_bits()).varint(2, step).bytes(5, &summary.0);
    event.0
}

/// The scalars of an event that [`scalar_event`] wrote; of any other, none.
pub(super) fn scalars_of(event: &[u8]) -> Vec<Scalar> {
    let mut step = 0;
    let mut found = Vec::new();
    for field in fields(event) {
        match field {
            (2, Value::Varint(value)) => step = value,
            (5, Value::Bytes(summary)) => found.extend(fields(summary).filter_map(scalar_of)),
            _ => (),
        }
    }
    found.into_iter().map(|(tag, value)| Scalar { tag, step, value }).collect()
}

fn scalar_of(of_summary: (u64, Value<'_>)) -> Option<(String, f32)> {
    let (1, Value::Bytes(bytes)) = of_summary else { return None };
    let (mut tag, mut value) = (None, None);
    for field in fields(bytes) {
        match field {
            (1, Value::Bytes(bytes)) => tag = String::from_utf8(bytes.to_vec()).ok(),
            (2, Value::Fixed32(bits)) => value = Some(f32::from_bits(bits)),
            _ => (),
        }
    }
    tag.zip(value)
}

/// A message in the wire format of Protocol Buffers (protobuf.dev/programming-guides/encoding).
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u64, wire_type: u64) -> &mut Self {
        self.number(field << 3 | wire_type)
    }

    fn number(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn varint(&mut self, field: u64, value: u64) -> &mut Self {
        self.key(field, 0).number(value)
    }

    fn fixed64(&mut self, field: u64, bits: u64) -> &mut Self {
        self.key(field, 1).0.extend(bits.to_le_bytes());
        self
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.key(field, 2).number(bytes.len() as u64).0.extend(bytes);
        self
    }

    fn fixed32(&mut self, field: u64, bits: u32) -> &mut Self {
        self.key(field, 5).0.extend(bits.to_le_bytes());
        self
    }
}

/// A field's value as the wire has it.
enum Value<'a> {
    Varint(u64),
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of a message, up to its end or to what is none.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let key = take_varint(&mut message)?;
        let value = match key & 7 {
            0 => Value::Varint(take_varint(&mut message)?),
            1 => {
                message.split_off(..8)?;
                Value::Fixed64
            }
            2 => {
                let len_bytes = usize::try_from(take_varint(&mut message)?).ok()?;
                Value::Bytes(message.split_off(..len_bytes)?)
            }
            5 => {
                let bits = message.split_off(..4)?.first_chunk::<4>()?;
                Value::Fixed32(u32::from_le_bytes(*bits))
            }
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let byte = *message.split_off_first()?;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_framed_as_tensorflow_does() {
        let framed = frame(b"abc");
        assert_eq!(framed[..8], 3_u64.to_le_bytes());
        assert_eq!(framed[12..15], *b"abc");
        // CRC-32C of "123456789" is 0xe3069283, the check value of the catalogue of CRC algorithms; masked by hand.
        assert_eq!(masked_crc(b"123456789"), 0xc78a_b0e5_u32.to_le_bytes());
        assert_eq!(frames(&framed).collect::<Vec<_>>(), [b"abc"]);
    }

    #[test]
    fn a_torn_or_damaged_record_ends_what_is_read() {
        let mut file = [frame(b"first"), frame(b"second")].concat();
        assert_eq!(frames(&file).count(), 2);
        assert_eq!(frames(&file[..file.len() - 1]).count(), 1);
        let last = file.len() - 5;
        file[last] ^= 1;
        assert_eq!(frames(&file).collect::<Vec<_>>(), [b"first"]);
        file[0] = 0xff;
        assert_eq!(frames(&file).count(), 0);
    }

    #[test]
    fn scalars_come_back_from_an_event_of_several() {
        let scalar = |tag: &str, value| Scalar { tag: tag.to_owned(), step: 300, value };
        let scalars = [scalar("loss/train", 0.25), scalar("seeds/active", 2.0)];
        assert_eq!(scalars_of(&scalar_event(1.5, 300, &scalars)), scalars);
        assert_eq!(scalars_of(&version_event(1.5)), []);
        assert_eq!(scalars_of(&[0x2a, 0xff, 1, 2]), [], "what is no event");
    }
}
